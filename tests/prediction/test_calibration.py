"""Calibration: it undoes a distortion, and changes nothing on calibrated probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import BINARY_LOG_LOSS, LOG_LOSS
from runner.prediction.averaging import from_logs
from runner.prediction.calibration import Calibration, CalibrationMethod, fit_calibration
from tests.prediction.conftest import outputs

property_test = settings(deadline=None, max_examples=15)


def draw(seed: int, multiclass: bool, rows: int = 20_000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and targets drawn with their probabilities."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2, size=(rows, classes))
    probabilities = from_logs(logits, outputs(multiclass))
    if not multiclass:
        return logits, (random.random((rows, classes)) < probabilities).astype(float)
    return logits, np.eye(classes)[(probabilities.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1)]


@property_test
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), factor=st.sampled_from([0.5, 1.0, 1.7, 3.0]))
def test_temperature_scaling_undoes_a_temperature(seed, multiclass, factor):
    logits, targets = draw(seed, multiclass)
    distorted = from_logs(logits / factor, outputs(multiclass))
    calibration = fit_calibration(CalibrationMethod.TEMPERATURE, distorted, targets, outputs(multiclass))
    assert calibration.temperature == pytest.approx(1 / factor, rel=0.06)


@property_test
@given(seed=st.integers(0, 2**32), shift=st.floats(-1.5, 1.5))
def test_platt_scaling_undoes_a_shift_of_one_column(seed, shift):
    logits, targets = draw(seed, False, classes=1)
    distorted = from_logs(logits + shift, outputs(False))
    calibration = fit_calibration(CalibrationMethod.PLATT_AND_CLIP, distorted, targets, outputs(False))
    assert calibration.bias == pytest.approx(-shift, abs=0.12)
    assert calibration.temperature == pytest.approx(1, rel=0.06)


@property_test
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), method=st.sampled_from(CalibrationMethod))
def test_a_fit_is_never_worse_on_its_own_rows(seed, multiclass, method):
    random = np.random.default_rng(seed)
    rows, classes = 30, 3 if multiclass else 1
    targets = np.eye(3)[random.integers(0, 3, rows)] if multiclass else random.integers(0, 2, (rows, 1)).astype(float)
    extreme = from_logs(random.normal(scale=8, size=(rows, classes)), outputs(multiclass))
    metric = LOG_LOSS if multiclass else BINARY_LOG_LOSS
    calibration = fit_calibration(method, extreme, targets, outputs(multiclass))
    assert (
        metric.score(targets, calibration.apply(extreme, outputs(multiclass))) <= metric.score(targets, extreme) + 1e-6
    )


def test_a_temperature_changes_no_predicted_class():
    logits, _ = draw(1, True, rows=500)
    probabilities = from_logs(logits, outputs(True))
    for temperature in (0.3, 4.0):
        scaled = Calibration(temperature).apply(probabilities, outputs(True))
        assert (scaled.argmax(axis=1) == probabilities.argmax(axis=1)).all()
        np.testing.assert_allclose(scaled.sum(axis=1), 1)


def test_certain_and_wrong_rows_are_clipped():
    targets = np.ones((1000, 1))
    certain = np.full((1000, 1), 1 - 1e-12)
    assert fit_calibration(CalibrationMethod.CLIP, certain, targets, outputs(False)).clip == 0
    targets[:2] = 0
    calibration = fit_calibration(CalibrationMethod.CLIP, certain, targets, outputs(False))
    # With two wrong in a thousand the best probability is 0.998; the clips that are tried are on both sides.
    assert calibration.clip in (1e-3, 3e-3)


def test_the_fit_on_perfect_or_equal_predictions_is_bounded():
    targets = np.array([[1.0], [0.0], [1.0]])
    for probabilities in (0.8 * targets + 0.1, np.full((3, 1), 0.5), targets):
        for method in CalibrationMethod:
            calibration = fit_calibration(method, probabilities, targets, outputs(False))
            assert 0.2 <= calibration.temperature <= 5 and abs(calibration.bias) <= 5
            assert np.isfinite(calibration.apply(probabilities, outputs(False))).all()


def test_no_calibration_returns_the_same_probabilities():
    probabilities = np.random.default_rng(0).random((3, 2))
    assert Calibration().apply(probabilities, outputs(False)) is probabilities
    assert fit_calibration(CalibrationMethod.NONE, probabilities, probabilities, outputs(False)) == Calibration()
