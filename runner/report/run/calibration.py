"""How well predicted probabilities agree with observed frequencies, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.targets import are_class_numbers
from runner.report.run.data import OofPredictions

Matrix = NDArray[Any]

BINS = 10
_WELL_CALIBRATED = 0.02  # mean predicted probability minus observed frequency


@dataclass(frozen=True)
class CalibrationBin:
    """The predictions between two probabilities: their mean, and how often they were right."""

    low: float
    high: float
    count: int
    predicted: float  # mean probability
    observed: float  # frequency

    @property
    def error(self) -> float:
        """Standard error of the observed frequency."""
        # Drawn a little towards one half (Laplace), or a bin of one image would be certain.
        likely = (self.observed * self.count + 1) / (self.count + 2)
        return float(np.sqrt(likely * (1 - likely) / self.count))


def confidences(oof: OofPredictions) -> tuple[Matrix, Matrix]:
    """Predicted probabilities, and 1 for each that came true.

    The top class of each image if there is one class an image; else every label of every image.
    """
    if oof.is_binary or oof.is_multilabel:
        return oof.probabilities.ravel(), oof.targets.ravel()
    likeliest = oof.probabilities.argmax(axis=1)
    rows = np.arange(len(likeliest))
    came_true = oof.targets == likeliest if are_class_numbers(oof.targets) else oof.targets[rows, likeliest]
    return oof.probabilities[rows, likeliest], came_true.astype(float)


def calibration_bins(oof: OofPredictions) -> list[CalibrationBin]:
    """Bins of equal width, lowest probability first, without empty ones."""
    predicted, observed = confidences(oof)
    bin_of = np.minimum((predicted * BINS).astype(int), BINS - 1)
    return [
        CalibrationBin(
            number / BINS,
            (number + 1) / BINS,
            int(mask.sum()),
            float(predicted[mask].mean()),
            float(observed[mask].mean()),
        )
        for number in range(BINS)
        if (mask := bin_of == number).any()
    ]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean distance of predicted probability and observed frequency, weighted by the bins' counts (ECE)."""
    count = sum(part.count for part in bins)
    return sum(abs(part.predicted - part.observed) * part.count for part in bins) / max(count, 1)


def describe_calibration(bins: Sequence[CalibrationBin]) -> str:
    """ECE and the direction of the error, in a sentence."""
    count = sum(part.count for part in bins)
    bias = sum((part.predicted - part.observed) * part.count for part in bins) / max(count, 1)
    verdict = "well calibrated" if abs(bias) < _WELL_CALIBRATED else "overconfident" if bias > 0 else "underconfident"
    ece = 100 * expected_calibration_error(bins)
    return f"{verdict.capitalize()}: ECE {ece:.1f} %, predicted minus observed {100 * bias:+.1f} points."
