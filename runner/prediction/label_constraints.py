"""Constraints between the labels of an image: exactly one of a group, and some that exclude all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.contract import Labels, Multilabel
from runner.prediction.averaging import Matrix


@dataclass(frozen=True)
class LabelConstraints:
    """Columns: an image has exactly one of `mutually_exclusive`, and no other label beside one of `standalone`."""

    mutually_exclusive: tuple[int, ...]
    standalone: tuple[int, ...] = ()

    @property
    def combinable(self) -> tuple[int, ...]:
        """The columns of `mutually_exclusive` that may have other labels beside them."""
        return tuple(column for column in self.mutually_exclusive if column not in self.standalone)


def label_constraints(labels: Labels, classes: Sequence[str]) -> LabelConstraints | None:
    """The declared constraints as columns of these classes; None if there are none to use."""
    if not isinstance(labels, Multilabel):
        return None
    column = {name: position for position, name in enumerate(classes)}
    mutually_exclusive = tuple(column[name] for name in labels.mutually_exclusive if name in column)
    standalone = tuple(column[name] for name in labels.standalone if name in column)
    # With a single label, or with standalone ones only, the constraints add nothing.
    if len(mutually_exclusive) < 2 or len(standalone) == len(mutually_exclusive):
        return None
    return LabelConstraints(mutually_exclusive, standalone)


def apply_constraints(
    constraints: LabelConstraints, predicted: NDArray[np.bool_], probabilities: Matrix
) -> NDArray[np.bool_]:
    """The predicted labels, changed to satisfy the constraints: of the exclusive group the likeliest is kept."""
    constrained, rows = predicted.copy(), np.arange(len(predicted))
    group = np.array(constraints.mutually_exclusive)
    likeliest = group[probabilities[:, group].argmax(axis=1)]
    constrained[:, group] = False
    constrained[np.isin(likeliest, constraints.standalone)] = False
    constrained[rows, likeliest] = True
    return constrained
