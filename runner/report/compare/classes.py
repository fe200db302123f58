"""What changes from one run to another, class by class and image by image, as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.report.run.data import OofPredictions
from runner.report.run.numbers import number_scores
from runner.report.run.per_class import beta_of, label_rankings, per_label_scores

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassChange:
    """One class, label or number in both runs; the change is above 0 if the second is better."""

    name: str
    support: int
    first: float | None
    second: float | None
    change: float | None
    error: float | None = None  # its standard error, where the measure is a share of images


@dataclass(frozen=True)
class ClassChanges:
    """The change of every class, the largest first, and of what it is."""

    measure: str  # such as "recall, %"
    rows: tuple[ClassChange, ...]


def class_changes(first: OofPredictions, second: OofPredictions) -> ClassChanges:
    """How each class is predicted in both, on the same rows."""
    if first.is_numbers:
        return _sorted("RMSE", _number_changes(first, second))
    if first.is_multilabel:
        beta = beta_of(first)
        if beta is None:
            return _sorted("AUC", _ranking_changes(first, second))
        return _sorted(f"F{beta}", _label_changes(first, second, beta))
    if first.by_target:
        targets = zip(first.by_target, second.by_target, strict=True)
        rows = [row for (name, a), (_, b) in targets for row in _recall_changes(a, b, f"{name} ")]
        return _sorted("recall, %", rows)
    return _sorted("recall, %", list(_recall_changes(first, second)))


def rows_right(oof: OofPredictions) -> Flags | None:
    """Which rows are predicted entirely right: the class, every tag, every target; None for numbers."""
    if oof.is_numbers:
        return None
    if oof.is_multilabel:
        return np.asarray(((oof.values > 0.5) == (oof.targets > 0.5)).all(axis=1))
    if oof.by_target:
        of_targets = [right for _, target in oof.by_target if (right := rows_right(target)) is not None]
        return np.asarray(np.all(of_targets, axis=0))
    labels, predictions = oof.labels_and_predictions
    return np.asarray(labels == predictions)


def _sorted(measure: str, rows: list[ClassChange]) -> ClassChanges:
    """The largest change first, classes without one last."""
    order = sorted(rows, key=lambda row: (row.change is None, -abs(row.change or 0.0)))
    return ClassChanges(measure, tuple(order))


def _recall_changes(first: OofPredictions, second: OofPredictions, prefix: str = "") -> Iterator[ClassChange]:
    labels, of_first = first.labels_and_predictions
    _, of_second = second.labels_and_predictions
    right, then = (labels == of_first).astype(float), (labels == of_second).astype(float)
    for index, name in enumerate(first.class_names):
        rows = labels == index
        support = int(rows.sum())
        if not support:
            yield ClassChange(prefix + name, 0, None, None, None)
            continue
        gains = then[rows] - right[rows]
        error = float(gains.std() / np.sqrt(support))
        first_recall, second_recall = (100 * float(each[rows].mean()) for each in (right, then))
        change = 100 * float(gains.mean())
        yield ClassChange(prefix + name, support, first_recall, second_recall, change, 100 * error)


def _label_changes(first: OofPredictions, second: OofPredictions, beta: int) -> list[ClassChange]:
    scores = {score.name: score for score in per_label_scores(second, beta)}
    return [
        ClassChange(
            score.name,
            score.support,
            score.f_score,
            scores[score.name].f_score,
            scores[score.name].f_score - score.f_score,
        )
        for score in per_label_scores(first, beta)
    ]


def _ranking_changes(first: OofPredictions, second: OofPredictions) -> list[ClassChange]:
    rankings = {ranking.name: ranking.auc for ranking in label_rankings(second)}
    return [
        ClassChange(ranking.name, ranking.support, ranking.auc, then, _difference(ranking.auc, then))
        for ranking in label_rankings(first)
        for then in (rankings[ranking.name],)
    ]


def _number_changes(first: OofPredictions, second: OofPredictions) -> list[ClassChange]:
    scores = {score.name: score for score in number_scores(second)}
    return [
        ClassChange(score.name, score.rows, score.rmse, scores[score.name].rmse, score.rmse - scores[score.name].rmse)
        for score in number_scores(first)
    ]


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first
