"""Scripts that measure what the README claims; `make bench` runs them."""
