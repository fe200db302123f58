"""Metrics of numbers. A target that is NaN is not scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.contract.metric_functions.arrays import Matrix, WeightedScore, counts, ratio


def rmse(targets: Matrix, values: Matrix) -> WeightedScore:
    """Root of the mean squared error over all numbers."""
    mean = _mean_of((values - targets) ** 2)
    return lambda weights: float(np.sqrt(mean(weights)))


def mae(targets: Matrix, values: Matrix) -> WeightedScore:
    """Mean absolute error over all numbers."""
    return _mean_of(np.abs(values - targets))


def _mean_of(errors: Matrix) -> WeightedScore:
    """The mean over the known numbers."""
    known = ~np.isnan(errors)
    sums, sizes = np.where(known, errors, 0).sum(axis=1), known.sum(axis=1)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(sums))
        return ratio(float(drawn @ sums), float(drawn @ sizes))

    return score


def r2(targets: Matrix, values: Matrix) -> WeightedScore:
    """Mean over the columns of each column's R2; a column of equal numbers is left out."""
    known = ~np.isnan(targets)
    numbers = np.where(known, targets, 0)
    squares = np.where(known, (values - targets) ** 2, 0)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(numbers))
        sizes, sums = drawn @ known, drawn @ numbers
        spread = drawn @ numbers**2 - np.divide(sums**2, sizes, out=np.zeros_like(sums), where=sizes > 0)
        varies = spread > 1e-12 * np.maximum(drawn @ numbers**2, 1e-300)
        return float((1 - (drawn @ squares)[varies] / spread[varies]).mean()) if varies.any() else float("nan")

    return score


def weighted_r2(targets: Matrix, values: Matrix, column_weights: Sequence[float]) -> WeightedScore:
    """R2 of all numbers together, each with the weight of its column."""
    known = ~np.isnan(targets)
    columns = np.where(known, np.asarray(column_weights, dtype=float), 0)
    numbers = np.where(known, targets, 0)
    row_sums = [(columns * part).sum(axis=1) for part in (known, numbers, numbers**2)]
    errors = (columns * np.where(known, (values - targets) ** 2, 0)).sum(axis=1)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(errors))
        size, total, squares = (float(drawn @ sums) for sums in row_sums)
        return 1 - ratio(float(drawn @ errors), squares - total**2 / size)

    return score
