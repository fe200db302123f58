"""Scores, their standard errors, and what counts as a gain."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, MEAN_F2, ROC_AUC, Metric
from runner.prediction.score import Gain, bootstrap_gain, group_codes, paired_gain, score_rows

law = settings(deadline=None, max_examples=25)


def rows_of(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, (rows, 1)).astype(float)
    return truth, np.clip(0.25 + 0.5 * truth + random.normal(scale=0.2, size=(rows, 1)), 0.01, 0.99)


def whole(metric: Metric) -> Metric:
    """The same metric, as one that does not tell the parts of its rows."""
    return Metric(metric.key, metric.title, metric.function, metric.higher_is_better, metric.takes_decisions)


def test_the_error_of_a_share_is_what_the_binomial_law_gives():
    truth = np.ones((400, 1))
    predicted = np.where(np.arange(400) < 300, 0.9, 0.1)[:, None]
    score = score_rows(ACCURACY, truth, predicted)
    assert score.value == 0.75
    assert score.error == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.15)


@law
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 60), groups=st.integers(1, 20))
def test_resampled_parts_have_the_spread_of_resampled_scores(seed, rows, groups):
    truth, predicted = rows_of(seed, rows)
    names = [f"g{number % groups}" if number % 3 else "" for number in range(rows)]
    for given_groups in (None, names):
        quick = score_rows(BINARY_LOG_LOSS, truth, predicted, groups=given_groups)
        slow = score_rows(whole(BINARY_LOG_LOSS), truth, predicted, groups=given_groups)
        assert quick.value == slow.value
        assert quick.error == pytest.approx(slow.error, rel=1e-9, abs=1e-12)


def test_rows_that_resemble_each_other_count_for_less():
    truth, predicted = rows_of(3, 50)
    many = np.repeat(truth, 20, axis=0), np.repeat(predicted, 20, axis=0)
    groups = np.repeat([f"scene {number}" for number in range(50)], 20).tolist()
    alone, together = score_rows(BINARY_LOG_LOSS, *many), score_rows(BINARY_LOG_LOSS, *many, groups=groups)
    assert together.error == pytest.approx(score_rows(BINARY_LOG_LOSS, truth, predicted).error, rel=1e-9)
    assert together.error == pytest.approx(alone.error * np.sqrt(20), rel=0.2)


def test_a_score_that_is_no_mean_of_rows_has_an_error_even_where_a_resample_holds_one_class():
    truth, predicted = rows_of(1, 4)
    truth[:] = [[1], [0], [0], [0]]
    score = score_rows(ROC_AUC, truth, predicted)
    assert np.isfinite(score.error)


def test_the_error_is_the_same_each_time_and_needs_no_more_than_one_row():
    truth, predicted = rows_of(5, 40)
    assert score_rows(BINARY_LOG_LOSS, truth, predicted) == score_rows(BINARY_LOG_LOSS, truth, predicted)
    assert score_rows(BINARY_LOG_LOSS, truth[:1], predicted[:1]).error == pytest.approx(0, abs=1e-12)


def test_planets_rows_are_resampled_in_less_than_two_seconds():
    random = np.random.default_rng(0)
    truth = (random.random((40_479, 17)) < 0.2).astype(float)
    begun = time.process_time()
    score_rows(MEAN_F2, truth, np.roll(truth, 1, axis=0))
    assert time.process_time() - begun < 2


def test_units_are_groups_and_lone_rows_and_a_lone_row_is_never_taken_for_a_group():
    assert group_codes(["a", "", "a", "", "3"]).tolist() == [0, 1, 0, 2, 3]


def test_a_gain_is_told_the_same_from_parts_and_from_scores():
    truth, good = rows_of(7, 300)
    bad = np.clip(good + np.random.default_rng(8).normal(scale=0.2, size=good.shape), 0.01, 0.99)
    parts = [BINARY_LOG_LOSS.per_row(truth, answer) for answer in (bad, good)]
    quick = paired_gain(BINARY_LOG_LOSS, *parts, np.arange(300))
    slow = bootstrap_gain(BINARY_LOG_LOSS, truth, bad, good, np.arange(300))
    assert quick.value == pytest.approx(slow.value) and quick.value > 0
    assert quick.error == pytest.approx(slow.error, rel=0.2)
    assert quick.exceeds_standard_error


def test_a_gain_that_is_rounding_or_smaller_than_its_error_is_none():
    assert not Gain(1e-12, 0.0).exceeds_standard_error
    assert not Gain(0.01, 0.011).exceeds_standard_error
    assert not Gain(-0.1, 0.0).exceeds_standard_error
    assert Gain(0.012, 0.011).exceeds_standard_error
