"""Train a run: every fold of a recipe, or a refit of a finished run on all labelled rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from runner.contract import Recipe
from runner.errors import RunnerError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.distributed import broadcast_from_main, entered_by_main, get_accelerator, main_process_first
from runner.training.folds import build_folds, copy_choices, resolve_recipe
from runner.training.log import check_tracker, start_tracking, stop_tracking
from runner.training.model import check_backbone
from runner.training.ray import check_engine, train_on_ray
from runner.training.run import Run, hold_run, remove_unstarted_run, started_run
from runner.training.trainer import train_fold
from runner.training.unreadable import skip_images
from runner.workspace import locked


def train(
    session: Session,
    recipe: Recipe,
    options: TrainOptions = TrainOptions(),
    *,
    name: str | None = None,
) -> Run:
    """Train every fold of the recipe; the same call goes on with an interrupted run of that name."""
    check_backbone(recipe.backbone)
    check_tracker(options.tracker)
    check_engine(options)
    accelerator = get_accelerator(session.compute)
    recipe = resolve_recipe(session, recipe, options)
    with entered_by_main(lambda: _training(session, recipe, options, name)) as run:
        start_tracking(accelerator, options.tracker, run, recipe)
        try:
            _train_folds(session, run, options)
        finally:
            stop_tracking(accelerator)
    return run


@contextmanager
def _training(session: Session, recipe: Recipe, options: TrainOptions, name: str | None) -> Iterator[Run]:
    """The locked run; removed again if an error comes before its first epoch."""
    run = None
    try:
        with started_run(session.workspace, session.name, recipe, name, "train", options.only_fold) as run:
            yield run
    except RunnerError:
        if run is not None:
            remove_unstarted_run(run)
        raise


def _train_folds(session: Session, run: Run, options: TrainOptions) -> None:
    with entered_by_main(lambda: locked(run.setup_lock)):  # other folds of the run may start at the same time
        broadcast_from_main(lambda: skip_images(session, run, options))
        folds = main_process_first(lambda: build_folds(session, run, options))
    if options.engine:
        train_on_ray(session, run.name, [fold.number for fold in folds], options)
        return
    for fold in folds:
        train_fold(fold, options)


def refit(session: Session, original: Run, options: TrainOptions = TrainOptions()) -> Run:
    """Repeat a run's steps on all labelled rows; its score stays the one of the original."""
    recipe = replace(original.read_recipe(), all_data=True, refit_of=original.name, folds=None)
    name = f"{original.name}-all"
    run = Run(session.name, name, session.workspace.run_dir(session.name, name))
    get_accelerator(session.compute)
    with entered_by_main(lambda: hold_run(run, session.command("train", "--all-data", "--run", original.name))):
        broadcast_from_main(lambda: copy_choices(original, run))
        return train(session, recipe, options, name=name)
