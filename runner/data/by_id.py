"""Several images of one id: their predictions are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_by_id(ids: Sequence[str], values: NDArray[Any]) -> NDArray[Any]:
    """The mean of the values of each id, in the order in which ids appear first; the values if each has one."""
    number_of = {id: number for number, id in enumerate(dict.fromkeys(ids))}
    if len(number_of) == len(ids):
        return values
    numbers = np.array([number_of[id] for id in ids])
    if values.dtype.kind == "i":  # class numbers: the images of an id have one label
        return values[np.unique(numbers, return_index=True)[1]]
    sums = np.zeros((len(number_of), *values.shape[1:]))
    np.add.at(sums, numbers, values)
    counts = np.bincount(numbers).reshape(-1, *[1] * (values.ndim - 1))
    return (sums / counts).astype(values.dtype)
