"""From probabilities to decisions that need no fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.decisions import TagSet
from runner.contract.metrics import Metric

Matrix = NDArray[Any]


def apply_thresholds(probabilities: Matrix, thresholds: Matrix | float) -> Matrix:
    """0/1 decisions: 1 above the threshold; a row with none above it gets its most probable label."""
    decisions = np.asarray(probabilities > thresholds)
    empty = ~decisions.any(axis=1)
    decisions[empty, probabilities[empty].argmax(axis=1)] = True
    return decisions.astype(np.float64)


def scored_values(metric: Metric, predictions: Matrix) -> Matrix:
    """What the metric scores, without a fit: tags above its default threshold, else the predictions as they are."""
    if isinstance(metric.decision, TagSet):
        return apply_thresholds(predictions, metric.decision.default_threshold)
    return predictions
