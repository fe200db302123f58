"""The label formats a competition can have: one of many classes, a set of tags, a probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The first name is the one the file gets here; the others are names it had in another vintage.
FileNames = str | tuple[str, ...]


@dataclass(frozen=True)
class Multiclass:
    """Every image shows exactly one of several classes.

    With `csv`, a table gives each id its class. Without it the folder is the label, and
    `train_images` says where: `train/{label}/{id}`.
    """

    csv: FileNames | None = None
    id: str = "id"
    label: str = "label"
    group: str | None = None


@dataclass(frozen=True)
class Multilabel:
    """Every image bears a set of tags, written as words between blanks.

    `names` closes the vocabulary; left out, it is what the training rows hold. What the data obeys may be
    told, and is made use of where that helps on held-out rows: every image bears one tag of `mutually_exclusive`,
    and no other tag where that one is in `standalone`.
    """

    csv: FileNames
    id: str = "id"
    label: str = "tags"
    group: str | None = None
    names: tuple[str, ...] | None = None
    mutually_exclusive: tuple[str, ...] = ()
    standalone: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, given, among in (
            ("standalone", self.standalone, self.mutually_exclusive),
            ("mutually_exclusive", self.mutually_exclusive, self.names or self.mutually_exclusive),
        ):
            unknown = [name for name in given if name not in among]
            if unknown:
                raise ValueError(
                    f"Multilabel.{field}: {', '.join(unknown)} is not among {', '.join(among) or 'no tags'}"
                )


@dataclass(frozen=True)
class Binary:
    """Every image shows the thing or does not: 1 or 0, and a probability is asked for."""

    csv: FileNames
    id: str = "id"
    label: str = "label"
    group: str | None = None


Labels = Multiclass | Multilabel | Binary


def aliases(names: FileNames) -> tuple[str, ...]:
    """The canonical name first, then the names of other vintages."""
    return (names,) if isinstance(names, str) else names


def targets_of(labels: Labels, classes: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """The labels as they are written, as a matrix (rows, classes): one-hot, multi-hot, or one column."""
    if isinstance(labels, Binary):
        return np.array([[float(text)] for text in texts], dtype=np.float32).reshape(len(texts), 1)
    column = {name: place for place, name in enumerate(classes)}
    targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
    if isinstance(labels, Multiclass):
        targets[np.arange(len(texts)), [column[text] for text in texts]] = 1
        return targets
    for row, text in enumerate(texts):
        for name in text.split():
            targets[row, column[name]] = 1
    return targets
