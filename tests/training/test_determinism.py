"""The same seed gives the same snapshots, in all three states: whatever the workers, the cache or the interruptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.contract import Recipe, Stage, TrainMode
from runner.training import lr_finder
from runner.training import stage as stage_module
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine
from runner.training.train import train_fold

MakeFold = Callable[..., FoldRun]


@pytest.fixture(scope="module", autouse=True)
def a_short_sweep() -> Iterator[None]:
    """A finder that takes a dozen steps takes as much chance as one of a hundred."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lr_finder, "_STEPS", 12)
        yield


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    """Each state, with a finder and dropout: all the chance that there is."""
    stages = (
        Stage(24, TrainMode.FEATURES, cycles=2),
        Stage(24, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycle_len=2),
    )
    return replace(tiny_recipe, stages=stages, find_lr=True, dropout=0.3)


@pytest.fixture(scope="module")
def expected(make_fold: MakeFold, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The snapshots of a training that nothing disturbed."""
    return train(make_fold(tmp_path_factory.mktemp("peaceful"), recipe))


def train(fold: FoldRun, **machine: int) -> list[bytes]:
    train_fold(fold, Machine(**machine), build_accelerator("cpu"))
    return [path.read_bytes() for path in sorted(fold.folder.glob("snapshot-*.safetensors"))]


def break_off(fold: FoldRun, epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until this epoch begins."""
    really = stage_module._train_one

    def breaks(tools: Any, begun: Any) -> Any:
        if begun.number == epoch:
            raise KeyboardInterrupt
        return really(tools, begun)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage_module, "_train_one", breaks)
        train(fold)


def test_workers_do_not_matter(make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path) -> None:
    assert len(expected) == 4
    assert train(make_fold(tmp_path, recipe), workers=2) == expected


def test_the_cache_of_small_images_does_not_matter(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    fold = make_fold(tmp_path, recipe)
    assert train(fold, cache_bytes=0) == expected
    assert not (fold.cache / "images").exists()


def test_what_torch_drew_before_does_not_matter(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(77)
    assert train(make_fold(tmp_path, recipe)) == expected


def test_activations_that_are_there_already_do_not_matter(
    make_fold: MakeFold, recipe: Recipe, expected: list[bytes], tmp_path: Path
) -> None:
    train(make_fold(tmp_path, recipe))
    again = replace(make_fold(tmp_path, recipe), folder=tmp_path / "again", log=tmp_path / "again.jsonl")
    assert train(again) == expected


@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4])
def test_an_interruption_does_not_matter(
    epoch: int,
    make_fold: MakeFold,
    recipe: Recipe,
    expected: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fold = make_fold(tmp_path, recipe)
    break_off(fold, epoch, monkeypatch)
    assert train(fold) == expected
