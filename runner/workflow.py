"""Every step in order: for a host's competition, for practice, and as a rehearsal on a part of the labelled rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.contract import Competition, Recipe
from runner.contract.labels import aliases
from runner.data.download import data_folder, download, is_downloaded
from runner.data.folds import shared_folds
from runner.data.write_split import SplitPlan
from runner.hosts.open_host import open_host
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import FileSource, Host
from runner.hosts.submit import SubmitResult, require_open
from runner.pipeline import predict, read_index, split, submit, train
from runner.practice.rehearsal import RehearsalOptions, build_rehearsal, rehearsal_workspace
from runner.practice.rehearsal_result import RehearsalResult, find_board, score_rehearsal
from runner.prediction.score import Score
from runner.training.run import Run, find_runs
from runner.workspace import Workspace, write_json

# As in `pipeline`: what stands on torch is imported by the steps that need it.
if TYPE_CHECKING:
    from runner.prediction.predict import Asked
    from runner.training.fold import Machine

# Where the data comes from, asked for only where it is not here yet: opening a host may need an account.
DataSource = Callable[[], Path | FileSource]


@dataclass(frozen=True)
class PredictedRun:
    """A run and its submission file."""

    run: Run
    score: Score
    path: Path


@dataclass(frozen=True)
class SubmittedRun(PredictedRun):
    """What the whole line left behind."""

    outcome: SubmitResult


def run_to_submission(
    competition: Competition,
    workspace: Workspace,
    source: DataSource,
    recipe: Recipe,
    *,
    name: str | None,
    machine: Machine,
    asked: Asked | None = None,
) -> PredictedRun:
    """Everything up to the submission file, in order. Steps that are done already are not done again."""
    from runner.training.distributed import broadcast_from_main, build_accelerator

    _check_views(competition, asked)
    accelerator = build_accelerator(machine.device)
    if not broadcast_from_main(accelerator, lambda: is_downloaded(competition, workspace)):
        broadcast_from_main(accelerator, lambda: download(competition, workspace, source()))
    run = train(competition, workspace, recipe, name=name, machine=machine)
    path = predict(competition, workspace, run, machine=machine, asked=asked)
    score = run.read_score()
    assert score is not None
    return PredictedRun(run, Score(**score["cv"]), path)


def run_to_standing(
    competition: Competition,
    workspace: Workspace,
    host: Host,
    recipe: Recipe,
    *,
    name: str | None,
    machine: Machine,
    source: DataSource | None = None,
    message: str = "",
    asked: Asked | None = None,
) -> SubmittedRun:
    """Everything, in order, to the standing. Steps that are done already are not done again."""
    from runner.training.distributed import broadcast_from_main, build_accelerator

    _check_views(competition, asked)
    accelerator = build_accelerator(machine.device)
    # Whether the host would take a file at all is asked before a night is spent on making one.
    broadcast_from_main(accelerator, lambda: require_open(host, competition))
    written = run_to_submission(
        competition, workspace, source or (lambda: host), recipe, name=name, machine=machine, asked=asked
    )
    run = written.run
    outcome = broadcast_from_main(
        accelerator, lambda: submit(competition, workspace, host, run, message=message, wait=True)
    )
    return SubmittedRun(run, written.score, written.path, outcome)


def _check_views(competition: Competition, asked: Asked | None) -> None:
    """A slip in the views is told now, not after training."""
    from runner.images.views import choose_views
    from runner.prediction.predict import Asked

    choose_views(competition.preset, (asked or Asked()).views)


def run_demo(competition: Competition, workspace: Workspace, host_name: str = "practice") -> SubmittedRun:
    """The whole line on practice data, with a network small enough for two cores and a minute.

    With the host `http` the data and the submission travel as they do to and from Kaggle.
    """
    from runner.practice.build import build_practice
    from runner.practice.recipes import practice_recipe
    from runner.training.distributed import broadcast_from_main, build_accelerator
    from runner.training.fold import Machine, default_workers

    machine = Machine(workers=default_workers())
    broadcast_from_main(build_accelerator(machine.device), lambda: build_practice(competition, workspace))
    host = open_host(host_name, competition, workspace)
    recipe = practice_recipe(competition)
    return run_to_standing(competition, workspace, host, recipe, name="demo", machine=machine)


def rehearse(
    competition: Competition,
    workspace: Workspace,
    recipe: Recipe,
    *,
    hiding: RehearsalOptions,
    machine: Machine,
    asked: Asked | None = None,
    leaderboard: Path | None = None,
) -> tuple[SubmittedRun, RehearsalResult]:
    """The whole line on a part of the labelled rows, graded on the rest, which nothing of it has seen."""
    from runner.training.distributed import broadcast_from_main, build_accelerator

    board = find_board(competition, leaderboard, workspace.leaderboards_dir(competition.name))
    index = read_index(competition, workspace)
    ground = rehearsal_workspace(workspace, competition, hiding)
    accelerator = build_accelerator(machine.device)
    rows = broadcast_from_main(accelerator, lambda: build_rehearsal(competition, index, ground, hiding))
    broadcast_from_main(accelerator, lambda: _split_by_seed(competition, ground, recipe, hiding))
    host = PracticeHost(competition, ground.practice_host_dir(competition.name))
    name, recipe = _rehearsal_run(ground, competition, recipe)
    line = run_to_standing(competition, ground, host, recipe, name=name, machine=machine, asked=asked)
    sample = data_folder(competition, ground) / aliases(competition.sample_submission)[0]
    verdict = score_rehearsal(
        competition, line.score, line.path, rows, sample=sample, classes=index.classes, board=board
    )
    broadcast_from_main(accelerator, lambda: write_json(line.run.folder / "rehearsal.json", verdict.to_dict()))
    return line, verdict


def _split_by_seed(competition: Competition, ground: Workspace, recipe: Recipe, hiding: RehearsalOptions) -> None:
    """Another seed holds out other rows too: else all rehearsals would promise by the same few."""
    if not shared_folds(ground, competition).exists():
        split(competition, ground, SplitPlan(folds=recipe.folds, seed=hiding.seed))


def _rehearsal_run(ground: Workspace, competition: Competition, recipe: Recipe) -> tuple[str, Recipe]:
    """The run's name, which is its recipe's: the same rehearsal goes on where it was broken off."""
    name = f"rehearsal-{hashlib.sha256(json.dumps(recipe.to_dict()).encode()).hexdigest()[:8]}"
    known = [run for run in find_runs(ground, competition.name) if run.name == name]
    # A time budget was settled then, and would be settled a little otherwise now.
    return name, known[0].read_recipe() if known else recipe
