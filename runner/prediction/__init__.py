"""From trained models to a submission: predictions, TTA, ensemble, calibration, decisions, the CSV."""
