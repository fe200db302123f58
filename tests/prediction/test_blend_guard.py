"""Runs are blended where no model trained on a row that its weights are fitted or scored on."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.data.folds import Folds
from runner.errors import RunnerError
from runner.prediction.blend_guard import check_common_folds


def folds(name: str, **fold_of: int) -> Folds:
    return Folds(Path(name) / "folds.csv", fold_of, competition="dog-breed")


def refused(*runs: Folds) -> str:
    with pytest.raises(RunnerError) as caught:
        check_common_folds({run.path.parent.name: run for run in runs})
    assert caught.value.fix and caught.value.fix.startswith("runner dog-breed train")
    return str(caught.value)


def test_one_run_and_runs_of_the_same_folds_may_be_blended():
    check_common_folds({"a": folds("a", x=0, y=1)})
    check_common_folds({"a": folds("a", x=0, y=1, z=0), "b": folds("b", z=0, y=1, x=0)})


def test_the_number_that_a_fold_has_does_not_matter():
    check_common_folds({"a": folds("a", x=0, y=1, z=0), "b": folds("b", x=1, y=0, z=1)})


def test_holdouts_of_the_same_rows_may_be_blended_whatever_else_they_trained_on():
    check_common_folds({"a": folds("a", x=0, y=0, z=-1), "b": folds("b", x=0, y=0, w=-1)})


def test_folds_that_hold_out_other_rows_together_are_refused_and_a_row_is_named():
    message = refused(folds("a", x=0, y=0, z=1, w=1), folds("b", x=0, y=1, z=1, w=0))
    assert "'a' and 'b' cannot be blended" in message and "row 'w'" in message


def test_a_holdout_and_folds_are_refused():
    assert "one holdout, the second 2 folds" in refused(folds("a", x=0, y=-1), folds("b", x=0, y=1))


def test_holdouts_of_different_rows_are_refused():
    message = refused(folds("a", x=0, y=0, z=-1), folds("b", x=0, y=-1, z=0))
    assert "row 'y' is held out in one of them, and never in the second" in message


def test_the_third_run_is_checked_as_well():
    same = {"x": 0, "y": 1}
    assert "'a' and 'c'" in refused(folds("a", **same), folds("b", **same), folds("c", x=0, y=1, z=1))
