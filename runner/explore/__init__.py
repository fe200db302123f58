"""What can be known about the data before anything is trained."""
