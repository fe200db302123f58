"""Losses that become NaN, rare classes, and missing tabular values."""

from __future__ import annotations

import re
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
from runner.training.fold import FoldRun, oversampled_rows
from runner.training.log import read_log
from runner.training.snapshots import read_snapshots
from runner.training.trainer import train_fold
from tests.builders import start_run

MakeFold = Callable[..., FoldRun]


def test_a_loss_that_becomes_nan_names_the_lr_and_keeps_the_last_snapshot(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    stages = (tiny_recipe.stages[0], replace(tiny_recipe.stages[1], lr_scale=1e30))
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=stages))
    start_run(fold.session.workspace, fold.session.name, fold.recipe, fold.run.name)
    with pytest.raises(TrainingError, match=r"NaN in epoch \d, mini-batch \d, at lr .*snapshot-0 are kept") as caught:
        train_fold(fold)
    words = r"runner dog-breed train --recipe-of tiny --from-run tiny:snapshot-0 --lr \S+"
    assert re.fullmatch(words, str(caught.value.fix))
    assert [snapshot.name for snapshot in read_snapshots(fold.folder)] == ["snapshot-0"]
    assert all(np.isfinite(line["train_loss"]) for line in read_log(fold.run.log_file))


def test_a_loss_that_becomes_nan_before_a_run_is_kept_asks_for_the_same_command_with_a_smaller_lr(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=(replace(tiny_recipe.stages[0], lr_scale=1e30),)))
    with pytest.raises(TrainingError, match=r"NaN in epoch 1, .* no weights are kept") as caught:
        train_fold(fold)
    assert re.fullmatch(r"\.\.\. --lr \S+", str(caught.value.fix))


def test_rare_classes_are_repeated_to_the_commonest_up_to_the_limit() -> None:
    rows = np.arange(3, 51)
    targets = np.zeros((60, 3), dtype=np.float32)
    targets[:, 0] = 1
    targets[rows[:10]] = (0, 1, 0)
    targets[rows[10]] = (0, 0, 1)
    times = np.bincount(oversampled_rows(rows, targets, 3.0), minlength=60)
    assert set(times[rows[11:]]) == {1}
    assert set(times[rows[:10]]) == {3}  # 37 common rows to 10: three times, rounded down
    assert times[rows[10]] == 3  # the limit
    assert not times[:3].any()
    assert not times[51:].any()


def test_without_oversampling_every_row_comes_once() -> None:
    rows = np.array([4, 1, 7])
    assert oversampled_rows(rows, np.eye(9, dtype=np.float32), 1.0).tolist() == [4, 1, 7]


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(30, 46)), min_size=5, max_size=60), st.integers(0, 99))
def test_a_missing_tabular_value_is_drawn_from_the_known_ones(angles: list[float], seed: int) -> None:
    column = np.array(angles, dtype=np.float32)[:, None]
    filled = standardise_and_impute(column, column, seed)
    known = ~np.isnan(column[:, 0])
    assert np.isfinite(filled).all()
    if known.any():
        assert set(filled[~known, 0]) <= set(filled[known, 0])
