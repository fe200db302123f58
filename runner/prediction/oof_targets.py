"""What a run's held-out rows truly show, kept with the run: scoring needs neither images nor tables after that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runner.data.index import Index
from runner.prediction.predictions import Matrix
from runner.workspace import atomic_path


@dataclass(frozen=True)
class OofTargets:
    """The targets (rows, classes) of labelled rows; which of them resemble each other, "" for none."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Matrix
    groups: tuple[str, ...]

    def of(self, ids: Sequence[str], classes: Sequence[str]) -> tuple[Matrix, tuple[str, ...]]:
        """Targets and groups of these rows, in this order of rows and classes."""
        place = {name: row for row, name in enumerate(self.ids)}
        rows = [place[name] for name in ids]
        columns = [self.classes.index(name) for name in classes]
        return self.targets[rows][:, columns], tuple(self.groups[row] for row in rows)


def oof_targets(index: Index) -> OofTargets:
    """The truth that an index tells."""
    table = index.train
    return OofTargets(tuple(table["id"]), index.classes, index.targets(), tuple(table["group"]))


def write_oof_targets(path: Path, truth: OofTargets) -> None:
    """Write one .npz without pickles."""
    with atomic_path(path) as part:
        np.savez(
            part,
            ids=np.array(truth.ids, dtype=np.str_),
            classes=np.array(truth.classes, dtype=np.str_),
            targets=truth.targets,
            groups=np.array(truth.groups, dtype=np.str_),
        )


def read_oof_targets(path: Path) -> OofTargets:
    """What `write_oof_targets` wrote."""
    with np.load(path, allow_pickle=False) as file:
        ids, classes, groups = (tuple(file[name].tolist()) for name in ("ids", "classes", "groups"))
        return OofTargets(ids, classes, file["targets"], groups)
