"""Metrics of an order: areas under the ROC curve, and the places of the right classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.contract.metric_functions.arrays import Matrix, WeightedScore, best_class, class_numbers, counts, ratio

_BLOCK_VALUES = 1 << 20


def roc_auc(targets: Matrix, values: Matrix) -> WeightedScore:
    """Area under the ROC curve; NaN if there is only one class."""
    curve = _Roc(targets[:, 0], values[:, 0])
    return lambda weights: curve.area(weights, ((0.0, 1.0, 1.0),))


def micro_auc(targets: Matrix, values: Matrix) -> WeightedScore:
    """Area under the ROC curve of the cells of all columns together."""
    curve, columns = _Roc(targets.ravel(), values.ravel()), values.shape[1]
    return lambda weights: curve.area(None if weights is None else np.repeat(weights, columns), ((0.0, 1.0, 1.0),))


def mean_columnwise_auc(targets: Matrix, values: Matrix) -> WeightedScore:
    """Mean over the columns of the area under the ROC curve; a column with one class only is left out."""
    curves = [_Roc(_of_column(targets, column), values[:, column]) for column in range(values.shape[1])]

    def score(weights: Matrix | None) -> float:
        areas = np.array([curve.area(weights, ((0.0, 1.0, 1.0),)) for curve in curves])
        return float(areas[np.isfinite(areas)].mean()) if np.isfinite(areas).any() else float("nan")

    return score


def weighted_auc(targets: Matrix, values: Matrix, bands: Sequence[tuple[float, float, float]]) -> WeightedScore:
    """The area under the ROC curve in bands of the true positive rate, (from, to, weight) each, scaled to 1.

    The curve is interpolated where a band begins and ends.
    """
    curve = _Roc(targets[:, 0], values[:, 0])
    whole = sum(weight * (top - bottom) for bottom, top, weight in bands)
    return lambda weights: curve.area(weights, bands) / whole


def partial_auc(targets: Matrix, values: Matrix, least_tpr: float) -> WeightedScore:
    """The area under the ROC curve above a true positive rate; at most 1 minus that rate."""
    curve = _Roc(targets[:, 0], values[:, 0])
    return lambda weights: curve.area(weights, ((least_tpr, 1.0, 1.0),))


class _Roc:
    """The order of the rows by their values, the greatest first, and where each group of equal values begins."""

    def __init__(self, targets: Matrix, values: Matrix):
        self.rows = len(targets)
        known = np.flatnonzero(~np.isnan(targets))
        self.order = known[np.argsort(-values[known], kind="stable")]
        self.positive = targets[self.order] >= 0.5
        sorted_values = values[self.order]
        self.starts = np.flatnonzero(np.concatenate([[True], sorted_values[1:] != sorted_values[:-1]]))

    def area(self, weights: Matrix | None, bands: Sequence[tuple[float, float, float]]) -> float:
        """The weighted sum over bands of the true positive rate of the area to the right of the curve."""
        if len(self.order) == 0:
            return float("nan")
        drawn = counts(weights, self.rows)[self.order]
        positives = np.add.reduceat(np.where(self.positive, drawn, 0), self.starts)
        negatives = np.add.reduceat(np.where(self.positive, 0, drawn), self.starts)
        if not positives.sum() or not negatives.sum():
            return float("nan")  # of one class there is no pair to compare
        tpr = np.concatenate([[0.0], np.cumsum(positives) / positives.sum()])
        fpr = np.concatenate([[0.0], np.cumsum(negatives) / negatives.sum()])
        return sum(weight * _area_between(tpr, fpr, bottom, top) for bottom, top, weight in bands)


def _area_between(tpr: Matrix, fpr: Matrix, bottom: float, top: float) -> float:
    """The integral of 1 - fpr over the true positive rates from bottom to top."""
    low, high = np.clip(tpr[:-1], bottom, top), np.clip(tpr[1:], bottom, top)
    heights = tpr[1:] - tpr[:-1]
    slopes = np.divide(fpr[1:] - fpr[:-1], heights, out=np.zeros_like(heights), where=heights > 0)
    middle = fpr[:-1] + slopes * ((low + high) / 2 - tpr[:-1])
    return float(((high - low) * (1 - middle)).sum())


# --- places -----------------------------------------------------------------------------------------


def place_of_target(targets: Matrix, values: Matrix) -> Matrix:
    """How many classes are ranked before the right one in each row; equal values in the classes' order."""
    right = class_numbers(targets)
    places = np.empty(len(right), dtype=np.int64)
    size = max(1, _BLOCK_VALUES // max(1, values.shape[1]))
    for begin in range(0, len(right), size):
        rows, own = values[begin : begin + size], right[begin : begin + size]
        value = rows[np.arange(len(own)), own][:, None]
        before = (rows > value) | ((rows == value) & (np.arange(rows.shape[1]) < own[:, None]))
        places[begin : begin + size] = before.sum(axis=1)
    return places


def map_per_row(targets: Matrix, values: Matrix, k: int) -> Matrix:
    """1 / place of the right class among the first k of each row, else 0."""
    places = place_of_target(targets, values)
    return np.where(places < k, 1 / (places + 1), 0.0)


def top_error_per_row(targets: Matrix, values: Matrix, k: int) -> Matrix:
    """0 for each row whose right class is among the first k, else 1."""
    return (place_of_target(targets, values) >= k).astype(float)


def gap(targets: Matrix, values: Matrix) -> WeightedScore:
    """Global average precision: all predictions ordered by confidence, precision averaged over the right ones."""
    best = best_class(values)
    order = np.argsort(-best["confidence"], kind="stable")
    right = (best["number"] == class_numbers(targets))[order].astype(float)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(right))[order]
        seen, correct = np.cumsum(drawn), np.cumsum(drawn * right)
        precision = np.divide(correct, seen, out=np.zeros_like(seen), where=seen > 0)
        return ratio(float((drawn * right * precision).sum()), float(drawn.sum()))

    return score


def lwlrap(targets: Matrix, values: Matrix) -> WeightedScore:
    """Label-weighted label-ranking average precision: the mean over all tags of the precision at their place."""
    sums, tags = np.zeros(len(values)), targets.sum(axis=1)
    for row in np.flatnonzero(tags > 0):
        of_tags = np.sort(values[row, targets[row] > 0])
        every = np.sort(values[row])
        # Of equal values each counts as ranked after the others.
        tags_before = len(of_tags) - np.searchsorted(of_tags, of_tags, side="left")
        all_before = len(every) - np.searchsorted(every, of_tags, side="left")
        sums[row] = (tags_before / all_before).sum()

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(sums))
        return ratio(float(drawn @ sums), float(drawn @ tags))

    return score


def _of_column(targets: Matrix, column: int) -> Matrix:
    """0 and 1 for each row, or NaN: whether it has that class or tag."""
    return targets[:, column] if targets.ndim == 2 else np.asarray(targets == column, dtype=float)
