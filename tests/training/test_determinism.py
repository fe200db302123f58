"""The same seed gives the same snapshots in all train modes: whatever the workers, caches and interruptions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from runner.contract import Recipe, Solver, Stage, TrainMode
from runner.training import lr_finder
from runner.training.fold import FoldRun
from runner.training.trainer import train_fold
from tests.training.conftest import CPU

MakeFold = Callable[..., FoldRun]


@pytest.fixture(scope="module", autouse=True)
def short_sweep() -> Iterator[None]:
    """An LR finder of a dozen steps draws from as many random sources as one of a hundred."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lr_finder, "_STEPS", 12)
        yield


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    """Each train mode, with the LR finder and dropout: every random source there is."""
    stages = (
        Stage(24, TrainMode.FEATURES, cycles=2, solver=Solver.SGDR, min_steps=20),
        Stage(24, TrainMode.FEATURES),
        Stage(24, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycle_len=2),
    )
    return replace(tiny_recipe, stages=stages, find_lr=True, dropout=0.3)


@pytest.fixture(scope="module")
def expected(make_fold: MakeFold, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The snapshots of an uninterrupted training."""
    return train(make_fold(tmp_path_factory.mktemp("expected"), recipe))


def train(fold: FoldRun) -> list[bytes]:
    train_fold(fold)
    return [path.read_bytes() for path in sorted(fold.folder.glob("snapshot-*.safetensors"))]


def test_workers_change_no_snapshot(make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path) -> None:
    assert len(expected) == 5
    assert train(make_fold(tmp_path, recipe, compute=replace(CPU, workers=2))) == expected


@pytest.mark.slow
def test_the_image_cache_changes_no_snapshot(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    fold = make_fold(tmp_path, recipe, compute=replace(CPU, cache_bytes=0))
    assert train(fold) == expected
    assert not (fold.session.cache_dir / "images").exists()


@pytest.mark.slow
def test_the_global_generator_changes_no_snapshot(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    torch.manual_seed(77)
    assert train(make_fold(tmp_path, recipe)) == expected


@pytest.mark.slow
def test_cached_features_change_no_snapshot(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    fold = make_fold(tmp_path, recipe)
    train(fold)
    shutil.rmtree(fold.run.folder)
    assert train(fold) == expected


@pytest.mark.parametrize("epoch", [1, 4, *(pytest.param(epoch, marks=pytest.mark.slow) for epoch in (0, 2, 3, 5))])
def test_an_interruption_changes_no_snapshot(
    epoch: int,
    make_fold: MakeFold,
    recipe: Recipe,
    expected: list[bytes],
    tmp_path: Path,
    interrupt: Callable[..., None],
) -> None:
    fold = make_fold(tmp_path, recipe)
    interrupt(epoch, lambda: train(fold))
    assert train(fold) == expected
