"""folds.csv: which row is held out in which fold, with what the split was made of beside it."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition
from runner.data.splits import TRAIN_ONLY, Integers
from runner.errors import DataError
from runner.workspace import Workspace, atomic_path, read_json, write_bytes, write_json

_HEADER = ["id", "fold"]


def shared_folds(workspace: Workspace, competition: Competition) -> Path:
    """The split that all runs of a competition start from."""
    return workspace.runs_dir(competition.name) / "folds.csv"


@dataclass(frozen=True)
class Folds:
    """A split as it lies on the disk. `facts` is empty where a person wrote the file by hand."""

    path: Path
    fold_of: dict[str, int]
    facts: dict[str, Any] = field(default_factory=dict)
    competition: str = "COMPETITION"

    @property
    def count(self) -> int:
        """How many folds there are to train; a holdout is one."""
        return max(self.fold_of.values()) + 1

    def for_rows(self, ids: Sequence[str], labels: Sequence[str]) -> Integers:
        """The fold of each of these rows; DataError where the file was made of other rows."""
        known = self.facts.get("sha256")
        if set(ids) != set(self.fold_of):
            both = len(set(ids) & set(self.fold_of))
            self._refuse(f"it has {len(self.fold_of):,} ids, the data {len(ids):,}, and {both:,} are the same")
        if known is not None and known != digest(ids, labels):
            self._refuse("the labels have changed since it was made")
        return np.array([self.fold_of[name] for name in ids], dtype=np.int64)

    def _refuse(self, reason: str) -> None:
        raise DataError(
            f"the split does not belong to this data: {reason}",
            where=self.path,
            fix=f"runner {self.competition} split",
        )


@dataclass(frozen=True)
class ClassCounts:
    """How many rows of a class each fold holds out, and how many rows are never held out."""

    name: str
    rows: int
    held_out: tuple[int, ...]
    never: int


def digest(ids: Sequence[str], labels: Sequence[str]) -> str:
    """A fingerprint of rows and labels that does not depend on their order."""
    lines = sorted(f"{name}\t{label}" for name, label in zip(ids, labels, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def write_folds(
    path: Path, ids: Sequence[str], labels: Sequence[str], folds: Integers, facts: Mapping[str, Any]
) -> None:
    """Write folds.csv and, beside it, folds.json: `facts` (how it was made), the rows, their fingerprint."""
    # The facts come first and folds.csv last: wherever a crash falls, a folds.csv that is there has its own facts.
    path.unlink(missing_ok=True)
    write_json(path.with_suffix(".json"), {**facts, "rows": len(ids), "sha256": digest(ids, labels)})
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(zip(ids, folds.tolist(), strict=True))


def copy_folds(source: Path, target: Path) -> None:
    """Copy a split, facts first: a folds.csv that is there has its facts beside it."""
    for suffix in (".json", ".csv"):
        if source.with_suffix(suffix).exists():
            write_bytes(target.with_suffix(suffix), source.with_suffix(suffix).read_bytes())


def read_folds(path: Path, *, competition: str = "COMPETITION") -> Folds:
    """The split in a folds.csv; one that a person wrote by hand needs no folds.json."""
    sidecar = path.with_suffix(".json")
    try:
        fold_of = _parsed(path.read_text(encoding="utf-8-sig"))
        facts = read_json(sidecar) if sidecar.exists() else {}
    except FileNotFoundError as error:
        raise DataError("the data is not split yet", where=path, fix=f"runner {competition} split") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"the split cannot be read: {error}", where=path, fix=f"runner {competition} split") from error
    return Folds(path, fold_of, facts, competition)


def _parsed(text: str) -> dict[str, int]:
    rows = csv.reader(io.StringIO(text))
    if next(rows, None) != _HEADER:
        raise ValueError("its first line is not id,fold")
    fold_of: dict[str, int] = {}
    numbers: dict[str, int] = {}  # a few, each written in thousands of rows
    for line, row in enumerate(rows, start=2):
        if len(row) == 2 and row[1] not in numbers and row[1].lstrip("-").isdecimal():
            numbers[row[1]] = int(row[1])
        if len(row) != 2 or numbers.get(row[1], TRAIN_ONLY - 1) < TRAIN_ONLY:
            raise ValueError(f"line {line} is not an id and the number of a fold")
        if row[0] in fold_of:
            raise ValueError(f"line {line} has id {row[0]!r} again")
        fold_of[row[0]] = numbers[row[1]]
    used = set(fold_of.values()) - {TRAIN_ONLY}
    if used != set(range(len(used))) or not used:
        raise ValueError(f"the folds are numbered {sorted(used)}, and not 0, 1, 2 and so on")
    return fold_of


def count_classes(classes: Sequence[str], targets: NDArray[Any], folds: Integers) -> list[ClassCounts]:
    """For every class its rows in each fold. One column of probabilities makes two: the class, and not."""
    marked = np.asarray(targets) >= 0.5
    names = list(classes)
    if marked.shape[1] == 1:
        marked, names = np.hstack([marked, ~marked]), [names[0], f"not {names[0]}"]
    return [
        ClassCounts(
            name,
            int(column.sum()),
            tuple(int(column[folds == fold].sum()) for fold in range(int(folds.max()) + 1)),
            int(column[folds == TRAIN_ONLY].sum()),
        )
        for name, column in zip(names, marked.T, strict=True)
    ]


def remarks(counts: Sequence[ClassCounts], groups: Sequence[str], folds: Integers) -> list[str]:
    """What a person should know about a split: classes too thin for it, and groups larger than a fold."""
    return [*_thin_classes(counts), *_big_groups(groups, folds)]


def _thin_classes(counts: Sequence[ClassCounts]) -> list[str]:
    said = []
    for counted in counts:
        without = sum(held == 0 for held in counted.held_out)
        if without:
            place = "the holdout has" if len(counted.held_out) == 1 else f"{without} folds have"
            said.append(f"class {counted.name!r} has {_rows(counted.rows)}: {place} none of it")
    return said


def _big_groups(groups: Sequence[str], folds: Integers) -> list[str]:
    even = (folds != TRAIN_ONLY).sum() / (int(folds.max()) + 1)
    sizes = Counter(group for group in groups if group)
    return [
        f"group {group!r} has {_rows(size)}, more than an even fold's {even:.0f}: it is kept whole"
        for group, size in sizes.most_common()
        if size > even
    ]


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
