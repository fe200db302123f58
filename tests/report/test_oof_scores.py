"""Scores of out-of-fold predictions as plain values, against scikit-learn and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, precision_score, recall_score

from runner.prediction.decisions import DecisionRule, FittedDecision
from runner.report.run.calibration import calibration_bins, describe_calibration, expected_calibration_error
from runner.report.run.confusion import ConfusedPair, Confusion, cluster_order
from runner.report.run.data import OofPredictions
from runner.report.run.examples import caption, example_rows
from runner.report.run.oof_figures import confidence_figure, labels_figure, labels_table
from runner.report.run.per_class import THRESHOLDS, f2_by_threshold, per_class_scores, per_label_scores


def multiclass(labels: list[int], probabilities: list[list[float]]) -> OofPredictions:
    matrix = np.array(probabilities)
    names = tuple("abcdefgh"[: matrix.shape[1]])
    ids = tuple(f"id{row}" for row in range(len(labels)))
    return OofPredictions(ids, names, np.eye(len(names))[labels], matrix, matrix)


def multilabel(rows: int = 200, seed: int = 0) -> OofPredictions:
    random = np.random.default_rng(seed)
    targets = (random.random((rows, 3)) < (0.7, 0.3, 0.1)).astype(float)
    probabilities = np.clip(targets * 0.4 + random.random((rows, 3)) * 0.6, 0, 1)
    decision = FittedDecision(DecisionRule.THRESHOLDS, 2, (0.3, 0.5, 0.7))
    values = (probabilities > decision.thresholds).astype(float)
    ids = tuple(f"id{row}" for row in range(rows))
    return OofPredictions(ids, ("x", "y", "z"), targets, probabilities, values, is_multilabel=True, decision=decision)


def test_class_scores_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 4, 300).tolist()
    oof = multiclass(labels, random.dirichlet(np.ones(4), 300).tolist())
    actual, predicted = oof.labels_and_predictions
    recalls = dict(zip("abcd", recall_score(actual, predicted, average=None), strict=True))
    precisions = dict(zip("abcd", precision_score(actual, predicted, average=None), strict=True))
    scores = per_class_scores(oof)
    assert {score.name: score.recall for score in scores} == pytest.approx(recalls)
    assert {score.name: score.precision for score in scores} == pytest.approx(precisions)
    assert [score.recall for score in scores] == sorted(recalls.values())
    assert sum(score.support for score in scores) == 300


def test_a_class_without_images_has_no_recall_and_stands_last() -> None:
    scores = per_class_scores(multiclass([0, 0, 1], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.1, 0.9, 0.0]]))
    assert [(score.name, score.recall, score.precision) for score in scores] == [
        ("a", 0.5, 1.0),
        ("b", 1.0, 0.5),
        ("c", None, None),
    ]
    assert [score.most_confused_with for score in scores] == ["b", "", ""]


def test_a_binary_competition_has_two_classes() -> None:
    targets, probabilities = np.array([[0.0], [1.0], [1.0]]), np.array([[0.2], [0.9], [0.4]])
    oof = OofPredictions(("p", "q", "r"), ("iceberg",), targets, probabilities, probabilities)
    assert {score.name: score.recall for score in per_class_scores(oof)} == {"iceberg: 0": 1.0, "iceberg: 1": 0.5}
    assert caption(oof, 2) == ("actual: iceberg = 1", "predicted: 0.400")


def test_label_scores_are_those_of_scikit_learn() -> None:
    oof = multilabel()
    f2 = dict(zip("xyz", fbeta_score(oof.targets, oof.values, beta=2, average=None), strict=True))
    scores = per_label_scores(oof)
    assert {score.name: score.f2 for score in scores} == pytest.approx(f2)
    assert {score.name: score.threshold for score in scores} == {"x": 0.3, "y": 0.5, "z": 0.7}
    assert [score.f2 for score in scores] == sorted(f2.values())


def test_labels_that_are_decided_together_have_no_threshold() -> None:
    oof = replace(multilabel(), decision=FittedDecision(DecisionRule.EXPECTED))
    assert [score.threshold for score in per_label_scores(oof)] == [None, None, None]


@pytest.mark.parametrize("rule", [DecisionRule.THRESHOLDS, DecisionRule.EXPECTED])
def test_labels_are_drawn_with_their_thresholds_if_they_have_some(rule: DecisionRule) -> None:
    oof = multilabel()
    if rule is DecisionRule.EXPECTED:
        oof = replace(oof, decision=FittedDecision(rule))
    has_thresholds = rule is DecisionRule.THRESHOLDS
    assert (labels_table(oof).header[-1] == "threshold") == has_thresholds
    figure = labels_figure(oof)
    assert ("Dashed" in figure.note) == has_thresholds
    assert figure.numbers is not None and [row[0] for row in figure.numbers.rows] == ["x", "y", "z"]
    assert figure.block().svg.startswith("<svg")
    assert confidence_figure(oof).figure.axes[0].get_yscale() == "log"


def test_the_f2_curve_is_scikit_learns_at_every_threshold() -> None:
    oof = multilabel()
    curves = f2_by_threshold(oof)
    for column in (0, 24, 40):
        predicted = oof.probabilities >= THRESHOLDS[column]
        expected = fbeta_score(oof.targets, predicted, beta=2, average=None, zero_division=0)
        assert curves[:, column] == pytest.approx(expected)


def test_a_multilabel_loss_is_the_mean_over_labels_without_a_decision_too() -> None:
    oof = replace(multilabel(), decision=None)
    expected = -np.log(np.where(oof.targets > 0.5, oof.probabilities, 1 - oof.probabilities)).mean(axis=1)
    assert oof.losses == pytest.approx(expected)


def test_confused_pairs_have_the_most_frequent_first() -> None:
    confusion = Confusion.of(("a", "b", "c"), np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 1, 2, 2]))
    assert confusion.most_confused == [ConfusedPair("a", "b", 2, 3), ConfusedPair("b", "c", 1, 2)]
    assert str(confusion.most_confused[0]) == "a predicted as b: 2 of 3"


def test_many_classes_are_zoomed_to_the_most_confused() -> None:
    labels = np.repeat(np.arange(40), 3)
    predictions = labels.copy()
    predictions[[0, 30]] = [7, 21]  # one image of class 0 as 7, one of class 10 as 21
    confusion = Confusion.of([f"c{number}" for number in range(40)], labels, predictions)
    zoomed = confusion.zoomed
    assert zoomed is not None and set(zoomed.classes) == {"c0", "c7", "c10", "c21"}
    assert zoomed.support.tolist() == [3, 3, 3, 3]
    assert Confusion.of(("a", "b"), np.array([0, 1]), np.array([0, 0])).zoomed is None


def test_classes_that_are_confused_stand_side_by_side() -> None:
    counts = np.diag([20] * 6)
    for first, second in ((0, 5), (1, 3), (2, 4)):
        counts[first, second] = counts[second, first] = 8
    order = cluster_order(counts)
    pairs = {frozenset(order[start : start + 2]) for start in (0, 2, 4)}
    assert pairs == {frozenset({0, 5}), frozenset({1, 3}), frozenset({2, 4})}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000))
def test_the_cluster_order_has_every_class_once(size: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 5, (size, size))
    assert sorted(cluster_order(counts)) == list(range(size))


def test_bins_have_predicted_probability_and_observed_frequency() -> None:
    oof = multiclass([0, 0, 0, 1], [[0.95, 0.05], [0.93, 0.07], [0.45, 0.55], [0.42, 0.58]])
    low, high = calibration_bins(oof)
    assert (low.low, low.high, low.count, low.observed) == (0.5, 0.6, 2, 0.5)
    assert (high.low, high.high, high.count, high.observed) == (0.9, 1.0, 2, 1.0)
    assert low.predicted == pytest.approx(0.565) and high.predicted == pytest.approx(0.94)
    assert expected_calibration_error([low, high]) == pytest.approx((0.065 + 0.06) / 2)
    assert 0 < high.error < 0.4  # not 0, although every image of the bin is right


@pytest.mark.parametrize(
    ("confidence", "text"),
    [(0.75, "Well calibrated: "), (0.95, "Overconfident: ECE 20.0 %, "), (0.6, "Underconfident: ECE 15.0 %, ")],
)
def test_calibration_is_described_by_its_direction_and_ece(confidence: float, text: str) -> None:
    oof = multiclass([0, 0, 0, 1], [[confidence, 1 - confidence]] * 4)
    assert describe_calibration(calibration_bins(oof)).startswith(text)


def test_a_caption_has_the_probability_of_both_classes() -> None:
    oof = multiclass([0, 1], [[0.012, 0.988], [0.3, 0.7]])
    assert caption(oof, 0) == ("actual: a 1.2\u00a0%", "predicted: b 98.8\u00a0%")
    assert caption(oof, 1) == ("actual: b 70.0\u00a0%", "predicted: b 70.0\u00a0%")


def test_examples_are_the_rows_with_the_most_extreme_loss_and_entropy() -> None:
    oof = multiclass([0, 1, 1], [[0.02, 0.98], [0.48, 0.52], [0.01, 0.99]])
    assert {title: rows.tolist() for title, rows in example_rows(oof).items()} == {
        "Top losses": [0, 1, 2],
        "Most uncertain": [1, 0, 2],
        "Lowest losses": [2, 1, 0],
    }


def test_a_multilabel_caption_lists_the_errors() -> None:
    oof = multilabel(rows=4)
    targets, values = np.array([[1.0, 1, 0]] * 4), np.array([[1.0, 0, 1]] * 4)
    lines = caption(replace(oof, targets=targets, values=values), 0)
    assert lines == ("actual: x y", "missed: y", "false positive: z")
