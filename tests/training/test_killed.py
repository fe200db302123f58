"""Killed at any moment, a training resumes and ends the same; and no half-written file is used."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.cli import run_command
from runner.contract import Recipe, Solver, Stage, TrainMode
from runner.errors import TrainingError
from runner.training import features as features_module
from runner.training.fold import FoldRun
from runner.training.log import read_log
from runner.training.snapshots import read_checkpoint_meta, read_snapshots
from runner.training.trainer import train_fold
from tests.competitions import SHAPES, write_plugin

MakeFold = Callable[..., FoldRun]
Interrupt = Callable[..., None]

# Each train mode; cycles of one epoch and of two; a cycle that ends with the first epoch of its stage.
RECIPE = Recipe(
    "test_resnet",
    (
        Stage(24, TrainMode.FEATURES, cycles=2, solver=Solver.SGDR, min_steps=20),
        Stage(24, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
    ),
    lr=0.01,
    batch_size=16,
    pretrained=False,
)

FEW_SEEDS = [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]


@pytest.fixture
def two_workspaces(tmp_path: Path, shapes_folder: Path) -> Path:
    """A folder with two workspaces, one whose run will not be interrupted."""
    for name in ("unbroken", "killed"):
        write_plugin(tmp_path / name, replace(SHAPES, recipe=RECIPE))
        words = ["--workspace", str(tmp_path / name), "shapes", "download", "--from", str(shapes_folder)]
        assert run_command(words) == 0
    return tmp_path


def hunt(folder: Path, *calls: str, kills: int, seed: int) -> dict[str, Any]:
    """Run killing.py: the moments of the kills, and the files that differ afterwards."""
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(kills), str(seed), *calls],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.slow
def test_killed_after_each_snapshot_and_at_random_a_run_ends_in_the_same_bytes(two_workspaces: Path) -> None:
    # Between a snapshot and the checkpoint that finishes its epoch is the one moment when the disk holds both
    # the start of an epoch and its end.
    result = hunt(two_workspaces, "snapshots.py:write_checkpoint()", kills=6, seed=1)
    assert len(result["kills"]) >= 12
    assert result["wrong"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_a_hundred_moments_a_run_ends_in_the_same_bytes(two_workspaces: Path) -> None:
    result = hunt(two_workspaces, "log.py:append_line()", "snapshots.py:write_snapshot()", kills=90, seed=2)
    assert len(result["kills"]) >= 100
    assert result["wrong"] == []


@pytest.fixture(scope="module")
def three_modes(tiny_recipe: Recipe) -> Recipe:
    stages = (
        Stage(24, TrainMode.FEATURES, cycle_len=2, solver=Solver.SGDR, min_steps=0),
        Stage(24, TrainMode.FROZEN),
        Stage(24, TrainMode.UNFROZEN, cycle_len=2),
    )
    return replace(tiny_recipe, stages=stages)


@pytest.fixture(scope="module")
def unbroken(make_fold: MakeFold, three_modes: Recipe, tmp_path_factory: pytest.TempPathFactory) -> FoldRun:
    """A fold whose training was not interrupted."""
    fold = make_fold(tmp_path_factory.mktemp("unbroken"), three_modes)
    train_fold(fold)
    return fold


def weights(fold: FoldRun) -> list[bytes]:
    return [path.read_bytes() for path in sorted(fold.folder.glob("snapshot-*.safetensors"))]


def features_dir(fold: FoldRun) -> Path:
    return fold.session.cache_dir / "features"


def cut(path: Path, seed: int) -> None:
    """Keep the beginning of a file, of random length."""
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(len(content))])


def test_temporary_files_of_a_killed_writer_are_never_used(
    make_fold: MakeFold, three_modes: Recipe, unbroken: FoldRun, tmp_path: Path, interrupt: Interrupt
) -> None:
    broken = make_fold(tmp_path, three_modes)
    for source, target in ((unbroken.folder, broken.folder), (features_dir(unbroken), features_dir(broken))):
        target.mkdir(parents=True)
        for path in source.iterdir():
            (target / f".{path.stem}.123-456.part{path.suffix}").write_bytes(path.read_bytes()[:-100])
    (broken.folder / ".checkpoint.123-456.part.safetensors").write_bytes(b"cut off")
    interrupt(2, lambda: train_fold(broken))
    train_fold(broken)
    assert weights(broken) == weights(unbroken)


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_features_that_are_cut_short_are_computed_again(
    seed: int, make_fold: MakeFold, three_modes: Recipe, unbroken: FoldRun, tmp_path: Path, interrupt: Interrupt
) -> None:
    broken = make_fold(tmp_path, three_modes)
    interrupt(1, lambda: train_fold(broken))
    (path,) = features_dir(broken).iterdir()
    complete = path.read_bytes()
    cut(path, seed)
    train_fold(broken)
    assert path.read_bytes() == complete
    assert weights(broken) == weights(unbroken)


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_a_checkpoint_that_is_cut_short_is_named_and_not_used(
    seed: int, make_fold: MakeFold, three_modes: Recipe, unbroken: FoldRun, tmp_path: Path, interrupt: Interrupt
) -> None:
    broken = make_fold(tmp_path, three_modes)
    interrupt(3, lambda: train_fold(broken))
    assert read_checkpoint_meta(broken.checkpoint_file).epoch == 2
    cut(broken.checkpoint_file, seed)
    with pytest.raises(TrainingError, match="the checkpoint cannot be read") as caught:
        train_fold(broken)
    assert caught.value.where == str(broken.checkpoint_file)
    assert caught.value.fix == "delete it; this fold is then trained from its start: `...`"
    broken.checkpoint_file.unlink()
    train_fold(broken)
    assert weights(broken) == weights(unbroken)


def test_a_json_file_of_a_snapshot_that_is_cut_short_is_named(
    make_fold: MakeFold, three_modes: Recipe, unbroken: FoldRun, tmp_path: Path
) -> None:
    shutil.copytree(unbroken.session.workspace.root, tmp_path, dirs_exist_ok=True)
    fold = make_fold(tmp_path, three_modes)
    cut(fold.folder / "snapshot-1.json", 0)
    with pytest.raises(TrainingError, match="the snapshot's JSON file cannot be read") as caught:
        read_snapshots(fold.folder)
    assert caught.value.where == str(fold.folder / "snapshot-1.json")


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_a_log_that_is_cut_short_loses_only_what_is_trained_again(
    seed: int, make_fold: MakeFold, three_modes: Recipe, tmp_path: Path, interrupt: Interrupt
) -> None:
    fold = make_fold(tmp_path, three_modes)
    interrupt(2, lambda: train_fold(fold))
    log = fold.run.log_file
    last = log.read_bytes().splitlines(keepends=True)[-1]
    with log.open("ab") as file:
        file.write(last[: random.Random(seed).randrange(1, len(last))])
    train_fold(fold)
    assert [line["epoch"] for line in read_log(log)] == [0, 1, 2, 3, 4]


def test_a_resumed_run_does_not_compute_its_features_again(
    make_fold: MakeFold, three_modes: Recipe, tmp_path: Path, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make_fold(tmp_path, three_modes)
    computed: list[int] = []
    compute = features_module._compute
    monkeypatch.setattr(features_module, "_compute", lambda *arguments: (computed.append(1), compute(*arguments)))
    interrupt(1, lambda: train_fold(fold))
    train_fold(fold)
    assert len(computed) == 1
