"""Runs are averaged only if no model trained on a row that its weights are fitted or scored on."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.data.folds import Folds
from runner.errors import RunnerError
from runner.prediction.blend import check_same_folds


def folds(name: str, **fold_of: int) -> Folds:
    return Folds(Path(name) / "folds.csv", fold_of, competition="dog-breed")


def refusal(*runs: Folds) -> str:
    with pytest.raises(RunnerError) as caught:
        check_same_folds({run.path.parent.name: run for run in runs})
    assert caught.value.fix and caught.value.fix.endswith("`runner dog-breed train`")
    return str(caught.value)


def test_runs_with_the_same_folds_are_accepted():
    check_same_folds({"a": folds("a", x=0, y=1)})
    check_same_folds({"a": folds("a", x=0, y=1, z=0), "b": folds("b", z=0, y=1, x=0)})


def test_fold_numbers_do_not_matter():
    check_same_folds({"a": folds("a", x=0, y=1, z=0), "b": folds("b", x=1, y=0, z=1)})


def test_train_only_rows_do_not_matter():
    check_same_folds({"a": folds("a", x=0, y=0, z=-1), "b": folds("b", x=0, y=0, w=-1)})


def test_folds_of_different_rows_are_refused_and_a_row_is_named():
    message = refusal(folds("a", x=0, y=0, z=1, w=1), folds("b", x=0, y=1, z=1, w=0))
    assert "runs 'a' and 'b' cannot be averaged without a leak" in message and "row 'w' shares its fold" in message


def test_a_holdout_with_folds_is_refused():
    assert "one holdout, the second 2 folds" in refusal(folds("a", x=0, y=-1), folds("b", x=0, y=1))


def test_holdouts_of_different_rows_are_refused():
    message = refusal(folds("a", x=0, y=0, z=-1), folds("b", x=0, y=-1, z=0))
    assert "row 'y' is a validation row in one of them, not in the second" in message


def test_the_third_run_is_checked_too():
    same = {"x": 0, "y": 1}
    assert "'a' and 'c'" in refusal(folds("a", **same), folds("b", **same), folds("c", x=0, y=1, z=1))
