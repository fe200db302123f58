"""What can be known of the pictures before anything is trained."""
