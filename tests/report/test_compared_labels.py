"""Two runs of every kind of labels, compared row by row, class by class and image by image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runner.contract import (
    ACCURACY,
    LOG_LOSS,
    MACRO_F1,
    MEAN_COLUMNWISE_AUC,
    MEAN_F2,
    QWK,
    RMSE,
    ROC_AUC,
    Binary,
    Metric,
    Multiclass,
    Multilabel,
    Ordinal,
    Regression,
    SeveralTargets,
    weighted_recall,
)
from runner.contract.labels import Labels
from runner.errors import RunnerError
from runner.prediction.nested_predictions import CommonRows, NestedPredictions, common_rows, paired_difference
from runner.report.compare.comparison import Pair
from runner.report.compare.figures import classes_figure
from runner.report.compare.page import _caption, classes_table
from tests.competitions import competition_of

ROWS = 40
_CSV: dict[str, Any] = {"csv": "labels.csv", "id": "id"}
_TWO = SeveralTargets(
    Multiclass(label="left", classes=("a", "b"), **_CSV), Multiclass(label="right", classes=("c", "d", "e"), **_CSV)
)


def _targets(labels: Labels, random: np.random.Generator) -> np.ndarray:
    if isinstance(labels, Multiclass | Ordinal):
        return random.integers(0, 3, ROWS)
    if isinstance(labels, Regression):
        numbers = random.normal(size=(ROWS, 2))
        numbers[3, 1] = np.nan
        return numbers
    if isinstance(labels, SeveralTargets):
        return np.hstack([np.eye(2)[random.integers(0, 2, ROWS)], np.eye(3)[random.integers(0, 3, ROWS)]])
    return (random.random((ROWS, 1 if isinstance(labels, Binary) else 3)) < 0.5).astype(float)


def _classes(labels: Labels) -> tuple[str, ...]:
    if isinstance(labels, SeveralTargets):
        return labels.class_names
    return {Binary: ("ill",), Regression: ("height", "weight")}.get(type(labels), ("a", "b", "c"))


def _predictions(labels: Labels, metric: Metric, noise: float, seed: int) -> NestedPredictions:
    random, targets = np.random.default_rng(seed), _targets(labels, np.random.default_rng(0))
    exact = np.eye(3)[targets] if targets.ndim == 1 else np.nan_to_num(targets)
    probabilities = exact + noise * random.normal(size=exact.shape)
    if not isinstance(labels, Regression):
        probabilities = np.clip(probabilities, 0.01, 0.99)
        slices = [slice(0, 2), slice(2, 5)] if isinstance(labels, SeveralTargets) else [slice(0, 3)]
        if isinstance(labels, Multiclass | Ordinal | SeveralTargets):
            for columns in slices:
                probabilities[:, columns] /= probabilities[:, columns].sum(axis=1, keepdims=True)
    values = (probabilities > 0.5).astype(float) if metric.scores_tags else probabilities
    if isinstance(labels, Ordinal):
        values = np.eye(3)[probabilities.argmax(axis=1)]
    ids = tuple(f"row{number:02d}" for number in range(ROWS))
    return NestedPredictions(ids, _classes(labels), targets, np.arange(ROWS) % 2, ("",) * ROWS, probabilities, values)


def _pair(labels: Labels, metric: Metric) -> Pair:
    rows_of = {"submission_rows": "{id}_{column}"} if isinstance(labels, SeveralTargets) else {}
    competition = competition_of(labels, metric, **rows_of)
    rows = common_rows(_predictions(labels, metric, 0.8, 1), _predictions(labels, metric, 0.2, 2))
    runs = [_Named("first"), _Named("second")]
    return Pair(competition, *runs, rows, paired_difference(competition, rows))  # type: ignore[arg-type]


class _Named:
    """A run of which only the name matters."""

    def __init__(self, name: str):
        self.name = self.scored = name


KINDS = [
    (Multiclass(label="breed", **_CSV), LOG_LOSS, "recall, %"),
    (Multiclass(label="breed", **_CSV), ACCURACY, "recall, %"),
    (Multiclass(label="breed", **_CSV), MACRO_F1, "recall, %"),
    (Binary(label="ill", **_CSV), ROC_AUC, "recall, %"),
    (Multilabel(label="tags", **_CSV), MEAN_F2, "F2"),
    (Multilabel(label="tags", **_CSV), MEAN_COLUMNWISE_AUC, "AUC"),
    (Ordinal(label="grade", grades=3, **_CSV), QWK, "recall, %"),
    (Regression(columns=("height", "weight"), **_CSV), RMSE, "RMSE"),
    (_TWO, weighted_recall(1, 1, sizes=(2, 3)), "recall, %"),
]


@pytest.mark.parametrize(("labels", "metric", "measure"), KINDS)
def test_the_better_run_is_better_in_every_respect(labels: Labels, metric: Metric, measure: str) -> None:
    pair = _pair(labels, metric)
    assert pair.difference.gain.value > 0
    assert np.isfinite(pair.difference.gain.error)
    assert pair.difference.verdict.startswith("better by")
    assert pair.classes.measure == measure
    assert sum(row.change or 0 for row in pair.classes.rows) > 0
    assert len(classes_table(pair).rows) == len(pair.classes.rows)
    assert classes_figure(pair, 0) is not None
    if isinstance(labels, Regression):
        assert pair.only_right is None
        assert len(pair.nearer[1]) > len(pair.nearer[0])
    else:
        assert pair.only_right is not None
        assert len(pair.only_right[1]) > len(pair.only_right[0])
    assert all(_caption(pair, row)[0] for row in range(ROWS) if row != 3)
    assert list(pair.notes) == []


def _log_loss_rows(**changes: Any) -> tuple[NestedPredictions, NestedPredictions]:
    labels = Multiclass(label="breed", **_CSV)
    first, second = (_predictions(labels, LOG_LOSS, 0.5, seed) for seed in (1, 2))
    return first, replace(second, **changes)


def test_rows_with_other_labels_are_left_out_and_counted() -> None:
    first, second = _log_loss_rows()
    targets = second.targets.copy()
    targets[:3] = (targets[:3] + 1) % 3
    rows: CommonRows = common_rows(first, replace(second, targets=targets))
    assert (rows.other_labels, len(rows.first.ids)) == (3, ROWS - 3)


def test_runs_without_rows_or_classes_in_common_are_refused() -> None:
    first, second = _log_loss_rows(ids=tuple(f"other{number}" for number in range(ROWS)))
    with pytest.raises(RunnerError, match="no validation row in common"):
        common_rows(first, second)
    first, second = _log_loss_rows(classes=("a", "b", "x"))
    with pytest.raises(RunnerError, match="different classes"):
        common_rows(first, second)


def test_folds_that_are_only_numbered_otherwise_are_the_same() -> None:
    first, second = _log_loss_rows()
    assert common_rows(first, replace(second, folds=1 - second.folds)).other_folds == 0
    assert common_rows(first, replace(second, folds=np.zeros_like(second.folds))).other_folds > 0
