"""The rows that a score can be trusted on: each predicted by models that did not train on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import RunnerError
from runner.prediction.averaging import TTAMode
from runner.prediction.predictions import Predictions, mean_predictions, read_ids, read_predictions

Matrix = NDArray[Any]


@dataclass(frozen=True)
class Member:
    """One candidate of an ensemble, as files: what it says of held-out rows (a file a fold), and of test rows."""

    name: str
    valid: tuple[Path, ...]
    test: tuple[Path, ...] = ()
    views: tuple[str, ...] = ("plain",)  # those of the files' views that are averaged; the plain one first


@dataclass(frozen=True)
class OutOfFold:
    """Held-out rows with all that was predicted for them. `members` is shaped (members, rows, classes).

    `folds` is each row's fold in the run; `groups` says which rows resemble each other, "" for none.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    members: Matrix
    targets: Matrix
    folds: NDArray[np.int64]
    groups: tuple[str, ...]

    def __post_init__(self) -> None:
        rows = len(self.ids)
        if self.members.shape != (len(self.names), rows, *self.targets.shape[1:]) or len(self.targets) != rows:
            raise ValueError(f"members {self.members.shape} and targets {self.targets.shape} do not belong together")
        if len(self.folds) != rows or len(self.groups) != rows or len(set(self.ids)) != rows:
            raise ValueError("every row has one id, one fold and one group, and no id comes twice")

    def take(self, rows: NDArray[np.int64]) -> OutOfFold:
        """These rows alone, in this order."""
        chosen = rows.tolist()
        return OutOfFold(
            self.names,
            tuple([self.ids[row] for row in chosen]),
            # Not `members[:, rows]`: that lies in memory row by row, member beside member, and is slow to read.
            self.members.take(rows, axis=1),
            self.targets[rows],
            self.folds[rows],
            tuple([self.groups[row] for row in chosen]),
        )


def read_members(
    members: Sequence[Member], look: TTAMode = TTAMode.NONE, *, multiclass: bool = True
) -> tuple[tuple[str, ...], tuple[str, ...], Matrix]:
    """The ids that every member has predicted, sorted; the classes; the stack (members, ids, classes).

    In single precision, as the files are: thirty members of planet's size are 83 MB.
    """
    first = read_predictions(members[0].valid[0])
    ids = tuple(sorted(set[str].intersection(*(_ids_in(member.valid) for member in members))))
    if not ids:
        raise RunnerError(
            "no held-out row is predicted by all of " + ", ".join(member.name for member in members),
            where=members[0].valid[0].parent,
            fix="runner COMPETITION predict --run NAME, for every run that is to be blended",
        )
    stack = np.empty((len(members), len(ids), len(first.classes)), dtype=np.float32)
    for place, member in enumerate(members):
        said = [read_predictions(path, member.views, look, multiclass=multiclass) for path in member.valid]
        stack[place] = in_order(mean_predictions(said), ids, first.classes)
    return ids, first.classes, stack


def read_test(
    member: Member, ids: Sequence[str], classes: Sequence[str], look: TTAMode = TTAMode.NONE, *, multiclass: bool = True
) -> Iterator[Matrix]:
    """What each of a member's folds says of the test rows, a file at a time."""
    for path in member.test:
        yield in_order(read_predictions(path, member.views, look, multiclass=multiclass), ids, classes)


def in_order(said: Predictions, ids: Sequence[str], classes: Sequence[str]) -> Matrix:
    """The probabilities of these ids and classes, in this order."""
    if said.ids == tuple(ids) and said.classes == tuple(classes):
        return said.probabilities
    if set(said.classes) != set(classes):
        raise RunnerError(
            f"predictions of {len(said.classes)} classes cannot be averaged with those of {len(classes)} others",
            fix="runner COMPETITION train --run NEW: runs are blended that were trained for the same classes",
        )
    place = {name: row for row, name in enumerate(said.ids)}
    missing = [name for name in ids if name not in place]
    if missing:
        raise RunnerError(
            f"{len(missing)} rows have no prediction: {', '.join(missing[:3])}",
            fix="runner COMPETITION predict --run NAME",
        )
    columns = [said.classes.index(name) for name in classes]
    return said.probabilities[[place[name] for name in ids]][:, columns]


def _ids_in(paths: Sequence[Path]) -> set[str]:
    return {name for path in paths for name in read_ids(path)}
