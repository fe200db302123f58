"""Which training rows are held out to validate, and in which fold.

Stratified for classes, iteratively stratified for tags, groups kept whole. PredictedRun by hand because
scikit-learn has nothing that stratifies several tags at once, and nothing for tags that keeps groups.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import UsageError

Integers = NDArray[np.int64]

TRAIN_ONLY = -1

# Swaps are sought among this many kinds of unit, the commonest; planet's tags make some 450.
_KINDS_TRIED = 600


def split_folds(ids: Sequence[str], targets: NDArray[Any], groups: Sequence[str], *, folds: int, seed: int) -> Integers:
    """The fold of each row, one of N of equal size."""
    unit_of_row, units = _units(ids, groups, seed)
    if not 2 <= folds <= units:
        raise UsageError(
            f"{folds} folds cannot be made of {units} rows or groups of rows",
            fix=f"runner COMPETITION split --folds N, with N from 2 to {units}",
        )
    return _assign(unit_of_row, units, targets, [1 / folds] * folds)


def split_holdout(
    ids: Sequence[str], targets: NDArray[Any], groups: Sequence[str], *, fraction: float, seed: int
) -> Integers:
    """Fold 0 for the rows of one holdout, -1 for the rows that are always trained on."""
    if not 0 < fraction < 1:
        raise UsageError(
            f"a holdout of {fraction:g} is not a share of the rows",
            fix="runner COMPETITION split --holdout 0.2",
        )
    parts = assign_folds(ids, targets, groups, shares=[fraction, 1 - fraction], seed=seed)
    return np.where(parts == 0, 0, TRAIN_ONLY)


def split_given(subsets: Sequence[str]) -> Integers:
    """Fold 0 for the rows of a `valid` folder that the competition brings, -1 for the others."""
    return np.array([0 if subset == "valid" else TRAIN_ONLY for subset in subsets], dtype=np.int64)


def assign_folds(
    ids: Sequence[str],
    targets: NDArray[Any],
    groups: Sequence[str],
    *,
    shares: Sequence[float],
    seed: int,
) -> Integers:
    """The part of each row. Rows of one group share a part; a row whose group is empty stands alone.

    The answer depends on the ids and the seed, and not on the order of the rows, the machine or the version.
    """
    return _assign(*_units(ids, groups, seed), targets, shares)


def _assign(unit_of_row: Integers, units: int, targets: NDArray[Any], shares: Sequence[float]) -> Integers:
    """The part of each row, each unit whole."""
    counts = _label_counts(targets, unit_of_row, units)
    weights = _whole_weights(shares)
    part_of_unit = _assign_rarest_first(counts, weights)
    _balance_by_swaps(part_of_unit, counts, weights)
    return part_of_unit[unit_of_row]


def _units(ids: Sequence[str], groups: Sequence[str], seed: int) -> tuple[Integers, int]:
    """The number of each row's unit (a group, or a lone row), numbered in an order that the seed shuffles."""
    if len(set(ids)) != len(ids):
        raise ValueError("ids must be unique to be split")
    # The flag keeps a group apart from a lone row whose id is the group's name.
    names = [(bool(group), group or name) for name, group in zip(ids, groups, strict=True)]
    units = list(dict.fromkeys(names))
    # A hash and not a generator: its order holds on every machine, in every version, for any row order.
    hashes = b"".join(hashlib.sha256(f"{seed}/{name}".encode()).digest() for name in units)
    # As numbers, the first of four the one that decides first: a million are sorted far faster than their bytes.
    words = np.frombuffer(hashes, dtype=">u8").astype(np.uint64).reshape(len(units), 4)
    number = np.empty(len(units), dtype=np.int64)
    number[np.lexsort(words.T[::-1])] = np.arange(len(units))
    if len(units) == len(names):
        return number, len(units)
    place = {name: place for place, name in enumerate(units)}
    return number[[place[name] for name in names]], len(units)


def _label_counts(targets: NDArray[Any], unit_of_row: Integers, units: int) -> Integers:
    """How many rows of each label every unit has; the last column counts all its rows."""
    labels = np.asarray(targets).round().astype(np.int64)
    if labels.shape[1] == 1:
        labels = np.hstack([labels, 1 - labels])  # where the thing is not is a class as well
    counts = np.zeros((units, labels.shape[1] + 1), dtype=np.int64)
    rows, columns = np.nonzero(labels)
    np.add.at(counts, (unit_of_row[rows], columns), labels[rows, columns])
    counts[:, -1] = np.bincount(unit_of_row, minlength=units)
    return counts


def _whole_weights(shares: Sequence[float]) -> Integers:
    """The shares as whole numbers, so that every comparison below is exact: 0.2 and 0.8 are 1 and 4."""
    exact = [Fraction(share).limit_denominator(10_000) for share in shares]
    common = math.lcm(*(share.denominator for share in exact))
    return np.array([int(share * common) for share in exact], dtype=np.int64)


def _assign_rarest_first(counts: Integers, weights: Integers) -> Integers:
    """The part of every unit: label by label, the rarest first, each unit to the part that lacks it most."""
    whole = int(weights.sum())
    left = counts.sum(axis=0)
    # In rows, times `whole`. Plain numbers: a call of numpy for each of a million units would cost more than they do.
    deficit = [[int(weight) * count for count in left.tolist()] for weight in weights]
    part_of_unit = np.full(len(counts), -1, dtype=np.int64)
    while left[-1] > 0:
        label = _rarest_label(left)
        members = np.flatnonzero((part_of_unit < 0) & (counts[:, label] > 0))
        # Big groups first: the small ones then fill what is left uneven.
        members = members[np.argsort(-counts[members, label], kind="stable")]
        for unit, shares in zip(members.tolist(), _nonzero_of_rows(counts[members]), strict=True):
            part = _neediest_part(deficit, label, whole)
            part_of_unit[unit] = part
            for column, count in shares:
                deficit[part][column] -= whole * count
        left -= counts[members].sum(axis=0)
    return part_of_unit


def _nonzero_of_rows(counts: Integers) -> Iterator[list[tuple[int, int]]]:
    """The columns of each row that are not zero, with what they hold: of a hundred classes a row has one."""
    rows, columns = np.nonzero(counts)
    cells = list(zip(columns.tolist(), counts[rows, columns].tolist(), strict=True))
    ends = np.cumsum(np.bincount(rows, minlength=len(counts))).tolist()
    return (cells[begin:end] for begin, end in zip([0, *ends], ends, strict=False))


def _rarest_label(left: Integers) -> int:
    """The label with the fewest rows still to deal; the count of all rows when no label is left."""
    present = np.flatnonzero(left[:-1])
    return int(present[left[present].argmin()]) if len(present) else len(left) - 1


def _neediest_part(deficit: Sequence[Sequence[int]], label: int, whole: int) -> int:
    """The part that lacks the label most; where all lack less than a row of it, the one that lacks rows."""
    # Below one row every part that lacks anything is as good: the choice is left to the parts' sizes,
    # or the odd rows of many classes would all land in one part.
    needs = [(1 if 0 < lacks[label] < whole else lacks[label], lacks[-1]) for lacks in deficit]
    return needs.index(max(needs))


def _balance_by_swaps(part_of_unit: Integers, counts: Integers, weights: Integers) -> None:
    """Move and exchange units, in place, while that lowers the squared distance from even shares."""
    stock = _FoldBalancer(part_of_unit, counts, weights)
    improved = True
    while improved:
        improved = any(stock.improve(one, other) for one, other in combinations(range(len(weights)), 2))


def _kinds(counts: Integers) -> tuple[Integers, Integers]:
    """The rows that differ, sorted, and which of them each row is."""
    # Numbers are sorted far faster than rows: first by one number a row, and the few that differ as rows.
    keys = counts @ np.random.Generator(np.random.PCG64(0)).integers(1, 2**52, counts.shape[1])
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    if not np.array_equal(counts[first][kind], counts):  # two kinds that share a number
        first, kind = np.arange(len(counts)), np.arange(len(counts))
    kinds, place = np.unique(counts[first], axis=0, return_inverse=True)
    return kinds, place.ravel()[kind]


class _FoldBalancer:
    """The units of each part by kind: units of one kind have the same labels and may stand for each other."""

    def __init__(self, part_of_unit: Integers, counts: Integers, weights: Integers):
        self.part_of_unit, self.whole = part_of_unit, int(weights.sum())
        kinds, kind_of_unit = _kinds(counts)
        sizes = np.bincount(kind_of_unit)
        tried = np.sort(np.argsort(-sizes, kind="stable")[:_KINDS_TRIED])
        # The empty kind comes first and is always there: exchanging a unit for nothing is a move.
        self.kinds = np.vstack([np.zeros_like(kinds[:1]), kinds[tried]])
        squares = (self.kinds**2).sum(axis=1)
        self.distance = squares[:, None] + squares[None, :] - 2 * self.kinds @ self.kinds.T
        place = {int(kind): number for number, kind in enumerate(tried, start=1)}
        self.units: list[list[list[int]]] = [[[] for _ in self.kinds] for _ in weights]
        for unit, (part, kind) in enumerate(zip(part_of_unit.tolist(), kind_of_unit.tolist(), strict=True)):
            if kind in place:
                self.units[part][place[kind]].append(unit)
        held = np.array([counts[part_of_unit == part].sum(axis=0) for part in range(len(weights))])
        self.surplus = self.whole * held - np.outer(weights, counts.sum(axis=0))

    def improve(self, one: int, other: int) -> bool:
        """Make the best exchanges between two parts until none helps; whether there was one."""
        improved = False
        while (best := self._best_exchange(one, other)) is not None:
            self._give(one, other, best[0])
            self._give(other, one, best[1])
            improved = True
        return improved

    def _best_exchange(self, one: int, other: int) -> tuple[int, int] | None:
        """The kinds to give and to take, or None where no exchange lowers the sum of squares."""
        given, taken = self._present(one), self._present(other)
        # Giving v from one to other changes the squares by 2 * whole times
        # v . (surplus of other - surplus of one) + whole * v . v.
        slope = self.kinds @ (self.surplus[other] - self.surplus[one])
        change = slope[given][:, None] - slope[taken][None, :]
        change = change + self.whole * self.distance[np.ix_(given, taken)]
        best = int(change.argmin())
        if change.flat[best] >= 0:
            return None
        return int(given[best // len(taken)]), int(taken[best % len(taken)])

    def _present(self, part: int) -> Integers:
        return np.array([kind for kind, units in enumerate(self.units[part]) if units or kind == 0])

    def _give(self, giver: int, taker: int, kind: int) -> None:
        if kind == 0:
            return
        unit = self.units[giver][kind].pop()
        self.units[taker][kind].append(unit)
        self.part_of_unit[unit] = taker
        self.surplus[giver] -= self.whole * self.kinds[kind]
        self.surplus[taker] += self.whole * self.kinds[kind]
