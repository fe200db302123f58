"""What rows are counted and stratified by: their classes or tags, or ranges of their first number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Regression
from runner.contract.targets import Targets, are_class_numbers

_RANGES = 10  # of numbers, with as many rows each


class Strata(NamedTuple):
    """Names, and which of them the rows have: the number of each row's only one, or a matrix (rows, names) of 0 and 1.

    A matrix of one column has two strata: those that have it, and those that do not.
    """

    names: tuple[str, ...]
    members: Targets

    def rows_of(self) -> list[NDArray[np.int64]]:
        """The rows of each name; of one column, then the rows without it."""
        if are_class_numbers(self.members):
            by_name = np.argsort(self.members, kind="stable")
            ends = np.cumsum(np.bincount(self.members, minlength=len(self.names)))
            return np.split(by_name, ends[:-1])
        columns = [column >= 0.5 for column in self.members.T]
        return [np.flatnonzero(column) for column in (*columns, *([~columns[0]] if len(columns) == 1 else []))]


def strata_of(labels: Labels, classes: Sequence[str], targets: Targets) -> Strata:
    """The strata of rows with these targets; of votes the class with most of them."""
    if isinstance(labels, Regression):
        return _ranges(classes[0], targets[:, 0])
    if isinstance(labels, Multiclass) and labels.soft:
        return Strata(tuple(classes), targets.argmax(axis=1))
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
        return Strata(tuple(names), number_of_range)
    number_of_range[~known] = len(names)
    return Strata((*names, f"no {name}"), number_of_range)
