"""Which snapshots a fold has, from their JSON files alone: free of torch, because tables of runs must be quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from runner.commands import command
from runner.errors import RunnerError
from runner.options import PredictOptions
from runner.workspace import read_json

FORMAT = 1  # of a snapshot's JSON file
# Of the last stage; of each earlier one its last. Every snapshot costs a pass over the test rows.
MAX_SNAPSHOTS = 3


class HasStage(Protocol):
    """What a snapshot is chosen by."""

    @property
    def stage(self) -> int:
        """The number of the stage that it ends."""


AnySnapshot = TypeVar("AnySnapshot", bound=HasStage)


@dataclass(frozen=True)
class ListedSnapshot:
    """The place of a snapshot in its fold."""

    cycle: int
    stage: int

    @property
    def name(self) -> str:
        return f"snapshot-{self.cycle}"


def train_fold_again(path: Path) -> str:
    """The fix for a damaged file RUNS/COMPETITION/RUN/fold-K/FILE."""
    run_dir = path.parent.parent
    again = command(run_dir.parent.name, "train", "--run", run_dir.name, "--resume")
    return f"delete {path.parent}, then: `{again}`"


def list_snapshots(folder: Path) -> tuple[ListedSnapshot, ...]:
    """The finished snapshots of a fold, oldest first."""
    return tuple(sorted(map(_read, folder.glob("snapshot-*.json")), key=lambda snapshot: snapshot.cycle))


def choose_snapshots(snapshots: Sequence[AnySnapshot], options: PredictOptions) -> tuple[AnySnapshot, ...]:
    """The snapshots to predict with, oldest first: by default those of the last stage, and the last of each other.

    A stage may make the network worse; whether it did is for the ensemble to find out.
    """
    if options.snapshots is not None:
        return tuple(snapshots[-options.snapshots :])
    last_of = {snapshot.stage: snapshot for snapshot in snapshots}
    last = last_of.popitem()[0]
    return (*last_of.values(), *[snapshot for snapshot in snapshots if snapshot.stage == last][-MAX_SNAPSHOTS:])


def _read(path: Path) -> ListedSnapshot:
    fix = train_fold_again(path)
    plain = read_json(path, format=FORMAT, fix=fix)
    try:
        return ListedSnapshot(int(plain["cycle"]), int(plain["stage"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RunnerError(f"the snapshot's JSON file cannot be read: {error}", where=path, fix=fix) from error
