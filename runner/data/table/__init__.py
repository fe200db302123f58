"""One table of all pictures, and every complaint about what it was made of."""
