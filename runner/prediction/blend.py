"""The members of an ensemble from the files of finished runs: no image, cache or network is needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.commands import command
from runner.console import log
from runner.data.folds import TRAIN_ONLY, Folds, read_folds
from runner.errors import RunnerError, UsageError
from runner.images.view_size import size_in
from runner.prediction.out_of_fold import Member, OofTargets, check_validation_rows, find_members, read_oof_targets
from runner.prediction.postprocess import read_scored_views
from runner.prediction.predictions import predict_command, predicted_names, predictions_file, read_common_views
from runner.training.run import Run


@dataclass(frozen=True)
class Blend:
    """Everything that an ensemble is fitted on."""

    members: tuple[Member, ...]
    targets: OofTargets
    folds: Folds


def oof_targets_file(run: Run) -> Path:
    """The file of the targets of a run's labelled rows."""
    return run.folder / "oof_targets.npz"


def postprocess_file(run: Run) -> Path:
    """The file of a run's fitted postprocess."""
    return run.folder / "postprocess.json"


def read_blend(runs: Sequence[Run], build_targets: Callable[[], OofTargets]) -> Blend:
    """The members in the runs' files; a RunnerError if their weights could not be fitted without a leak.

    `build_targets` is called only if no run has stored its targets.
    """
    for run in runs:
        _check_has_validation_rows(run)
    folds = {run.name: read_folds(run.folds_file, competition=run.competition) for run in runs}
    check_same_folds(folds)
    members = [member for run in runs for member in _members(run, folds[run.name], prefixed=len(runs) > 1)]
    return Blend(tuple(members), _common_targets(runs) or build_targets(), folds[runs[0].name])


def _check_has_validation_rows(run: Run) -> None:
    members = run.read_members()
    if members and (refit_of := run.read_refit_of()):
        raise UsageError(
            f"{run.name} was refitted on all rows: there are no validation rows to fit a weight on",
            fix=f"name the runs of the ensemble that it is a refit of: {refit_of}",
        )
    if members:
        raise UsageError(
            f"{run.name} is an ensemble itself",
            fix=f"name its runs instead: `{command(run.competition, 'ensemble', *members)}`",
        )
    recipe = run.read_recipe()
    if recipe.all_data:
        raise UsageError(
            f"{run.name} was trained on all rows: there are no validation rows to fit a weight on",
            fix=f"name the run that it is a refit of: {recipe.refit_of}",
        )


def _members(run: Run, folds: Folds, *, prefixed: bool) -> tuple[Member, ...]:
    folders = [run.fold_dir(number) for number in range(folds.count)]
    predicted = [folder for folder in folders if predicted_names(folder)]
    fix = predict_command(run.folder)
    if not predicted:
        raise RunnerError(f"{run.name} has no predictions yet", where=run.folder, fix=fix)
    for folder in folders:
        if folder not in predicted:
            log.warning(f"{run.name}: {folder.name} has no predictions and is left out\n  fix: {fix}")
    names = [name for name in predicted_names(predicted[0]) if all(name in predicted_names(it) for it in predicted)]
    if not names:
        raise RunnerError(f"the folds of {run.name} have no snapshot in common", where=run.folder, fix=fix)
    paths = [
        predictions_file(folder, name, subset) for folder in predicted for name in names for subset in ("valid", "test")
    ]
    views = read_common_views(paths)
    if postprocess_file(run).exists():  # scored before: no other models and views than then
        scored_views = read_scored_views(postprocess_file(run))
        names = [name for name in names if name in scored_views]
        scored = {view for views_of_member in scored_views.values() for view in views_of_member}
        views = tuple(view for view in views if view in scored)
    views = tuple(view for view in views if size_in([view]) == size_in(views))  # the files keep those of each --size
    members = find_members(predicted, names, views, prefix=f"{run.name}:" if prefixed else "")
    check_validation_rows(members, folds)
    return members


def _common_targets(runs: Sequence[Run]) -> OofTargets | None:
    """The stored targets, if any run has them; a RunnerError if two runs differ."""
    stored = [(run, read_oof_targets(oof_targets_file(run))) for run in runs if oof_targets_file(run).exists()]
    if not stored:
        return None
    first_run, first = stored[0]
    for run, targets in stored[1:]:
        if not targets.are_those_of(first):
            raise RunnerError(
                f"{first_run.name} and {run.name} were scored on different labels",
                where=oof_targets_file(run),
                fix="; ".join(f"`{predict_command(differing.folder)}`" for differing in (first_run, run)),
            )
    return first


def check_same_folds(runs: Mapping[str, Folds]) -> None:
    """Raise a RunnerError if the weights of these runs could not be fitted without a leak.

    With the same folds in every run, each row is scored by models that did not train on it, and the weights are
    fitted on rows of other folds. With different folds those other rows were predicted, in one of the runs, by models
    that did train on the row that is scored: its label would shape the weights that it is scored with.
    """
    (first_name, first), *others = runs.items()
    for name, folds in others:
        if _validation_rows(folds) != _validation_rows(first):
            raise RunnerError(
                f"runs {first_name!r} and {name!r} cannot be averaged without a leak: {_difference(first, folds)}",
                where=folds.path,
                fix=f"new runs of one workspace share their folds: `{command(folds.competition, 'train')}`",
            )


def _validation_rows(folds: Folds) -> frozenset[frozenset[str]]:
    """The validation rows of each fold; neither fold numbers nor train-only rows matter."""
    rows: dict[int, set[str]] = defaultdict(set)
    for name, fold in folds.fold_of.items():
        if fold != TRAIN_ONLY:
            rows[fold].add(name)
    return frozenset(frozenset(names) for names in rows.values())


def _difference(first: Folds, second: Folds) -> str:
    if first.count != second.count:
        return f"the first has {_fold_count(first)}, the second {_fold_count(second)}"
    rows_of_first, rows_of_second = (
        {name: rows for rows in _validation_rows(it) for name in rows} for it in (first, second)
    )
    for rows, other_rows, which in (
        (rows_of_first, rows_of_second, "second"),
        (rows_of_second, rows_of_first, "first"),
    ):
        if rows.keys() - other_rows.keys():
            return (
                f"row {min(rows.keys() - other_rows.keys())!r} is a validation row in one of them, not in the {which}"
            )
    name = min(name for name in rows_of_first if rows_of_first[name] != rows_of_second[name])
    return f"row {name!r} shares its fold with different rows in the two"


def _fold_count(folds: Folds) -> str:
    return "one holdout" if folds.count == 1 else f"{folds.count} folds"
