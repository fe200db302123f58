"""Labels as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Binary, Labels, Multiclass


def targets_of(labels: Labels, classes: Sequence[str], texts: Sequence[str]) -> NDArray[np.float32]:
    """Labels as a matrix (rows, classes): one-hot, multi-hot, or one column of 0 and 1."""
    if isinstance(labels, Binary):
        return np.array([[float(text)] for text in texts], dtype=np.float32).reshape(len(texts), 1)
    column = {name: position for position, name in enumerate(classes)}
    targets = np.zeros((len(texts), len(classes)), dtype=np.float32)
    if isinstance(labels, Multiclass):
        targets[np.arange(len(texts)), [column[text] for text in texts]] = 1
        return targets
    for row, text in enumerate(texts):
        for name in text.split():
            targets[row, column[name]] = 1
    return targets
