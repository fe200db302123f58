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


class Space(Enum):
    """Where a mean is taken: of probabilities, or of logs (softmax: logs, renormalised; sigmoid: logits)."""

    PROBABILITIES = "probabilities"
    LOGS = "logs"


class Look(Enum):
    """What becomes of the views of one network: the plain one alone, or the mean of all in a space."""

    PLAIN = "the plain view"
    MEAN = "the mean of the views"
    MEAN_OF_LOGS = "the mean of the views' logs"

    @property
    def space(self) -> Space:
        return Space.LOGS if self is Look.MEAN_OF_LOGS else Space.PROBABILITIES

    def views(self, known: Sequence[str]) -> tuple[str, ...]:
        """Those of the known views that it takes; the first is the plain one."""
        return tuple(known[:1]) if self is Look.PLAIN else tuple(known)


def into_space(space: Space, probabilities: Matrix, multiclass: bool) -> Matrix:
    """What is averaged, in the precision that it came in. `multiclass`: the rows sum to 1."""
    if space is Space.PROBABILITIES:
        return probabilities
    if multiclass:
        return np.log(np.maximum(probabilities, _LEAST))
    inside = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return np.log(inside) - np.log1p(-inside)  # type: ignore[no-any-return]


def out_of_space(space: Space, mean: Matrix, multiclass: bool) -> Matrix:
    """Probabilities again, in double precision; where the rows should sum to 1 they do."""
    mean = np.asarray(mean, dtype=np.float64)
    if not multiclass:
        return 1 / (1 + np.exp(-mean)) if space is Space.LOGS else mean
    found = np.empty_like(mean)
    for rows in blocks(mean):
        part = np.exp(mean[rows] - _largest(mean[rows])) if space is Space.LOGS else mean[rows]
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


def average(space: Space, weighted: Iterable[tuple[float, Matrix]], multiclass: bool) -> Matrix:
    """The weighted mean of matrices that come one by one, so that only one of them is ever held."""
    total: Matrix | None = None
    whole = 0.0
    for weight, probabilities in weighted:
        added = weight * into_space(space, np.asarray(probabilities, dtype=np.float64), multiclass)
        total, whole = added if total is None else total + added, whole + weight
    if total is None:
        raise ValueError("there is nothing to average")
    return out_of_space(space, total / whole, multiclass)
