"""Out-of-fold predictions: validation rows, each predicted by models that did not train on it, and their targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.contract import Outputs
from runner.contract.targets import Targets, are_class_numbers, as_matrix, take_columns
from runner.data.folds import Folds
from runner.data.index import Index
from runner.errors import RunnerError
from runner.prediction.arrays import open_arrays, write_arrays
from runner.prediction.averaging import Matrix, TTAMode
from runner.prediction.predictions import (
    StoredRows,
    align,
    in_order,
    mean_predictions,
    predict_command,
    predictions_file,
    read_ids,
)

_BLOCK_VALUES = 1 << 24  # read, averaged and decided at a time


@dataclass(frozen=True)
class Member:
    """One candidate for the ensemble, as prediction files: of validation and of test rows, one a fold."""

    name: str
    valid: tuple[Path, ...]
    test: tuple[Path, ...] = ()
    views: tuple[str, ...] = ("plain",)  # the views to average, of those in the files; the plain one first


def find_members(
    folders: Sequence[Path], names: Sequence[str], views: Sequence[str], *, has_valid: bool = True, prefix: str = ""
) -> tuple[Member, ...]:
    """A member for each model name, with these views, over the folders of these folds."""
    return tuple(
        Member(
            prefix + name,
            tuple(predictions_file(folder, name, "valid") for folder in folders) if has_valid else (),
            tuple(predictions_file(folder, name, "test") for folder in folders),
            tuple(views),
        )
        for name in names
    )


@dataclass(frozen=True)
class OofTargets:
    """Targets of labelled rows, stored with the run; and the group of each row, "" for none."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Targets
    groups: tuple[str, ...]

    def take(self, ids: Sequence[str], classes: Sequence[str]) -> tuple[Targets, tuple[str, ...]]:
        """Targets and groups of these rows, in this order of rows and classes."""
        row_of = {name: row for row, name in enumerate(self.ids)}
        rows = [row_of[name] for name in ids]
        targets = self.targets[rows]
        if tuple(classes) != self.classes:
            column_of = {name: column for column, name in enumerate(self.classes)}
            targets = take_columns(targets, [column_of[name] for name in classes])
        return targets, tuple(self.groups[row] for row in rows)

    def are_those_of(self, other: OofTargets) -> bool:
        """Whether the other has the same rows, classes and targets, in whatever order."""
        if sorted(self.ids) != sorted(other.ids) or sorted(self.classes) != sorted(other.classes):
            return False
        own, columns = self.take(other.ids, other.classes)[0], len(self.classes)
        if own.ndim != other.targets.ndim:  # an earlier version stored class numbers one-hot
            return np.array_equal(as_matrix(own, columns), as_matrix(other.targets, columns))
        return np.array_equal(own, other.targets)


def oof_targets(index: Index) -> OofTargets:
    """The targets of all labelled ids of an index."""
    is_first = ~index.train["id"].duplicated()  # an id may have several images, with one label
    table = index.train[is_first]
    return OofTargets(tuple(table["id"]), index.classes, index.targets()[is_first], tuple(table["group"]))


def write_oof_targets(path: Path, targets: OofTargets) -> None:
    """Write one .npz without pickles."""
    arrays = {
        "ids": np.array(targets.ids, dtype=np.str_),
        "classes": np.array(targets.classes, dtype=np.str_),
        "targets": targets.targets,
        "groups": np.array(targets.groups, dtype=np.str_),
    }
    write_arrays(path, arrays)


def read_oof_targets(path: Path) -> OofTargets:
    """The targets that `write_oof_targets` wrote; a DamagedFileError if they are not those."""
    with open_arrays(path, what="the file of targets", fix=predict_command(path.parent)) as arrays:
        ids, classes, groups = (arrays.strings(name) for name in ("ids", "classes", "groups"))
        # A number that is not known is NaN.
        targets = arrays.read("targets", kind="fiub", dimensions=(1, 2), may_have_gaps=True)
        if targets.shape not in ((len(ids),), (len(ids), len(classes))) or len(groups) != len(ids):
            raise ValueError(f"targets are shaped {targets.shape}, not {(len(ids), len(classes))}")
        if are_class_numbers(targets):
            if targets.dtype.kind not in "iu" or (
                targets.size and not 0 <= targets.min() <= targets.max() < len(classes)
            ):
                raise ValueError(f"targets are not the numbers of {len(classes)} classes")
            targets = targets.astype(np.int64)
        return OofTargets(ids, classes, targets, groups)


def check_validation_rows(members: Sequence[Member], folds: Folds) -> None:
    """A RunnerError if a file of fold K predicts rows that are not the validation rows of fold K of this split."""
    for path in dict.fromkeys(path for member in members for path in member.valid):
        fold = int(path.parent.name.rpartition("-")[2])
        others = [name for name in read_ids(path) if folds.fold_of.get(name) != fold]
        if others:
            raise RunnerError(
                f"{len(others):,} rows that fold {fold} has predicted are not its validation rows: "
                f"{', '.join(others[:3])}",
                where=path,
                fix=f"put the folds.csv and folds.json back that the run was trained with: {folds.path}",
            )


@dataclass(frozen=True)
class OutOfFold:
    """Validation rows with the predictions of all members, shaped (members, rows, classes).

    `folds` has each row's fold in the run; `groups` its group, "" for none.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    members: Matrix
    targets: Targets
    folds: NDArray[np.int64]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        rows = len(self.ids)
        columns = self.targets.shape[1:] or self.members.shape[2:]
        if self.members.shape != (len(self.names), rows, *columns) or len(self.targets) != rows:
            raise ValueError(f"the shapes of members {self.members.shape} and targets {self.targets.shape} differ")
        if len(self.folds) != rows or len(self.groups) != rows or len(set(self.ids)) != rows:
            raise ValueError("every row needs one fold, one group and an id of its own")

    def take(self, rows: NDArray[np.int64]) -> OutOfFold:
        """Only these rows, in this order."""
        chosen = rows.tolist()
        return OutOfFold(
            self.names,
            tuple([self.ids[row] for row in chosen]),
            # Not `members[:, rows]`: its memory order is row by row, member beside member, and slow to read.
            self.members.take(rows, axis=1),
            self.targets[rows],
            self.folds[rows],
            tuple([self.groups[row] for row in chosen]),
        )


@dataclass(frozen=True)
class ValidationRows:
    """The rows that all members have predicted, sorted by id: all that is known of them but the predictions."""

    ids: tuple[str, ...]
    targets: Targets
    folds: NDArray[np.int64]
    groups: tuple[str, ...]

    def take(self, rows: NDArray[np.int64]) -> ValidationRows:
        """Only these rows, in this order."""
        chosen = rows.tolist()
        ids, groups = ([values[row] for row in chosen] for values in (self.ids, self.groups))
        return ValidationRows(tuple(ids), self.targets[rows], self.folds[rows], tuple(groups))


def validation_rows(members: Sequence[Member], targets: OofTargets, fold_of: Mapping[str, int]) -> ValidationRows:
    """The rows that all members have predicted; a RunnerError if there is none."""
    ids = common_ids(members)
    values, groups = targets.take(ids, targets.classes)
    return ValidationRows(ids, values, np.array([fold_of[name] for name in ids], dtype=np.int64), groups)


def common_ids(members: Sequence[Member]) -> tuple[str, ...]:
    """The ids that all members have predicted, sorted; a RunnerError if there is none."""
    ids = tuple(sorted(set[str].intersection(*(_ids_in(member.valid) for member in members))))
    if not ids:
        runs = dict.fromkeys(path.parent.parent for member in members for path in member.valid)
        raise RunnerError(
            "no validation row is predicted by all of " + ", ".join(member.name for member in members),
            where=members[0].valid[0].parent,
            fix="; ".join(f"`{predict_command(run_dir)}`" for run_dir in runs),
        )
    return ids


def read_out_of_fold(
    members: Sequence[Member], rows: ValidationRows, classes: Sequence[str], tta: TTAMode, *, outputs: Outputs
) -> OutOfFold:
    """These rows with the predictions of all members, for the classes in this order."""
    stack = read_member_predictions(members, rows.ids, classes, tta, outputs=outputs)
    names = tuple(member.name for member in members)
    return OutOfFold(names, rows.ids, stack, rows.targets, rows.folds, rows.groups)


def read_member_predictions(
    members: Sequence[Member],
    ids: Sequence[str],
    classes: Sequence[str],
    tta: TTAMode = TTAMode.NONE,
    *,
    outputs: Outputs,
) -> Matrix:
    """Probabilities (members, ids, classes).

    In single precision, as the files are: thirty members of planet's size are 83 MB.
    """
    stack = np.empty((len(members), len(ids), len(classes)), dtype=np.float32)
    for position, member in enumerate(members):
        stored = MemberRows(member, tta, outputs)
        for rows in row_blocks(len(ids), len(classes)):
            stack[position, rows] = stored.read(ids[rows], classes)
    return stack


class MemberRows:
    """A member's predictions for validation rows, of which some at a time are read."""

    def __init__(self, member: Member, tta: TTAMode, outputs: Outputs):
        self._files = [StoredRows(path, member.views, tta, outputs) for path in member.valid]

    @cached_property
    def _place_of(self) -> dict[str, int] | None:
        """The place of each id in the files, one after another; None if several have one, or other classes."""
        names = [name for file in self._files for name in file.ids]
        place_of = dict(zip(names, range(len(names)), strict=True))
        has_others = len({frozenset(file.classes) for file in self._files}) > 1
        return None if has_others or len(place_of) < len(names) else place_of

    def read(self, ids: Sequence[str], classes: Sequence[str]) -> Matrix:
        """The predictions of these rows, the mean of those of all folds that have one; in double precision."""
        if self._place_of is not None and set(classes) == set(self._files[0].classes):
            places = list(map(self._place_of.get, ids))
            if None not in places:
                return self._read_places(np.array(places, dtype=np.int64), classes)
        parts = [part for part in (file.read(ids) for file in self._files) if part.ids]
        return align(mean_predictions(parts), ids, classes, path=self._files[0].path)

    def _read_places(self, places: NDArray[np.int64], classes: Sequence[str]) -> Matrix:
        """The predictions in these places of the files, one after another."""
        ends = np.cumsum([len(file.ids) for file in self._files])
        file_of = np.searchsorted(ends, places, side="right")
        values = np.empty((len(places), len(classes)))
        for number, file in enumerate(self._files):
            rows = np.flatnonzero(file_of == number)
            if len(rows):
                stored = file.read_rows(places[rows] - (ends[number] - len(file.ids)))
                values[rows] = in_order(stored, file.classes, classes)
        return values


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows, of so many values that a copy in double precision does not matter."""
    size = max(1, _BLOCK_VALUES // max(1, columns))
    return (slice(begin, begin + size) for begin in range(0, rows, size))


def _ids_in(paths: Sequence[Path]) -> set[str]:
    return {name for path in paths for name in read_ids(path)}
