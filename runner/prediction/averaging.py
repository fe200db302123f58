"""The space in which members are averaged: probabilities, or their logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]

# The least probability there is, so that one member's zero is a strong vote and not a veto.
_LEAST = 1e-15
# Files hold single precision, in which no probability is nearer to 1 than this; 0 is treated alike.
_EDGE = 1e-7
# Columns up to which a pass over each of them is quicker than one over the rows.
_FEW = 24
_CACHED = 1 << 15  # numbers of eight bytes


class Mean(Enum):
    """Where a mean is taken: of probabilities, or of logs (softmax: logs, renormalised; sigmoid: logits)."""

    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"


class TTAMode(Enum):
    """What becomes of the views of one network: the plain one alone, or the mean of all in a space."""

    NONE = "none"
    MEAN = "mean"
    GEOMETRIC_MEAN = "geometric mean"

    @property
    def space(self) -> Mean:
        return Mean.GEOMETRIC if self is TTAMode.GEOMETRIC_MEAN else Mean.ARITHMETIC

    def views(self, known: Sequence[str]) -> tuple[str, ...]:
        """Those of the known views that it takes; the first is the plain one."""
        return tuple(known[:1]) if self is TTAMode.NONE else tuple(known)


def to_mean_space(space: Mean, probabilities: Matrix, multiclass: bool) -> Matrix:
    """What is averaged, in the precision that it came in. `multiclass`: the rows sum to 1."""
    if space is Mean.ARITHMETIC:
        return probabilities
    if multiclass:
        return np.log(np.maximum(probabilities, _LEAST))
    inside = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)  # type: ignore[no-any-return]


def from_mean_space(space: Mean, mean: Matrix, multiclass: bool) -> Matrix:
    """Probabilities again, in double precision; where the rows should sum to 1 they do."""
    mean = np.asarray(mean, dtype=np.float64)
    if not multiclass:
        return 1 / (1 + np.exp(-mean)) if space is Mean.GEOMETRIC else mean
    found = np.empty_like(mean)
    for rows in blocks(mean):
        part = np.exp(mean[rows] - _largest(mean[rows])) if space is Mean.GEOMETRIC else mean[rows]
        found[rows] = part / part.sum(axis=1, keepdims=True)
    return found


def blocks(matrix: Matrix) -> Iterator[slice]:
    """The rows in pieces that stay in the processor's cache from one step of a calculation to the next."""
    size = max(1, _CACHED // max(1, matrix.shape[1]))
    return (slice(begin, begin + size) for begin in range(0, len(matrix), size))


def _largest(rows: Matrix) -> Matrix:
    """The largest value of each row, as a column; a call a row costs numpy more than the few values that it has."""
    if rows.shape[1] > _FEW:
        return rows.max(axis=1, keepdims=True)  # type: ignore[no-any-return]
    largest = rows[:, :1].copy()
    for column in range(1, rows.shape[1]):
        np.maximum(largest, rows[:, column : column + 1], out=largest)
    return largest


def average(space: Mean, weighted: Iterable[tuple[float, Matrix]], multiclass: bool) -> Matrix:
    """The weighted mean of matrices that come one by one, so that only one of them is ever held."""
    total: Matrix | None = None
    whole = 0.0
    for weight, probabilities in weighted:
        added = weight * to_mean_space(space, np.asarray(probabilities, dtype=np.float64), multiclass)
        total, whole = added if total is None else total + added, whole + weight
    if total is None:
        raise ValueError("there is nothing to average")
    return from_mean_space(space, total / whole, multiclass)
