"""Put together what a run trains on: its recipe with nothing left open, its folds, its starting point."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import log
from runner.contract import Competition, Recipe
from runner.data.folds import Folds, copy_folds, read_folds, shared_folds
from runner.data.index import Index
from runner.data.splits import SplitPlan, write_split
from runner.errors import UsageError
from runner.training.distributed import broadcast_from_main, main_process_first
from runner.training.fold import FoldRun, Machine
from runner.training.model import check_weights_file
from runner.training.run import Run, find_run, fingerprint
from runner.training.snapshots import read_snapshots
from runner.training.time_budget import fit_to_budget, measure_costs, seconds_of
from runner.workspace import Workspace, read_json, write_json


def resolve_recipe(
    recipe: Recipe,
    competition: Competition,
    workspace: Workspace,
    index: Index,
    machine: Machine,
    accelerator: Accelerator,
) -> Recipe:
    """The recipe with nothing left open: which weights file, which snapshot, and what fits into the time."""
    recipe = _with_weights(recipe, machine.weights)
    if recipe.from_run is not None:
        recipe = replace(recipe, from_run=_whole_name(recipe.from_run, workspace, competition))
    if machine.minutes is None:
        return recipe
    fold = main_process_first(accelerator, lambda: preview_fold(competition, workspace, index, recipe))
    # Every process takes its part in the measuring; they would differ by a little, so one of them decides.
    costs = measure_costs(fold, machine, accelerator)
    costs = broadcast_from_main(accelerator, lambda: costs)
    plan = fit_to_budget(recipe, costs, machine.minutes * 60)
    minutes = seconds_of(plan, costs) / 60
    log.info(f"the plan for {machine.minutes:g} minutes: {plan.summary}, about {minutes:.1f} of training")
    return plan


def build_folds(competition: Competition, workspace: Workspace, index: Index, run: Run) -> tuple[FoldRun, ...]:
    """The run's folds: its own folds.csv, made from the shared one so that runs can be compared."""
    recipe = run.read_recipe()
    if recipe.all_data:
        return (_fold(competition, workspace, index, recipe, run, np.full(len(index.train), -1), 0),)
    if not run.folds_file.exists():
        _split_for(run, recipe, index, shared_folds(workspace, competition))
    folds = read_folds(run.folds_file, competition=competition.name)
    fold_of = _fold_of_rows(folds, index)
    return tuple(_fold(competition, workspace, index, recipe, run, fold_of, number) for number in range(folds.count))


def preview_fold(competition: Competition, workspace: Workspace, index: Index, recipe: Recipe) -> FoldRun:
    """The first fold as a run of this recipe would have it, for what only looks and keeps nothing."""
    shared = shared_folds(workspace, competition)
    if not shared.exists():
        write_split(index, SplitPlan(folds=recipe.folds), shared)
    fold_of = _fold_of_rows(read_folds(shared, competition=competition.name), index)
    nowhere = Run(competition.name, "", workspace.cache_dir(competition.name) / "inference_autocast")
    return _fold(competition, workspace, index, recipe, nowhere, fold_of, 0)


def copy_score(workspace: Workspace, run: Run) -> None:
    """The score of a run on all data is the one of the run it refit_of, and says so."""
    original = find_run(workspace, run.competition, run.read_recipe().refit_of)
    score = original.read_score()
    if score is None:
        raise UsageError(
            f"{run.name} has the score of {original.name}, which is not predicted yet",
            fix=f"runner {run.competition} predict --run {original.name}",
        )
    write_json(run.score_file, {**score, "refit_of": original.name})


def copy_findings(original: Run, run: Run) -> None:
    """The rates that the finder found are part of the steps that are repeated."""
    for path in original.fold_dir(0).glob("find-lr-*.json"):
        write_json(run.fold_dir(0) / path.name, read_json(path))


def _fold(
    competition: Competition,
    workspace: Workspace,
    index: Index,
    recipe: Recipe,
    run: Run,
    fold_of: NDArray[np.int64],
    number: int,
) -> FoldRun:
    return FoldRun(
        competition=competition,
        recipe=recipe,
        index=index,
        number=number,
        train_rows=np.flatnonzero(fold_of != number),
        valid_rows=np.flatnonzero(fold_of == number),
        folder=run.fold_dir(number),
        log_file=run.log_file,
        cache=workspace.cache_dir(competition.name),
        start=_start(recipe, competition, workspace, index, fold_of, number),
    )


def _split_for(run: Run, recipe: Recipe, index: Index, shared: Path) -> None:
    """The shared split where it has as many folds as the recipe asks for, else one of the run's own."""
    if not shared.exists():
        write_split(index, SplitPlan(folds=recipe.folds), shared)
    if recipe.folds in (None, read_folds(shared).count):
        copy_folds(shared, run.folds_file)
    else:
        log.info(f"the shared split has other folds: {run.name} gets a split of its own, of {recipe.folds}")
        write_split(index, SplitPlan(folds=recipe.folds), run.folds_file)


def _fold_of_rows(folds: Folds, index: Index) -> NDArray[np.int64]:
    return folds.for_rows(index.train["id"].tolist(), index.train["label"].tolist())


def _with_weights(recipe: Recipe, weights: Path | None) -> Recipe:
    """The recipe says which file it starts from; going on with a run, it must be the same."""
    if weights is None:
        return recipe
    given = fingerprint(check_weights_file(weights))
    if recipe.weights not in (None, given):
        raise UsageError(
            f"the run started from other weights: {recipe.weights}, and not {given}",
            where=weights,
            fix="name the file that it started from",
        )
    return replace(recipe, weights=given)


def _whole_name(name: str, workspace: Workspace, competition: Competition) -> str:
    """RUN or RUN:SNAPSHOT as RUN:SNAPSHOT, after a look that it is there."""
    run_name, _, wanted = name.partition(":")
    run = find_run(workspace, competition.name, run_name)
    names = [snapshot.name for snapshot in read_snapshots(run.fold_dir(0))]
    if not names or (wanted and wanted not in names):
        raise UsageError(
            f"run {run_name} has no snapshot {wanted!r}" if wanted else f"run {run_name} has no snapshot yet",
            where=f"{run.fold_dir(0)} holds {', '.join(names) or 'none'}",
            fix=f"--from-run {run_name}:{names[-1]}" if names else f"runner {competition.name} runs",
        )
    return f"{run_name}:{wanted or names[-1]}"


def _start(
    recipe: Recipe,
    competition: Competition,
    workspace: Workspace,
    index: Index,
    fold_of: NDArray[np.int64],
    number: int,
) -> Path | None:
    """The snapshot to start a fold from; refused where it has learned from rows that this fold holds out."""
    if recipe.from_run is None:
        return None
    run_name, _, snapshot = recipe.from_run.partition(":")
    run = find_run(workspace, competition.name, run_name)
    theirs = run.read_recipe()
    if theirs.backbone != recipe.backbone:
        raise UsageError(
            f"{run_name} trained {theirs.backbone}, and not {recipe.backbone}", fix=f"--model {theirs.backbone}"
        )
    if not recipe.all_data and not _held_out_the_same(run, theirs, index, fold_of, number):
        raise UsageError(
            f"{run_name} has learned from rows that this run holds out: its score would flatter",
            where=run.folds_file,
            fix="start from a run with the same folds, or from pretrained weights",
        )
    return run.fold_dir(number) / f"{snapshot}.safetensors"


def _held_out_the_same(run: Run, theirs: Recipe, index: Index, fold_of: NDArray[np.int64], number: int) -> bool:
    """Whether every row that this fold holds out was held out by theirs."""
    if theirs.all_data:
        return False
    held_out = _fold_of_rows(read_folds(run.folds_file, competition=run.competition), index) == number
    return bool((held_out | ~(fold_of == number)).all())
