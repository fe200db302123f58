"""Calibration by temperature scaling, Platt scaling for one column, and clipping; fitted for the log loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np

from runner.contract import Activation, Outputs
from runner.contract.targets import Targets, are_class_numbers
from runner.prediction.averaging import Matrix, blocks, by_block, from_logs, row_sums, to_logs

_TEMPERATURES = (0.2, 5.0)  # beyond these limits the fit follows a few outliers
_BIASES = (-5.0, 5.0)
_CLIPS = (0.0, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_MAX_STEPS = 30


class CalibrationMethod(Enum):
    """What is fitted; the simplest first."""

    NONE = "none"
    CLIP = "clip"
    TEMPERATURE = "temperature"
    TEMPERATURE_AND_CLIP = "temperature and clip"
    PLATT_AND_CLIP = "Platt scaling and clip"  # a temperature and a bias


@dataclass(frozen=True)
class Calibration:
    """Logs (or logits) divided by `temperature`, plus `bias`; then probabilities are kept `clip` from 0 and 1."""

    temperature: float = 1.0
    bias: float = 0.0
    clip: float = 0.0

    def apply(self, probabilities: Matrix, outputs: Outputs) -> Matrix:
        """The calibrated probabilities; the same object if there is nothing to change."""
        if (self.temperature, self.bias) != (1.0, 0.0):
            logs = to_logs(probabilities, outputs)
            probabilities = from_logs(logs / self.temperature + self.bias, outputs)
        return _clip(probabilities, self.clip, outputs)

    def to_dict(self) -> dict[str, Any]:
        """A plain value for JSON."""
        return asdict(self)


def calibration_methods(outputs: Outputs, *, for_decisions: bool) -> list[CalibrationMethod]:
    """The methods for these outputs, the simplest first. Decisions gain nothing by a clip."""
    if outputs.are_numbers:
        return [CalibrationMethod.NONE]
    if for_decisions or outputs.only is None:
        return [CalibrationMethod.NONE, CalibrationMethod.TEMPERATURE]
    one_column = outputs.columns == 1
    return [method for method in CalibrationMethod if one_column or method is not CalibrationMethod.PLATT_AND_CLIP]


def fit_calibration(
    method: CalibrationMethod, probabilities: Matrix, targets: Targets, outputs: Outputs
) -> Calibration:
    """The calibration with the smallest log loss on these rows."""
    if method is CalibrationMethod.NONE:
        return Calibration()
    calibration = Calibration()
    if method is not CalibrationMethod.CLIP:
        logs = to_logs(np.asarray(probabilities, dtype=np.float64), outputs)
        if outputs.only is Activation.SIGMOID:
            calibration = _fit_platt(*_known(logs, targets), method is CalibrationMethod.PLATT_AND_CLIP)
        else:
            calibration = _fit_temperature(logs, targets, outputs)
    if method is CalibrationMethod.TEMPERATURE:
        return calibration
    return _with_best_clip(calibration, probabilities, targets, outputs)


def _known(logits: Matrix, targets: Matrix) -> tuple[Matrix, Matrix]:
    """Logits and targets; as one column of the known ones, if some targets are not known."""
    known = ~np.isnan(targets)
    return (logits, targets) if known.all() else (logits[known][:, None], targets[known][:, None])


def _fit_temperature(logs: Matrix, targets: Targets, outputs: Outputs) -> Calibration:
    """Newton's method on slope = 1 / temperature, in which the multiclass log loss is convex."""
    of_class = are_class_numbers(targets)
    log_of_target = logs[np.arange(len(logs)), targets] if of_class else (logs * targets).sum(axis=1)
    mean, mean_square = np.empty(len(logs)), np.empty(len(logs))
    slope = 1.0
    for _ in range(_MAX_STEPS):
        for rows in blocks(logs):
            probabilities = from_logs(slope * logs[rows], outputs)
            mean[rows] = row_sums(probabilities * logs[rows])
            mean_square[rows] = row_sums(probabilities * logs[rows] ** 2)
        curvature = (mean_square - mean**2).mean()
        new = _limit_slope(slope - (mean - log_of_target).mean() / max(curvature, 1e-12))
        if abs(new - slope) < 1e-9:
            break
        slope = new
    return Calibration(1 / slope)


def _fit_platt(logits: Matrix, targets: Matrix, with_bias: bool) -> Calibration:
    """Newton's method on one slope, and a bias if wanted, for all columns; the log loss is convex in both."""
    slope, bias = 1.0, 0.0
    for _ in range(_MAX_STEPS):
        probabilities = 1 / (1 + np.exp(-(slope * logits + bias)))
        errors, variance = probabilities - targets, probabilities * (1 - probabilities)
        gradient = np.array([(errors * logits).mean(), errors.mean()])
        mixed = (variance * logits).mean()
        hessian = np.array([[(variance * logits**2).mean(), mixed], [mixed, variance.mean()]])
        hessian += 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient) if with_bias else np.array([gradient[0] / hessian[0, 0], 0.0])
        # Far from the minimum the curvature is another, so Newton's step is limited.
        step = np.clip(step, -1, 1)
        new, bias = _limit_slope(slope - step[0]), float(np.clip(bias - step[1], *_BIASES))
        converged, slope = max(abs(new - slope), abs(step[1])) < 1e-9, new
        if converged:
            break
    return Calibration(1 / slope, bias)


def _limit_slope(slope: float) -> float:
    return float(np.clip(slope, 1 / _TEMPERATURES[1], 1 / _TEMPERATURES[0]))


def _with_best_clip(calibration: Calibration, probabilities: Matrix, targets: Targets, outputs: Outputs) -> Calibration:
    scaled = calibration.apply(probabilities, outputs)
    losses = [_clipped_log_loss(scaled, clip, targets, outputs) for clip in _CLIPS]
    return Calibration(calibration.temperature, calibration.bias, _CLIPS[int(np.argmin(losses))])


def _clip(probabilities: Matrix, clip: float, outputs: Outputs) -> Matrix:
    if clip == 0:
        return probabilities

    def clipped(activation: Activation, block: Matrix) -> Matrix:
        inside = np.clip(block, clip, 1 - clip)
        return inside / row_sums(inside)[:, None] if activation is Activation.SOFTMAX else inside

    return by_block(outputs, probabilities, clipped)


def _clipped_log_loss(probabilities: Matrix, clip: float, targets: Targets, outputs: Outputs) -> float:
    if outputs.only is Activation.SIGMOID:
        inside = np.clip(_clip(probabilities, clip, outputs), 1e-15, 1 - 1e-15)
        return float(np.mean(-np.log(np.where(targets > 0.5, inside, 1 - inside))[~np.isnan(targets)]))
    losses = []
    for rows in blocks(probabilities):
        inside = np.clip(_clip(probabilities[rows], clip, outputs), 1e-15, 1 - 1e-15)
        if are_class_numbers(targets):
            losses.append(-np.log(inside[np.arange(len(inside)), targets[rows]]))
        else:
            losses.append(-(targets[rows] * np.log(inside)).sum(axis=1))  # votes: each class has its share of the loss
    return float(np.concatenate(losses).mean())
