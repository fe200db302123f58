"""From downloaded files to one checked table of all images, and the folds."""
