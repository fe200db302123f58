"""Metrics of probabilities: log losses, the Kullback-Leibler divergence, the probabilistic F1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.contract.metric_functions.arrays import Matrix, WeightedScore, counts, ratio

# The evaluation pages of Kaggle's log loss say max(min(p, 1 - 1e-15), 1e-15): a certain and wrong prediction costs
# 34.5. scikit-learn clips at 2.2e-16, and it costs 36.0 there.
CLIP = 1e-15


def log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """Multi-class log loss of each row, the row scaled to sum 1, then clipped."""
    sums = probabilities.sum(axis=1, keepdims=True)
    # A row of zeros cannot be scaled; it is clipped as it is, and costs as much as a wrong prediction.
    sums = np.where(sums > 0, sums, 1)
    if targets.ndim == 1:
        return -np.log(np.clip(probabilities[np.arange(len(targets)), targets] / sums[:, 0], CLIP, 1 - CLIP))
    return -(targets * np.log(np.clip(probabilities / sums, CLIP, 1 - CLIP))).sum(axis=1)  # type: ignore[no-any-return]


def binary_log_loss_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """Binary log loss of each row, clipped."""
    return np.asarray(_binary_losses(targets, probabilities).mean(axis=1))


def weighted_log_loss_per_row(
    targets: Matrix, probabilities: Matrix, weights: Sequence[float], positive: float = 1
) -> Matrix:
    """Weighted mean over the columns of each row's binary log losses; a cell of 1 counts `positive` times as much."""
    losses, of_columns = _binary_losses(targets, probabilities), np.asarray(weights, dtype=float)
    if positive == 1:
        return losses @ (of_columns / sum(weights))
    of_cells = of_columns * np.where(targets >= 0.5, positive, 1)
    return np.asarray((losses * of_cells).sum(axis=1) / of_cells.sum(axis=1))


def _binary_losses(targets: Matrix, probabilities: Matrix) -> Matrix:
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    return np.asarray(-(targets * np.log(clipped) + (1 - targets) * np.log1p(-clipped)))


def kl_per_row(targets: Matrix, probabilities: Matrix) -> Matrix:
    """Kullback-Leibler divergence of each row's probabilities from the shares of its targets."""
    if targets.ndim == 1:  # the share of one class is 1
        return np.asarray(-np.log(np.clip(probabilities[np.arange(len(targets)), targets], CLIP, 1 - CLIP)))
    clipped = np.clip(probabilities, CLIP, 1 - CLIP)
    shares = np.where(targets > 0, targets, 1)  # the term of a share of 0 is 0
    return (targets * (np.log(shares) - np.log(clipped))).sum(axis=1)  # type: ignore[no-any-return]


def pf1(targets: Matrix, probabilities: Matrix) -> WeightedScore:
    """Probabilistic F1: a row is a true positive as far as its probability says so. 0 without a true positive."""
    positive = targets[:, 0] >= 0.5
    predicted = np.clip(probabilities[:, 0], 0, 1)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(predicted))
        true_positives = float((drawn * predicted)[positive].sum())
        return ratio(2 * true_positives, float((drawn * predicted).sum() + drawn[positive].sum()))

    return score
