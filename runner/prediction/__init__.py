"""From snapshots to a submission: views, predictions, ensemble, thresholds, the CSV."""
