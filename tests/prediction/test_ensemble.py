"""Weights: they sum to 1, are never worse than the best member on their own rows, and do not depend on order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS
from runner.prediction.averaging import Mean, average
from runner.prediction.ensemble import (
    MAX_ROUNDS,
    ByMetric,
    EnsembleMethod,
    LogLoss,
    SquaredError,
    ensemble_weights,
    error_table,
    hill_climb,
    without_member,
)
from tests.prediction.conftest import outputs

property_test = settings(deadline=None, max_examples=25)
MULTICLASS, COLUMNS = True, False


def draw(seed: int, multiclass: bool, members: int = 4, rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and members that see them through different amounts of noise."""
    random = np.random.default_rng(seed)
    classes = 3 if multiclass else 1
    targets = np.eye(3)[random.integers(0, 3, rows)] if multiclass else random.integers(0, 2, (rows, 1)).astype(float)
    logits = (
        2 * targets - 1 + random.normal(scale=random.uniform(0.5, 3, (members, 1, 1)), size=(members, rows, classes))
    )
    if multiclass:
        powers = np.exp(logits)
        return targets, (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32)
    return targets, (1 / (1 + np.exp(-logits))).astype(np.float32)


def objectives(targets: np.ndarray, stack: np.ndarray, multiclass: bool):
    for mean in Mean:
        transformed = mean.transform(stack, outputs(multiclass))
        yield LogLoss(transformed, targets, mean, outputs(multiclass))
        yield ByMetric(ACCURACY, transformed, targets, mean, outputs(multiclass))
    yield SquaredError(error_table(stack, targets))


def loss(objective, weights: np.ndarray) -> float:
    """The loss of these weights, by way of counts from which one member was removed."""
    counts = np.round(weights * 27_720) / 27_720 * 1e6
    member = int(counts.argmax())
    counts[member] -= 1
    return float(objective.losses(counts)[member])


@property_test
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), members=st.integers(1, 6))
def test_hill_climbing_is_never_worse_than_the_best_member(seed, multiclass, members):
    targets, stack = draw(seed, multiclass, members)
    for objective in objectives(targets, stack, multiclass):
        weights = hill_climb(objective)
        assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
        singles = objective.losses(np.zeros(members))
        assert loss(objective, weights) <= singles.min() + 1e-4 * abs(singles.min())


@property_test
@given(seed=st.integers(0, 2**32), multiclass=st.booleans())
def test_the_losses_equal_the_metric(seed, multiclass):
    targets, stack = draw(seed, multiclass, members=3)
    metric = LOG_LOSS if multiclass else BINARY_LOG_LOSS
    counts = np.array([2.0, 0, 1])
    for mean in Mean:
        transformed = mean.transform(stack, outputs(multiclass))
        quick = LogLoss(transformed, targets, mean, outputs(multiclass)).losses(counts)
        slow = ByMetric(metric, transformed, targets, mean, outputs(multiclass)).losses(counts)
        averaged = average(mean, [(2, stack[0]), (1, stack[1]), (1, stack[2])], outputs(multiclass))
        np.testing.assert_allclose(quick, slow, rtol=1e-4)
        assert quick[1] == pytest.approx(metric.score(targets, averaged), rel=1e-4)


def test_the_squared_error_comes_from_tables_that_add_up():
    targets, stack = draw(1, MULTICLASS, members=3, rows=1500)
    table = error_table(stack, targets)
    averaged = (2 * stack[0] + stack[2] + stack[1]) / 4
    assert SquaredError(table).losses(np.array([2.0, 0, 1]))[1] == pytest.approx(
        ((averaged - targets) ** 2).sum(), rel=1e-5
    )
    halves = error_table(stack[:, :700], targets[:700]) + error_table(stack[:, 700:], targets[700:])
    np.testing.assert_allclose(table, halves, rtol=1e-5)


@property_test
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), data=st.data())
def test_the_order_of_members_and_rows_does_not_matter(seed, multiclass, data):
    targets, stack = draw(seed, multiclass, members=5, rows=60)
    order = np.array(data.draw(st.permutations(range(5))))
    rows = np.random.default_rng(seed).permutation(60)
    for mean in Mean:
        weights = hill_climb(LogLoss(mean.transform(stack, outputs(multiclass)), targets, mean, outputs(multiclass)))
        shuffled = mean.transform(stack[order][:, rows], outputs(multiclass))
        again = hill_climb(LogLoss(shuffled, targets[rows], mean, outputs(multiclass)))
        np.testing.assert_allclose(again, weights[order])


def test_a_worse_member_gets_a_small_weight_if_that_helps():
    random = np.random.default_rng(4)
    targets = random.integers(0, 2, (4000, 1)).astype(float)
    errors = random.normal(size=(2, 4000, 1)) * np.array([0.1, 0.35])[:, None, None]
    objective = SquaredError(error_table((targets + errors).astype(np.float32), targets))
    assert objective.losses(np.array([1.0, 0])).argmin() == 0
    # The best weights of independent errors are their inverse variances.
    assert hill_climb(objective)[1] == pytest.approx(0.1**2 / (0.1**2 + 0.35**2), abs=0.04)


def test_a_perfect_member_gets_all_the_weight():
    targets, stack = draw(3, MULTICLASS)
    stack[2] = 0.998 * targets + 0.001
    assert hill_climb(SquaredError(error_table(stack, targets)))[2] == 1


def test_weights_are_multiples_of_one_over_the_rounds():
    targets, stack = draw(9, COLUMNS, members=6, rows=300)
    weights = hill_climb(LogLoss(stack, targets, Mean.ARITHMETIC, outputs(COLUMNS)))
    assert any(np.allclose(weights * size, np.round(weights * size)) for size in range(1, MAX_ROUNDS + 1))


def test_only_fitted_methods_need_an_objective():
    assert ensemble_weights(EnsembleMethod.LAST, 3).tolist() == [0, 0, 1]
    assert ensemble_weights(EnsembleMethod.MEAN, 4).tolist() == [0.25] * 4
    targets, stack = draw(3, MULTICLASS)
    stack[1] = targets
    assert ensemble_weights(EnsembleMethod.BEST, 4, SquaredError(error_table(stack, targets))).tolist() == [0, 1, 0, 0]
    for fitted in (EnsembleMethod.BEST, EnsembleMethod.GREEDY):
        with pytest.raises(ValueError, match="need an objective"):
            ensemble_weights(fitted, 3)


def test_without_a_member_the_other_weights_sum_to_one():
    assert without_member(np.array([0.5, 0.25, 0.25]), 0).tolist() == [0, 0.5, 0.5]
    assert without_member(np.array([0.0, 1.0]), 1) is None
