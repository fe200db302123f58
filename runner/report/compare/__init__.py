"""The page that compares runs: scores on the same rows, recipes, times, classes, images that one of them gets right."""
