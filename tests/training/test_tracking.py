"""--track: the log goes to the tracker that someone has, epoch by epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import Competition
from runner.errors import UsageError
from runner.options import Compute, TrainOptions
from runner.session import Session
from runner.steps.train import train
from runner.training import tracking as tracking_module
from runner.training.log import read_log
from runner.training.tracking import check_tracker
from runner.workspace import Workspace


@pytest.fixture
def workspace(tiny_competition: Competition, shapes_folder: Path, workspace_folder: Path) -> Workspace:
    from runner.data.download import download

    workspace = Workspace(workspace_folder)
    download(tiny_competition, workspace, shapes_folder)
    return workspace


def told(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard's own reader finds in a folder: name, then step and value."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_holds_each_epochs_losses_scores_and_rate(
    workspace: Workspace, tiny_competition: Competition
) -> None:
    options = TrainOptions(tracker="tensorboard")
    run = train(
        Session(tiny_competition, workspace, compute=Compute(device="cpu")),
        tiny_competition.recipe,
        options,
        name="told",
    )
    lines, found = read_log(run.log_file), told(run.folder / "tensorboard")
    assert set(found) == {f"fold-0/{name}" for name in ("train_loss", "valid_loss", "rate", "log_loss", "accuracy")}
    expected = {
        "fold-0/train_loss": [line["train_loss"] for line in lines],
        "fold-0/valid_loss": [line["valid_loss"] for line in lines],
        "fold-0/accuracy": [line["scores"]["accuracy"] for line in lines],
        "fold-0/rate": [line["rates"][-1] for line in lines],
    }
    for name, values in expected.items():
        assert [step for step, _ in found[name]] == [0, 1, 2, 3, 4]
        assert [value for _, value in found[name]] == pytest.approx(values)


def test_a_run_that_goes_on_goes_on_in_tensorboard(
    workspace: Workspace, tiny_competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runner.training import stage as stage_module

    options, recipe = TrainOptions(tracker="tensorboard"), tiny_competition.recipe
    really = stage_module._train_one

    def breaks(tools: object, epoch: object) -> object:
        if epoch.number == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return really(tools, epoch)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage_module, "_train_one", breaks)
        train(Session(tiny_competition, workspace, compute=Compute(device="cpu")), recipe, options, name="broken")
    run = train(Session(tiny_competition, workspace, compute=Compute(device="cpu")), recipe, options, name="broken")
    assert [step for step, _ in told(run.folder / "tensorboard")["fold-0/train_loss"]] == [0, 1, 2, 3, 4]


def test_without_the_flag_no_tracker_is_begun(workspace: Workspace, tiny_competition: Competition) -> None:
    recipe = replace(tiny_competition.recipe, stages=tiny_competition.recipe.stages[:1])
    run = train(Session(tiny_competition, workspace, compute=Compute(device="cpu")), recipe, name="untold")
    assert not (run.folder / "tensorboard").exists()


def test_a_tracker_that_is_not_here_is_named_with_its_cure(
    workspace: Workspace, tiny_competition: Competition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_module.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="wandb") as caught:
        train(Session(tiny_competition, workspace), tiny_competition.recipe, TrainOptions(tracker="wandb"), name="x")
    assert caught.value.fix == "pip install wandb"
    assert not workspace.run_dir(tiny_competition.name, "x").exists()


def test_no_tracker_lacks_nothing() -> None:
    check_tracker(None)
