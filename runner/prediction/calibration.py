"""Calibration: a temperature, a bias for one column, and a clip, fitted for the log loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.prediction.averaging import Mean, blocks, from_mean_space, to_mean_space

Matrix = NDArray[Any]

_TEMPERATURES = (0.2, 5.0)  # beyond these a fit is of a few odd rows
_CLIPS = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_STEPS = 30


class CalibrationMethod(Enum):
    """What of a calibration is fitted; the simplest first."""

    NOTHING = "nothing"
    CLIP = "clip"
    TEMPERATURE = "temperature"
    TEMPERATURE_AND_CLIP = "temperature and clip"
    TEMPERATURE_BIAS_AND_CLIP = "temperature, bias and clip"


@dataclass(frozen=True)
class Calibration:
    """Logs or logits over `temperature`, plus `bias`; then no probability nearer to 0 or 1 than `clip`."""

    temperature: float = 1.0
    bias: float = 0.0
    clip: float = 0.0

    def apply(self, probabilities: Matrix, multiclass: bool) -> Matrix:
        """The calibrated probabilities; the very same where there is nothing to do."""
        if (self.temperature, self.bias) != (1.0, 0.0):
            logs = to_mean_space(Mean.GEOMETRIC, probabilities, multiclass)
            probabilities = from_mean_space(Mean.GEOMETRIC, logs / self.temperature + self.bias, multiclass)
        return _clipped(probabilities, self.clip, multiclass)

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold."""
        return asdict(self)


def fit_calibration(what: CalibrationMethod, probabilities: Matrix, targets: Matrix, multiclass: bool) -> Calibration:
    """The calibration that loses least on these rows."""
    if what is CalibrationMethod.NOTHING:
        return Calibration()
    found = Calibration()
    if what is not CalibrationMethod.CLIP:
        logs = to_mean_space(Mean.GEOMETRIC, np.asarray(probabilities, dtype=np.float64), multiclass)
        biased = what is CalibrationMethod.TEMPERATURE_BIAS_AND_CLIP
        found = _fit_softmax(logs, targets) if multiclass else _fit_sigmoid(logs, targets, biased)
    if what is CalibrationMethod.TEMPERATURE:
        return found
    return _with_best_clip(found, probabilities, targets, multiclass)


def _fit_softmax(logs: Matrix, targets: Matrix) -> Calibration:
    """The loss is convex in 1 / temperature, so Newton's steps find its one minimum."""
    true, mean, mean_square = (logs * targets).sum(axis=1), np.empty(len(logs)), np.empty(len(logs))
    slope = 1.0
    for _ in range(_STEPS):
        for rows in blocks(logs):
            shares = from_mean_space(Mean.GEOMETRIC, slope * logs[rows], True)
            mean[rows] = (shares * logs[rows]).sum(axis=1)
            mean_square[rows] = (shares * logs[rows] ** 2).sum(axis=1)
        bend = (mean_square - mean**2).mean()
        new = _bounded(slope - (mean - true).mean() / max(bend, 1e-12))
        if abs(new - slope) < 1e-9:
            break
        slope = new
    return Calibration(1 / slope)


def _fit_sigmoid(logits: Matrix, targets: Matrix, biased: bool) -> Calibration:
    """One slope, and perhaps one bias, for all columns; convex in both."""
    slope, bias = 1.0, 0.0
    for _ in range(_STEPS):
        shares = 1 / (1 + np.exp(-(slope * logits + bias)))
        wrong, bend = shares - targets, shares * (1 - shares)
        pull = np.array([(wrong * logits).mean(), wrong.mean()])
        curve = np.array([[(bend * logits**2).mean(), (bend * logits).mean()], [(bend * logits).mean(), bend.mean()]])
        curve += 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, pull) if biased else np.array([pull[0] / curve[0, 0], 0.0])
        # Newton's step is trusted for a short way only: far from its place the curve is another.
        step = np.clip(step, -1, 1)
        new, bias = _bounded(slope - step[0]), float(np.clip(bias - step[1], -5, 5))
        done, slope = max(abs(new - slope), abs(step[1])) < 1e-9, new
        if done:
            break
    return Calibration(1 / slope, bias)


def _bounded(slope: float) -> float:
    return float(np.clip(slope, 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]))


def _with_best_clip(found: Calibration, probabilities: Matrix, targets: Matrix, multiclass: bool) -> Calibration:
    scaled = found.apply(probabilities, multiclass)
    truth = targets > 0.5
    losses = [_loss_when_clipped(scaled, clip, truth, multiclass) for clip in _CLIPS]
    return Calibration(found.temperature, found.bias, _CLIPS[int(np.argmin(losses))])


def _clipped(probabilities: Matrix, clip: float, multiclass: bool) -> Matrix:
    if clip == 0:
        return probabilities
    inside = np.clip(probabilities, clip, 1 - clip)
    return inside / inside.sum(axis=1, keepdims=True) if multiclass else inside


def _loss_when_clipped(probabilities: Matrix, clip: float, truth: Matrix, multiclass: bool) -> float:
    if not multiclass:
        inside = np.clip(_clipped(probabilities, clip, multiclass), 1e-15, 1 - 1e-15)
        return float(-np.log(np.where(truth, inside, 1 - inside)).mean())
    # Of one of many only what was given to the truth counts.
    given = [_clipped(probabilities[rows], clip, multiclass)[truth[rows]] for rows in blocks(probabilities)]
    return float(-np.log(np.clip(np.concatenate(given), 1e-15, 1 - 1e-15)).mean())
