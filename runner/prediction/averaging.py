"""Weighted means of probabilities: the arithmetic mean, and the geometric mean by way of logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]

# The smallest probability under a log: one model's zero is a strong vote and not a veto.
_SMALLEST = 1e-15
# Probabilities are clipped to [1e-7, 1 - 1e-7] before the logit: about float32's resolution just below 1.
_EDGE = 1e-7
# Up to so many columns a pass over the columns is faster than a numpy reduction over the rows.
_FEW_COLUMNS = 24
_CACHED_VALUES = 1 << 15  # of eight bytes


class Mean(Enum):
    """The mean of several predictions. The geometric one averages logs (multiclass) or logits (columns)."""

    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"

    def transform(self, probabilities: Matrix, multiclass: bool) -> Matrix:
        """The values that are averaged, in the precision of the probabilities. `multiclass`: rows sum to 1."""
        return to_logs(probabilities, multiclass) if self is Mean.GEOMETRIC else probabilities

    def inverse_transform(self, averaged: Matrix, multiclass: bool) -> Matrix:
        """Probabilities in double precision; multiclass rows sum to 1."""
        averaged = np.asarray(averaged, dtype=np.float64)
        if self is Mean.GEOMETRIC:
            return from_logs(averaged, multiclass)
        if not multiclass:
            return averaged
        scaled = np.empty_like(averaged)
        for rows in blocks(averaged):
            scaled[rows] = averaged[rows] / averaged[rows].sum(axis=1, keepdims=True)
        return scaled


class TTAMode(Enum):
    """How the views of one model become one prediction: the plain view alone, or a mean of all views."""

    NONE = "none"
    MEAN = "mean"
    GEOMETRIC_MEAN = "geometric mean"

    @property
    def mean(self) -> Mean:
        return Mean.GEOMETRIC if self is TTAMode.GEOMETRIC_MEAN else Mean.ARITHMETIC

    def select_views(self, views: Sequence[str]) -> tuple[str, ...]:
        """The views to average, of those there are; the first is the plain one."""
        return tuple(views[:1]) if self is TTAMode.NONE else tuple(views)


def to_logs(probabilities: Matrix, multiclass: bool) -> Matrix:
    """Logs of multiclass probabilities, else logits; finite, in the precision of the probabilities."""
    if multiclass:
        return np.log(np.maximum(probabilities, _SMALLEST))
    inside = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)  # type: ignore[no-any-return]


def from_logs(logs: Matrix, multiclass: bool) -> Matrix:
    """Softmax over the rows if multiclass, else the sigmoid; in double precision."""
    logs = np.asarray(logs, dtype=np.float64)
    if not multiclass:
        return 1 / (1 + np.exp(-logs))
    probabilities = np.empty_like(logs)
    for rows in blocks(logs):
        powers = np.exp(logs[rows] - _row_maximum(logs[rows]))
        probabilities[rows] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def average(mean: Mean, weighted: Iterable[tuple[float, Matrix]], multiclass: bool) -> Matrix:
    """The weighted mean of (weight, probabilities); one matrix is held at a time."""
    total: Matrix | None = None
    weight_sum = 0.0
    for weight, probabilities in weighted:
        term = weight * mean.transform(np.asarray(probabilities, dtype=np.float64), multiclass)
        total, weight_sum = term if total is None else total + term, weight_sum + weight
    if total is None:
        raise ValueError("there is nothing to average")
    return mean.inverse_transform(total / weight_sum, multiclass)


def blocks(matrix: Matrix) -> Iterator[slice]:
    """Slices of rows that stay in the processor's cache from one step of a calculation to the next."""
    size = max(1, _CACHED_VALUES // max(1, matrix.shape[1]))
    return (slice(begin, begin + size) for begin in range(0, len(matrix), size))


def _row_maximum(rows: Matrix) -> Matrix:
    """The maximum of each row, as a column; for few columns numpy's call a row costs more than the values."""
    if rows.shape[1] > _FEW_COLUMNS:
        return rows.max(axis=1, keepdims=True)  # type: ignore[no-any-return]
    maximum = rows[:, :1].copy()
    for column in range(1, rows.shape[1]):
        np.maximum(maximum, rows[:, column : column + 1], out=maximum)
    return maximum
