"""The metrics of leaderboards, with Kaggle's exact clipping, and their direction.

Every metric takes two matrices shaped (rows, classes): the targets (one-hot, multi-hot, or one
column of 0 and 1) and the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]
Item = TypeVar("Item")

# Kaggle clips here, so a certain and wrong prediction costs 34.5 and not infinity.
CLIP = 1e-15


@dataclass(frozen=True)
class Metric:
    """A score and its direction. `takes_decisions`: it scores decisions (0 or 1), not probabilities.

    `per_row` returns a value a row whose mean is the score, if there is one: models are then compared row by row,
    with less noise, and resampled without scoring again.
    """

    key: str
    title: str
    function: Callable[[Matrix, Matrix], float]
    higher_is_better: bool
    takes_decisions: bool = False
    per_row: Callable[[Matrix, Matrix], Matrix] | None = None

    @property
    def direction(self) -> str:
        """The direction in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    def score(self, targets: Matrix, predicted: Matrix) -> float:
        """The score of these rows; ValueError if shapes differ or there are no rows."""
        if targets.shape != predicted.shape or targets.ndim != 2:
            raise ValueError(f"{self.key}: targets {targets.shape} and predictions {predicted.shape} differ")
        if len(targets) == 0:
            raise ValueError(f"{self.key}: no rows to score")
        return float(self.function(np.asarray(targets, dtype=float), np.asarray(predicted, dtype=float)))

    def is_better(self, score: float, than: float) -> bool:
        """Whether a score is strictly better than another."""
        return score > than if self.higher_is_better else score < than

    def gain(self, score: float, baseline: float) -> float:
        """How much better `score` is than `baseline`, in the metric's unit; negative if it is worse."""
        return score - baseline if self.higher_is_better else baseline - score

    def sort_key(self, score: float) -> float:
        """Key for `sorted`: the best score first."""
        return -score if self.higher_is_better else score

    def best(self, items: Iterable[Item], key: Callable[[Item], float]) -> Item:
        """The item with the best score, the first of them if several tie; ValueError if there is none."""
        return min(items, key=lambda item: self.sort_key(key(item)))


def _log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    sums = probabilities.sum(axis=1, keepdims=True)
    # A row of zeros cannot be scaled; it is clipped as it is, and costs as much as a wrong prediction.
    clipped = np.clip(probabilities / np.where(sums > 0, sums, 1), CLIP, 1 - CLIP)
    return -(targets * np.log(clipped)).sum(axis=1)  # type: ignore[no-any-return]


def _log_loss(targets: Matrix, probabilities: Matrix) -> float:
    return float(_log_loss_per_row(targets, probabilities).mean())


def _binary_log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return -(targets * np.log(clipped) + (1 - targets) * np.log1p(-clipped)).mean(axis=1)  # type: ignore[no-any-return]


def _binary_log_loss(targets: Matrix, probabilities: Matrix) -> float:
    return float(_binary_log_loss_per_row(targets, probabilities).mean())


def _f2_per_row(targets: Matrix, decisions: Matrix) -> Matrix:
    # F2 = 5pr / (4p + r) per image; in counts 5 tp / (4 * positives + predicted), and 0 without true positives.
    true_positives = (targets * decisions).sum(axis=1)
    denominator = 4 * targets.sum(axis=1) + decisions.sum(axis=1)
    return np.divide(5 * true_positives, denominator, out=np.zeros_like(true_positives), where=true_positives > 0)  # type: ignore[no-any-return]


def _mean_f2(targets: Matrix, decisions: Matrix) -> float:
    return float(_f2_per_row(targets, decisions).mean())


def _accuracy_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    if targets.shape[1] == 1:
        correct = (probabilities[:, 0] >= 0.5) == (targets[:, 0] >= 0.5)
    else:
        correct = probabilities.argmax(axis=1) == targets.argmax(axis=1)
    return np.asarray(correct, dtype=float)


def _accuracy(targets: Matrix, probabilities: Matrix) -> float:
    return float(_accuracy_per_row(targets, probabilities).mean())


def _roc_auc(targets: Matrix, probabilities: Matrix) -> float:
    # The Mann-Whitney U statistic, from the ranks of the positives; ties have the mean of their ranks.
    _, position, count = np.unique(probabilities[:, 0], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[position]
    positive = targets[:, 0] >= 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")  # of one class there is no pair to compare
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


LOG_LOSS = Metric("log_loss", "log loss", _log_loss, higher_is_better=False, per_row=_log_loss_per_row)
BINARY_LOG_LOSS = Metric(
    "binary_log_loss", "log loss", _binary_log_loss, higher_is_better=False, per_row=_binary_log_loss_per_row
)
MEAN_F2 = Metric("mean_f2", "mean F2", _mean_f2, higher_is_better=True, takes_decisions=True, per_row=_f2_per_row)
ACCURACY = Metric("accuracy", "accuracy", _accuracy, higher_is_better=True, per_row=_accuracy_per_row)
ROC_AUC = Metric("roc_auc", "ROC AUC", _roc_auc, higher_is_better=True)
METRICS = (LOG_LOSS, BINARY_LOG_LOSS, ROC_AUC, ACCURACY, MEAN_F2)
