"""Losses that are no number, and classes that are rare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import Recipe
from runner.data.tabular import standardise_and_impute
from runner.errors import TrainingError
from runner.training.distributed import build_accelerator
from runner.training.feeds import oversampled
from runner.training.fold import FoldRun, Machine
from runner.training.loaders import RowTargets
from runner.training.log import read_log
from runner.training.snapshots import read_snapshots
from runner.training.train import train_fold

MakeFold = Callable[..., FoldRun]


def test_a_loss_that_is_no_number_names_the_rate_and_keeps_the_last_snapshot(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    stages = (tiny_recipe.stages[0], replace(tiny_recipe.stages[1], lr_scale=1e30))
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=stages))
    with pytest.raises(TrainingError, match=r"NaN in epoch \d.*at rate .*back at snapshot-0") as caught:
        train_fold(fold, Machine(), build_accelerator("cpu"))
    assert f"--from-run {tmp_path.name}:snapshot-0" in str(caught.value)
    assert [snapshot.name for snapshot in read_snapshots(fold.folder)] == ["snapshot-0"]
    assert all(np.isfinite(line["train_loss"]) for line in read_log(fold.log_file))


def test_rare_classes_are_shown_as_often_as_the_common_ones_up_to_the_bound(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, oversample=3.0))
    targets = np.zeros((len(fold.index.train), 3), dtype=np.float32)
    targets[:, 0] = 1
    targets[fold.train_rows[:10]] = (0, 1, 0)
    targets[fold.train_rows[10]] = (0, 0, 1)
    fold.__dict__["answers"] = RowTargets(np.zeros((len(targets), 0), np.float32), targets)
    shown = oversampled(fold)
    times = np.bincount(shown, minlength=len(targets))
    assert set(times[fold.train_rows[11:]]) == {1}
    assert set(times[fold.train_rows[:10]]) == {3}  # 37 common rows to 10: three times, rounded down
    assert times[fold.train_rows[10]] == 3  # the bound
    assert not times[fold.valid_rows].any()


def test_without_oversampling_every_row_is_shown_once(make_fold: MakeFold, tmp_path: Path) -> None:
    fold = make_fold(tmp_path)
    assert oversampled(fold).tolist() == fold.train_rows.tolist()


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(30, 46)), min_size=5, max_size=60), st.integers(0, 99))
def test_a_missing_scalar_cannot_be_told_from_a_known_one(angles: list[float], seed: int) -> None:
    column = np.array(angles, dtype=np.float32)[:, None]
    filled = standardise_and_impute(column, column, seed)
    known = ~np.isnan(column[:, 0])
    assert np.isfinite(filled).all()
    if known.any():
        assert set(filled[~known, 0]) <= set(filled[known, 0])
