"""The finder: it reads a curve right, says when there is nothing to read, and leaves no trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from runner.console import sparkline
from runner.contract import Recipe, Stage, TrainMode
from runner.training.distributed import build_accelerator
from runner.training.feeds import build_feeds
from runner.training.fold import FoldRun, Machine, initial_network
from runner.training.learner import Learner
from runner.training.log import read_log
from runner.training.lr_finder import Curve, find_lr, finding_file, read_curve, tell
from runner.training.optimizer import apply_freezing, build_optimizer
from runner.training.train import train_fold
from runner.workspace import read_json

RATES = tuple(10 ** (-6 + 6 * step / 99) for step in range(100))


def bowl(minimum: float, depth: float = 1.0) -> Curve:
    """A loss that is lowest at `minimum` and breaks away above it."""
    centre = math.log10(minimum)
    above = [math.log10(rate) - centre for rate in RATES]
    return Curve(RATES, tuple(2 - depth * math.exp(-(x**2)) + max(0, 3 * x) ** 2 for x in above))


@pytest.mark.parametrize("minimum", [1e-4, 1e-3, 1e-2, 0.1])
def test_the_suggestion_is_a_factor_of_ten_below_the_minimum(minimum: float) -> None:
    finding = read_curve(bowl(minimum))
    assert finding.minimum == pytest.approx(minimum, rel=0.2)
    assert finding.suggested == pytest.approx(finding.minimum / 10)  # type: ignore[operator]
    assert finding.steepest is not None
    assert finding.steepest < finding.minimum  # type: ignore[operator]


def test_the_steepest_point_is_where_the_loss_falls_fastest() -> None:
    curve = Curve((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), (2.0, 1.95, 1.9, 1.2, 1.1, 3.0))
    assert read_curve(curve).steepest == 1e-2


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.0] * 100, "never fell"),
        ([2.0 - 0.0001 * step for step in range(100)], "never fell"),
        ([2.0 + 0.01 * step for step in range(100)], "never fell"),
        ([2.0 - 0.01 * step for step in range(100)], "still falling"),
        ([2.0, 3.0], "too few"),
    ],
)
def test_a_curve_without_a_minimum_is_told_and_not_guessed_from(losses: list[float], told: str) -> None:
    finding = read_curve(Curve(RATES[: len(losses)], tuple(losses)))
    assert finding.suggested is None
    assert told in finding.reason
    assert "the recipe's own rate is kept" in tell(finding)


def test_the_sparkline_has_its_low_where_the_curve_has() -> None:
    line = sparkline([3.0, 2.0, 1.0, 2.0, 9.0])
    assert len(line) == 5
    assert line[2] == "▁"
    assert line[4] == "█"
    assert sparkline([]) == ""


@pytest.mark.parametrize("state", list(TrainMode))
def test_weights_optimizer_and_random_state_are_put_back_exactly(
    state: TrainMode, make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    stage = Stage(24, state)
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=(stage,)))
    accelerator = build_accelerator("cpu")
    network = initial_network(fold, Machine())
    apply_freezing(network, fold.recipe, stage)
    feed, _ = build_feeds(fold, Machine(), accelerator, network, stage, 16)
    module, optimizer = accelerator.prepare(
        network.head if state is TrainMode.FEATURES else network, build_optimizer(network, 0.01)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    finding = find_lr(fold, stage, Learner(accelerator, module, optimizer, fold.competition.labels), feed, 16)
    assert len(finding.curve.rates) > 20
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not optimizer.state_dict()["state"]
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_run_that_finds_its_rate_trains_by_it_and_keeps_the_curve(
    make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, find_lr=True))
    train_fold(fold, Machine(), build_accelerator("cpu"))
    lines = read_log(fold.log_file)
    for number in range(len(tiny_recipe.stages)):
        found = read_json(finding_file(fold.folder, number))
        expected = found["suggested"] or tiny_recipe.lr
        first = next(line for line in lines if line["stage"] == number)
        assert first["rates"][0] == pytest.approx(expected, rel=1e-3)
