"""Weighted means of predictions: the arithmetic mean, and of probabilities the geometric mean by way of logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Activation, Outputs

Matrix = NDArray[Any]

# The smallest probability under a log: one model's zero is a strong vote and not a veto.
_SMALLEST = 1e-15
# Probabilities are clipped to [1e-7, 1 - 1e-7] before the logit: about float32's resolution just below 1.
_EDGE = 1e-7
# Up to so many columns a pass over the columns is faster than a numpy reduction over the rows.
_FEW_COLUMNS = 24
# From so many on numpy adds eight columns at a time, and a pass over them is no faster.
_PAIRED_COLUMNS = 16
_CACHED_VALUES = 1 << 15  # of eight bytes


class Mean(Enum):
    """The mean of several predictions. The geometric one averages logs (multiclass) or logits (columns)."""

    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"

    def transform(self, predictions: Matrix, outputs: Outputs) -> Matrix:
        """The values that are averaged, in the precision of the predictions."""
        return to_logs(predictions, outputs) if self is Mean.GEOMETRIC else predictions

    def inverse_transform(self, averaged: Matrix, outputs: Outputs) -> Matrix:
        """Predictions in double precision; the probabilities of classes sum to 1."""
        averaged = np.asarray(averaged, dtype=np.float64)
        if self is Mean.GEOMETRIC:
            return from_logs(averaged, outputs)
        return by_block(outputs, averaged, _scaled_to_one)


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


def by_block(outputs: Outputs, matrix: Matrix, change: Callable[[Activation, Matrix], Matrix]) -> Matrix:
    """The matrix with each block of its columns (the last axis) changed by its activation."""
    if outputs.only is not None:
        return change(outputs.only, matrix)
    parts = [change(activation, matrix[..., columns]) for activation, columns in outputs.slices]
    return np.concatenate(parts, axis=-1)


def to_logs(predictions: Matrix, outputs: Outputs) -> Matrix:
    """Logs of the probabilities of classes, logits of those of tags; finite, in the precision of the predictions."""
    return by_block(outputs, predictions, _to_logs)


def from_logs(logs: Matrix, outputs: Outputs) -> Matrix:
    """Softmax over the rows for classes, the sigmoid for tags; in double precision."""
    return by_block(outputs, np.asarray(logs, dtype=np.float64), _from_logs)


def _scaled_to_one(activation: Activation, averaged: Matrix) -> Matrix:
    if activation is not Activation.SOFTMAX:
        return averaged
    scaled = np.empty_like(averaged)
    for rows in blocks(averaged):
        scaled[rows] = averaged[rows] / row_sums(averaged[rows])[:, None]
    return scaled


def _to_logs(activation: Activation, predictions: Matrix) -> Matrix:
    if activation is Activation.LINEAR:
        return predictions
    if activation is Activation.SOFTMAX:
        return np.log(np.maximum(predictions, _SMALLEST))
    inside = np.clip(predictions, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)  # type: ignore[no-any-return]


def _from_logs(activation: Activation, logs: Matrix) -> Matrix:
    if activation is Activation.LINEAR:
        return logs
    if activation is Activation.SIGMOID:
        return 1 / (1 + np.exp(-logs))
    probabilities = np.empty_like(logs)
    for rows in blocks(logs):
        powers = np.exp(logs[rows] - _row_maximum(logs[rows]))
        probabilities[rows] = powers / row_sums(powers)[:, None]
    return probabilities


def average(mean: Mean, weighted: Iterable[tuple[float, Matrix]], outputs: Outputs) -> Matrix:
    """The weighted mean of (weight, predictions); one matrix is held at a time."""
    total: Matrix | None = None
    weight_sum = 0.0
    for weight, predictions in weighted:
        term = weight * mean.transform(np.asarray(predictions, dtype=np.float64), outputs)
        total, weight_sum = term if total is None else total + term, weight_sum + weight
    if total is None:
        raise ValueError("there is nothing to average")
    return mean.inverse_transform(total / weight_sum, outputs)


def blocks(matrix: Matrix) -> Iterator[slice]:
    """Slices of rows that stay in the processor's cache from one step of a calculation to the next."""
    size = max(1, _CACHED_VALUES // max(1, matrix.shape[1]))
    return (slice(begin, begin + size) for begin in range(0, len(matrix), size))


def row_sums(rows: Matrix) -> Matrix:
    """The sum of each row; of few columns by a pass over the columns, because numpy's call a row costs more.

    The columns are added in the order in which numpy adds a row that lies in one piece: not a digit differs.
    """
    columns = rows.shape[1]
    if not 0 < columns < _PAIRED_COLUMNS or not rows.flags.c_contiguous:
        return rows.sum(axis=1)  # type: ignore[no-any-return]
    if columns < 8:
        total, done = rows[:, 0].copy(), 1
    else:
        pairs = [rows[:, column] + rows[:, column + 1] for column in (0, 2, 4, 6)]
        total, done = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]), 8
    for column in range(done, columns):
        total += rows[:, column]
    return total


def _row_maximum(rows: Matrix) -> Matrix:
    """The maximum of each row, as a column; for few columns numpy's call a row costs more than the values."""
    if rows.shape[1] > _FEW_COLUMNS:
        return rows.max(axis=1, keepdims=True)  # type: ignore[no-any-return]
    maximum = rows[:, :1].copy()
    for column in range(1, rows.shape[1]):
        np.maximum(maximum, rows[:, column : column + 1], out=maximum)
    return maximum
