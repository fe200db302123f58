"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Multilabel, Ordinal, SeveralTargets


def targets_of(labels: Labels, classes: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Labels as a matrix (rows, classes): one-hot, shares, multi-hot, a column of 0 and 1, or numbers.

    A number that is not known is NaN.
    """
    if isinstance(labels, SeveralTargets):
        texts = [_names_of_targets(labels, text) for text in texts]
        return _indicators(texts, classes, labels.separator)
    if isinstance(labels, Multiclass) and labels.soft:
        votes = _numbers(texts, labels.separator, len(classes))
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), dtype=np.float32)
    if isinstance(labels, Multiclass | Ordinal):
        column = {name: position for position, name in enumerate(classes)}
        targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
        targets[np.arange(len(texts)), [column[text] for text in texts]] = 1
        return targets
    if isinstance(labels, Multilabel):
        return _indicators(texts, classes, labels.separator)
    return _numbers(texts, labels.separator, len(classes))


def parts_of(labels: Labels, text: str) -> list[str]:
    """The classes or tags in a label's text, or its numbers."""
    if isinstance(labels, Multilabel) and labels.sep == " " and not labels.columns:
        return text.split()
    if isinstance(labels, Multilabel | SeveralTargets) or (isinstance(labels, Labels) and labels.columns):
        return [part for part in text.split(labels.separator) if part]
    return [text]


def _names_of_targets(labels: SeveralTargets, text: str) -> str:
    parts = zip(labels.targets, text.split(labels.separator), strict=True)
    return labels.separator.join(f"{target.label} {name}" for target, name in parts)


def _indicators(texts: Sequence[str], classes: Sequence[str], separator: str) -> NDArray[np.float32]:
    column = {name: position for position, name in enumerate(classes)}
    targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
    for row, text in enumerate(texts):
        for name in text.split() if separator == " " else text.split(separator):
            if name:
                targets[row, column[name]] = 1
    return targets


def _numbers(texts: Sequence[str], separator: str, columns: int) -> NDArray[np.float32]:
    rows = [[float(part) if part else np.nan for part in text.split(separator)] for text in texts]
    return np.array(rows, dtype=np.float32).reshape(len(texts), columns)
