"""The parts that every page is made of: blocks, figures, thumbnails and the HTML template."""
