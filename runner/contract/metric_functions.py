"""The arithmetic of the metrics, with Kaggle's exact clipping. Apart from them, so that plugins import no numpy.

Every function takes two matrices shaped (rows, classes): the targets (one-hot, multi-hot, or one
column of 0 and 1) and the predictions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]

# Kaggle clips here, so a certain and wrong prediction costs 34.5 and not infinity.
CLIP = 1e-15


def log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """Multi-class log loss of each row, the row scaled to sum 1, then clipped."""
    sums = probabilities.sum(axis=1, keepdims=True)
    # A row of zeros cannot be scaled; it is clipped as it is, and costs as much as a wrong prediction.
    clipped = np.clip(probabilities / np.where(sums > 0, sums, 1), CLIP, 1 - CLIP)
    return -(targets * np.log(clipped)).sum(axis=1)  # type: ignore[no-any-return]


def log_loss(targets: Matrix, probabilities: Matrix) -> float:
    """Mean multi-class log loss."""
    return float(log_loss_per_row(targets, probabilities).mean())


def binary_log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """Binary log loss of each row, clipped."""
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return -(targets * np.log(clipped) + (1 - targets) * np.log1p(-clipped)).mean(axis=1)  # type: ignore[no-any-return]


def binary_log_loss(targets: Matrix, probabilities: Matrix) -> float:
    """Mean binary log loss."""
    return float(binary_log_loss_per_row(targets, probabilities).mean())


def f2_per_row(targets: Matrix, decisions: Matrix) -> Matrix:
    """F2 of each row's set of labels."""
    # F2 = 5pr / (4p + r) per image; in counts 5 tp / (4 * positives + predicted), and 0 without true positives.
    true_positives = (targets * decisions).sum(axis=1)
    denominator = 4 * targets.sum(axis=1) + decisions.sum(axis=1)
    return np.divide(5 * true_positives, denominator, out=np.zeros_like(true_positives), where=true_positives > 0)  # type: ignore[no-any-return]


def mean_f2(targets: Matrix, decisions: Matrix) -> float:
    """Mean F2 over the rows."""
    return float(f2_per_row(targets, decisions).mean())


def accuracy_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """1 for each row whose class is predicted correctly, else 0."""
    if targets.shape[1] == 1:
        correct = (probabilities[:, 0] >= 0.5) == (targets[:, 0] >= 0.5)
    else:
        correct = probabilities.argmax(axis=1) == targets.argmax(axis=1)
    return np.asarray(correct, dtype=float)


def accuracy(targets: Matrix, probabilities: Matrix) -> float:
    """Share of rows whose class is predicted correctly."""
    return float(accuracy_per_row(targets, probabilities).mean())


def roc_auc(targets: Matrix, probabilities: Matrix) -> float:
    """Area under the ROC curve; NaN if there is only one class."""
    # The Mann-Whitney U statistic, from the ranks of the positives; ties have the mean of their ranks.
    _, position, count = np.unique(probabilities[:, 0], return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[position]
    positive = targets[:, 0] >= 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")  # of one class there is no pair to compare
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
