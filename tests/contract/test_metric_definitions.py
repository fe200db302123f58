"""Every metric against scikit-learn where it defines the same, else against its definition written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import rel_entr
from sklearn import metrics as sk

from runner.contract import (
    ACCURACY,
    BALANCED_ACCURACY,
    GAP,
    KL_DIVERGENCE,
    LOG_LOSS,
    LWLRAP,
    MACRO_F1,
    MACRO_F1_OF_TAGS,
    MAE,
    MEAN_COLUMNWISE_AUC,
    MEAN_F1,
    MEAN_F2,
    MICRO_AUC,
    MICRO_F1,
    PF1,
    QWK,
    R2,
    RMSE,
    ROC_AUC,
    Metric,
    map_at,
    partial_auc,
    top_error,
    weighted_auc,
    weighted_log_loss,
    weighted_r2,
    weighted_recall,
)

ROWS, CLASSES = 300, 5
RANDOM = np.random.default_rng(4)
CLASS = RANDOM.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[CLASS]
PROBABILITIES = (
    RANDOM.dirichlet(np.full(CLASSES, 0.4), ROWS) * 0.6
    + 0.4 * np.eye(CLASSES)[np.where(RANDOM.random(ROWS) < 0.6, CLASS, RANDOM.integers(0, CLASSES, ROWS))]
)
# Rounded, so that values are equal; some rows have no tag.
SCORES = RANDOM.random((ROWS, CLASSES)).round(2)
TAGS = (RANDOM.random((ROWS, CLASSES)) < SCORES * 0.7).astype(float)
DECISIONS = (SCORES > 0.4).astype(float)
CHANCES_OF_TAGS = SCORES * 0.9 + 0.05
POSITIVE, CHANCES = TAGS[:, :1], SCORES[:, :1]
NUMBERS = RANDOM.normal(size=(ROWS, 3))
GUESSES = NUMBERS + RANDOM.normal(size=(ROWS, 3))
GAPS = np.where(RANDOM.random(NUMBERS.shape) < 0.2, np.nan, NUMBERS)
VOTES = RANDOM.dirichlet(np.full(CLASSES, 0.5), ROWS)
SEVERAL = np.hstack([np.eye(3)[CLASS % 3], np.eye(2)[CLASS % 2]])
SEVERAL_GUESSES = np.hstack([RANDOM.dirichlet(np.ones(3), ROWS), RANDOM.dirichlet(np.ones(2), ROWS)])


def positives_twice(*weights: float) -> float:
    of_rows = []
    for tags, chances in zip(TAGS, CHANCES_OF_TAGS, strict=True):
        of_cells = [weight * (2 if tag else 1) for weight, tag in zip(weights, tags, strict=True)]
        losses = [-np.log(p if tag else 1 - p) for p, tag in zip(chances, tags, strict=True)]
        of_rows.append(np.average(losses, weights=of_cells))
    return float(np.mean(of_rows))


def ranking(row: np.ndarray) -> list[int]:
    return sorted(range(len(row)), key=lambda column: -row[column])


def mean_average_precision(k: int) -> float:
    places = [ranking(row).index(right) for row, right in zip(PROBABILITIES, CLASS, strict=True)]
    return float(np.mean([1 / (place + 1) if place < k else 0 for place in places]))


def global_average_precision() -> float:
    predicted, confidence = PROBABILITIES.argmax(axis=1), PROBABILITIES.max(axis=1)
    right, total = 0, 0.0
    for number, row in enumerate(sorted(range(ROWS), key=lambda row: -confidence[row]), start=1):
        if predicted[row] == CLASS[row]:
            right += 1
            total += right / number
    return total / ROWS


def probabilistic_f1() -> float:
    true = float(CHANCES[POSITIVE > 0.5].sum())
    precision, recall = true / float(CHANCES.sum()), true / float(POSITIVE.sum())
    return 2 * precision * recall / (precision + recall)


def area_in_bands(*bands: tuple[float, float, float]) -> float:
    """By a million narrow strips of the curve, drawn through scikit-learn's points."""
    fpr, tpr, _ = sk.roc_curve(POSITIVE[:, 0], CHANCES[:, 0], drop_intermediate=False)
    total = 0.0
    for bottom, top, weight in bands:
        middles = bottom + (np.arange(1_000_000) + 0.5) / 1_000_000 * (top - bottom)
        total += weight * (top - bottom) * float((1 - np.interp(middles, tpr, fpr)).mean())
    return total


def partial_area() -> float:
    """As the grader of the skin cancer competition has it: both axes turned round, scikit-learn's scaling undone."""
    scaled = sk.roc_auc_score(1 - POSITIVE[:, 0], -CHANCES[:, 0], max_fpr=0.2)
    least, most = 0.5 * 0.2**2, 0.2
    return least + (most - least) / 0.5 * (scaled - 0.5)


def weighted_r_squared(*weights: float) -> float:
    by_column = np.broadcast_to(np.array(weights), NUMBERS.shape)
    mean = (by_column * NUMBERS).sum() / by_column.sum()
    return 1 - float((by_column * (NUMBERS - GUESSES) ** 2).sum() / (by_column * (NUMBERS - mean) ** 2).sum())


def mean_recalls() -> float:
    roots = sk.recall_score(CLASS % 3, SEVERAL_GUESSES[:, :3].argmax(axis=1), average="macro")
    vowels = sk.recall_score(CLASS % 2, SEVERAL_GUESSES[:, 3:].argmax(axis=1), average="macro")
    return float(2 * roots + vowels) / 3


@dataclass(frozen=True)
class Case:
    metric: Metric
    targets: np.ndarray
    values: np.ndarray
    expected: Callable[[], float]


LIKELIEST = PROBABILITIES.argmax(axis=1)
CASES = [
    Case(LOG_LOSS, ONE_HOT, PROBABILITIES, lambda: sk.log_loss(CLASS, PROBABILITIES)),
    Case(ACCURACY, ONE_HOT, PROBABILITIES, lambda: sk.accuracy_score(CLASS, LIKELIEST)),
    Case(BALANCED_ACCURACY, ONE_HOT, PROBABILITIES, lambda: sk.balanced_accuracy_score(CLASS, LIKELIEST)),
    Case(MACRO_F1, ONE_HOT, PROBABILITIES, lambda: sk.f1_score(CLASS, LIKELIEST, average="macro")),
    Case(QWK, ONE_HOT, PROBABILITIES, lambda: sk.cohen_kappa_score(CLASS, LIKELIEST, weights="quadratic")),
    Case(top_error(2), ONE_HOT, PROBABILITIES, lambda: 1 - sk.top_k_accuracy_score(CLASS, PROBABILITIES, k=2)),
    Case(map_at(3), ONE_HOT, PROBABILITIES, lambda: mean_average_precision(3)),
    Case(GAP, ONE_HOT, PROBABILITIES, global_average_precision),
    Case(KL_DIVERGENCE, VOTES, PROBABILITIES, lambda: float(rel_entr(VOTES, PROBABILITIES).sum(axis=1).mean())),
    Case(weighted_recall(2, 1, sizes=(3, 2)), SEVERAL, SEVERAL_GUESSES, mean_recalls),
    Case(ROC_AUC, POSITIVE, CHANCES, lambda: sk.roc_auc_score(POSITIVE[:, 0], CHANCES[:, 0])),
    Case(
        weighted_auc((0, 0.4, 2), (0.4, 1, 1)),
        POSITIVE,
        CHANCES,
        lambda: area_in_bands((0, 0.4, 2), (0.4, 1, 1)) / (0.4 * 2 + 0.6),
    ),
    Case(partial_auc(0.8), POSITIVE, CHANCES, partial_area),
    Case(PF1, POSITIVE, CHANCES, probabilistic_f1),
    Case(MEAN_COLUMNWISE_AUC, TAGS, SCORES, lambda: sk.roc_auc_score(TAGS, SCORES, average="macro")),
    Case(MICRO_AUC, TAGS, SCORES, lambda: sk.roc_auc_score(TAGS, SCORES, average="micro")),
    Case(
        weighted_log_loss(2, 1, 1, 1, 1),
        TAGS,
        SCORES * 0.9 + 0.05,
        lambda: float(
            np.average(
                [sk.log_loss(t, s) for t, s in zip(TAGS.T, SCORES.T * 0.9 + 0.05, strict=True)], weights=(2, 1, 1, 1, 1)
            )
        ),
    ),
    Case(weighted_log_loss(7, 1, 1, 1, 1, positive=2), TAGS, CHANCES_OF_TAGS, lambda: positives_twice(7, 1, 1, 1, 1)),
    Case(
        LWLRAP,
        TAGS,
        SCORES,
        lambda: sk.label_ranking_average_precision_score(
            TAGS[TAGS.any(axis=1)], SCORES[TAGS.any(axis=1)], sample_weight=TAGS.sum(axis=1)[TAGS.any(axis=1)]
        ),
    ),
    Case(MEAN_F1, TAGS, DECISIONS, lambda: sk.f1_score(TAGS, DECISIONS, average="samples", zero_division=0)),
    Case(MEAN_F2, TAGS, DECISIONS, lambda: sk.fbeta_score(TAGS, DECISIONS, beta=2, average="samples", zero_division=0)),
    Case(MICRO_F1, TAGS, DECISIONS, lambda: sk.f1_score(TAGS, DECISIONS, average="micro")),
    Case(MACRO_F1_OF_TAGS, TAGS, DECISIONS, lambda: sk.f1_score(TAGS, DECISIONS, average="macro")),
    Case(RMSE, NUMBERS, GUESSES, lambda: sk.root_mean_squared_error(NUMBERS.ravel(), GUESSES.ravel())),
    Case(MAE, NUMBERS, GUESSES, lambda: sk.mean_absolute_error(NUMBERS, GUESSES)),
    Case(R2, NUMBERS, GUESSES, lambda: sk.r2_score(NUMBERS, GUESSES, multioutput="uniform_average")),
    Case(weighted_r2(0.1, 0.2, 0.7), NUMBERS, GUESSES, lambda: weighted_r_squared(0.1, 0.2, 0.7)),
    Case(RMSE, GAPS, GUESSES, lambda: float(np.sqrt(np.nanmean((GAPS - GUESSES) ** 2)))),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.metric.key)
def test_a_metric_is_what_its_definition_says(case: Case) -> None:
    assert case.metric.score(case.targets, case.values) == pytest.approx(case.expected(), abs=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.metric.key)
def test_weights_count_a_row_as_often_as_it_is_drawn(case: Case) -> None:
    drawn = np.random.default_rng(1).integers(0, ROWS, ROWS)
    weights = np.bincount(drawn, minlength=ROWS).astype(float)
    order = np.repeat(np.arange(ROWS), weights.astype(int))
    expected = case.metric.score(case.targets[order], case.values[order])
    # Of a prediction that is drawn twice the places differ by one, which the weighted sum does not see.
    tolerance = 0.01 if case.metric is GAP else 1e-9
    scorer = case.metric.resampler(case.targets, case.values)
    assert scorer(weights) == pytest.approx(expected, abs=tolerance)
    assert scorer(None) == pytest.approx(case.metric.score(case.targets, case.values), abs=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case.targets is ONE_HOT], ids=lambda case: case.metric.key)
def test_class_numbers_score_as_one_hot_rows_do(case: Case) -> None:
    assert case.metric.score(CLASS, case.values) == pytest.approx(case.metric.score(ONE_HOT, case.values), abs=1e-12)


def test_a_class_that_no_row_has_does_not_count() -> None:
    targets, values = np.eye(4)[[0, 1, 1]], np.eye(4)[[0, 1, 0]]
    assert BALANCED_ACCURACY.score(targets, values) == pytest.approx(0.75)
    assert MACRO_F1.score(targets, values) == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_equal_values_rank_in_the_order_of_the_classes() -> None:
    assert map_at(2).score(np.array([1]), np.array([[0.5, 0.5, 0.5]])) == 0.5
    assert map_at(2).score(np.array([2]), np.array([[0.5, 0.5, 0.5]])) == 0.0


def test_a_column_of_one_class_is_left_out_of_the_mean_area() -> None:
    targets = np.array([[1, 0], [1, 1], [1, 0]])
    assert MEAN_COLUMNWISE_AUC.score(targets, np.array([[0.1, 0.2], [0.5, 0.9], [0.3, 0.1]])) == 1.0
