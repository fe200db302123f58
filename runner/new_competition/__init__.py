"""`runner new`: a competition file, inferred from a competition's files."""
