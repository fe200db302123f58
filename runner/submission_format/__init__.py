"""The format of a submission, read from the sample submission, and the check of a file against it."""
