"""Scores, their standard errors, and gains."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, MEAN_F2, ROC_AUC, Metric
from runner.prediction.score import Gain, bootstrap_gain, group_codes, paired_gain, score_rows

property_test = settings(deadline=None, max_examples=25)


def rows_of(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, (rows, 1)).astype(float)
    return targets, np.clip(0.25 + 0.5 * targets + random.normal(scale=0.2, size=(rows, 1)), 0.01, 0.99)


def without_row_scores(metric: Metric) -> Metric:
    """The same metric without scores per row."""
    return Metric(
        metric.key, metric.title, metric.score, higher_is_better=metric.higher_is_better, decision=metric.decision
    )


def test_the_error_of_accuracy_is_the_binomial_standard_error():
    targets = np.ones((400, 1))
    predicted = np.where(np.arange(400) < 300, 0.9, 0.1)[:, None]
    score = score_rows(ACCURACY, targets, predicted)
    assert score.value == 0.75
    assert score.error == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.15)


@property_test
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 60), groups=st.integers(1, 20))
def test_resampled_row_scores_have_the_error_of_resampled_scores(seed, rows, groups):
    targets, predicted = rows_of(seed, rows)
    names = [f"g{number % groups}" if number % 3 else "" for number in range(rows)]
    for codes in (None, group_codes(names)):
        quick = score_rows(BINARY_LOG_LOSS, targets, predicted, codes=codes)
        slow = score_rows(without_row_scores(BINARY_LOG_LOSS), targets, predicted, codes=codes)
        assert quick.value == slow.value
        assert quick.error == pytest.approx(slow.error, rel=1e-9, abs=1e-12)


def test_rows_of_one_group_count_as_one():
    targets, predicted = rows_of(3, 50)
    repeated = np.repeat(targets, 20, axis=0), np.repeat(predicted, 20, axis=0)
    groups = np.repeat([f"scene {number}" for number in range(50)], 20).tolist()
    single, grouped = (
        score_rows(BINARY_LOG_LOSS, *repeated),
        score_rows(BINARY_LOG_LOSS, *repeated, codes=group_codes(groups)),
    )
    assert grouped.error == pytest.approx(score_rows(BINARY_LOG_LOSS, targets, predicted).error, rel=1e-9)
    assert grouped.error == pytest.approx(single.error * np.sqrt(20), rel=0.2)


def test_roc_auc_has_an_error_though_a_resample_has_one_class():
    targets, predicted = rows_of(1, 4)
    targets[:] = [[1], [0], [0], [0]]
    score = score_rows(ROC_AUC, targets, predicted)
    assert np.isfinite(score.error)


def test_the_error_is_deterministic_and_zero_for_one_row():
    targets, predicted = rows_of(5, 40)
    assert score_rows(BINARY_LOG_LOSS, targets, predicted) == score_rows(BINARY_LOG_LOSS, targets, predicted)
    assert score_rows(BINARY_LOG_LOSS, targets[:1], predicted[:1]).error == pytest.approx(0, abs=1e-12)


def test_planets_rows_are_resampled_in_two_seconds():
    random = np.random.default_rng(0)
    targets = (random.random((40_479, 17)) < 0.2).astype(float)
    begun = time.process_time()
    score_rows(MEAN_F2, targets, np.roll(targets, 1, axis=0))
    assert time.process_time() - begun < 2


def test_a_row_without_a_group_has_a_code_of_its_own():
    assert group_codes(["a", "", "a", "", "3"]).tolist() == [0, 1, 0, 2, 3]
    assert group_codes(["a", "b", "c"]).tolist() == [0, 1, 2]
    assert group_codes(["", "", ""]).tolist() == [0, 1, 2]


def test_paired_and_bootstrap_gains_agree():
    targets, good = rows_of(7, 300)
    bad = np.clip(good + np.random.default_rng(8).normal(scale=0.2, size=good.shape), 0.01, 0.99)
    row_scores = [BINARY_LOG_LOSS.per_row(targets, predictions) for predictions in (bad, good)]
    quick = paired_gain(BINARY_LOG_LOSS, *row_scores, np.arange(300))
    slow = bootstrap_gain(BINARY_LOG_LOSS, targets, bad, good, np.arange(300))
    assert quick.value == pytest.approx(slow.value) and quick.value > 0
    assert quick.error == pytest.approx(slow.error, rel=0.2)
    assert quick.exceeds_standard_error


def test_a_gain_below_its_error_or_rounding_does_not_count():
    assert not Gain(1e-12, 0.0).exceeds_standard_error
    assert not Gain(0.01, 0.011).exceeds_standard_error
    assert not Gain(-0.1, 0.0).exceeds_standard_error
    assert Gain(0.012, 0.011).exceeds_standard_error
