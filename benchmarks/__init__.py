"""Benchmarks of the figures that the documentation states; `make bench` runs them."""
