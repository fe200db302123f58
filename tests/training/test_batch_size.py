"""`--batch-size auto`: running out of memory costs an epoch at most, and the size that fits is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runner.contract import Recipe
from runner.errors import TrainingError
from runner.training.batch_size import remember_batch_size, starting_batch_size
from runner.training.fold import FoldRun
from runner.training.learner import Learner
from runner.training.log import read_log
from runner.training.trainer import train_fold

MakeFold = Callable[..., FoldRun]


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """A device that holds batches of up to `rows`, after `steps` steps."""
    step, done = Learner.step, []

    def limit(rows: int, steps: int = 0) -> None:
        def limited(self: Learner, batch: Any, weight: float, **more: Any) -> torch.Tensor:
            done.append(1)
            if len(batch.rows) > rows and len(done) > steps:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return step(self, batch, weight, **more)

        monkeypatch.setattr(Learner, "step", limited)

    return limit


def test_a_batch_size_that_does_not_fit_is_halved_until_it_does(
    small_memory: Callable[..., None], make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    small_memory(5)
    fold = make_fold(tmp_path, replace(tiny_recipe, auto_batch=True))
    assert len(train_fold(fold)) == 3
    lines = read_log(fold.run.log_file)
    assert [(line["epoch"], line["batch_size"]) for line in lines] == [(epoch, 4) for epoch in range(5)]


@pytest.mark.slow
def test_running_out_of_memory_keeps_the_finished_epochs(
    small_memory: Callable[..., None],
    make_fold: MakeFold,
    tmp_path: Path,
    tiny_recipe: Recipe,
    capfd: pytest.CaptureFixture[str],
) -> None:
    small_memory(8, steps=3 + 3 + 1)  # two epochs of three batches, then one more
    fold = make_fold(tmp_path, replace(tiny_recipe, auto_batch=True))
    train_fold(fold)
    sizes = [(line["epoch"], line["batch_size"]) for line in read_log(fold.run.log_file)]
    assert sizes == [(0, 16), (1, 16), (2, 8), (3, 8), (4, 8)]
    message = "warning: out of memory at batch size 16; retrying with 8 from the last finished epoch"
    assert message in capfd.readouterr().err


def test_the_next_run_starts_with_the_batch_size_that_fitted(
    small_memory: Callable[..., None], make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    small_memory(8)
    fold = make_fold(tmp_path, replace(tiny_recipe, auto_batch=True))
    train_fold(fold)
    assert starting_batch_size(fold.recipe, fold.session.cache_dir) == 8


def test_a_damaged_memory_of_batch_sizes_is_ignored(tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(tiny_recipe, auto_batch=True)
    (tmp_path / "batch_size.json").write_text("{")
    assert starting_batch_size(recipe, tmp_path) == 16
    remember_batch_size(4, recipe, tmp_path)
    assert starting_batch_size(recipe, tmp_path) == 4


def test_without_auto_running_out_of_memory_is_an_error_with_a_fix(
    small_memory: Callable[..., None], make_fold: MakeFold, tmp_path: Path
) -> None:
    small_memory(8)
    fold = make_fold(tmp_path)
    with pytest.raises(TrainingError) as caught:
        train_fold(fold)
    assert caught.value.message == "out of memory at batch size 16"
    assert caught.value.where == str(fold.folder)
    assert caught.value.fix is not None and "... --batch-size auto" in caught.value.fix
