"""The confusion matrix as values: counts, an order of the classes that groups confusions, and the worst pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

READABLE = 30  # classes; a larger matrix is also shown zoomed
ZOOMED = 14  # classes of a zoomed matrix
DRAWN = 300  # classes; beyond that only the zoomed matrix is shown, and the order of the classes is their own


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

    Classes that are confused are side by side, unless the classes have an order of their own. Only the cells above 0
    are kept: of ten thousand classes a matrix would have a hundred million.
    """

    classes: tuple[str, ...]
    cells: Counts  # (cells, 3): row, column and count, row by row
    support: Counts  # images of each actual class, whether their column is included or not

    @classmethod
    def of(cls, classes: Sequence[str], labels: Counts, predictions: Counts, *, keep_order: bool = False) -> Confusion:
        """The cells of class indices, row by row."""
        cells, counts = np.unique(np.stack([labels, predictions], axis=1), axis=0, return_counts=True)
        confusion = cls(tuple(classes), np.column_stack([cells, counts]), np.bincount(labels, minlength=len(classes)))
        return confusion if keep_order or len(classes) > DRAWN else confusion.take(cluster_order(confusion.counts))

    @cached_property
    def counts(self) -> Counts:
        """The whole matrix, of classes that are few enough to be drawn."""
        counts = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        rows, columns, of_cells = self.cells.T
        counts[rows, columns] = of_cells
        return counts

    def take(self, indices: Sequence[int]) -> Confusion:
        """Only these classes, in this order."""
        place = np.full(len(self.classes), -1)
        place[list(indices)] = np.arange(len(indices))
        cells = np.column_stack([place[self.cells[:, :2]], self.cells[:, 2]])
        cells = cells[(cells[:, :2] >= 0).all(axis=1)]
        ordered = cells[np.lexsort((cells[:, 1], cells[:, 0]))]
        return Confusion(tuple(self.classes[index] for index in indices), ordered, self.support[list(indices)])

    @property
    def pairs(self) -> list[ConfusedPair]:
        """All cells, row by row."""
        return [
            ConfusedPair(self.classes[row], self.classes[column], count, int(self.support[row]))
            for row, column, count in self.cells.tolist()
        ]

    @cached_property
    def most_confused(self) -> list[ConfusedPair]:
        """All pairs of different classes that were confused, the most frequent first."""
        pairs = [pair for pair in self.pairs if pair.actual != pair.predicted]
        return sorted(pairs, key=lambda pair: (-pair.count, pair.support, pair.actual, pair.predicted))

    @cached_property
    def zoomed(self) -> Confusion | None:
        """The matrix of only the most confused classes, in the same order; None if all of them are readable."""
        if len(self.classes) <= READABLE:
            return None
        chosen: set[str] = set()
        for pair in self.most_confused:
            if len(chosen | {pair.actual, pair.predicted}) <= ZOOMED:
                chosen |= {pair.actual, pair.predicted}
            if len(chosen) == ZOOMED:
                break
        shown = [index for index, name in enumerate(self.classes) if name in chosen]
        if len(self.classes) <= DRAWN:
            return self.take(shown) if shown else None
        zoomed = self.take(shown or np.argsort(-self.support, kind="stable")[:ZOOMED].tolist())
        return zoomed.take(cluster_order(zoomed.counts))


def cluster_order(counts: Counts) -> list[int]:
    """Class indices in the leaf order of a hierarchical clustering (average linkage) of the confusion rates."""
    if len(counts) < 3:
        return list(range(len(counts)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    distances = 2 - (rates + rates.T)
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    return leaves_list(tree).tolist()  # type: ignore[no-any-return]
