"""folds.csv: the fold that validates each row; folds.json beside it: what the split was made of."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition
from runner.contract.targets import Targets
from runner.csv_file import CsvError, read_csv, write_csv
from runner.data.strata import Strata
from runner.errors import DataError
from runner.workspace import Workspace, locked, read_json, remove_file, write_bytes, write_json

Integers = NDArray[np.int64]

TRAIN_ONLY = -1  # the fold of a row that is a validation row of none
_HEADER = ("id", "fold")
_FORMAT = 1
_LISTED = 20  # classes with few rows; of thousands the rest are counted


def shared_folds_file(workspace: Workspace, competition: Competition) -> Path:
    """The folds.csv that all runs of a competition start from."""
    return workspace.runs_dir(competition.name) / "folds.csv"


@dataclass(frozen=True)
class Folds:
    """A split as it is on the disk. `metadata` is empty if a person wrote the file by hand."""

    path: Path
    fold_of: dict[str, int]
    metadata: dict[str, Any] = field(default_factory=dict)
    competition: str = "COMPETITION"

    @property
    def count(self) -> int:
        """The number of folds to train; a holdout is one."""
        return max(self.fold_of.values()) + 1

    def was_made_by(self, plan: Mapping[str, Any]) -> bool:
        """Whether this plan made the split, as folds.json has it."""
        return all(self.metadata.get(name) == value for name, value in plan.items())

    def for_rows(self, ids: Sequence[str], labels: Sequence[str]) -> Integers:
        """The fold of each of these rows; DataError if the split was made of other rows."""
        if set(ids) != set(self.fold_of):
            both = len(set(ids) & set(self.fold_of))
            raise self._mismatch(f"it has {len(self.fold_of):,} ids, the data {len(ids):,}, and {both:,} are the same")
        if self.metadata.get("sha256") not in (None, digest(ids, labels)):
            raise self._mismatch("the labels have changed since it was made")
        return np.array([self.fold_of[name] for name in ids], dtype=np.int64)

    def _mismatch(self, reason: str) -> DataError:
        return DataError(
            f"the split does not belong to this data: {reason}",
            where=self.path,
            fix=f"runner {self.competition} split",
        )


@dataclass(frozen=True)
class ClassCounts:
    """The rows of a class: all, those that validate each fold, and those in training only."""

    name: str
    rows: int
    valid_per_fold: tuple[int, ...]
    train_only: int


def digest(ids: Sequence[str], labels: Sequence[str]) -> str:
    """The SHA-256 of rows and labels, in whatever order they come."""
    lines = sorted(f"{name}\t{label}" for name, label in zip(ids, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def assignment_digest(fold_of: Mapping[str, int]) -> str:
    """The SHA-256 of which row is in which fold, in whatever order the rows come."""
    lines = sorted(f"{name}\t{fold}" for name, fold in fold_of.items())
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def locked_folds(path: Path) -> AbstractContextManager[None]:
    """Let one process at a time write this folds.csv."""
    return locked(path.with_name(".folds.lock"))


def write_folds(
    path: Path, ids: Sequence[str], labels: Sequence[str], folds: Integers, metadata: Mapping[str, Any]
) -> None:
    """Write folds.csv and, beside it, folds.json: `metadata` (how it was made), the rows, their SHA-256."""
    # folds.csv last: whenever a crash comes, a folds.csv that exists has its own metadata.
    remove_file(path)
    fold_of = dict(zip(ids, folds.tolist(), strict=True))  # several images of one id have the same fold
    assigned = assignment_digest(fold_of)
    content = {**metadata, "rows": len(ids), "sha256": digest(ids, labels), "folds_sha256": assigned}
    write_json(path.with_suffix(".json"), content, format=_FORMAT)
    write_csv(path, _HEADER, fold_of.items())


def copy_folds(source: Path, target: Path) -> None:
    """Copy a split, folds.json first: a folds.csv that exists has its metadata beside it."""
    remove_file(target)
    for suffix in (".json", ".csv"):
        if source.with_suffix(suffix).exists():
            write_bytes(target.with_suffix(suffix), source.with_suffix(suffix).read_bytes())


def read_folds(path: Path, *, competition: str = "COMPETITION") -> Folds:
    """The split in a folds.csv; one written by hand needs no folds.json."""
    fix = f"runner {competition} split"
    if not path.exists():
        raise DataError("the data is not split yet", where=path, fix=fix)
    try:
        fold_of = _parse(path)
    except (ValueError, CsvError) as error:
        raise DataError(f"the split cannot be read: {error}", where=path, fix=fix) from error
    metadata_file = path.with_suffix(".json")
    metadata = read_json(metadata_file, format=_FORMAT, fix=fix) if metadata_file.exists() else {}
    folds = Folds(path, fold_of, metadata, competition)
    if metadata.get("folds_sha256") not in (None, assignment_digest(fold_of)):
        raise DataError(
            "the rows' folds have changed since the split was made: scores would be of rows that were trained on",
            where=path,
            fix=_fix_of_changed(path, metadata, fix),
        )
    return folds


def _fix_of_changed(path: Path, metadata: Mapping[str, Any], split: str) -> str:
    """A run's copy is made whole from the shared split if that is the same one; nothing else was trained with it."""
    if not path.with_name("recipe.json").exists():
        return f"`{split}`; or, if you changed it on purpose, delete {path.with_suffix('.json')}"
    shared = path.parent.parent / path.name
    try:
        same = assignment_digest(_parse(shared)) == metadata["folds_sha256"]
    except (OSError, ValueError, CsvError):
        same = False
    return f"copy {shared} over it" if same else f"train a new run: `{split.replace(' split', ' train')}`"


def _parse(path: Path) -> dict[str, int]:
    file = read_csv(path)
    if file.header != _HEADER:
        raise ValueError("its first line is not id,fold")
    fold_of: dict[str, int] = {}
    numbers: dict[str, int] = {}  # a few, each written in thousands of rows
    for rows, (line, row) in enumerate(file, start=1):
        if len(row) != 2 or (number := numbers.get(row[1])) is None:
            number = _fold_number(row, line)
            numbers[row[1]] = number
        fold_of[row[0]] = number
        if len(fold_of) < rows:
            raise ValueError(f"line {line} repeats the id {row[0]!r}")
    used = set(fold_of.values()) - {TRAIN_ONLY}
    if used != set(range(len(used))) or not used:
        raise ValueError(f"the folds are numbered {sorted(used)}, not 0, 1, 2 and so on")
    return fold_of


def _fold_number(row: Sequence[str], line: int) -> int:
    number = int(row[1]) if len(row) == 2 and row[1].lstrip("-").isdecimal() else TRAIN_ONLY - 1
    if number < TRAIN_ONLY:
        raise ValueError(f"line {line} is not an id and the number of a fold")
    return number


def class_counts_per_fold(classes: Sequence[str], members: Targets, folds: Integers) -> list[ClassCounts]:
    """Rows of each class in each fold. A single binary column counts as two classes, `name` and `not name`."""
    names, rows_of = list(classes), Strata(tuple(classes), members).rows_of()
    if len(rows_of) > len(names):
        names.append(f"not {names[0]}")
    count = int(folds.max()) + 1
    # TRAIN_ONLY is -1: it comes first.
    per_fold = [np.bincount(folds[rows] - TRAIN_ONLY, minlength=count + 1).tolist() for rows in rows_of]
    return [
        ClassCounts(name, len(rows), tuple(valid), train_only)
        for name, rows, (train_only, *valid) in zip(names, rows_of, per_fold, strict=True)
    ]


def split_warnings(counts: Sequence[ClassCounts], groups: Sequence[str], folds: Integers) -> list[str]:
    """Messages about classes with fewer rows than folds, and about groups larger than a fold."""
    return [*_small_classes(counts), *_large_groups(groups, folds)]


def _small_classes(counts: Sequence[ClassCounts]) -> list[str]:
    warnings = []
    for counted in counts:
        empty = sum(rows == 0 for rows in counted.valid_per_fold)
        if empty:
            folds = "the holdout has" if len(counted.valid_per_fold) == 1 else f"{empty} folds have"
            warnings.append(f"class {counted.name!r} has {_rows(counted.rows)}: {folds} none of it")
    if len(warnings) > _LISTED:
        more = f"{len(warnings) - _LISTED:,} more of {len(counts):,} classes have no row in some fold"
        return [*warnings[:_LISTED], more]
    return warnings


def _large_groups(groups: Sequence[str], folds: Integers) -> list[str]:
    even = (folds != TRAIN_ONLY).sum() / max(int(folds.max()) + 1, 1)
    sizes = Counter(group for group in groups if group)
    return [
        f"group {group!r} has {_rows(size)}, more than the {even:.0f} of an even fold: it is not divided"
        for group, size in sizes.most_common()
        if size > even
    ]


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
