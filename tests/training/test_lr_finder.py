"""The LR finder: it reads a curve, says why one gives no lr, and leaves no trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from runner.console import sparkline
from runner.contract import Recipe, Stage, TrainMode
from runner.errors import RunnerError
from runner.options import TrainOptions
from runner.training.fold import FoldRun, initial_network, stage_loaders
from runner.training.learner import build_learner, prepared
from runner.training.log import read_log
from runner.training.lr_finder import Curve, describe, find_lr, find_stage_lr, lr_file, read_curve
from runner.training.optimizer import apply_freezing
from runner.training.trainer import train_fold
from runner.workspace import read_json

LRS = tuple(10 ** (-6 + 6 * step / 99) for step in range(100))

MakeFold = Callable[..., FoldRun]


def bowl(lowest: float, depth: float = 1.0) -> Curve:
    """A loss that is lowest at this lr and diverges above it."""
    decades = [math.log10(lr) - math.log10(lowest) for lr in LRS]
    return Curve(LRS, tuple(2 - depth * math.exp(-(x**2)) + max(0, 3 * x) ** 2 for x in decades))


@pytest.mark.parametrize("lowest", [1e-4, 1e-3, 1e-2, 0.1])
def test_minimum_is_a_tenth_of_the_lr_with_the_lowest_loss(lowest: float) -> None:
    result = read_curve(bowl(lowest))
    assert result.lowest_loss_lr == pytest.approx(lowest, rel=0.2)
    assert result.minimum == pytest.approx(result.lowest_loss_lr / 10)  # type: ignore[operator]
    assert result.steep is not None
    assert result.steep < result.lowest_loss_lr  # type: ignore[operator]


def test_steep_is_where_the_loss_falls_fastest() -> None:
    curve = Curve((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0), (2.0, 1.95, 1.9, 1.2, 1.1, 3.0))
    assert read_curve(curve).steep == 1e-2


def test_valley_lies_half_way_down_the_longest_descent() -> None:
    losses = [2.0 + 0.01 * step for step in range(30)]
    losses += [2.3 - 0.02 * step for step in range(40)]  # steps 30 to 69
    losses += [1.6 + 0.1 * step for step in range(30)]
    result = read_curve(Curve(LRS, tuple(losses)))
    assert result.valley in LRS[45:56]


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([2.0] * 100, "the loss never fell"),
        ([2.0 - 0.0001 * step for step in range(100)], "the loss never fell"),
        ([2.0 + 0.01 * step for step in range(100)], "the loss never fell"),
        ([2.0 - 0.01 * step for step in range(100)], "the loss was still falling at the highest lr"),
        ([2.0, 3.0], "too few mini-batches before the loss diverged"),
        ([], "too few mini-batches before the loss diverged"),
    ],
)
def test_a_curve_without_a_minimum_suggests_no_lr(losses: list[float], reason: str) -> None:
    result = read_curve(Curve(LRS[: len(losses)], tuple(losses)))
    assert (result.minimum, result.valley, result.reason) == (None, None, reason)
    assert describe(result).startswith(f"no lr suggested: {reason}")


def smoothed(losses: list[float]) -> Curve:
    """The curve of these losses of mini-batches."""
    average, values = 0.0, []
    for step, loss in enumerate(losses):
        average = 0.9 * average + 0.1 * loss
        values.append(average / (1 - 0.9 ** (step + 1)))
    return Curve(LRS[: len(values)], tuple(values))


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_minimum(seed: int) -> None:
    """A head that is trained already: the lowest of the first losses is low by chance, at an lr that does nothing."""
    random = Random(seed)
    flat = [random.gauss(0.4, 0.1) for _ in range(80)]
    assert read_curve(smoothed([0.2, *flat, *(0.5 + 0.4 * step for step in range(19))])).minimum is None


@pytest.mark.parametrize("seed", range(20))
def test_a_minimum_is_found_in_spite_of_noise(seed: int) -> None:
    random = Random(seed)
    falling = [max(0.5, 2 - 0.05 * max(0, step - 30)) + random.gauss(0, 0.1) for step in range(80)]
    result = read_curve(smoothed([*falling, *(0.5 + 0.5 * step for step in range(20))]))
    assert result.lowest_loss_lr is not None
    assert LRS[65] <= result.lowest_loss_lr <= LRS[85]


def test_a_result_is_described_in_one_line_and_a_curve() -> None:
    curve = Curve((1e-5, 1e-4, 1e-3, 1e-2, 1e-1), (1.0, 0.9, 0.5, 0.3, 0.9))
    assert describe(read_curve(curve)) == (
        "suggested lr 0.001: a tenth of the lr with the lowest loss, 0.01; steep 0.001, valley 0.0001\n"
        f"  {sparkline(curve.losses)}  lr 1e-05 to 1e-01"
    )


def test_the_sparkline_is_lowest_where_the_curve_is() -> None:
    line = sparkline([3.0, 2.0, 1.0, 2.0, 9.0])
    assert len(line) == 5
    assert line[2] == "▁"
    assert line[4] == "█"
    assert sparkline([]) == ""


@pytest.mark.parametrize("mode", list(TrainMode))
def test_weights_optimizer_and_random_state_are_restored_exactly(
    mode: TrainMode, make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    stage = Stage(24, mode)
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=(stage,)))
    network = initial_network(fold, TrainOptions())
    apply_freezing(network, fold.recipe, stage)
    loader, _ = stage_loaders(fold, network, stage, 16)
    learner = prepared(build_learner(fold, network, stage))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    result = find_lr(fold, stage, learner, loader, 16)
    assert len(result.curve.lrs) > 20
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not learner.optimizer.state_dict()["state"]
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.slow
def test_find_stage_lr_writes_no_run(make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe) -> None:
    fold = make_fold(tmp_path)
    found = find_stage_lr(fold, tiny_recipe.stages[1], TrainOptions())
    assert found.stage == tiny_recipe.stages[1]
    assert found.result.curve.losses
    assert not fold.run.folder.exists()


def test_a_run_with_the_finder_trains_with_its_lr_and_keeps_the_curve(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, find_lr=True))
    train_fold(fold)
    lines = read_log(fold.run.log_file)
    for number in range(len(tiny_recipe.stages)):
        found = read_json(lr_file(fold.folder, number), format=1)
        expected = found["minimum"] or tiny_recipe.lr
        first = next(line for line in lines if line["stage"] == number)
        assert first["lrs"][0] == pytest.approx(expected, rel=1e-3)


def test_a_result_of_an_older_version_is_an_error_with_a_fix(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, find_lr=True))
    fold.folder.mkdir(parents=True)
    lr_file(fold.folder, 0).write_text('{"suggested": 0.001}')
    with pytest.raises(RunnerError) as caught:
        train_fold(fold)
    assert caught.value.where == str(lr_file(fold.folder, 0))
    assert caught.value.fix == "delete the file: the finder then runs again"
