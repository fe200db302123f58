"""The regression of a features stage: the optimum of its loss, a strength that rows left out confirm, a plain head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression, Ridge

from runner.contract import Activation, Block, Outputs, Recipe, Stage, TrainMode
from runner.options import TrainOptions
from runner.training import regression
from runner.training.diagnosis import Verdict, diagnose
from runner.training.fit_head import fit_head
from runner.training.fold import FoldRun, initial_network
from runner.training.log import read_log
from runner.training.losses import row_losses
from runner.training.regression import STRENGTHS, Regression, Samples, standardised
from runner.training.snapshots import read_snapshots
from runner.training.trainer import train_fold
from tests.builders import start_run

MakeFold = Callable[..., FoldRun]
ROWS, WIDTH = 120, 12


def features(seed: int = 0) -> NDArray[np.float64]:
    """Correlated features, as those of a network are."""
    random = np.random.default_rng(seed)
    return random.normal(size=(ROWS, WIDTH)) @ random.normal(size=(WIDTH, WIDTH))


def scores(columns: int, noise: float = 1.0) -> NDArray[np.float64]:
    random = np.random.default_rng(1)
    return features() @ random.normal(size=(WIDTH, columns)) + noise * random.normal(size=(ROWS, columns))


def one_hot(classes: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    return np.eye(count, dtype=np.float32)[classes]


def samples(targets: NDArray[Any], *blocks: Block) -> Samples:
    inputs = torch.from_numpy(features().astype(np.float32))[:, None]
    return Samples(inputs, torch.from_numpy(targets.astype(np.float32)), Outputs(blocks))


def test_classes_are_solved_as_by_multinomial_logistic_regression() -> None:
    classes = scores(4).argmax(axis=1)
    solution = Regression(samples(one_hot(classes, 4), Block(Activation.SOFTMAX, 4))).solve(0.1)
    expected = LogisticRegression(C=1 / (0.1 * ROWS), tol=1e-8, max_iter=5000).fit(features(), classes)
    assert np.allclose(solution.weight, expected.coef_, atol=2e-3)
    assert np.allclose(solution.bias - solution.bias.mean(), expected.intercept_, atol=5e-3)


def test_tags_are_solved_as_by_a_logistic_regression_each() -> None:
    tags = scores(3) > 1
    solution = Regression(samples(tags, Block(Activation.SIGMOID, 3))).solve(0.1)
    for column in range(3):
        expected = LogisticRegression(C=1 / (0.1 * ROWS), tol=1e-8, max_iter=5000).fit(features(), tags[:, column])
        assert np.allclose(solution.weight[column], expected.coef_[0], atol=2e-3)
        assert solution.bias[column] == pytest.approx(expected.intercept_[0], abs=5e-3)


def test_numbers_are_solved_as_by_ridge_regression_and_unknown_ones_are_left_out() -> None:
    numbers = scores(1)
    numbers[:20] = np.nan
    solution = Regression(samples(numbers, Block(Activation.LINEAR, 1))).solve(0.1)
    expected = Ridge(alpha=0.1 * 100 / 2).fit(features()[20:], numbers[20:, 0])
    assert np.allclose(solution.weight[0], expected.coef_, atol=2e-3)
    assert solution.bias[0] == pytest.approx(expected.intercept_, abs=5e-3)


def test_shares_of_votes_are_learned_as_rows_of_each_class() -> None:
    classes = scores(3).argmax(axis=1)
    shares = 0.75 * one_hot(classes, 3) + 0.25 * one_hot((classes + 1) % 3, 3)
    voted = Regression(samples(shares, Block(Activation.SOFTMAX, 3))).solve(0.1)
    weights = np.repeat([0.75, 0.25], ROWS)
    expected = LogisticRegression(C=1 / (0.1 * ROWS), tol=1e-8, max_iter=5000)
    expected.fit(np.vstack([features()] * 2), np.concatenate([classes, (classes + 1) % 3]), weights)
    assert np.allclose(voted.weight, expected.coef_, atol=2e-3)


def test_each_of_several_targets_is_solved_as_if_it_were_alone() -> None:
    first, second = one_hot(scores(3).argmax(axis=1), 3), one_hot(scores(2).argmax(axis=1), 2)
    blocks = (Block(Activation.SOFTMAX, 3), Block(Activation.SOFTMAX, 2))
    both = Regression(samples(np.hstack([first, second]), *blocks)).solve(0.1).weight
    assert np.allclose(both[:3], Regression(samples(first, blocks[0])).solve(0.1).weight, atol=3e-3)
    assert np.allclose(both[3:], Regression(samples(second, blocks[1])).solve(0.1).weight, atol=3e-3)


@pytest.mark.parametrize(
    ("targets", "block"),
    [
        (one_hot(scores(3).argmax(axis=1), 3), Block(Activation.SOFTMAX, 3)),
        (scores(2) > 0, Block(Activation.SIGMOID, 2)),
        (scores(2), Block(Activation.LINEAR, 2)),
    ],
    ids=["classes", "tags", "numbers"],
)
def test_folds_that_are_solved_together_lose_what_each_loses_alone(
    targets: NDArray[Any], block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = np.arange(ROWS) % 4
    together = Regression(samples(targets, block)).find_strength(folds)
    monkeypatch.setattr(regression, "_MAX_LOGITS", 1)
    alone = Regression(samples(targets, block)).find_strength(folds)
    assert together.strength == alone.strength
    # Weaker ones than the best are given up before they have converged.
    first = [loss for strength, loss in together.tried if strength >= together.strength]
    assert np.allclose(first, [loss for _, loss in alone.tried[: len(first)]], rtol=1e-2)
    # And by hand: a regression of the other rows, for each fold.
    losses = []
    for fold in range(4):
        learned, held = (
            samples(targets, block).of(torch.from_numpy(chosen)) for chosen in (folds != fold, folds == fold)
        )
        raw = held.inputs.clone()
        solution = Regression(learned).solve(together.strength)
        logits = (raw @ solution.weight.T + solution.bias).mean(dim=1)
        losses.append(row_losses(held.outputs, logits, held.targets))
    assert together.loss == pytest.approx(np.concatenate(losses).mean(), rel=1e-2)


def test_what_cannot_be_predicted_gets_a_stronger_penalty() -> None:
    folds = np.arange(ROWS) % 5
    noise = np.random.default_rng(5).integers(0, 2, (ROWS, 1))
    hopeless = Regression(samples(noise, Block(Activation.SIGMOID, 1))).find_strength(folds)
    easy = Regression(samples(scores(1, noise=0.1) > 0, Block(Activation.SIGMOID, 1))).find_strength(folds)
    assert hopeless.strength > 10 * easy.strength
    assert hopeless.loss is not None and easy.loss is not None and easy.loss < 0.3 < hopeless.loss
    assert {strength for strength, _ in easy.tried} <= set(STRENGTHS)


def test_standardised_features_have_mean_0_and_deviation_1_over_rows_and_views() -> None:
    raw = np.random.default_rng(0).normal(3, 5, (40, 2, 4)).astype(np.float32)
    values, mean, variance = standardised(raw, np.arange(30), 0.0)
    assert np.allclose(values.mean(dim=(0, 1)), 0, atol=1e-5)
    assert np.allclose(values.flatten(0, 1).std(dim=0, correction=0), 1, atol=1e-5)
    assert np.allclose(values, (raw[:30] - mean.numpy()) / np.sqrt(variance.numpy()), atol=1e-5)


@pytest.fixture
def fold(make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe) -> FoldRun:
    """A fold of one features stage, trained."""
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=(Stage(24, TrainMode.FEATURES, cycles=3),)))
    train_fold(fold)
    return fold


def test_a_features_stage_is_one_converged_epoch_with_a_snapshot(fold: FoldRun) -> None:
    (snapshot,) = read_snapshots(fold.folder)
    (line,) = read_log(fold.run.log_file)
    assert (line["ends_cycle"], line["lrs"]) == (True, [])
    assert line["strength"] in STRENGTHS
    assert snapshot.valid_loss == line["valid_loss"] < line["prior_loss"]
    diagnosis = diagnose([line], 0)
    assert diagnosis.verdict is Verdict.CONVERGED
    assert f"strength {line['strength']:g}" in diagnosis.reason


def test_the_fitted_head_is_the_regression_on_the_features(fold: FoldRun) -> None:
    head = initial_network(fold, TrainOptions()).head.eval()
    random = np.random.default_rng(0).normal(2, 3, (len(fold.train.table), 2, head.norm.num_features))
    random = random.astype(np.float32)
    fit = fit_head(fold, head, random, fold.train.rows)
    head.load_state_dict(fit.state)
    raw = torch.from_numpy(random[fold.train.rows, 0])
    tabular = torch.from_numpy(fold.train.targets.tabular[fold.train.rows])
    values, _, _ = standardised(random[:, :1], fold.train.rows, head.norm.eps)  # the other view is a zoomed crop
    expected = torch.cat([values[:, 0], tabular], dim=1) @ fit.state["linear.weight"].T + fit.state["linear.bias"]
    with torch.no_grad():
        assert torch.allclose(head(raw, tabular), expected, atol=1e-4)


def test_the_same_rows_give_the_same_bytes(fold: FoldRun, make_fold: MakeFold, tmp_path: Path) -> None:
    again = make_fold(tmp_path / "again", fold.recipe)
    train_fold(again)
    first, second = (load_file(each.folder / "snapshot-0.safetensors") for each in (fold, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stage_that_makes_it_worse_is_told_with_what_to_try(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = (Stage(24, TrainMode.FEATURES), Stage(24, TrainMode.UNFROZEN, lr_scale=30.0))
    fold = make_fold(tmp_path, replace(tiny_recipe, stages=stages))
    start_run(fold.session.workspace, fold.session.name, fold.recipe, fold.run.name)
    train_fold(fold)
    warning = capsys.readouterr().err.partition("warning: stage 2 made the network worse")[2]
    assert "--linear-probe" in warning
    assert "--lr" in warning
