"""What leaderboards score, with Kaggle's exact clipping, and which way is better.

Every metric takes two matrices shaped (rows, classes): the targets (one-hot, multi-hot, or one
column of 0 and 1) and what was predicted for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]
Item = TypeVar("Item")

# Kaggle clips here, so a certain and wrong answer costs 34.5 and not infinity.
CLIP = 1e-15


@dataclass(frozen=True)
class Metric:
    """A score and its direction. `takes_decisions` says that it takes decisions (0 or 1), not probabilities.

    `per_row` gives each row's part, where the score is their mean: what is told apart row by row is told
    apart with less noise, and resampled without scoring again.
    """

    key: str
    title: str
    function: Callable[[Matrix, Matrix], float]
    higher_is_better: bool
    takes_decisions: bool = False
    per_row: Callable[[Matrix, Matrix], Matrix] | None = None

    @property
    def direction(self) -> str:
        """Which way it is better, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    def score(self, targets: Matrix, predicted: Matrix) -> float:
        """The score of these rows, after a check that it can be one."""
        if targets.shape != predicted.shape or targets.ndim != 2:
            raise ValueError(f"{self.key}: targets {targets.shape} and predictions {predicted.shape} differ")
        if len(targets) == 0:
            raise ValueError(f"{self.key}: no rows to score")
        return float(self.function(np.asarray(targets, dtype=float), np.asarray(predicted, dtype=float)))

    def is_better(self, score: float, than: float) -> bool:
        """Whether a score beats another strictly."""
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
    # A row of zeros cannot be scaled; it is clipped as it is, and costs what a wrong answer costs.
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
    # F2 = 5pr / (4p + r) per image; in counts 5tp / (4 * true + chosen), and 0 where nothing is right.
    right = (targets * decisions).sum(axis=1)
    bottom = 4 * targets.sum(axis=1) + decisions.sum(axis=1)
    return np.divide(5 * right, bottom, out=np.zeros_like(right), where=right > 0)  # type: ignore[no-any-return]


def _mean_f2(targets: Matrix, decisions: Matrix) -> float:
    return float(_f2_per_row(targets, decisions).mean())


def _right_rows(targets: Matrix, probabilities: Matrix) -> Matrix:
    if targets.shape[1] == 1:
        right = (probabilities[:, 0] >= 0.5) == (targets[:, 0] >= 0.5)
    else:
        right = probabilities.argmax(axis=1) == targets.argmax(axis=1)
    return np.asarray(right, dtype=float)


def _accuracy(targets: Matrix, probabilities: Matrix) -> float:
    return float(_right_rows(targets, probabilities).mean())


def _roc_auc(targets: Matrix, probabilities: Matrix) -> float:
    # From the ranks of the positives; equal values share the mean of their ranks.
    _, place, count = np.unique(probabilities[:, 0], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = targets[:, 0] >= 0.5
    ones, others = int(positive.sum()), int((~positive).sum())
    # With one class only there is no pair to be in the right order.
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * others)) if ones and others else float("nan")


LOG_LOSS = Metric("log_loss", "log loss", _log_loss, higher_is_better=False, per_row=_log_loss_per_row)
BINARY_LOG_LOSS = Metric(
    "binary_log_loss", "log loss", _binary_log_loss, higher_is_better=False, per_row=_binary_log_loss_per_row
)
MEAN_F2 = Metric("mean_f2", "mean F2", _mean_f2, higher_is_better=True, takes_decisions=True, per_row=_f2_per_row)
ACCURACY = Metric("accuracy", "accuracy", _accuracy, higher_is_better=True, per_row=_right_rows)
ROC_AUC = Metric("roc_auc", "ROC AUC", _roc_auc, higher_is_better=True)
