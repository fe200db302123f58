"""Which rows are held out to validate, and the folds.csv that says so."""
