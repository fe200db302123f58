"""From a table and a recipe to snapshots."""
