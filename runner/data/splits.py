"""Splits: which fold validates each training row.

Stratified by class or by ranges of a number, iteratively stratified by tag (Sechidis et al. 2011), and neither a
group nor an id is ever divided. By hand, because scikit-learn stratifies neither several tags at once nor tags with
groups, and iterative-stratification has no groups.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.commands import again
from runner.console import log
from runner.data.folds import (
    TRAIN_ONLY,
    ClassCounts,
    Folds,
    Integers,
    class_counts_per_fold,
    locked_folds,
    read_folds,
    split_warnings,
    write_folds,
)
from runner.data.index import Index
from runner.errors import UsageError
from runner.gc_disabled import gc_disabled

# Swaps are sought among this many kinds of unit, the commonest; planet's tags make some 450.
_MAX_KINDS = 600


@dataclass(frozen=True)
class SplitPlan:
    """How to split: N folds of equal size; or one holdout; or, if both are None, the competition's validation
    images, else a holdout of a fifth.

    The seed is not the recipe's: runs with other seeds must have the same validation rows to be comparable.
    """

    folds: int | None = None
    holdout: float | None = None
    seed: int = 42

    @property
    def fraction(self) -> float:
        """The share of the rows in the holdout."""
        return 0.2 if self.holdout is None else self.holdout


def ensure_split(index: Index, plan: SplitPlan, path: Path, *, competition: str) -> Folds:
    """The split in folds.csv; written now by this plan if there is none, by one of the processes that want it."""
    with locked_folds(path):
        if not path.exists():
            write_split(index, plan, path)
        return read_folds(path, competition=competition)


@gc_disabled()
def write_split(index: Index, plan: SplitPlan, path: Path) -> list[ClassCounts]:
    """Split the labelled rows and write folds.csv; the rows of each class in each fold."""
    table, folds = index.train, split_rows(index, plan)
    with locked_folds(path):
        write_folds(path, table["id"].tolist(), table["label"].tolist(), folds, asdict(plan))
    counts = class_counts_per_fold(*index.strata(), folds)
    for warning in split_warnings(counts, table["group"].tolist(), folds):
        log.warning(warning)
    return counts


def split_rows(index: Index, plan: SplitPlan) -> Integers:
    """The fold of each labelled row by this plan."""
    table, targets = index.train, index.strata().members
    ids, groups = table["id"].tolist(), table["group"].tolist()
    if plan.folds is not None:
        return split_folds(ids, targets, groups, folds=plan.folds, seed=plan.seed)
    if plan.holdout is None and (table["subset"] == "valid").any():
        return split_given(table["subset"].tolist())
    return split_holdout(ids, targets, groups, fraction=plan.fraction, seed=plan.seed)


def split_folds(ids: Sequence[str], targets: NDArray[Any], groups: Sequence[str], *, folds: int, seed: int) -> Integers:
    """The fold of each row, one of N of equal size."""
    unit_of_row, units = _units(ids, groups, seed)
    if not 2 <= folds <= units:
        raise UsageError(
            f"{folds} folds cannot be made of {units} rows or groups of rows",
            fix=f"from 2 to {units} folds can be made: `{again('--folds', min(5, units))}`",
        )
    return _assign(unit_of_row, units, targets, [1 / folds] * folds)


def split_holdout(
    ids: Sequence[str], targets: NDArray[Any], groups: Sequence[str], *, fraction: float, seed: int
) -> Integers:
    """0 for the validation rows of one holdout, TRAIN_ONLY for the others."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"a holdout of {fraction:g} is not a fraction between 0 and 1",
            fix=again("--holdout", "0.2"),
        )
    folds = assign_folds(ids, targets, groups, shares=[fraction, 1 - fraction], seed=seed)
    return np.where(folds == 0, 0, TRAIN_ONLY)


def split_given(subsets: Sequence[str]) -> Integers:
    """0 for the rows of the competition's own validation images, TRAIN_ONLY for the others."""
    return np.array([0 if subset == "valid" else TRAIN_ONLY for subset in subsets], dtype=np.int64)


def assign_folds(
    ids: Sequence[str],
    targets: NDArray[Any],
    groups: Sequence[str],
    *,
    shares: Sequence[float],
    seed: int,
) -> Integers:
    """The fold of each row, for folds of these shares. A group is never divided; an empty group is none.

    The folds depend on the ids and the seed, not on the order of the rows, the computer or the version of numpy.
    """
    return _assign(*_units(ids, groups, seed), targets, shares)


def _assign(unit_of_row: Integers, units: int, targets: NDArray[Any], shares: Sequence[float]) -> Integers:
    """The fold of each row; the rows of a unit share theirs."""
    counts = _label_counts(targets, unit_of_row, units)
    weights = _integer_weights(shares)
    fold_of_unit = _assign_rarest_first(counts, weights)
    _balance_by_swaps(fold_of_unit, counts, weights)
    return fold_of_unit[unit_of_row]


def _units(ids: Sequence[str], groups: Sequence[str], seed: int) -> tuple[Integers, int]:
    """Each row's unit (a group, or a row without one), numbered in an order that the seed shuffles; their number."""
    # The flag keeps a group apart from a row whose id is the group's name.
    names = [(bool(group), group or name) for name, group in zip(ids, groups, strict=True)]
    units = list(dict.fromkeys(names))
    if len(set(zip(ids, names, strict=True))) != len(set(ids)):
        raise ValueError("rows of one id must have the same group")
    # A hash, not a random generator: its order is the same in every version, for any row order.
    hashes = b"".join(hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in units)
    # Compared as four numbers: a million are sorted far faster than as bytes.
    words = np.frombuffer(hashes, dtype=">u8").astype(np.uint64).reshape(len(units), 4)
    number = np.empty(len(units), dtype=np.int64)
    number[np.lexsort(words.T[::-1])] = np.arange(len(units))
    if len(units) == len(names):
        return number, len(units)
    position = {name: position for position, name in enumerate(units)}
    return number[[position[name] for name in names]], len(units)


def _label_counts(targets: NDArray[Any], unit_of_row: Integers, units: int) -> Integers:
    """The rows of each label in every unit, shaped (units, labels + 1); the last column counts all rows."""
    labels = np.asarray(targets).round().astype(np.int64)
    if labels.shape[1] == 1:
        labels = np.hstack([labels, 1 - labels])  # the negatives are a class too
    counts = np.zeros((units, labels.shape[1] + 1), dtype=np.int64)
    rows, columns = np.nonzero(labels)
    np.add.at(counts, (unit_of_row[rows], columns), labels[rows, columns])
    counts[:, -1] = np.bincount(unit_of_row, minlength=units)
    return counts


def _integer_weights(shares: Sequence[float]) -> Integers:
    """The shares as integers, so that every comparison below is exact: 0.2 and 0.8 are 1 and 4."""
    exact = [Fraction(share).limit_denominator(10_000) for share in shares]
    common = math.lcm(*(share.denominator for share in exact))
    return np.array([int(share * common) for share in exact], dtype=np.int64)


def _assign_rarest_first(counts: Integers, weights: Integers) -> Integers:
    """The fold of every unit: label by label, the rarest first, each unit to the fold that lacks it most."""
    total = int(weights.sum())
    left = counts.sum(axis=0)
    # In rows, times `total`. Python's integers: a call of numpy for each of a million units would cost more.
    deficit = [[int(weight) * count for count in left.tolist()] for weight in weights]
    fold_of_unit = np.full(len(counts), -1, dtype=np.int64)
    while left[-1] > 0:
        label = _rarest_label(left)
        members = np.flatnonzero((fold_of_unit < 0) & (counts[:, label] > 0))
        # Big groups first: the small ones then fill what is uneven.
        members = members[np.argsort(-counts[members, label], kind="stable")]
        for unit, label_counts in zip(members.tolist(), _nonzero_of_rows(counts[members]), strict=True):
            fold = _neediest_fold(deficit, label, total)
            fold_of_unit[unit] = fold
            for column, count in label_counts:
                deficit[fold][column] -= total * count
        left -= counts[members].sum(axis=0)
    return fold_of_unit


def _nonzero_of_rows(counts: Integers) -> Iterator[list[tuple[int, int]]]:
    """The (column, count) pairs of each row that are not zero: of a hundred classes a row has one."""
    rows, columns = np.nonzero(counts)
    cells = list(zip(columns.tolist(), counts[rows, columns].tolist(), strict=True))
    ends = np.cumsum(np.bincount(rows, minlength=len(counts))).tolist()
    return (cells[begin:end] for begin, end in zip([0, *ends], ends, strict=False))


def _rarest_label(left: Integers) -> int:
    """The label with the fewest rows still to assign; the column of all rows when no label is left."""
    present = np.flatnonzero(left[:-1])
    return int(present[left[present].argmin()]) if len(present) else len(left) - 1


def _neediest_fold(deficit: Sequence[Sequence[int]], label: int, total: int) -> int:
    """The fold with the largest deficit of the label; if all lack less than one row of it, of rows."""
    # Below one row every fold with a deficit is equal: the choice is left to the folds' sizes,
    # or the odd rows of many classes would all be in one fold.
    needs = [(1 if 0 < lacks[label] < total else lacks[label], lacks[-1]) for lacks in deficit]
    return needs.index(max(needs))


def _balance_by_swaps(fold_of_unit: Integers, counts: Integers, weights: Integers) -> None:
    """Move and exchange units, in place, while that lowers the squared distance from even shares."""
    balancer = _FoldBalancer(fold_of_unit, counts, weights)
    improved = True
    while improved:
        improved = any(balancer.improve(first, second) for first, second in combinations(range(len(weights)), 2))


def _kinds(counts: Integers) -> tuple[Integers, Integers]:
    """The distinct rows, sorted, and which of them each row is."""
    # Numbers are sorted far faster than rows: first by one number a row, then the few distinct rows.
    keys = counts @ np.random.Generator(np.random.PCG64(0)).integers(1, 2**52, counts.shape[1])
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(counts[first][kind], counts):  # two kinds that share a number
        first, kind = np.arange(len(counts)), np.arange(len(counts))
    kinds, position = np.unique(counts[first], axis=0, return_inverse=True)
    return kinds, position.ravel()[kind]


class _FoldBalancer:
    """The units of each fold by kind: units of one kind have the same labels and are interchangeable."""

    def __init__(self, fold_of_unit: Integers, counts: Integers, weights: Integers):
        self.fold_of_unit, self.total = fold_of_unit, int(weights.sum())
        kinds, kind_of_unit = _kinds(counts)
        sizes = np.bincount(kind_of_unit)
        tried = np.sort(np.argsort(-sizes, kind="stable")[:_MAX_KINDS])
        # The empty kind comes first and is always there: exchanging a unit for nothing is a move.
        self.kinds = np.vstack([np.zeros_like(kinds[:1]), kinds[tried]])
        squares = (self.kinds**2).sum(axis=1)
        self.distance = squares[:, None] + squares[None, :] - 2 * self.kinds @ self.kinds.T
        number_of = {int(kind): number for number, kind in enumerate(tried, start=1)}
        self.units: list[list[list[int]]] = [[[] for _ in self.kinds] for _ in weights]
        for unit, (fold, kind) in enumerate(zip(fold_of_unit.tolist(), kind_of_unit.tolist(), strict=True)):
            if kind in number_of:
                self.units[fold][number_of[kind]].append(unit)
        rows = np.array([counts[fold_of_unit == fold].sum(axis=0) for fold in range(len(weights))])
        self.surplus = self.total * rows - np.outer(weights, counts.sum(axis=0))

    def improve(self, first: int, second: int) -> bool:
        """Make the best exchanges between two folds until none helps; whether there was one."""
        improved = False
        while (best := self._best_exchange(first, second)) is not None:
            self._give(first, second, best[0])
            self._give(second, first, best[1])
            improved = True
        return improved

    def _best_exchange(self, first: int, second: int) -> tuple[int, int] | None:
        """The kinds to give and to take, or None if no exchange lowers the sum of squares."""
        given, taken = self._present(first), self._present(second)
        # Giving v from first to second changes the squares by 2 * total times
        # v . (surplus of second - surplus of first) + total * v . v.
        slope = self.kinds @ (self.surplus[second] - self.surplus[first])
        change = slope[given][:, None] - slope[taken][None, :]
        change = change + self.total * self.distance[np.ix_(given, taken)]
        best = int(change.argmin())
        if change.flat[best] >= 0:
            return None
        return int(given[best // len(taken)]), int(taken[best % len(taken)])

    def _present(self, fold: int) -> Integers:
        return np.array([kind for kind, units in enumerate(self.units[fold]) if units or kind == 0])

    def _give(self, giver: int, taker: int, kind: int) -> None:
        if kind == 0:
            return
        unit = self.units[giver][kind].pop()
        self.units[taker][kind].append(unit)
        self.fold_of_unit[unit] = taker
        self.surplus[giver] -= self.total * self.kinds[kind]
        self.surplus[taker] += self.total * self.kinds[kind]
