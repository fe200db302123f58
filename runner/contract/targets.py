"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets


def targets_of(labels: Labels, classes: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Labels as a matrix (rows, classes): one-hot, shares, multi-hot, a column of 0 and 1, or numbers.

    A number that is not known is NaN.
    """
    if isinstance(labels, Multiclass) and labels.soft:
        votes = _numbers(texts, labels.separator, len(classes))
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), dtype=np.float32)
    if isinstance(labels, Multiclass | Ordinal):
        column = {name: position for position, name in enumerate(classes)}
        targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
        targets[np.arange(len(texts)), [column[text] for text in texts]] = 1
        return targets
    if isinstance(labels, Multilabel | SeveralTargets):
        return _indicators(labels, texts, classes)
    return _numbers(texts, labels.separator, len(classes))


def parts_of(labels: Labels, text: str) -> list[str]:
    """The classes or tags in a label's text, or its numbers."""
    if isinstance(labels, Multilabel) and labels.sep == " " and not labels.columns:
        return text.split()
    if isinstance(labels, Multilabel | SeveralTargets):
        return [part for part in text.split(labels.separator) if part]
    if isinstance(labels, Regression) or (isinstance(labels, Multiclass) and labels.soft):
        return text.split(labels.separator)
    return [text]


def names_of(labels: Labels, text: str) -> list[str]:
    """The classes or tags of a label's text; those of several targets with the target's name before them."""
    parts = parts_of(labels, text)
    if isinstance(labels, SeveralTargets):
        return [f"{target.label} {name}" for target, name in zip(labels.targets, parts, strict=True)]
    return parts


def _indicators(labels: Labels, texts: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    column = {name: position for position, name in enumerate(classes)}
    targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
    for row, text in enumerate(texts):
        for name in names_of(labels, text):
            targets[row, column[name]] = 1
    return targets


def _numbers(texts: Sequence[str], separator: str, columns: int) -> NDArray[np.float32]:
    rows = [[float(part) if part else np.nan for part in text.split(separator)] for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(texts), columns)
