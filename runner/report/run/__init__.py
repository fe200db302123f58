"""The page of one run: what was trained, how good it is, and what to try next."""
