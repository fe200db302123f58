"""From the probabilities of labels to decisions, with thresholds that need no fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]

# F2 weighs recall more than precision, so a label is worth predicting well below one half.
DEFAULT_THRESHOLD = 0.2


def apply_thresholds(probabilities: Matrix, thresholds: Matrix | float = DEFAULT_THRESHOLD) -> Matrix:
    """0/1 decisions: 1 above the threshold; a row with none above it gets its most probable label."""
    decisions = np.asarray(probabilities > thresholds)
    empty = ~decisions.any(axis=1)
    decisions[empty, probabilities[empty].argmax(axis=1)] = True
    return decisions.astype(np.float64)
