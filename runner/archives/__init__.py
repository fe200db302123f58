"""Archives: their names, readers, safe extraction; and free disk space."""
