"""Postprocess folds: the run's own if there are enough, and no group in two of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from runner.prediction.postprocess_folds import MIN_GROUPS, assign_postprocess_folds
from tests.prediction.conftest import BINARY, draw_rows


def test_groups_stay_in_one_fold_and_folds_are_even():
    groups = tuple(f"scene {number // 7}" if number < 150 else "" for number in range(200))
    folds = assign_postprocess_folds(replace(draw_rows(BINARY, rows=200), groups=groups))
    for group in set(groups) - {""}:
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    assert np.bincount(folds).min() >= 34


def test_the_runs_folds_are_used_if_there_are_enough():
    rows, numbers = draw_rows(BINARY, rows=100), np.arange(100)
    assert (assign_postprocess_folds(replace(rows, folds=numbers % 5)) == numbers % 5).all()
    assert (assign_postprocess_folds(replace(rows, folds=numbers % 10)) == numbers % 10 % 5).all()
    assert len(set(assign_postprocess_folds(replace(rows, folds=numbers % 2)))) == 5


def test_the_runs_folds_are_not_used_if_they_split_a_group():
    rows = draw_rows(BINARY, rows=100)
    folds = assign_postprocess_folds(replace(rows, folds=np.arange(100) % 5, groups=("pair", "pair", *[""] * 98)))
    assert folds[0] == folds[1]


def test_too_few_rows_are_one_fold():
    assert set(assign_postprocess_folds(draw_rows(BINARY, rows=MIN_GROUPS - 1))) == {0}
