"""The average of snapshots is their mean, and its norms have measured the rows that the fold trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from competitions import load
from runner.contract import Recipe, Stage, TrainMode
from runner.data.index import build_index
from runner.prediction import swa as module
from runner.prediction.predict import Asked
from runner.prediction.swa import choose_models
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine
from runner.training.train import train_fold

STAGES = (Stage(24, TrainMode.FROZEN), Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_len=1))
CPU = build_accelerator("cpu")


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Callable[..., FoldRun]:
    """A trained fold whose last stage has this state."""
    trained: dict[TrainMode, FoldRun] = {}

    def train(state: TrainMode = TrainMode.UNFROZEN) -> FoldRun:
        if state not in trained:
            stages = (STAGES[0], replace(STAGES[1], mode=state))
            recipe = Recipe("test_resnet", stages, lr=0.01, layer_decay=1, batch_size=16, pretrained=False)
            competition = replace(load("dog-breed"), recipe=recipe)
            index = build_index(competition, shapes_folder)
            rows, run = np.arange(60), tmp_path_factory.mktemp(state.value)
            fold = FoldRun(
                competition, recipe, index, 0, rows[12:], rows[:12], run / "fold-0", run / "log.jsonl", run / "cache"
            )
            train_fold(fold, Machine(), CPU)
            trained[state] = fold
        return trained[state]

    return train


def names(fold: FoldRun, asked: Asked) -> list[str]:
    return [one.name for one in choose_models(fold, Machine(), CPU, asked)]


def test_the_average_stands_before_the_snapshots_that_it_is_made_of(make: Callable[..., FoldRun]) -> None:
    assert names(make(), Asked()) == ["average", "snapshot-1", "snapshot-2"]
    assert names(make(), Asked(snapshots=3)) == ["average", "snapshot-0", "snapshot-1", "snapshot-2"]
    assert names(make(), Asked(snapshots=1)) == ["snapshot-2"]


@pytest.mark.parametrize("state", [TrainMode.FEATURES, TrainMode.FROZEN])
def test_heads_are_not_averaged(state: TrainMode, make: Callable[..., FoldRun]) -> None:
    assert names(make(state), Asked()) == ["snapshot-1", "snapshot-2"]


def test_weights_are_the_mean_and_norms_are_measured_on_the_training_rows_alone(
    make: Callable[..., FoldRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, seen = make(), []
    (fold.folder / "average.json").unlink(missing_ok=True)
    order = module.shuffled_batches

    def spy(rows, *rest):
        seen.extend(np.asarray(rows).tolist())
        return order(rows, *rest)

    monkeypatch.setattr(module, "shuffled_batches", spy)
    names(fold, Asked())
    assert sorted(seen) == fold.train_rows.tolist()
    mean, one, two = (load_file(fold.folder / f"{n}.safetensors") for n in ("average", "snapshot-1", "snapshot-2"))
    weight, norm = "body.layer1.0.conv1.weight", "body.layer1.0.bn1.running_mean"
    torch.testing.assert_close(mean[weight], (one[weight] + two[weight]) / 2)
    assert not torch.allclose(mean[norm], (one[norm] + two[norm]) / 2)
    assert torch.isfinite(mean[norm]).all()


def test_it_is_made_once_and_anew_when_a_snapshot_is_another(
    make: Callable[..., FoldRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make()
    names(fold, Asked())
    made = []
    monkeypatch.setattr(module, "update_bn", lambda *_: made.append(1))
    names(fold, Asked())
    assert made == []
    names(fold, Asked(snapshots=3))  # the third is of another stage: the average is the same
    assert made == []
    path = fold.folder / "average.json"
    path.write_text(path.read_text().replace('"of": [\n    "', '"of": [\n    "0'))
    names(fold, Asked())
    assert made == [1]
    path.unlink()


def test_what_is_named_is_chosen_and_averaged_only_where_the_average_speaks(make: Callable[..., FoldRun]) -> None:
    members = ("average", "snapshot-1", "snapshot-2")
    assert names(make(), Asked(names=members, wanted=("average",))) == ["average"]
    assert names(make(), Asked(names=members, wanted=("snapshot-1",))) == ["snapshot-1"]
