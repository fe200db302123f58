"""SWA: the mean of the last stage's snapshots, with BatchNorm statistics of the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from competitions import load
from runner.contract import Recipe, Solver, Stage, TrainMode
from runner.data.index import build_index
from runner.options import Compute, PredictOptions
from runner.prediction import swa as swa_module
from runner.prediction.predict import RefitModels
from runner.prediction.swa import choose_models
from runner.session import Session
from runner.training.fold import FoldRun
from runner.training.run import Run
from runner.training.trainer import train_fold
from runner.workspace import Workspace

STAGES = (Stage(24, TrainMode.FROZEN), Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_len=1, solver=Solver.SGDR))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Callable[..., FoldRun]:
    """A trained fold whose last stage has this mode."""
    trained: dict[TrainMode, FoldRun] = {}

    def train(mode: TrainMode = TrainMode.UNFROZEN) -> FoldRun:
        if mode not in trained:
            stages = (STAGES[0], replace(STAGES[1], mode=mode))
            recipe = Recipe("test_resnet", stages, lr=0.01, layer_decay=1.0, batch_size=16, pretrained=False)
            competition = replace(load("dog-breed"), recipe=recipe)
            workspace = Workspace(tmp_path_factory.mktemp(mode.value))
            session = Session(competition, workspace, compute=Compute(device="cpu", workers=0))
            vars(session)["index"] = build_index(competition, shapes_folder)
            run = Run(session.name, "tiny", workspace.run_dir(session.name, "tiny"))
            trained[mode] = FoldRun(session, run, recipe, 0, (np.arange(60) >= 12).astype(np.int64))
            train_fold(trained[mode])
        return trained[mode]

    return train


def names(fold: FoldRun, choice: PredictOptions | RefitModels = PredictOptions()) -> list[str]:
    return [model.name for model in choose_models(fold, choice)]


def test_the_swa_model_stands_before_the_snapshots_and_each_stage_has_candidates(make: Callable[..., FoldRun]) -> None:
    assert names(make()) == ["swa", "snapshot-0", "snapshot-1", "snapshot-2"]
    assert names(make(), PredictOptions(snapshots=2)) == ["swa", "snapshot-1", "snapshot-2"]
    assert names(make(), PredictOptions(snapshots=3)) == ["swa", "snapshot-0", "snapshot-1", "snapshot-2"]
    assert names(make(), PredictOptions(snapshots=1)) == ["snapshot-2"]


@pytest.mark.parametrize("mode", [TrainMode.FEATURES, TrainMode.FROZEN])
def test_snapshots_of_heads_are_not_averaged(mode: TrainMode, make: Callable[..., FoldRun]) -> None:
    assert names(make(mode)) == ["snapshot-0", "snapshot-1", "snapshot-2"]


def test_weights_are_averaged_and_norms_see_the_training_rows_alone(
    make: Callable[..., FoldRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make()
    seen: list[int] = []
    (fold.folder / "swa.json").unlink(missing_ok=True)
    shuffled_batches = swa_module.shuffled_batches

    def recorded(rows: np.ndarray, *arguments: int) -> list[np.ndarray]:
        seen.extend(np.asarray(rows).tolist())
        return shuffled_batches(rows, *arguments)

    monkeypatch.setattr(swa_module, "shuffled_batches", recorded)
    names(fold)
    assert sorted(seen) == fold.train.rows.tolist()
    files = ("swa", "snapshot-1", "snapshot-2")
    mean, first, second = (load_file(fold.folder / f"{name}.safetensors") for name in files)
    weight, norm = "backbone.layer1.0.conv1.weight", "backbone.layer1.0.bn1.running_mean"
    torch.testing.assert_close(mean[weight], (first[weight] + second[weight]) / 2)
    assert not torch.allclose(mean[norm], (first[norm] + second[norm]) / 2)
    assert torch.isfinite(mean[norm]).all()


def test_the_average_is_computed_once_and_again_after_a_snapshot_changed(
    make: Callable[..., FoldRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make()
    names(fold)
    updates: list[int] = []
    monkeypatch.setattr(swa_module, "update_bn", lambda *_: updates.append(1))
    names(fold)
    names(fold, PredictOptions(snapshots=3))  # the third is of another stage: the average is the same
    assert updates == []
    path = fold.folder / "swa.json"
    path.write_text(path.read_text().replace('"of": [\n    "', '"of": [\n    "0'))
    names(fold)
    assert updates == [1]
    path.unlink()


def test_a_refit_predicts_with_the_weighted_models_alone(make: Callable[..., FoldRun]) -> None:
    models = ("swa", "snapshot-1", "snapshot-2")
    assert names(make(), RefitModels(models, ("swa",))) == ["swa"]
    assert names(make(), RefitModels(models, ("snapshot-1",))) == ["snapshot-1"]
