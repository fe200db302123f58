"""The confusion matrix as values: counts, an order of the classes that groups confusions, and the worst pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

READABLE = 30  # classes; a larger matrix is also shown zoomed
ZOOMED = 14  # classes of a zoomed matrix
_OPTIMAL = 300  # classes; beyond that the best order of leaves takes too long


@dataclass(frozen=True)
class ConfusedPair:
    """How often images of one class are predicted as another."""

    actual: str
    predicted: str
    count: int
    support: int  # images of the actual class

    def __str__(self) -> str:
        return f"{self.actual} predicted as {self.predicted}: {self.count} of {self.support}"


@dataclass(frozen=True)
class Confusion:
    """Counts by actual class (rows) and predicted class (columns).

    Classes that are confused are side by side, unless the classes have an order of their own.
    """

    classes: tuple[str, ...]
    counts: Counts
    support: Counts  # images of each actual class, whether their column is included or not

    @classmethod
    def of(cls, classes: Sequence[str], labels: Counts, predictions: Counts, *, keep_order: bool = False) -> Confusion:
        """The matrix of class indices, row by row."""
        from sklearn.metrics import confusion_matrix  # half a second

        counts = confusion_matrix(labels, predictions, labels=np.arange(len(classes)))
        order = list(range(len(counts))) if keep_order else cluster_order(counts)
        ordered = counts[np.ix_(order, order)]
        return cls(tuple(classes[index] for index in order), ordered, ordered.sum(axis=1))

    @property
    def most_confused(self) -> list[ConfusedPair]:
        """All pairs of different classes that were confused, the most frequent first."""
        pairs = [
            ConfusedPair(self.classes[row], self.classes[column], int(self.counts[row, column]), int(self.support[row]))
            for row, column in zip(*np.nonzero(self.counts), strict=True)
            if row != column
        ]
        return sorted(pairs, key=lambda pair: (-pair.count, pair.support, pair.actual, pair.predicted))

    @property
    def zoomed(self) -> Confusion | None:
        """The matrix of only the most confused classes, in the same order; None if all of them are readable."""
        if len(self.classes) <= READABLE:
            return None
        chosen: set[str] = set()
        for pair in self.most_confused:
            if len(chosen | {pair.actual, pair.predicted}) <= ZOOMED:
                chosen |= {pair.actual, pair.predicted}
        shown = [index for index, name in enumerate(self.classes) if name in chosen]
        names = tuple(self.classes[index] for index in shown)
        return Confusion(names, self.counts[np.ix_(shown, shown)], self.support[shown]) if shown else None


def cluster_order(counts: Counts) -> list[int]:
    """Class indices in the leaf order of a hierarchical clustering (average linkage) of the confusion rates."""
    if len(counts) < 3:
        return list(range(len(counts)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distances = 2 - (rates + rates.T)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=len(counts) <= _OPTIMAL)
    return leaves_list(tree).tolist()  # type: ignore[no-any-return]
