"""From a recipe to the folds of a run: weights, time budget and splits resolved."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from runner.commands import again
from runner.console import log
from runner.contract import Recipe
from runner.data.folds import Folds, copy_folds, locked_folds, read_folds
from runner.data.index import Index
from runner.data.splits import SplitPlan, ensure_split, split_rows, write_split
from runner.errors import UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.distributed import broadcast_from_main, main_process_first
from runner.training.fold import FoldRun, StartWeights
from runner.training.lr_finder import FORMAT as LR_FORMAT
from runner.training.lr_finder import read_lr_file
from runner.training.progress import fold_count
from runner.training.run import Run, find_run
from runner.training.snapshots import read_snapshots, weights_file
from runner.training.strengths import copy_strengths
from runner.training.time_budget import fit_to_budget, measure_costs, total_seconds
from runner.training.unreadable import SkippedImages, check_images, copy_skipped, read_skipped
from runner.training.weights_files import resolve_weights
from runner.workspace import write_json


def resolve_start(session: Session, recipe: Recipe, options: TrainOptions) -> tuple[Recipe, TrainOptions]:
    """The recipe with what it starts from: weights by fingerprint, RUN:SNAPSHOT; the options with the weights file."""
    if recipe.from_run is not None:
        recipe = replace(recipe, from_run=_with_snapshot(session, recipe.from_run))
    return resolve_weights(session, recipe, options)


def fit_into_time(session: Session, recipe: Recipe, options: TrainOptions) -> Recipe:
    """The recipe with stages that fit into the time budget; as it is without one."""
    if options.time_budget is None:
        return recipe
    fold = main_process_first(lambda: preview_fold(session, recipe, options))
    # Every process measures its share; the results differ a little, and all must plan by the same.
    costs = measure_costs(fold, options)
    costs = broadcast_from_main(lambda: costs)
    plan = fit_to_budget(recipe, costs, options.time_budget * 60)
    minutes = total_seconds(plan, costs) / 60
    log.info(f"plan for {options.time_budget:g} minutes: {plan.summary}, about {minutes:.1f} minutes of training")
    return plan


def build_folds(session: Session, run: Run, options: TrainOptions = TrainOptions()) -> tuple[FoldRun, ...]:
    """The run's folds, or the one of `--only-fold`; its folds.csv is copied from the shared one if it has none."""
    recipe = run.read_recipe()
    if recipe.all_data:
        fold_of, count = np.full(len(session.index.train), -1), 1
    else:
        if not run.folds_file.exists():
            _write_run_folds(session, run, recipe)
        folds = read_folds(run.folds_file, competition=session.name)
        fold_of, count = _fold_of_rows(folds, session.index), folds.count
    numbers, skipped = _chosen(count, options.only_fold), read_skipped(run)
    return tuple(_build_fold(session, run, recipe, fold_of, number, skipped) for number in numbers)


def preview_fold(session: Session, recipe: Recipe, options: TrainOptions, *, keeps_split: bool = True) -> FoldRun:
    """The first fold, for the LR finder and the time budget; no run is written, and without `keeps_split` no split."""
    if keeps_split or session.folds_file.exists():
        fold_of = _fold_of_rows(shared_folds(session, recipe), session.index)
    else:
        fold_of = split_rows(session.index, SplitPlan(folds=recipe.folds))
    no_run = Run(session.name, "", session.cache_dir / "preview")
    return _build_fold(session, no_run, recipe, fold_of, 0, check_images(session, options))


def copy_score(session: Session, run: Run) -> None:
    """Copy the score of the run that this one refits on all data: it has no validation rows of its own."""
    original = find_run(session.workspace, run.competition, run.read_refit_of())
    score = original.read_score()
    if score is None:
        raise UsageError(
            f"{run.name} is a refit of {original.name} and keeps its score, but {original.name} has no score yet",
            fix=session.command("predict", "--run", original.name),
        )
    score["refit_of"] = original.name
    run.write_score(score)


def copy_choices(original: Run, run: Run) -> None:
    """Copy the lrs and the strengths that were found, and the skipped images: a refit trains with the same ones."""
    copy_skipped(original, run)
    copy_strengths(original, run)
    for path in original.fold_dir(0).glob("find-lr-*.json"):
        write_json(run.fold_dir(0) / path.name, asdict(read_lr_file(path)), format=LR_FORMAT)


def check_only_fold(session: Session, recipe: Recipe, options: TrainOptions, run: Run | None = None) -> None:
    """Raise a UsageError if the fold of `--only-fold` does not exist in the run, or in a new run of the recipe."""
    if options.only_fold is not None:
        count = fold_count(run, recipe) if run is not None else _planned_count(session, recipe)
        if count == 1:
            raise UsageError(
                f"--only-fold {options.only_fold}: there are no folds to choose from, only one holdout",
                fix="leave --only-fold out, or train folds with --folds N",
            )
        _chosen(count, options.only_fold)


def _planned_count(session: Session, recipe: Recipe) -> int:
    """The number of folds of a new run."""
    if recipe.all_data:
        return 1
    if recipe.folds is not None:
        return recipe.folds
    return read_folds(session.folds_file, competition=session.name).count if session.folds_file.exists() else 1


def _chosen(count: int, only_fold: int | None) -> list[int]:
    if only_fold is None:
        return list(range(count))
    if not 0 <= only_fold < count:
        names = "fold 0 alone" if count == 1 else f"folds 0 to {count - 1}"
        raise UsageError(f"there is no fold {only_fold}: the run has {names}", fix=again("--only-fold", count - 1))
    return [only_fold]


def _build_fold(
    session: Session, run: Run, recipe: Recipe, fold_of: NDArray[np.int64], number: int, skipped: SkippedImages
) -> FoldRun:
    return FoldRun(session, run, recipe, number, fold_of, _start(session, recipe, fold_of, number), skipped)


def _write_run_folds(session: Session, run: Run, recipe: Recipe) -> None:
    """The shared split if it has as many folds as the recipe wants, else one of the run's own."""
    with locked_folds(session.folds_file):
        shared = shared_folds(session, recipe)
        if recipe.folds in (None, shared.count):
            copy_folds(shared.path, run.folds_file)
            return
    log.info(f"the shared split has other folds: {run.name} gets its own split into {recipe.folds}")
    write_split(session.index, SplitPlan(folds=recipe.folds), run.folds_file)


def shared_folds(session: Session, recipe: Recipe) -> Folds:
    """The split that all runs share, made by this recipe if it is the first to need one."""
    return ensure_split(session.index, SplitPlan(folds=recipe.folds), session.folds_file, competition=session.name)


def _fold_of_rows(folds: Folds, index: Index) -> NDArray[np.int64]:
    return folds.for_rows(index.train["id"].tolist(), index.train["label"].tolist())


def _with_snapshot(session: Session, from_run: str) -> str:
    """RUN or RUN:SNAPSHOT as RUN:SNAPSHOT; a UsageError if there is no such snapshot."""
    run_name, _, wanted = from_run.partition(":")
    run = find_run(session.workspace, session.name, run_name)
    names = [snapshot.name for snapshot in read_snapshots(run.fold_dir(0))]
    if not names or (wanted and wanted not in names):
        raise UsageError(
            f"run {run_name} has no snapshot {wanted!r}" if wanted else f"run {run_name} has no snapshot yet",
            where=f"{run.fold_dir(0)} holds {', '.join(names) or 'none'}",
            fix=again("--from-run", f"{run_name}:{names[-1]}") if names else session.command("runs"),
        )
    return f"{run_name}:{wanted or names[-1]}"


def _start(session: Session, recipe: Recipe, fold_of: NDArray[np.int64], number: int) -> StartWeights | None:
    """The snapshot that a fold starts from; refused if it was trained on the fold's validation rows."""
    if recipe.from_run is None:
        return None
    run_name, _, name = recipe.from_run.partition(":")
    run = find_run(session.workspace, session.name, run_name)
    source = run.read_recipe()
    if source.backbone != recipe.backbone:
        raise UsageError(
            f"{run_name} trained {source.backbone}, not {recipe.backbone}", fix=again("--backbone", source.backbone)
        )
    if not recipe.all_data and not _same_validation_rows(session, run, source, fold_of, number):
        raise UsageError(
            f"{run_name} was trained on validation rows of this run: the score would be too good",
            where=run.folds_file,
            fix="start from a run with the same folds, or from pretrained weights",
        )
    for snapshot in read_snapshots(run.fold_dir(number)):
        if snapshot.name == name:
            return StartWeights(weights_file(run.fold_dir(number), snapshot), snapshot.sha256, snapshot.size)
    raise UsageError(
        f"fold {number} of {run_name} has no {name}",
        where=run.fold_dir(number),
        fix=session.command("train", "--run", run_name, "--resume"),
    )


def _same_validation_rows(session: Session, run: Run, source: Recipe, fold_of: NDArray[np.int64], number: int) -> bool:
    """Whether every validation row of this fold was one of the other run's fold."""
    if source.all_data:
        return False
    valid = _fold_of_rows(read_folds(run.folds_file, competition=run.competition), session.index) == number
    return bool((valid | (fold_of != number)).all())
