"""What the metric functions share: class numbers, and sums in which a row counts as often as it was drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]

# From how often each row was drawn (None: once) to the score. What does not depend on it is computed once, so a
# bootstrap is a few sums a resample.
WeightedScore = Callable[[Matrix | None], float]


def class_numbers(targets: Matrix) -> NDArray[np.int64]:
    """The class of each row; of a column of 0 and 1, whether it is positive."""
    if targets.ndim == 1:
        return targets.astype(np.int64)
    if targets.shape[1] == 1:
        return (targets[:, 0] >= 0.5).astype(np.int64)
    return np.asarray(targets.argmax(axis=1), dtype=np.int64)


def predicted_classes(values: Matrix) -> NDArray[np.int64]:
    """The class with the greatest value in each row; of one column, whether it is at least one half."""
    return class_numbers(values)


# The likeliest class of a row and its confidence.
BEST_CLASS = np.dtype([("number", np.int64), ("confidence", np.float64)])


def best_class(values: Matrix) -> Matrix:
    """The likeliest class of each row with its value, as BEST_CLASS."""
    if values.ndim == 1:
        return values
    best = np.empty(len(values), dtype=BEST_CLASS)
    best["number"] = values.argmax(axis=1)
    best["confidence"] = values[np.arange(len(values)), best["number"]]
    return best


def counts(weights: Matrix | None, rows: int) -> Matrix:
    """How often each row counts."""
    return np.ones(rows) if weights is None else weights


def ratio(numerator: float, denominator: float) -> float:
    """The quotient; NaN if there is nothing to divide by."""
    return float(numerator / denominator) if denominator else float("nan")
