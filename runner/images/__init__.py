"""Images decoded, cached, augmented, and cut into test-time views."""
