"""Weights: they sum to 1, the ensemble is never worse where it was fitted, order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS
from runner.prediction.averaging import Mean, average, to_mean_space
from runner.prediction.ensemble import (
    ROUNDS,
    ByMetric,
    EnsembleMethod,
    LogLoss,
    SquaredError,
    ensemble_weights,
    error_table,
    hill_climb,
    without_member,
)

law = settings(deadline=None, max_examples=25)
ONE_OF_MANY, COLUMNS = True, False


def draw(seed: int, multiclass: bool, members: int = 4, rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Members of unequal noise around the truth."""
    random = np.random.default_rng(seed)
    classes = 3 if multiclass else 1
    truth = np.eye(3)[random.integers(0, 3, rows)] if multiclass else random.integers(0, 2, (rows, 1)).astype(float)
    logits = 2 * truth - 1 + random.normal(scale=random.uniform(0.5, 3, (members, 1, 1)), size=(members, rows, classes))
    if multiclass:
        powers = np.exp(logits)
        return truth, (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32)
    return truth, (1 / (1 + np.exp(-logits))).astype(np.float32)


def objectives(truth: np.ndarray, stack: np.ndarray, multiclass: bool):
    for space in Mean:
        inside = to_mean_space(space, stack, multiclass)
        yield LogLoss(inside, truth, space, multiclass)
        yield ByMetric(ACCURACY, inside, truth, space, multiclass)
    yield SquaredError(error_table(stack, truth))


def loss(objective, weights: np.ndarray) -> float:
    """An objective tells losses of one member more; here, of weights that are counts over a whole."""
    counts = np.round(weights * 27_720) / 27_720 * 1e6
    member = int(counts.argmax())
    counts[member] -= 1
    return float(objective.losses(counts)[member])


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), members=st.integers(1, 6))
def test_greedy_weights_sum_to_one_and_are_never_worse_than_the_best_single_where_they_were_fitted(
    seed, multiclass, members
):
    truth, stack = draw(seed, multiclass, members)
    for objective in objectives(truth, stack, multiclass):
        weights = hill_climb(objective)
        assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
        singles = objective.losses(np.zeros(members))
        assert loss(objective, weights) <= singles.min() + 1e-4 * abs(singles.min())


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans())
def test_the_losses_are_the_metrics(seed, multiclass):
    truth, stack = draw(seed, multiclass, members=3)
    metric = LOG_LOSS if multiclass else BINARY_LOG_LOSS
    counts = np.array([2.0, 0, 1])
    for space in Mean:
        inside = to_mean_space(space, stack, multiclass)
        quick = LogLoss(inside, truth, space, multiclass).losses(counts)
        slow = ByMetric(metric, inside, truth, space, multiclass).losses(counts)
        grown = average(space, [(2, stack[0]), (1, stack[1]), (1, stack[2])], multiclass)
        np.testing.assert_allclose(quick, slow, rtol=1e-4)
        assert quick[1] == pytest.approx(metric.score(truth, grown), rel=1e-4)


def test_the_squared_error_comes_from_the_table_alone_and_tables_add_up():
    truth, stack = draw(1, ONE_OF_MANY, members=3, rows=1500)
    table = error_table(stack, truth)
    grown = (2 * stack[0] + stack[2] + stack[1]) / 4
    assert SquaredError(table).losses(np.array([2.0, 0, 1]))[1] == pytest.approx(((grown - truth) ** 2).sum(), rel=1e-5)
    halves = error_table(stack[:, :700], truth[:700]) + error_table(stack[:, 700:], truth[700:])
    np.testing.assert_allclose(table, halves, rtol=1e-5)


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), data=st.data())
def test_the_order_of_members_and_of_rows_does_not_matter(seed, multiclass, data):
    truth, stack = draw(seed, multiclass, members=5, rows=60)
    order = np.array(data.draw(st.permutations(range(5))))
    rows = np.random.default_rng(seed).permutation(60)
    for space in Mean:
        weights = hill_climb(LogLoss(to_mean_space(space, stack, multiclass), truth, space, multiclass))
        shuffled = to_mean_space(space, stack[order][:, rows], multiclass)
        again = hill_climb(LogLoss(shuffled, truth[rows], space, multiclass))
        np.testing.assert_allclose(again, weights[order])


def test_a_little_of_a_worse_member_is_found_though_the_half_of_it_would_harm():
    random = np.random.default_rng(4)
    truth = random.integers(0, 2, (4000, 1)).astype(float)
    errors = random.normal(size=(2, 4000, 1)) * np.array([0.1, 0.35])[:, None, None]
    objective = SquaredError(error_table((truth + errors).astype(np.float32), truth))
    assert objective.losses(np.array([1.0, 0])).argmin() == 0
    # Errors of unlike size are best weighed by their inverse squares.
    assert hill_climb(objective)[1] == pytest.approx(0.1**2 / (0.1**2 + 0.35**2), abs=0.04)


def test_a_member_that_is_the_truth_takes_all_the_weight():
    truth, stack = draw(3, ONE_OF_MANY)
    stack[2] = 0.998 * truth + 0.001
    assert hill_climb(SquaredError(error_table(stack, truth)))[2] == 1


def test_a_round_is_bounded_and_weights_are_whole_parts():
    truth, stack = draw(9, COLUMNS, members=6, rows=300)
    weights = hill_climb(LogLoss(stack, truth, Mean.ARITHMETIC, COLUMNS))
    assert any(np.allclose(weights * size, np.round(weights * size)) for size in range(1, ROUNDS + 1))


def test_the_plain_ways_need_no_rows_and_the_fitted_ones_do():
    assert ensemble_weights(EnsembleMethod.LAST, 3).tolist() == [0, 0, 1]
    assert ensemble_weights(EnsembleMethod.MEAN, 4).tolist() == [0.25] * 4
    truth, stack = draw(3, ONE_OF_MANY)
    stack[1] = truth
    assert ensemble_weights(EnsembleMethod.BEST, 4, SquaredError(error_table(stack, truth))).tolist() == [0, 1, 0, 0]
    for fitted in (EnsembleMethod.BEST, EnsembleMethod.GREEDY):
        with pytest.raises(ValueError, match="nothing to fit"):
            ensemble_weights(fitted, 3)


def test_without_a_member_the_others_share_its_weight():
    assert without_member(np.array([0.5, 0.25, 0.25]), 0).tolist() == [0, 0.5, 0.5]
    assert without_member(np.array([0.0, 1.0]), 1) is None
