"""All steps in order: `run` for a host's competition, `demo` on practice data, `rehearse` on a part of the labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from runner.commands import TYPED
from runner.console import log
from runner.contract import Recipe
from runner.data.splits import SplitPlan, ensure_split
from runner.errors import Interrupted, RunnerError
from runner.hosts.submit import SubmitResult, needs_notebook, require_open
from runner.images.views import choose_views
from runner.options import NotebookOptions, PredictOptions, RehearsalOptions, SubmitOptions, TrainOptions
from runner.practice.build import build_practice
from runner.practice.recipes import practice_recipe
from runner.practice.rehearsal import build_rehearsal, rehearsal_workspace
from runner.practice.rehearsal_result import RehearsalResult, find_leaderboard, score_rehearsal
from runner.prediction.score import Score
from runner.remote.submit import submit_notebook
from runner.remote.train import OnHost, train_on_host
from runner.session import Session
from runner.steps.download import download, is_downloaded
from runner.steps.predict import predict
from runner.steps.submit import submit
from runner.steps.train import is_refitted_in_seconds, refit, train
from runner.training.distributed import broadcast_from_main, get_accelerator
from runner.training.run import Run, find_runs
from runner.workspace import write_json

Result = TypeVar("Result")


@dataclass(frozen=True)
class RunOptions:
    """How `run` trains, predicts and submits, and where the data comes from if it is not here."""

    train: TrainOptions = TrainOptions()
    predict: PredictOptions = PredictOptions()
    submit: SubmitOptions = SubmitOptions()
    source: Path | None = None  # a folder or archive on this disk instead of the host
    new: bool = False  # train a new run even if there is one of this recipe
    refit: bool = True  # on all labelled rows for the submission, where that takes seconds
    notebook: NotebookOptions = NotebookOptions()  # where only notebooks may submit, and for a training there
    on_host: bool = False  # train and predict on the host's machines


@dataclass(frozen=True)
class PredictedRun:
    """A run with its score and its submission file."""

    run: Run
    score: Score
    path: Path


@dataclass(frozen=True)
class SubmittedRun(PredictedRun):
    """The same, submitted."""

    result: SubmitResult


def run_until_submission(
    session: Session,
    recipe: Recipe,
    options: RunOptions = RunOptions(),
    *,
    name: str | None = None,
) -> PredictedRun:
    """Download, train and predict; finished steps are not repeated."""
    _check_tta(session, options.predict)
    if not _on_main(session, lambda: is_downloaded(session)):
        _on_main(session, lambda: download(session, options.source))
    if options.on_host:
        run = _train_there(session, recipe, options, name)
    else:
        run = train(session, recipe, options.train, name=name, new=options.new)
    with _interruption_keeps(run):
        path = predict(session, run, options.predict)
        if options.refit and options.train.only_fold is None and is_refitted_in_seconds(run):
            # Its score stays the one of the run before, whose validation rows it has learned from.
            run = refit(session, run, replace(options.train, time_budget=None))
            path = predict(session, run)
    score = run.read_score()
    assert score is not None
    return PredictedRun(run, Score(**score["cv"]), path)


def _train_there(session: Session, recipe: Recipe, options: RunOptions, name: str | None) -> Run:
    """The run, trained and predicted on the host's machines; a RunnerError if another session has to go on with it."""
    refits = options.refit and options.train.only_fold is None
    on = OnHost(options.notebook, options.predict, refits)
    hosted = train_on_host(session, recipe, options.train, on, name=name, new=options.new)
    if hosted.run is None or not hosted.is_complete:
        raise RunnerError(f"{hosted.name} is not finished: its session has reached its limit", fix=f"`{TYPED}`")
    return hosted.run


def run_and_submit(
    session: Session,
    recipe: Recipe,
    options: RunOptions = RunOptions(),
    *,
    name: str | None = None,
) -> SubmittedRun:
    """Everything, to the standing on the leaderboard; finished steps are not repeated."""
    _check_tta(session, options.predict)
    # Before hours of training, not after them.
    info = _on_main(session, lambda: require_open(session.host, session.competition, by_notebook=True))
    by_notebook = needs_notebook(session.host, session.competition, info)
    if by_notebook:
        log.info(f"{info.title} takes notebooks only: at the end one is uploaded that predicts with this run")
    predicted = run_until_submission(session, recipe, options, name=name)
    with _interruption_keeps(predicted.run):
        result = _on_main(session, lambda: _submit(session, predicted.run, options, by_notebook))
    return SubmittedRun(predicted.run, predicted.score, predicted.path, result)


def _submit(session: Session, run: Run, options: RunOptions, by_notebook: bool) -> SubmitResult:
    if by_notebook:
        return submit_notebook(session, run, options.submit, options.notebook)
    return submit(session, run, options.submit)


def demo(session: Session, *, notebooks: bool = False) -> SubmittedRun:
    """Everything on practice data, with a network small enough for two cores and a minute.

    With `notebooks` the practice host takes notebooks only, and runs them on a hidden test set.
    """
    _on_main(session, lambda: build_practice(session, notebooks=notebooks))
    return run_and_submit(session, practice_recipe(session.competition), name="demo")


def rehearse(
    session: Session,
    recipe: Recipe,
    options: RehearsalOptions,
    run_options: RunOptions = RunOptions(),
    *,
    leaderboard: Path | None = None,
    force: bool = False,
) -> tuple[SubmittedRun, RehearsalResult]:
    """Run everything on a part of the labelled rows, and score it on the hidden rest.

    With `force` an earlier rehearsal of the same rows is removed first, with its runs.
    """
    rank_on = find_leaderboard(session, leaderboard)
    rehearsal = Session(session.competition, rehearsal_workspace(session, options), "practice", session.compute)
    hidden = _on_main(session, lambda: build_rehearsal(session, rehearsal, options, force=force))
    _on_main(session, lambda: _split_by_seed(rehearsal, recipe, options))
    name, recipe = _rehearsal_run(rehearsal, recipe)
    submitted = run_and_submit(rehearsal, recipe, run_options, name=name)
    result = score_rehearsal(rehearsal, submitted.path, submitted.score, hidden, rank_on)
    _on_main(session, lambda: write_json(submitted.run.folder / "rehearsal.json", result.to_dict(), format=1))
    return submitted, result


@contextmanager
def _interruption_keeps(run: Run) -> Iterator[None]:
    """Say of a Ctrl-C within the block that the run is trained already."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"{run.name} is trained and kept") from None


def _on_main(session: Session, step: Callable[[], Result]) -> Result:
    get_accelerator(session.compute)
    return broadcast_from_main(step)


def _check_tta(session: Session, options: PredictOptions) -> None:
    """Refuse unknown views now, not after training."""
    choose_views(session.competition.preset, options.tta)


def _split_by_seed(rehearsal: Session, recipe: Recipe, options: RehearsalOptions) -> None:
    """Split by the rehearsal's seed: with one split for all seeds, all rehearsals would share validation rows."""
    plan = SplitPlan(folds=recipe.folds, seed=options.seed)
    ensure_split(rehearsal.index, plan, rehearsal.folds_file, competition=rehearsal.name)


def _rehearsal_run(rehearsal: Session, recipe: Recipe) -> tuple[str, Recipe]:
    """A run name that is the recipe's hash, so that the same rehearsal goes on; and the recipe of that run if begun."""
    name = f"rehearsal-{hashlib.sha256(json.dumps(recipe.to_dict()).encode()).hexdigest()[:8]}"
    begun = [run for run in find_runs(rehearsal.workspace, rehearsal.name) if run.name == name]
    # A time budget was resolved then, and would come out a little different now.
    return name, begun[0].read_recipe() if begun else recipe
