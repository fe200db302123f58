"""Time budgets: the longest plan that fits, ending with a finished cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import Recipe, Solver, Stage, TrainMode
from runner.options import TrainOptions
from runner.training.fold import FoldRun
from runner.training.time_budget import Cost, fit_to_budget, measure_costs, total_seconds

RECIPE = Recipe(
    "test_resnet",
    (
        Stage(64, TrainMode.FEATURES, cycles=2, cycle_len=2, solver=Solver.SGDR),
        Stage(128, TrainMode.UNFROZEN, cycles=2, cycle_len=1, cycle_mult=2),
    ),
    lr=1e-3,
)


@given(once=st.floats(0, 100), epoch=st.floats(0.01, 200), later=st.floats(0.01, 500), seconds=st.floats(1, 50_000))
def test_the_plan_ends_in_time_or_is_the_shortest_there_is(
    once: float, epoch: float, later: float, seconds: float
) -> None:
    costs = [Cost(once, epoch), Cost(0, later)]
    plan = fit_to_budget(RECIPE, costs, seconds)
    shortest = plan.stages == (Stage(64, TrainMode.FEATURES, cycles=1, cycle_len=1, solver=Solver.SGDR),)
    assert total_seconds(plan, costs) <= seconds or shortest
    assert all(length >= 1 for stage in plan.stages for length in stage.cycle_epochs)


def test_more_time_never_gives_a_shorter_plan() -> None:
    costs = [Cost(5, 1), Cost(0, 20)]
    epochs = [fit_to_budget(RECIPE, costs, seconds).epochs for seconds in range(5, 600, 5)]
    stages = [len(fit_to_budget(RECIPE, costs, seconds).stages) for seconds in range(5, 600, 5)]
    assert stages == sorted(stages)
    assert epochs[-1] > epochs[0]


def test_five_folds_cost_five_times_as_much() -> None:
    costs = [Cost(5, 1), Cost(0, 20)]
    assert total_seconds(replace(RECIPE, folds=5), costs) == 5 * total_seconds(RECIPE, costs)


@pytest.mark.parametrize("mode", list(TrainMode))
def test_a_stage_is_measured_on_its_first_batches(
    mode: TrainMode, make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=(Stage(24, mode),)))
    (cost,) = measure_costs(fold, TrainOptions())
    assert 0 < cost.epoch < 60
    assert (cost.once > 0) == (mode is TrainMode.FEATURES)
