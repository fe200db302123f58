"""Train a run: every fold of a recipe, or a refit of a finished run on all labelled rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from runner.console import log
from runner.contract import Recipe
from runner.contract.outputs import loss_error
from runner.errors import Interrupted, UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.distributed import broadcast_from_main, entered_by_main, get_accelerator, main_process_first
from runner.training.folds import build_folds, check_only_fold, copy_choices, fit_into_time, resolve_start
from runner.training.log import check_tracker, start_tracking, stop_tracking
from runner.training.model import check_backbone, tell_licence
from runner.training.progress import Progress, fold_count, read_progress
from runner.training.ray import check_engine, train_on_ray
from runner.training.request import Request, check_same_data, check_same_request, find_requested
from runner.training.run import Run, existing_run, find_run, remove_unstarted_run, started_run
from runner.training.trainer import train_fold
from runner.training.unreadable import skip_images
from runner.workspace import locked


def train(
    session: Session,
    recipe: Recipe,
    options: TrainOptions = TrainOptions(),
    *,
    name: str | None = None,
    new: bool = False,
) -> Run:
    """Train every fold of the recipe. The same call again goes on with its run, or finds it finished, unless `new`."""
    _check_machine(session, options)
    check_recipe(session, recipe)
    recipe, options = main_process_first(lambda: resolve_start(session, recipe, options))
    check_only_fold(session, recipe, options)
    request = broadcast_from_main(lambda: Request.of(session, recipe, options))
    run = broadcast_from_main(lambda: begun_run(session, request, name, new))
    if run is not None:
        _go_on(session, run, options, hint="" if name else "; --new trains another")
        return run
    tell_licence(recipe)
    plan = fit_into_time(session, recipe, options)
    return _train_run(session, plan, options, name, request)


def resume(session: Session, run: Run, options: TrainOptions = TrainOptions()) -> None:
    """Go on with a run by its own recipe."""
    recipe = run.read_recipe()
    _check_machine(session, options)
    check_only_fold(session, recipe, options, run)
    broadcast_from_main(lambda: check_same_data(session, run))
    _, options = main_process_first(lambda: resolve_start(session, recipe, options))
    _go_on(session, run, options)


def refit(session: Session, original: Run, options: TrainOptions = TrainOptions()) -> Run:
    """Repeat a run's steps on all labelled rows; its score stays the one of the original."""
    recipe = refit_recipe(session, original)
    _check_machine(session, options)
    recipe, options = main_process_first(lambda: resolve_start(session, recipe, options))
    request = broadcast_from_main(lambda: Request.of(session, recipe, options))
    name = f"{original.name}-all"
    run = broadcast_from_main(lambda: begun_run(session, request, name, new=False))
    if run is not None:
        _go_on(session, run, options)
        return run
    return _train_run(session, recipe, options, name, request)


def refit_recipe(session: Session, original: Run) -> Recipe:
    """The recipe of a run's refit; a UsageError if the run is one itself."""
    recipe = original.read_recipe()
    if recipe.all_data:
        raise UsageError(
            f"{original.name} is trained on all labelled rows already",
            fix=session.command("predict", "--run", original.name),
        )
    return replace(recipe, all_data=True, refit_of=original.name, folds=None)


def check_recipe(session: Session, recipe: Recipe) -> None:
    """Refuse a backbone that there is not, and a recipe, perhaps of another competition's run, of other labels."""
    check_backbone(recipe)
    error = loss_error(session.competition.labels, recipe.loss)
    if error:
        raise UsageError(error, where=session.name, fix="leave Recipe.loss and --label-smoothing out")


def begun_run(session: Session, request: Request, name: str | None, new: bool) -> Run | None:
    """The run to go on with: the one of that name, or one that was asked for the same; None if a new one is wanted."""
    if name is None:
        return None if new else find_requested(session, request)
    run = existing_run(session.workspace, session.name, name)
    if run is None:
        return None
    if new:
        raise UsageError(
            f"run {name!r} exists already, and --new asks for another",
            where=run.folder,
            fix="another --run NAME, or leave --new out",
        )
    if run.read_members():
        raise UsageError(f"run {name!r} exists already: {run.summary}", where=run.folder, fix="another --run NAME")
    check_same_request(session, run, request)
    return run


def is_refitted_in_seconds(run: Run) -> bool:
    """Whether a refit of the run on all labelled rows takes seconds: for a submission it is then made."""
    recipe = run.read_recipe()
    return recipe.is_refitted_in_seconds and fold_count(run, recipe) == 1


def _check_machine(session: Session, options: TrainOptions) -> None:
    """Refuse a tracker, an engine or a device that is not here."""
    check_tracker(options.tracker)
    check_engine(options)
    get_accelerator(session.compute)


def _go_on(session: Session, run: Run, options: TrainOptions, *, hint: str = "") -> None:
    """Train what is left of a run."""
    progress = broadcast_from_main(lambda: _progress(run, options))
    broadcast_from_main(run.recipe_file.touch)  # the run that was named last is the newest
    if progress.is_finished:
        log.info(f"{run.name} is trained already: {progress}{hint}")
        return
    log.info(f"going on with {run.name} after {progress}{hint}")
    _train_run(session, run.read_recipe(), options, run.name)


def _progress(run: Run, options: TrainOptions) -> Progress:
    return read_progress(run, None if options.only_fold is None else [options.only_fold])


def _train_run(
    session: Session, recipe: Recipe, options: TrainOptions, name: str | None, request: Request | None = None
) -> Run:
    """Train the folds of a new run, or what is left of the run of that name."""
    accelerator = get_accelerator(session.compute)
    with entered_by_main(lambda: _training(session, recipe, options, name, request)) as run:
        start_tracking(accelerator, options.tracker, run, recipe)
        try:
            _train_folds(session, run, options)
        finally:
            stop_tracking(accelerator)
    return run


@contextmanager
def _training(
    session: Session, recipe: Recipe, options: TrainOptions, name: str | None, request: Request | None
) -> Iterator[Run]:
    """The locked run; removed again if it ends before its first epoch."""
    run = None
    asked = None if request is None else request.to_dict()
    try:
        with started_run(session.workspace, session.name, recipe, name, "train", options.only_fold, asked) as run:
            if recipe.refit_of is not None:
                copy_choices(find_run(session.workspace, session.name, recipe.refit_of), run)
            yield run
    except BaseException as error:
        if run is not None:
            remove_unstarted_run(run)
            if isinstance(error, KeyboardInterrupt):
                raise _interrupted(run) from None
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


def _interrupted(run: Run) -> Interrupted:
    if not run.recipe_file.exists():
        return Interrupted("no epoch was finished, so no run is kept", is_kept=False)
    return Interrupted(f"{run.name} keeps {read_progress(run)}")
