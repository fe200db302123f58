"""A run taken elsewhere: one folder with its networks, preprocessing, thresholds, and a script without this package."""
