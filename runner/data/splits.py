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
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from runner.commands import again
from runner.console import log
from runner.contract.targets import Targets, are_class_numbers
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
def write_split(index: Index, plan: SplitPlan, path: Path, folds: Integers | None = None) -> list[ClassCounts]:
    """Split the labelled rows and write folds.csv; the rows of each class in each fold.

    `folds`: what `split_rows` gave for this plan, if it was called already.
    """
    table, folds = index.train, split_rows(index, plan) if folds is None else folds
    with locked_folds(path):
        write_folds(path, table["id"].tolist(), table["label"].tolist(), folds, asdict(plan))
    counts = class_counts_per_fold(*index.strata(), folds)
    for warning in split_warnings(counts, table["group"].tolist(), folds):
        log.warning(warning)
    return counts


@gc_disabled()
def split_rows(index: Index, plan: SplitPlan) -> Integers:
    """The fold of each labelled row by this plan."""
    table, targets = index.train, index.strata().members
    ids, groups = table["id"].tolist(), table["group"].tolist()
    if plan.folds is not None:
        return split_folds(ids, targets, groups, folds=plan.folds, seed=plan.seed)
    if plan.holdout is None and (table["subset"] == "valid").any():
        return split_given(table["subset"].tolist())
    return split_holdout(ids, targets, groups, fraction=plan.fraction, seed=plan.seed)


def split_folds(ids: Sequence[str], targets: Targets, groups: Sequence[str], *, folds: int, seed: int) -> Integers:
    """The fold of each row, one of N of equal size."""
    unit_of_row, units = _units(ids, groups, seed)
    if not 2 <= folds <= units:
        raise UsageError(
            f"{folds} folds cannot be made of {units} rows or groups of rows",
            fix=f"from 2 to {units} folds can be made: `{again('--folds', min(5, units))}`",
        )
    return _assign(unit_of_row, units, targets, [1 / folds] * folds)


def split_holdout(
    ids: Sequence[str], targets: Targets, groups: Sequence[str], *, fraction: float, seed: int
) -> Integers:
    """0 for the validation rows of one holdout, TRAIN_ONLY for the others."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"a holdout of {fraction:g} is not a fraction between 0 and 1",
            fix=again("--holdout", "0.2"),
        )
    folds = assign_folds(ids, targets, groups, shares=[fraction, 1 - fraction], seed=seed)
    if not (folds == 0).any():
        _, units = _units(ids, groups, seed)
        if units < len(ids):  # else the holdout is less than a row: the step says so
            raise UsageError(
                f"a holdout of {fraction:g} has no rows: they are in {units} groups, and each is larger",
                fix=again("--holdout", "0.5") if units > 1 else "correct `group` in the competition file",
            )
    return np.where(folds == 0, 0, TRAIN_ONLY)


def split_given(subsets: Sequence[str]) -> Integers:
    """0 for the rows of the competition's own validation images, TRAIN_ONLY for the others."""
    return np.array([0 if subset == "valid" else TRAIN_ONLY for subset in subsets], dtype=np.int64)


def assign_folds(
    ids: Sequence[str],
    targets: Targets,
    groups: Sequence[str],
    *,
    shares: Sequence[float],
    seed: int,
) -> Integers:
    """The fold of each row, for folds of these shares. A group is never divided; an empty group is none.

    The folds depend on the ids and the seed, not on the order of the rows, the computer or the version of numpy.
    """
    return _assign(*_units(ids, groups, seed), targets, shares)


def _assign(unit_of_row: Integers, units: int, targets: Targets, shares: Sequence[float]) -> Integers:
    """The fold of each row; the rows of a unit share theirs."""
    counts = LabelCounts.of(targets, unit_of_row, units)
    weights = _integer_weights(shares)
    fold_of_unit = _assign_rarest_first(counts, weights)
    _balance_by_swaps(fold_of_unit, counts, weights)
    return fold_of_unit[unit_of_row]


def _units(ids: Sequence[str], groups: Sequence[str], seed: int) -> tuple[Integers, int]:
    """Each row's unit (a group, or a row without one), numbered in an order that the seed shuffles; their number."""
    # The flag keeps a group apart from a row whose id is the group's name.
    names = [f"{seed}/{(bool(group), group or name)}" for name, group in zip(ids, groups, strict=True)]
    units = list(dict.fromkeys(names))
    distinct = len(set(ids))
    if distinct < len(ids) and len(set(zip(ids, names, strict=True))) != distinct:
        raise ValueError("rows of one id must have the same group")
    # A hash, not a random generator: its order is the same in every version, for any row order.
    hashes = b"".join([hashlib.sha256(name.encode()).digest() for name in units])
    number = np.empty(len(units), dtype=np.int64)
    number[_sorted_order(hashes)] = np.arange(len(units))
    if len(units) == len(names):
        return number, len(units)
    position = {name: position for position, name in enumerate(units)}
    return number[[position[name] for name in names]], len(units)


def _sorted_order(hashes: bytes) -> Integers:
    """The numbers of these hashes of 32 bytes each, in the order of the hashes."""
    # Compared as four numbers: a million are sorted far faster than as bytes. The first one nearly always decides.
    words = np.frombuffer(hashes, dtype=">u8").astype(np.uint64).reshape(-1, 4)
    order = np.argsort(words[:, 0], kind="stable")
    first = words[order, 0]
    return np.lexsort(words.T[::-1]) if (first[1:] == first[:-1]).any() else order


@dataclass(frozen=True)
class LabelCounts:
    """The rows of each label in every unit; the last column counts all rows.

    Only the cells that are not zero, unit by unit and in the order of the columns: of ten thousand classes a unit has
    a few.
    """

    units: int
    columns: int  # the labels, and the column of all rows
    unit: Integers  # of each cell
    column: Integers
    count: Integers

    @classmethod
    def of(cls, targets: Targets, unit_of_row: Integers, units: int) -> LabelCounts:
        """The counts of rows with these targets; the negatives of a single column are a label too."""
        if are_class_numbers(targets):
            rows, labels, counts = np.arange(len(targets)), targets, np.ones_like(targets)
            columns = int(targets.max(initial=0)) + 2
        else:
            matrix = np.asarray(targets).round().astype(np.int64)
            if matrix.shape[1] == 1:
                matrix = np.hstack([matrix, 1 - matrix])
            rows, labels = np.nonzero(matrix)
            counts, columns = matrix[rows, labels], matrix.shape[1] + 1
        of_all = np.full(len(unit_of_row), columns - 1)
        keys = np.concatenate([unit_of_row[rows], unit_of_row]) * columns + np.concatenate([labels, of_all])
        cells, cell_of = np.unique(keys, return_inverse=True)
        sums = np.bincount(cell_of, np.concatenate([counts, np.ones_like(of_all)])).astype(np.int64)
        return cls(units, columns, cells // columns, cells % columns, sums)

    @cached_property
    def starts(self) -> Integers:
        """Where the cells of each unit begin, and where the last unit's end."""
        return np.searchsorted(self.unit, np.arange(self.units + 1))

    @cached_property
    def cells_by_column(self) -> list[Integers]:
        """The cells of each column, by unit."""
        order = np.argsort(self.column, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.column, minlength=self.columns))[:-1])

    def cells_of(self, units: Integers) -> tuple[Integers, Integers]:
        """The cells of these units, one unit's after another's, and where each unit's end."""
        sizes = self.starts[units + 1] - self.starts[units]
        ends = np.cumsum(sizes)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[units] - (ends - sizes), sizes), ends

    def sums_of(self, units: Integers) -> Integers:
        """The sum of each column over these units."""
        sums, (cells, _) = np.zeros(self.columns, dtype=np.int64), self.cells_of(units)
        np.add.at(sums, self.column[cells], self.count[cells])
        return sums

    def rows(self, units: Integers) -> Iterator[list[tuple[int, int]]]:
        """The (column, count) cells of each of these units."""
        cells, ends = self.cells_of(units)
        pairs = list(zip(self.column[cells].tolist(), self.count[cells].tolist(), strict=True))
        return (pairs[begin:end] for begin, end in pairwise([0, *ends.tolist()]))


def _integer_weights(shares: Sequence[float]) -> Integers:
    """The shares as integers, so that every comparison below is exact: 0.2 and 0.8 are 1 and 4."""
    exact = [Fraction(share).limit_denominator(10_000) for share in shares]
    common = math.lcm(*(share.denominator for share in exact))
    return np.array([int(share * common) for share in exact], dtype=np.int64)


def _assign_rarest_first(counts: LabelCounts, weights: Integers) -> Integers:
    """The fold of every unit: label by label, the rarest first, each unit to the fold that lacks it most."""
    total = int(weights.sum())
    left = counts.sums_of(np.arange(counts.units))
    # In rows, times `total`. Python's integers: a call of numpy for each of a million units would cost more.
    deficit = [[int(weight) * count for count in left.tolist()] for weight in weights]
    fold_of_unit = np.full(counts.units, -1, dtype=np.int64)
    while left[-1] > 0:
        label = _rarest_label(left)
        cells = counts.cells_by_column[label]
        cells = cells[fold_of_unit[counts.unit[cells]] < 0]
        # Big groups first: the small ones then fill what is uneven.
        members = counts.unit[cells[np.argsort(-counts.count[cells], kind="stable")]]
        folds = []
        needs = [_need(lacks, label, total) for lacks in deficit]
        for row in counts.rows(members):
            fold = needs.index(max(needs))
            folds.append(fold)
            lacks = deficit[fold]
            for column, count in row:
                lacks[column] -= total * count
            needs[fold] = _need(lacks, label, total)
        fold_of_unit[members] = folds
        left -= counts.sums_of(members)
    return fold_of_unit


def _rarest_label(left: Integers) -> int:
    """The label with the fewest rows still to assign; the column of all rows when no label is left."""
    present = np.flatnonzero(left[:-1])
    return int(present[left[present].argmin()]) if len(present) else len(left) - 1


def _need(lacks: Sequence[int], label: int, total: int) -> tuple[int, int]:
    """How much a fold needs a unit: its deficit of the label, then of rows."""
    # Below one row every fold with a deficit is equal: the choice is left to the folds' sizes,
    # or the odd rows of many classes would all be in one fold.
    return 1 if 0 < lacks[label] < total else lacks[label], lacks[-1]


def _balance_by_swaps(fold_of_unit: Integers, counts: LabelCounts, weights: Integers) -> None:
    """Move and exchange units, in place, while that lowers the squared distance from even shares."""
    balancer = _FoldBalancer(fold_of_unit, counts, weights)
    improved = True
    while improved:
        improved = any(balancer.improve(first, second) for first, second in combinations(range(len(weights)), 2))


def _kinds(counts: LabelCounts) -> tuple[list[list[tuple[int, int]]], Integers]:
    """The distinct rows, in the order of their columns' counts, and which of them each unit has."""
    # Numbers are compared far faster than rows: first by one number a row, then the few distinct rows.
    random = np.random.Generator(np.random.PCG64(0)).integers(1, 2**52, counts.columns)
    keys = np.add.reduceat(counts.count * random[counts.column], counts.starts[:-1])
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    if not _are_rows_of(counts, first[number]):  # two kinds that share a number
        first, number = np.arange(counts.units), np.arange(counts.units)
    rows = list(counts.rows(first))
    # Of two rows the one with a count in an earlier column comes later, as if all the zeros were there.
    order = sorted(range(len(rows)), key=lambda kind: [(-column, count) for column, count in rows[kind]])
    kinds: list[list[tuple[int, int]]] = []
    position = np.empty(len(rows), dtype=np.int64)
    for kind in order:
        if not kinds or kinds[-1] != rows[kind]:
            kinds.append(rows[kind])
        position[kind] = len(kinds) - 1
    return kinds, position[number]


def _are_rows_of(counts: LabelCounts, others: Integers) -> bool:
    """Whether each unit has the same cells as another."""
    sizes = np.diff(counts.starts)
    if not np.array_equal(sizes, sizes[others]):
        return False
    same = np.arange(len(counts.unit)) + np.repeat(counts.starts[others] - counts.starts[:-1], sizes)
    columns_are_same = np.array_equal(counts.column[same], counts.column)
    return columns_are_same and np.array_equal(counts.count[same], counts.count)


def _by_number(units: Integers, number_of_unit: Integers, numbers: int) -> list[list[int]]:
    """The units of each number, in their order."""
    of_units = number_of_unit[units]
    ordered = units[np.argsort(of_units, kind="stable")]
    ends = np.cumsum(np.bincount(of_units, minlength=numbers))
    return [part.tolist() for part in np.split(ordered, ends[:-1])]


class _FoldBalancer:
    """The units of each fold by kind: units of one kind have the same labels and are interchangeable."""

    def __init__(self, fold_of_unit: Integers, counts: LabelCounts, weights: Integers):
        self.fold_of_unit, self.total = fold_of_unit, int(weights.sum())
        kinds, kind_of_unit = _kinds(counts)
        sizes = np.bincount(kind_of_unit)
        tried = np.sort(np.argsort(-sizes, kind="stable")[:_MAX_KINDS])
        used = sorted({column for kind in tried.tolist() for column, _ in kinds[kind]})
        # The empty kind comes first and is always there: exchanging a unit for nothing is a move.
        self.kinds = np.zeros((len(tried) + 1, len(used)), dtype=np.int64)
        place = {column: position for position, column in enumerate(used)}
        for number, kind in enumerate(tried.tolist(), start=1):
            for column, count in kinds[kind]:
                self.kinds[number, place[column]] = count
        squares = (self.kinds**2).sum(axis=1)
        self.distance = squares[:, None] + squares[None, :] - 2 * self.kinds @ self.kinds.T
        number_of = np.zeros(len(kinds), dtype=np.int64)  # of a kind that is not tried: 0
        number_of[tried] = np.arange(1, len(tried) + 1)
        number_of_unit = number_of[kind_of_unit]
        is_tried = np.flatnonzero(number_of_unit)
        self.units = [
            _by_number(is_tried[fold_of_unit[is_tried] == fold], number_of_unit, len(self.kinds))
            for fold in range(len(weights))
        ]
        rows = np.array([counts.sums_of(np.flatnonzero(fold_of_unit == fold))[used] for fold in range(len(weights))])
        self.surplus = self.total * rows - np.outer(weights, rows.sum(axis=0))

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
