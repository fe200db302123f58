"""What rows are counted and stratified by: their classes or tags, or ranges of their first number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Regression

_RANGES = 10  # of numbers, with as many rows each


class Strata(NamedTuple):
    """Names, and which rows have them, shaped (rows, names)."""

    names: tuple[str, ...]
    members: NDArray[np.float32]


def strata_of(labels: Labels, classes: Sequence[str], targets: NDArray[Any]) -> Strata:
    """The strata of rows with these targets; of votes the class with most of them."""
    if isinstance(labels, Regression):
        return _ranges(classes[0], targets[:, 0])
    if isinstance(labels, Multiclass) and labels.soft:
        return Strata(tuple(classes), _one_hot(targets.argmax(axis=1), len(classes)))
    return Strata(tuple(classes), targets)


def _ranges(name: str, numbers: NDArray[Any]) -> Strata:
    """Ranges of about as many rows each, and one of the rows without the number if there are any."""
    known = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, _RANGES + 1))) if known.any() else np.zeros(2)
    edges = edges if len(edges) > 1 else np.repeat(edges, 2)
    # A number on an edge belongs to the range above it, the greatest to the last.
    number_of_range = np.searchsorted(edges[1:-1], numbers, side="right")
    names = [f"{name} {low:.4g} to {high:.4g}" for low, high in pairwise(edges.tolist())]
    if known.all():
        return Strata(tuple(names), _one_hot(number_of_range, len(names)))
    number_of_range[~known] = len(names)
    return Strata((*names, f"no {name}"), _one_hot(number_of_range, len(names) + 1))


def _one_hot(numbers: NDArray[np.int64], columns: int) -> NDArray[np.float32]:
    members = np.zeros((len(numbers), columns), dtype=np.float32)
    members[np.arange(len(numbers)), numbers] = 1
    return members
