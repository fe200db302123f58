"""What the tags of every image apply_constraints: one of those that exclude each other, and some that stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Labels, Multilabel

Matrix = NDArray[Any]


@dataclass(frozen=True)
class LabelConstraints:
    """Columns: of `mutually_exclusive` just one is on each image, and nothing else where that one is in `alone`."""

    mutually_exclusive: tuple[int, ...]
    alone: tuple[int, ...] = ()

    @property
    def others_among_exclusive(self) -> tuple[int, ...]:
        """Those of `mutually_exclusive` that bear company."""
        return tuple(column for column in self.mutually_exclusive if column not in self.alone)


def label_constraints(labels: Labels, classes: Sequence[str]) -> LabelConstraints | None:
    """What the plugin says that the tags apply_constraints, as columns; None where it says nothing of these classes."""
    if not isinstance(labels, Multilabel):
        return None
    column = {name: place for place, name in enumerate(classes)}
    mutually_exclusive = tuple(column[name] for name in labels.mutually_exclusive if name in column)
    alone = tuple(column[name] for name in labels.standalone if name in column)
    # Where every tag of them stands alone, or there is one only, there is nothing to make use of.
    return (
        LabelConstraints(mutually_exclusive, alone)
        if len(mutually_exclusive) > 1 and len(alone) < len(mutually_exclusive)
        else None
    )


def apply_constraints(rules: LabelConstraints, chosen: NDArray[np.bool_], probabilities: Matrix) -> NDArray[np.bool_]:
    """The choice made to obey: the likeliest of those that exclude each other, and alone where it must be."""
    chosen, rows = chosen.copy(), np.arange(len(chosen))
    group = np.array(rules.mutually_exclusive)
    likeliest = group[probabilities[:, group].argmax(axis=1)]
    chosen[:, group] = False
    chosen[np.isin(likeliest, rules.alone)] = False
    chosen[rows, likeliest] = True
    return chosen
