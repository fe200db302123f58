"""--track: every epoch's log line goes to a tracker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import Competition
from runner.data.download import download
from runner.errors import UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training import log as log_module
from runner.training.distributed import get_accelerator
from runner.training.folds import build_folds
from runner.training.log import check_tracker, read_log, start_tracking, stop_tracking
from runner.training.run import Run
from runner.training.trainer import train_fold
from runner.workspace import Workspace
from tests.builders import start_run
from tests.training.conftest import CPU


@pytest.fixture
def session(tiny_competition: Competition, shapes_folder: Path, workspace_folder: Path) -> Session:
    workspace = Workspace(workspace_folder)
    download(tiny_competition, workspace, shapes_folder)
    return Session(tiny_competition, workspace, compute=CPU)


def train(session: Session, name: str, tracker: str | None) -> Run:
    """Train fold 0 of the competition's recipe, followed by a tracker."""
    accelerator = get_accelerator(session.compute)
    run = start_run(session.workspace, session.name, session.competition.recipe, name)
    start_tracking(accelerator, tracker, run, session.competition.recipe)
    try:
        (fold,) = build_folds(session, run)
        train_fold(fold, TrainOptions(tracker=tracker))
    finally:
        stop_tracking(accelerator)
    return run


def tensorboard_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, read by TensorBoard itself."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_holds_losses_scores_and_lr_of_each_epoch(session: Session) -> None:
    run = train(session, "tracked", "tensorboard")
    lines, scalars = read_log(run.log_file), tensorboard_scalars(run.folder / "tensorboard")
    assert set(scalars) == {f"fold-0/{name}" for name in ("train_loss", "valid_loss", "lr", "log_loss", "accuracy")}
    expected = {
        "fold-0/train_loss": [line["train_loss"] for line in lines],
        "fold-0/valid_loss": [line["valid_loss"] for line in lines],
        "fold-0/accuracy": [line["scores"]["accuracy"] for line in lines],
        "fold-0/lr": [line["lrs"][-1] for line in lines],
    }
    for name, values in expected.items():
        assert [step for step, _ in scalars[name]] == [0, 1, 2, 3, 4]
        assert [value for _, value in scalars[name]] == pytest.approx(values)


def test_a_resumed_run_continues_in_tensorboard(session: Session, interrupt: Callable[..., None]) -> None:
    interrupt(2, lambda: train(session, "resumed", "tensorboard"))
    run = train(session, "resumed", "tensorboard")
    steps = [step for step, _ in tensorboard_scalars(run.folder / "tensorboard")["fold-0/train_loss"]]
    assert steps == [0, 1, 2, 3, 4]


def test_without_the_flag_no_tracker_starts(session: Session) -> None:
    short = replace(session.competition.recipe, stages=session.competition.recipe.stages[:1])
    run = train(replace(session, competition=replace(session.competition, recipe=short)), "untracked", None)
    assert not (run.folder / "tensorboard").exists()


def test_a_tracker_that_is_not_installed_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError) as caught:
        check_tracker("wandb")
    assert caught.value.fix == "pip install wandb"
    check_tracker(None)
