"""Labels as numbers: targets.

Where a row has one class, targets are class numbers, shaped (rows,): a million rows of 65,000 classes are 8 MB. Other
targets are a matrix (rows, columns): shares of votes, tags, one column of 0 and 1, numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets

# Class numbers (rows,), or a matrix (rows, columns).
Targets = NDArray[Any]


def targets_of(labels: Labels, classes: Sequence[str], texts: Sequence[str]) -> Targets:
    """Labels as class numbers, or a matrix of shares, tags, a column of 0 and 1, or numbers; NaN is not known."""
    if isinstance(labels, Multiclass) and labels.soft:
        votes = _numbers(texts, labels.separator, len(classes))
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), dtype=np.float32)
    if isinstance(labels, Multiclass | Ordinal):
        column = {name: position for position, name in enumerate(classes)}
        return np.array([column[text] for text in texts], dtype=np.int64)
    if isinstance(labels, Multilabel | SeveralTargets):
        return _indicators(labels, texts, classes)
    return _numbers(texts, labels.separator, len(classes))


def are_class_numbers(targets: Targets) -> bool:
    """Whether targets are class numbers, and not a matrix."""
    return targets.ndim == 1


def as_matrix(targets: Targets, columns: int) -> NDArray[np.float32]:
    """Targets as a matrix (rows, columns), class numbers one-hot: for a batch, or for few rows."""
    if not are_class_numbers(targets):
        return targets
    matrix = np.zeros((len(targets), columns), dtype=np.float32)
    matrix[np.arange(len(targets)), targets] = 1
    return matrix


def target_means(targets: Targets, columns: int) -> NDArray[np.float64]:
    """The frequency of each class, or the mean of each column's known numbers."""
    if are_class_numbers(targets):
        return np.bincount(targets, minlength=columns) / len(targets)
    means: NDArray[np.float64] = np.nanmean(targets, axis=0, dtype=np.float64)
    return means


def take_columns(targets: Targets, columns: Sequence[int]) -> Targets:
    """The same targets with the classes in another order: column n is what was column `columns[n]`."""
    if not are_class_numbers(targets):
        return targets[:, columns]
    return np.argsort(columns)[targets]


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
