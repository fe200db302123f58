"""The page about the images before training."""
