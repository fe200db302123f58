"""What a submission file must look like, read from the sample submission."""
