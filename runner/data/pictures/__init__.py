"""Pictures read, resized, augmented, and looked at in fixed ways."""
