"""Out-of-fold rows dealt into parts, groups whole: what is fitted on some parts is judged on the others."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.score import group_codes

PARTS = 5
# With fewer units a part has less than four: no fit could be told from chance, and none is made.
FEWEST_UNITS = 20


def assign_postprocess_folds(rows: OutOfFold, seed: int = 0) -> NDArray[np.int64]:
    """The part of each row: the run's folds where they are enough, else by a hash of ids; groups whole.

    A choice inside a part's others needs several of them, so fewer than four folds are not used.
    """
    units = group_codes(rows.groups)
    if units.max() + 1 < FEWEST_UNITS:
        return np.zeros(len(units), dtype=np.int64)
    if len(np.unique(rows.folds)) >= PARTS - 1 and _are_whole(units, rows.folds):
        number = np.unique(rows.folds, return_inverse=True)[1]
        return np.asarray(number % PARTS, dtype=np.int64)
    return _deal(rows, units, seed)


def _are_whole(units: NDArray[np.int64], folds: NDArray[np.int64]) -> bool:
    return len(set(zip(units.tolist(), folds.tolist(), strict=True))) == len(set(units.tolist()))


def _deal(rows: OutOfFold, units: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Units in an order that a hash of their least id shuffles, each to the part with the fewest rows."""
    least: dict[int, str] = {}
    for name, unit in zip(rows.ids, units.tolist(), strict=True):
        least[unit] = min(name, least.get(unit, name))
    shuffled = sorted(least, key=lambda unit: hashlib.sha256(f"{seed}/{least[unit]}".encode()).digest())
    sizes, part_of_unit, filled = np.bincount(units), np.zeros(len(least), dtype=np.int64), [0] * PARTS
    for unit in shuffled:
        part = filled.index(min(filled))
        part_of_unit[unit] = part
        filled[part] += int(sizes[unit])
    return part_of_unit[units]
