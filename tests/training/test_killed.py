"""Killed at any moment, a training goes on and ends as if nothing had happened; and nothing half written is used."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract import Recipe, Stage, TrainMode
from runner.errors import TrainingError
from runner.training import features as activations_module
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine
from runner.training.log import read_log
from runner.training.snapshots import read_checkpoint_meta, read_snapshots
from runner.training.train import train_fold
from tests.competitions import SHAPES, write_plugin

MakeFold = Callable[..., FoldRun]

# Each state of the network; cycles of one epoch and of two; a cycle that ends with the first epoch of its stage.
RECIPE = Recipe(
    "test_resnet",
    (
        Stage(24, TrainMode.FEATURES, cycles=2),
        Stage(24, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
    ),
    lr=0.01,
    batch_size=16,
    pretrained=False,
)


@pytest.fixture
def hunting_ground(tmp_path: Path, shapes_folder: Path) -> Path:
    """Two workspaces, one to be left in peace."""
    from runner.cli import run_command

    for name in ("peaceful", "killed"):
        write_plugin(tmp_path / name, replace(SHAPES, recipe=RECIPE))
        words = ["--workspace", str(tmp_path / name), "shapes", "download", "--from", str(shapes_folder)]
        assert run_command(words) == 0
    return tmp_path


def hunt(ground: Path, *calls: str, kills: int, seed: int) -> dict[str, Any]:
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(ground), str(kills), str(seed), *calls],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_killed_after_each_snapshot_and_at_random_it_ends_the_same_bit_for_bit(hunting_ground: Path) -> None:
    # Between a snapshot and the state that calls its epoch finished lies the one moment when the disk holds both
    # what an epoch starts from and what it ends with.
    found = hunt(hunting_ground, "snapshots.py:write_checkpoint()", kills=6, seed=1)
    assert len(found["kills"]) >= 12
    assert found["wrong"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_a_hundred_moments_it_ends_the_same_bit_for_bit(hunting_ground: Path) -> None:
    found = hunt(hunting_ground, "log.py:append_line()", "snapshots.py:write_snapshot()", kills=90, seed=2)
    assert len(found["kills"]) >= 100
    assert found["wrong"] == []


@pytest.fixture(scope="module")
def three_states(tiny_recipe: Recipe) -> Recipe:
    stages = (
        Stage(24, TrainMode.FEATURES, cycle_len=2),
        Stage(24, TrainMode.FROZEN),
        Stage(24, TrainMode.UNFROZEN, cycle_len=2),
    )
    return replace(tiny_recipe, stages=stages)


@pytest.fixture(scope="module")
def unbroken(make_fold: MakeFold, three_states: Recipe, tmp_path_factory: pytest.TempPathFactory) -> FoldRun:
    """A fold that was trained in peace."""
    fold = make_fold(tmp_path_factory.mktemp("unbroken"), three_states)
    train(fold)
    return fold


def train(fold: FoldRun, epochs: int | None = None, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Train to the end, or until so many epochs are finished."""
    from runner.training import stage as stage_module

    if epochs is None:
        train_fold(fold, Machine(), build_accelerator("cpu"))
        return
    assert monkeypatch is not None
    really = stage_module._train_one

    def breaks(tools: Any, epoch: Any) -> Any:
        if epoch.number == epochs:
            raise KeyboardInterrupt
        return really(tools, epoch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage_module, "_train_one", breaks)
        train(fold)


def weights(fold: FoldRun) -> list[bytes]:
    return [path.read_bytes() for path in sorted(fold.folder.glob("snapshot-*.safetensors"))]


def cut(path: Path, seed: int) -> None:
    """Leave a part of a file, of a length drawn at random."""
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(len(content))])


def test_what_a_killed_writer_left_is_never_taken_for_a_file(
    make_fold: MakeFold, three_states: Recipe, unbroken: FoldRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_fold(tmp_path, three_states)
    for path in [*unbroken.folder.iterdir(), *unbroken.cache.rglob("*.npy")]:
        home = broken.folder if path.parent == unbroken.folder else broken.cache / "activations"
        home.mkdir(parents=True, exist_ok=True)
        (home / f".{path.stem}.123-456.part{path.suffix}").write_bytes(path.read_bytes()[:-100])
    (broken.folder / ".state.123-456.part.safetensors").write_bytes(b"cut off")
    train(broken, 2, monkeypatch)
    train(broken)
    assert weights(broken) == weights(unbroken)


@pytest.mark.parametrize("seed", range(3))
def test_activations_that_are_cut_short_are_computed_again(
    seed: int,
    make_fold: MakeFold,
    three_states: Recipe,
    unbroken: FoldRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = make_fold(tmp_path, three_states)
    train(broken, 1, monkeypatch)
    (path,) = broken.cache.rglob("*.npy")
    whole = path.read_bytes()
    cut(path, seed)
    train(broken)
    assert path.read_bytes() == whole
    assert weights(broken) == weights(unbroken)


@pytest.mark.parametrize("seed", range(3))
def test_a_state_that_is_cut_short_is_named_and_not_used(
    seed: int,
    make_fold: MakeFold,
    three_states: Recipe,
    unbroken: FoldRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = make_fold(tmp_path, three_states)
    train(broken, 3, monkeypatch)
    assert read_checkpoint_meta(broken.checkpoint_file)["epoch"] == 2
    cut(broken.checkpoint_file, seed)
    with pytest.raises(TrainingError, match="state of a broken-off training cannot be read") as caught:
        train(broken)
    assert "delete it" in str(caught.value.fix)
    broken.checkpoint_file.unlink()
    train(broken)
    assert weights(broken) == weights(unbroken)


def test_facts_of_a_snapshot_that_are_cut_short_are_named(
    make_fold: MakeFold, three_states: Recipe, tmp_path: Path
) -> None:
    fold = make_fold(tmp_path, three_states)
    train(fold)
    cut(fold.folder / "snapshot-1.json", 0)
    with pytest.raises(TrainingError, match="snapshot's facts cannot be read"):
        read_snapshots(fold.folder)


@pytest.mark.parametrize("seed", range(3))
def test_a_log_that_is_cut_short_loses_only_what_is_trained_again(
    seed: int, make_fold: MakeFold, three_states: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make_fold(tmp_path, three_states)
    train(fold, 2, monkeypatch)
    kept = fold.log_file.read_bytes()
    third = kept.splitlines(keepends=True)[-1]
    fold.log_file.write_bytes(kept + third[: random.Random(seed).randrange(1, len(third))])
    train(fold)
    assert [line["epoch"] for line in read_log(fold.log_file)] == [0, 1, 2, 3, 4]


def test_activations_are_computed_once_for_a_run_that_is_broken_off(
    make_fold: MakeFold, three_states: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, computed = make_fold(tmp_path, three_states), []
    really = activations_module._compute
    monkeypatch.setattr(activations_module, "_compute", lambda *a: (computed.append(1), really(*a)))
    train(fold, 1, monkeypatch)
    train(fold)
    assert len(computed) == 1
