"""Archives: their names, readers, safe extraction, integrity, free disk space."""
