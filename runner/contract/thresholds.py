"""From probabilities of tags to decisions, where nothing was fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]

# Where recall counts for more than precision, as in F2, a tag is worth naming well below one half.
DEFAULT_THRESHOLD = 0.2


def apply_thresholds(probabilities: Matrix, thresholds: Matrix | float = DEFAULT_THRESHOLD) -> Matrix:
    """Which tags to name, as 0 and 1: those above the threshold, and the likeliest where none is."""
    named = np.asarray(probabilities > thresholds)
    nothing = ~named.any(axis=1)
    named[nothing, probabilities[nothing].argmax(axis=1)] = True
    return named.astype(np.float64)
