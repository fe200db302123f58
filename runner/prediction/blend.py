"""Members of an ensemble from the files of finished runs: no image, no cache and no network is needed any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runner.console import log
from runner.data.folds import Folds, read_folds
from runner.errors import RunnerError, UsageError
from runner.prediction.blend_guard import check_common_folds
from runner.prediction.members import common_views, members_of, predicted_names
from runner.prediction.oof_targets import OofTargets, read_oof_targets
from runner.prediction.out_of_fold import Member
from runner.prediction.predictions import path_of
from runner.training.run import Run
from runner.workspace import read_json


@dataclass(frozen=True)
class Blend:
    """What an ensemble is made from."""

    members: tuple[Member, ...]
    truth: OofTargets
    folds: Folds


def oof_targets_file(run: Run) -> Path:
    """Where a run keeps what its held-out rows truly show."""
    return run.folder / "truth.npz"


def postprocess_file(run: Run) -> Path:
    """Where a run keeps how its members become its answer."""
    return run.folder / "final_step.json"


def read_blend(runs: Sequence[Run], truth: Callable[[], OofTargets]) -> Blend:
    """The members that the runs' files make, after a check that no weight of theirs would leak.

    `truth` is asked only where no run has kept what its rows show.
    """
    for run in runs:
        _check_can_be_blended(run)
    folds = {run.name: read_folds(run.folds_file, competition=run.competition) for run in runs}
    check_common_folds(folds)
    members = [member for run in runs for member in _members(run, folds[run.name].count, prefixed=len(runs) > 1)]
    return Blend(tuple(members), _common_truth(runs) or truth(), folds[runs[0].name])


def _check_can_be_blended(run: Run) -> None:
    members = run.read_members()
    if members:
        raise UsageError(
            f"{run.name} is an ensemble itself", fix=f"name the runs that it is made of: {' '.join(members)}"
        )
    recipe = run.read_recipe()
    if recipe.all_data:
        raise UsageError(
            f"{run.name} has learned from all rows: there is none to fit a weight on",
            fix=f"name the run that it refit_of: {recipe.refit_of}",
        )


def _members(run: Run, count: int, *, prefixed: bool) -> tuple[Member, ...]:
    folders = [run.fold_dir(number) for number in range(count)]
    predicted = [folder for folder in folders if predicted_names(folder)]
    fix = f"runner {run.competition} predict --run {run.name}"
    if not predicted:
        raise RunnerError(f"{run.name} is not predicted yet", where=run.folder, fix=fix)
    for folder in folders:
        if folder not in predicted:
            log.info(f"{run.name}: {folder.name} has no predictions and is left out ({fix})")
    names = _common_names(run, predicted)
    if not names:
        raise RunnerError(f"the folds of {run.name} have no snapshot in common", where=run.folder, fix=fix)
    paths = [path_of(folder, name, part) for folder in predicted for name in names for part in ("valid", "test")]
    prefix = f"{run.name}:" if prefixed else ""
    return members_of(predicted, names, _views(run, common_views(paths)), prefix=prefix)


def _common_names(run: Run, folders: Sequence[Path]) -> tuple[str, ...]:
    """What every fold has; where the run was scored before, no more than was scored then."""
    common = [name for name in predicted_names(folders[0]) if all(name in predicted_names(one) for one in folders)]
    scored = read_json(postprocess_file(run))["names"] if postprocess_file(run).exists() else common
    return tuple(name for name in common if name in scored)


def _views(run: Run, common: Sequence[str]) -> tuple[str, ...]:
    if not postprocess_file(run).exists():
        return tuple(common)
    scored = read_json(postprocess_file(run))["views"]
    return tuple(name for name in common if name in scored)


def _common_truth(runs: Sequence[Run]) -> OofTargets | None:
    """What the rows show, by all the runs that have kept it; they must agree."""
    kept = [(run, read_oof_targets(oof_targets_file(run))) for run in runs if oof_targets_file(run).exists()]
    if not kept:
        return None
    first = kept[0][1]
    for run, other in kept[1:]:
        same = sorted(other.ids) == sorted(first.ids) and sorted(other.classes) == sorted(first.classes)
        if not same or not np.array_equal(other.of(first.ids, first.classes)[0], first.targets):
            raise RunnerError(
                f"{kept[0][0].name} and {run.name} were scored on other labels",
                where=oof_targets_file(run),
                fix=f"runner {run.competition} predict --run NAME, for both",
            )
    return first
