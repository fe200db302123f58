"""Metrics of decisions: the class of a row, its grade, or its set of tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.contract.metric_functions.arrays import (
    Matrix,
    WeightedScore,
    class_numbers,
    counts,
    predicted_classes,
    ratio,
)


def accuracy_per_row(targets: Matrix, values: Matrix) -> Matrix:
    """1 for each row whose class is predicted correctly, else 0."""
    return np.asarray(class_numbers(targets) == predicted_classes(values), dtype=float)


def balanced_accuracy(targets: Matrix, values: Matrix) -> WeightedScore:
    """Mean recall of the classes that occur."""
    return _mean_recall(class_numbers(targets), predicted_classes(values), _class_count(targets, values))


def macro_f1(targets: Matrix, values: Matrix) -> WeightedScore:
    """Mean F1 of the classes that occur or are predicted."""
    actual, predicted, classes = class_numbers(targets), predicted_classes(values), _class_count(targets, values)
    correct = actual == predicted

    def score(weights: Matrix | None) -> float:
        sums = np.bincount(actual, weights, classes) + np.bincount(predicted, weights, classes)
        right = np.bincount(actual[correct], None if weights is None else weights[correct], classes)
        return float((2 * right[sums > 0] / sums[sums > 0]).mean())

    return score


def qwk(targets: Matrix, values: Matrix) -> WeightedScore:
    """Cohen's kappa with quadratic weights; the classes are grades in order. NaN if only one grade occurs."""
    grades = _class_count(targets, values)
    cells = class_numbers(targets) * grades + predicted_classes(values)
    distances = np.subtract.outer(np.arange(grades), np.arange(grades)) ** 2

    def score(weights: Matrix | None) -> float:
        confusion = np.bincount(cells, weights, grades * grades).reshape(grades, grades)
        expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
        return 1 - ratio(float((distances * confusion).sum()), float((distances * expected).sum()))

    return score


def weighted_recall(targets: Matrix, values: Matrix, weights: Sequence[float], sizes: Sequence[int]) -> WeightedScore:
    """Weighted mean over the targets of their mean recalls; `sizes` are the numbers of classes of each."""
    ends = np.cumsum(sizes)[:-1]
    recalls = [
        _mean_recall(class_numbers(actual), predicted_classes(predicted), predicted.shape[1])
        for actual, predicted in zip(np.split(targets, ends, axis=1), np.split(values, ends, axis=1), strict=True)
    ]
    return lambda drawn: float(np.average([recall(drawn) for recall in recalls], weights=weights))


def _mean_recall(actual: Matrix, predicted: Matrix, classes: int) -> WeightedScore:
    correct = actual == predicted

    def score(weights: Matrix | None) -> float:
        occurs = np.bincount(actual, weights, classes)
        right = np.bincount(actual[correct], None if weights is None else weights[correct], classes)
        return float((right[occurs > 0] / occurs[occurs > 0]).mean())

    return score


def _class_count(targets: Matrix, values: Matrix) -> int:
    if values.ndim == 1:  # classes alone, and not a value for each
        return int(max(class_numbers(targets).max(), values.max())) + 1
    return max(2, int(values.shape[1]))


# --- tags -----------------------------------------------------------------------------------------


def f_per_row(targets: Matrix, decisions: Matrix, beta: int) -> Matrix:
    """F-beta of each row's set of tags."""
    # F = (1 + b) pr / (bp + r) with b = beta squared; in counts (1 + b) tp / (b * positives + predicted), and 0
    # without true positives.
    weight = beta * beta
    true_positives = (targets * decisions).sum(axis=1)
    denominator = weight * targets.sum(axis=1) + decisions.sum(axis=1)
    f = np.zeros_like(true_positives)
    return np.divide((1 + weight) * true_positives, denominator, out=f, where=true_positives > 0)  # type: ignore[no-any-return]


def micro_f1(targets: Matrix, decisions: Matrix) -> WeightedScore:
    """F1 of all tags of all rows together; 0 if there are none."""
    right = (targets * decisions).sum(axis=1)
    sums = targets.sum(axis=1) + decisions.sum(axis=1)

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(sums))
        total = drawn @ sums
        return float(2 * (drawn @ right) / total) if total else 0.0

    return score


def macro_f1_of_tags(targets: Matrix, decisions: Matrix) -> WeightedScore:
    """Mean over the tags of each tag's F1; of a tag that neither occurs nor is predicted it is 0."""
    right, sums = targets * decisions, targets + decisions

    def score(weights: Matrix | None) -> float:
        drawn = counts(weights, len(right))
        true, total = drawn @ right, drawn @ sums
        return float(np.divide(2 * true, total, out=np.zeros_like(true), where=total > 0).mean())

    return score
