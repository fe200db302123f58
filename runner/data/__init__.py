"""From archives to one checked table, and from the table to batches."""
