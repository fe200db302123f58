"""Calibration: nothing to do on calibrated data, undone where the data was distorted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import BINARY_LOG_LOSS, LOG_LOSS
from runner.prediction.averaging import Mean, from_mean_space
from runner.prediction.calibration import Calibration, CalibrationMethod, fit_calibration

law = settings(deadline=None, max_examples=15)


def draw(seed: int, multiclass: bool, rows: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and truths drawn with the very probabilities that they say."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(rows, classes))
    probabilities = from_mean_space(Mean.GEOMETRIC, logits, multiclass)
    if not multiclass:
        return logits, (random.random((rows, classes)) < probabilities).astype(float)
    return logits, np.eye(classes)[(probabilities.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)]


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), heat=st.sampled_from([0.5, 1.0, 1.7, 3.0]))
def test_the_temperature_that_distorted_calibrated_probabilities_is_found(seed, multiclass, heat):
    logits, truth = draw(seed, multiclass)
    distorted = from_mean_space(Mean.GEOMETRIC, logits / heat, multiclass)
    found = fit_calibration(CalibrationMethod.TEMPERATURE, distorted, truth, multiclass)
    assert found.temperature == pytest.approx(1 / heat, rel=0.06)


@law
@given(seed=st.integers(0, 2**32), shift=st.floats(-1.5, 1.5))
def test_the_bias_that_distorted_one_column_is_found(seed, shift):
    logits, truth = draw(seed, False, classes=1)
    distorted = from_mean_space(Mean.GEOMETRIC, logits + shift, False)
    found = fit_calibration(CalibrationMethod.TEMPERATURE_BIAS_AND_CLIP, distorted, truth, False)
    assert found.bias == pytest.approx(-shift, abs=0.12)
    assert found.temperature == pytest.approx(1, rel=0.06)


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), what=st.sampled_from(CalibrationMethod))
def test_a_fit_never_loses_on_the_rows_it_was_fitted_on(seed, multiclass, what):
    random = np.random.default_rng(seed)
    rows, classes = 30, 3 if multiclass else 1
    truth = np.eye(3)[random.integers(0, 3, rows)] if multiclass else random.integers(0, 2, (rows, 1)).astype(float)
    wild = from_mean_space(Mean.GEOMETRIC, random.normal(scale=8, size=(rows, classes)), multiclass)
    metric = LOG_LOSS if multiclass else BINARY_LOG_LOSS
    found = fit_calibration(what, wild, truth, multiclass)
    assert metric.score(truth, found.apply(wild, multiclass)) <= metric.score(truth, wild) + 1e-6


def test_a_temperature_moves_no_row_to_another_class():
    logits, _ = draw(1, True, rows=500)
    probabilities = from_mean_space(Mean.GEOMETRIC, logits, True)
    for heat in (0.3, 4.0):
        moved = Calibration(heat).apply(probabilities, True)
        assert (moved.argmax(axis=1) == probabilities.argmax(axis=1)).all()
        np.testing.assert_allclose(moved.sum(axis=1), 1)


def test_a_certain_and_wrong_row_is_worth_a_clip_and_none_is_not():
    truth = np.ones((1000, 1))
    sure = np.full((1000, 1), 1 - 1e-12)
    assert fit_calibration(CalibrationMethod.CLIP, sure, truth, False).clip == 0
    truth[:2] = 0
    found = fit_calibration(CalibrationMethod.CLIP, sure, truth, False)
    # With two wrong in a thousand the best certainty is 0.998; the clips that are tried lie on both sides.
    assert found.clip in (1e-3, 3e-3)


def test_rows_that_are_all_right_or_all_alike_have_a_bounded_fit():
    truth = np.array([[1.0], [0.0], [1.0]])
    for probabilities in (0.8 * truth + 0.1, np.full((3, 1), 0.5), truth):
        for what in CalibrationMethod:
            found = fit_calibration(what, probabilities, truth, False)
            assert 0.2 <= found.temperature <= 5 and abs(found.bias) <= 5
            assert np.isfinite(found.apply(probabilities, False)).all()


def test_no_calibration_gives_back_the_very_probabilities():
    probabilities = np.random.default_rng(0).random((3, 2))
    assert Calibration().apply(probabilities, False) is probabilities
    assert fit_calibration(CalibrationMethod.NOTHING, probabilities, probabilities, False) == Calibration()
