"""Scores against values computed by hand, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, fbeta_score, log_loss, roc_auc_score

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, ROC_AUC, Metric

# Iceberg's training rows: 753 icebergs and 851 ships.
ICEBERGS, SHIPS = 753, 851

metric_property = settings(deadline=None, max_examples=40)


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 1)


def one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    return np.eye(count)[classes]


def random_rows(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and probabilities that sum to 1."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, classes, rows), generator.dirichlet(np.full(classes, 0.3), rows)


def test_a_uniform_guess_over_120_breeds_scores_the_log_of_120():
    targets = one_hot(np.arange(240) % 120, 120)
    assert LOG_LOSS.score(targets, np.full((240, 120), 1 / 120)) == pytest.approx(4.78749, abs=5e-6)


def test_all_one_half_scores_the_log_of_2():
    targets = column(*[1] * ICEBERGS, *[0] * SHIPS)
    score = BINARY_LOG_LOSS.score(targets, np.full_like(targets, 0.5))
    assert score == pytest.approx(0.69315, abs=5e-6)
    assert score == pytest.approx(math.log(2), rel=1e-12)


def test_predicting_all_ones_pays_the_clipped_loss_for_every_ship():
    targets = column(*[1] * ICEBERGS, *[0] * SHIPS)
    # In float64 the distance from 1 - 1e-15 to 1 is 9.99e-16, and its log -34.5396.
    loss_of_a_ship = -math.log(1 - (1 - 1e-15))
    score = BINARY_LOG_LOSS.score(targets, np.ones_like(targets))
    assert score == pytest.approx(SHIPS / (ICEBERGS + SHIPS) * loss_of_a_ship, rel=1e-12)
    assert score == pytest.approx(18.3249, abs=1e-4)


def test_a_certain_and_wrong_row_costs_the_log_of_the_clip():
    assert LOG_LOSS.score(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == -math.log(1e-15)
    assert BINARY_LOG_LOSS.score(column(1), column(0)) == -math.log(1e-15)


def test_a_certain_and_right_row_costs_the_clip():
    for score in (
        LOG_LOSS.score(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])),
        BINARY_LOG_LOSS.score(column(0), column(0)),
        BINARY_LOG_LOSS.score(column(1), column(1)),
    ):
        assert 0 < score == pytest.approx(1e-15, rel=2e-3)


def test_probabilities_inside_the_clip_are_not_changed():
    assert BINARY_LOG_LOSS.score(column(1), column(2e-15)) == -math.log(2e-15)
    assert BINARY_LOG_LOSS.score(column(1), column(5e-16)) == -math.log(1e-15)


def test_float32_probabilities_are_clipped_in_double_precision():
    # In single precision 1 - 1e-15 is 1, and a certain and wrong answer would cost infinity.
    score = BINARY_LOG_LOSS.score(column(0), np.ones((1, 1), dtype=np.float32))
    assert score == pytest.approx(34.54, abs=0.01)


def test_log_loss_rescales_rows_to_sum_to_one():
    targets = one_hot(np.array([0, 1, 2]), 3)
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
    scaled = probabilities * np.array([[2.0], [0.01], [17.0]])
    assert LOG_LOSS.score(targets, scaled) == pytest.approx(LOG_LOSS.score(targets, probabilities), rel=1e-12)


def test_a_row_of_zeros_costs_as_much_as_a_wrong_row():
    assert LOG_LOSS.score(np.array([[1.0, 0.0]]), np.zeros((1, 2))) == -math.log(1e-15)


@pytest.mark.parametrize(
    ("positive", "predicted", "expected"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 1, 0, 0], [1, 0, 0, 0], 5 / 9),  # p = 1, r = 1/2: 2.5 / 4.5
        ([1, 0, 0, 0], [1, 1, 0, 0], 5 / 6),  # p = 1/2, r = 1: 2.5 / 3
        ([1, 1, 1, 0], [1, 1, 0, 1], 2 / 3),  # p = r = 2/3
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([1, 1, 0, 0], [0, 0, 0, 0], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),
    ],
)
def test_f2_of_one_image_equals_the_formula(positive, predicted, expected):
    score = MEAN_F2.score(np.array([positive], dtype=float), np.array([predicted], dtype=float))
    assert score == pytest.approx(expected)


def test_f2_is_averaged_over_images_not_labels():
    targets = np.array([[1, 1, 0], [0, 0, 1]], dtype=float)
    decisions = np.array([[1, 0, 0], [0, 0, 1]], dtype=float)
    assert MEAN_F2.score(targets, decisions) == pytest.approx((5 / 9 + 1) / 2)


def test_accuracy_of_one_column_has_the_threshold_one_half():
    assert ACCURACY.score(column(1, 0, 1, 0), column(0.5, 0.49, 0.1, 0.2)) == 0.75


def test_roc_auc_is_the_share_of_pairs_in_order():
    assert ROC_AUC.score(column(1, 1, 0, 0), column(0.9, 0.3, 0.5, 0.1)) == 0.75


def test_roc_auc_counts_ties_as_half_and_is_nan_for_one_class():
    assert ROC_AUC.score(column(1, 1, 0, 0), column(0.5, 0.3, 0.5, 0.3)) == 0.5
    assert math.isnan(ROC_AUC.score(column(1, 1), column(0.5, 0.3)))


@metric_property
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60), classes=st.integers(2, 12))
def test_log_loss_and_accuracy_agree_with_scikit_learn(seed, rows, classes):
    true_classes, probabilities = random_rows(seed, rows, classes)
    targets = one_hot(true_classes, classes)
    # scikit-learn has another clip, so rows are kept inside both.
    probabilities = np.clip(probabilities, 1e-9, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    expected = log_loss(true_classes, probabilities, labels=range(classes))
    assert LOG_LOSS.score(targets, probabilities) == pytest.approx(expected, rel=1e-9)
    assert ACCURACY.score(targets, probabilities) == pytest.approx(
        accuracy_score(true_classes, probabilities.argmax(axis=1))
    )


@metric_property
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 80))
def test_binary_metrics_agree_with_scikit_learn(seed, rows):
    generator = np.random.default_rng(seed)
    true_classes, probabilities = generator.integers(0, 2, rows), generator.uniform(1e-6, 1 - 1e-6, rows)
    assume(0 < true_classes.sum() < rows)
    targets, predicted = column(*true_classes), column(*probabilities)
    assert BINARY_LOG_LOSS.score(targets, predicted) == pytest.approx(log_loss(true_classes, probabilities), rel=1e-9)
    assert ROC_AUC.score(targets, predicted) == pytest.approx(roc_auc_score(true_classes, probabilities))
    assert ACCURACY.score(targets, predicted) == pytest.approx(accuracy_score(true_classes, probabilities >= 0.5))


@metric_property
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60), classes=st.integers(2, 17))
def test_mean_f2_agrees_with_scikit_learn(seed, rows, classes):
    generator = np.random.default_rng(seed)
    targets = (generator.random((rows, classes)) < generator.random()).astype(float)
    decisions = (generator.random((rows, classes)) < generator.random()).astype(float)
    expected = fbeta_score(targets, decisions, beta=2, average="samples", zero_division=0)
    assert MEAN_F2.score(targets, decisions) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "better"),
    [(LOG_LOSS, 0.1), (BINARY_LOG_LOSS, 0.1), (MEAN_F2, 0.9), (ACCURACY, 0.9), (ROC_AUC, 0.9)],
)
def test_every_metric_has_its_direction(metric: Metric, better: float):
    worse = 1 - better
    assert metric.is_better(better, than=worse)
    assert not metric.is_better(worse, than=better)
    assert not metric.is_better(better, than=better)
    assert metric.gain(better, worse) == pytest.approx(0.8)
    assert metric.gain(worse, better) == pytest.approx(-0.8)
    assert metric.best([worse, better, worse], key=float) == better
    assert sorted([worse, better], key=metric.sort_key) == [better, worse]


@pytest.mark.parametrize("metric", [LOG_LOSS, MEAN_F2], ids=lambda metric: metric.key)
def test_the_first_of_several_tied_items_is_the_best(metric: Metric):
    assert metric.best([("first", 0.5), ("second", 0.5)], key=lambda item: item[1]) == ("first", 0.5)


def test_the_best_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        LOG_LOSS.best([], key=float)


def test_different_shapes_and_no_rows_are_refused():
    with pytest.raises(ValueError, match="differ"):
        LOG_LOSS.score(np.ones((3, 2)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="differ"):
        ACCURACY.score(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="no rows"):
        MEAN_F2.score(np.ones((0, 2)), np.ones((0, 2)))


@metric_property
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60), classes=st.integers(1, 9))
def test_the_score_is_the_mean_of_its_row_values(seed, rows, classes):
    generator = np.random.default_rng(seed)
    multi_hot = (generator.random((rows, classes)) < 0.4).astype(float)
    shares = generator.dirichlet(np.full(classes, 0.3), rows)
    single = one_hot(generator.integers(0, classes, rows), classes)
    for metric, targets, predicted in (
        (LOG_LOSS, single, shares),
        (ACCURACY, single, shares),
        (BINARY_LOG_LOSS, multi_hot[:, :1], shares[:, :1]),
        (MEAN_F2, multi_hot, (shares > 0.2).astype(float)),
    ):
        values = metric.per_row(targets, predicted)
        assert values.shape == (rows,)
        assert values.mean() == pytest.approx(metric.score(targets, predicted))
