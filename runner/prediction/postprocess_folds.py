"""Postprocess folds: out-of-fold rows split for nested cross-validation; a group never crosses a fold."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from runner.prediction.out_of_fold import OutOfFold, ValidationRows
from runner.prediction.score import group_codes

FOLDS = 5
# With fewer groups a fold has less than four of them: no gain would exceed its error, so nothing is fitted.
MIN_GROUPS = 20


def assign_postprocess_folds(rows: OutOfFold | ValidationRows, seed: int = 0) -> NDArray[np.int64]:
    """The fold of each row: the run's own if there are at least four, else by a hash of ids; all 0 for few rows.

    Selection inside an outer fold's remaining rows needs several inner folds, so fewer than four are not used.
    """
    codes = group_codes(rows.groups)
    if codes.max() + 1 < MIN_GROUPS:
        return np.zeros(len(codes), dtype=np.int64)
    if len(np.unique(rows.folds)) >= FOLDS - 1 and _groups_are_within_folds(codes, rows.folds):
        number = np.unique(rows.folds, return_inverse=True)[1]
        return np.asarray(number % FOLDS, dtype=np.int64)
    return _deal(rows, codes, seed)


def sample_rows(rows: ValidationRows, count: int, seed: int = 0) -> ValidationRows:
    """About so many of the rows, whole groups; each has the postprocess fold that it has among all rows."""
    codes = group_codes(rows.groups)
    sizes = np.cumsum(np.bincount(codes)[(shuffled := _shuffled_groups(rows, codes, seed))])
    chosen = np.zeros(len(shuffled), dtype=bool)
    chosen[shuffled[: int(np.searchsorted(sizes, count, side="right"))]] = True
    return rows.take(np.flatnonzero(chosen[codes]))


def _groups_are_within_folds(codes: NDArray[np.int64], folds: NDArray[np.int64]) -> bool:
    fold_of_group = np.empty(codes.max() + 1, dtype=np.int64)
    fold_of_group[codes] = folds
    return np.array_equal(fold_of_group[codes], folds)


def _deal(rows: OutOfFold | ValidationRows, codes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Groups in a shuffled order, each to the fold with the fewest rows."""
    shuffled = _shuffled_groups(rows, codes, seed)
    sizes, fold_of_group, fold_sizes = np.bincount(codes), np.zeros(len(shuffled), dtype=np.int64), [0] * FOLDS
    for code in shuffled:
        fold = fold_sizes.index(min(fold_sizes))
        fold_of_group[code] = fold
        fold_sizes[fold] += int(sizes[code])
    return fold_of_group[codes]


def _shuffled_groups(rows: OutOfFold | ValidationRows, codes: NDArray[np.int64], seed: int) -> list[int]:
    """The groups in the order of a hash of their smallest id."""
    smallest_id: dict[int, str] = {}
    for name, code in zip(rows.ids, codes.tolist(), strict=True):
        smallest_id[code] = min(name, smallest_id.get(code, name))
    return sorted(smallest_id, key=lambda code: hashlib.sha256(f"{seed}/{smallest_id[code]}".encode()).digest())
