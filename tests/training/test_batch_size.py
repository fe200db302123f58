"""Batches that fit: memory that runs out costs an epoch at most, and what fitted is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.contract import Recipe
from runner.errors import TrainingError
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine
from runner.training.learner import Learner
from runner.training.log import read_log
from runner.training.train import train_fold


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """A device that holds batches of up to so many rows, once so many steps are done."""
    really, steps = Learner.step, []

    def limit(rows: int, after: int = 0) -> None:
        def step(self: Learner, batch: Any, share: float) -> torch.Tensor:
            steps.append(1)
            if len(batch.rows) > rows and len(steps) > after:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return really(self, batch, share)

        monkeypatch.setattr(Learner, "step", step)

    return limit


def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    small_memory: Callable[..., None], make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    small_memory(5)
    fold = make_fold(tmp_path, replace(tiny_recipe, auto_batch=True))
    snapshots = train_fold(fold, Machine(), build_accelerator("cpu"))
    assert len(snapshots) == 3
    lines = read_log(fold.log_file)
    assert {line["batch_size"] for line in lines} == {4}
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]


def test_nothing_that_was_finished_is_lost(
    small_memory: Callable[..., None], make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    small_memory(8, after=3 + 3 + 1)  # two epochs of three batches, then one more
    fold = make_fold(tmp_path, replace(tiny_recipe, auto_batch=True))
    train_fold(fold, Machine(), build_accelerator("cpu"))
    assert [(line["epoch"], line["batch_size"]) for line in read_log(fold.log_file)] == [
        (0, 16),
        (1, 16),
        (2, 8),
        (3, 8),
        (4, 8),
    ]


def test_what_fitted_is_remembered(
    small_memory: Callable[..., None], make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    small_memory(8)
    recipe = replace(tiny_recipe, auto_batch=True)
    first = make_fold(tmp_path / "first", recipe)
    train_fold(first, Machine(), build_accelerator("cpu"))
    second = replace(make_fold(tmp_path / "second", recipe), cache=first.cache)
    train_fold(second, Machine(), build_accelerator("cpu"))
    assert {line["batch_size"] for line in read_log(second.log)} == {8}


def test_without_auto_it_is_a_fault_with_a_cure(
    small_memory: Callable[..., None], make_fold: Callable[..., FoldRun], tmp_path: Path
) -> None:
    small_memory(8)
    with pytest.raises(TrainingError, match="--batch-size auto"):
        train_fold(make_fold(tmp_path), Machine(), build_accelerator("cpu"))
