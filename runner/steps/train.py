"""Train a run: every fold of a recipe, or a refit of a finished run on all labelled rows."""

from __future__ import annotations

from dataclasses import replace

from runner.contract import Recipe
from runner.errors import RunnerError
from runner.options import TrainOptions
from runner.session import Session
from runner.steps.machine import machine_of
from runner.training.distributed import broadcast_from_main, build_accelerator, main_process_first
from runner.training.fold import Machine
from runner.training.folds import build_folds, copy_findings, resolve_recipe
from runner.training.model import check_backbone
from runner.training.ray import check_engine, train_on_ray
from runner.training.run import Run, discard_unbegun, start_run
from runner.training.tracking import check_tracker, start_tracking, stop_tracking
from runner.training.train import train_fold


def train(
    session: Session,
    recipe: Recipe,
    options: TrainOptions = TrainOptions(),
    *,
    name: str | None = None,
) -> Run:
    """Train every fold of the recipe; the same call goes on with an interrupted run of that name."""
    machine = machine_of(session, options)
    check_backbone(recipe.backbone)
    check_tracker(machine.tracker)
    check_engine(machine)
    accelerator = build_accelerator(machine.device)
    recipe = resolve_recipe(recipe, session.competition, session.workspace, session.index, machine, accelerator)
    run = broadcast_from_main(accelerator, lambda: start_run(session.workspace, session.name, recipe, name))
    start_tracking(accelerator, machine.tracker, run, recipe)
    try:
        _train_folds(session, run, machine)
    except RunnerError:
        if accelerator.is_main_process:
            discard_unbegun(run)
        raise
    finally:
        stop_tracking(accelerator)
    return run


def _train_folds(session: Session, run: Run, machine: Machine) -> None:
    accelerator = build_accelerator(machine.device)
    competition, workspace, index = session.competition, session.workspace, session.index
    folds = main_process_first(accelerator, lambda: build_folds(competition, workspace, index, run))
    chosen = [fold for fold in folds if machine.only_fold in (None, fold.number)]
    if machine.on:
        train_on_ray(competition, workspace, run.name, [fold.number for fold in chosen], machine)
        return
    for fold in chosen:
        train_fold(fold, machine, accelerator)


def refit(session: Session, original: Run, options: TrainOptions = TrainOptions()) -> Run:
    """Repeat a run's steps on all labelled rows; its score stays the one of the original."""
    recipe = replace(original.read_recipe(), all_data=True, refit_of=original.name, folds=None)
    name = f"{original.name}-all"
    run = Run(session.name, name, session.workspace.run_dir(session.name, name))
    broadcast_from_main(build_accelerator(session.compute.device), lambda: copy_findings(original, run))
    return train(session, recipe, options, name=name)
