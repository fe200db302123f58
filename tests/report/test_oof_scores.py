"""Scores of out-of-fold predictions as plain values, against scikit-learn and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score, precision_score, r2_score, recall_score, roc_auc_score

from runner.contract import (
    MEAN_COLUMNWISE_AUC,
    MEAN_F1,
    MEAN_F2,
    Multiclass,
    Multilabel,
    Ordinal,
    Regression,
    SeveralTargets,
)
from runner.prediction.decisions import DecisionRule, FittedDecision
from runner.report.run.calibration import calibration_bins, describe_calibration, expected_calibration_error
from runner.report.run.confusion import ConfusedPair, Confusion, cluster_order
from runner.report.run.confusion_figures import confusion_figures
from runner.report.run.data import OofPredictions
from runner.report.run.examples import caption, example_rows
from runner.report.run.number_figures import numbers_figure
from runner.report.run.numbers import number_scores
from runner.report.run.oof_figures import confidence_figure, labels_figure, labels_table
from runner.report.run.per_class import (
    THRESHOLDS,
    f_score_by_threshold,
    label_rankings,
    per_class_scores,
    per_label_scores,
)


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
    return OofPredictions(ids, ("x", "y", "z"), targets, probabilities, values, Multilabel("t.csv"), decision, MEAN_F2)


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


@pytest.mark.parametrize("beta", [1, 2])
def test_label_scores_are_those_of_scikit_learn(beta: int) -> None:
    oof = multilabel()
    expected = dict(zip("xyz", fbeta_score(oof.targets, oof.values, beta=beta, average=None), strict=True))
    scores = per_label_scores(oof, beta)
    assert {score.name: score.f_score for score in scores} == pytest.approx(expected)
    assert {score.name: score.threshold for score in scores} == {"x": 0.3, "y": 0.5, "z": 0.7}
    assert [score.f_score for score in scores] == sorted(expected.values())


def test_the_table_of_labels_has_the_f_score_that_the_metric_takes() -> None:
    assert labels_table(multilabel()).header[5] == "F2"
    assert labels_table(replace(multilabel(), metric=MEAN_F1)).header[5] == "F1"


def test_labels_whose_probabilities_are_scored_have_their_auc_and_no_curve() -> None:
    oof = replace(multilabel(), metric=MEAN_COLUMNWISE_AUC, decision=None)
    expected = {
        name: roc_auc_score(oof.targets[:, column], oof.probabilities[:, column]) for column, name in enumerate("xyz")
    }
    assert {label.name: label.auc for label in label_rankings(oof)} == pytest.approx(expected)
    assert labels_table(oof).header[2] == "AUC"
    assert labels_figure(oof) is None


def test_a_label_that_no_image_has_is_without_an_auc_and_stands_last() -> None:
    oof = replace(multilabel(), metric=MEAN_COLUMNWISE_AUC, decision=None)
    oof.targets[:, 0] = 0
    assert (label_rankings(oof)[-1].name, label_rankings(oof)[-1].auc) == ("x", None)


def numbers(rows: int = 80) -> OofPredictions:
    random = np.random.default_rng(3)
    targets = random.normal((5.0, 100.0), (1.0, 40.0), (rows, 2))
    predictions = targets + random.normal((0.5, 0.0), (1.0, 4.0), (rows, 2))
    targets[::4, 1] = np.nan
    ids = tuple(f"id{row}" for row in range(rows))
    return OofPredictions(
        ids, ("age", "mass"), targets, predictions, predictions, Regression("t.csv", columns=("age", "mass"))
    )


def test_the_errors_of_numbers_are_those_of_scikit_learn_over_known_rows() -> None:
    oof = numbers()
    age, mass = number_scores(oof)
    known = np.isfinite(oof.targets[:, 1])
    assert (age.name, age.rows, mass.name, mass.rows) == ("age", 80, "mass", 60)
    assert age.r2 == pytest.approx(r2_score(oof.targets[:, 0], oof.values[:, 0]))
    assert mass.r2 == pytest.approx(r2_score(oof.targets[known, 1], oof.values[known, 1]))
    assert age.bias == pytest.approx(0.5, abs=0.3)


def test_every_number_is_drawn_against_the_actual_one() -> None:
    figure = numbers_figure(numbers())
    assert figure is not None and [axes.get_title() for axes in figure.figure.axes] == [
        f"{score.name}, R² {score.r2:.2f}" for score in number_scores(numbers())
    ]


def test_the_largest_error_of_numbers_counts_each_column_in_its_own_spread() -> None:
    oof = numbers(8)
    oof.values[:] = np.nan_to_num(oof.targets, nan=7.0)
    oof.values[2, 0] += 3.0  # three deviations of age
    oof.values[5, 1] += 9.0  # a quarter of a deviation of mass
    assert example_rows(oof)["Largest errors"][:2].tolist() == [2, 5]
    assert caption(oof, 2)[0].startswith("age actual: ")


def test_rows_without_any_number_are_no_example() -> None:
    oof = numbers(8)
    oof.targets[3] = np.nan
    assert 3 not in example_rows(oof)["Largest errors"] and 3 not in example_rows(oof)["Smallest errors"]


def test_grades_keep_their_order_in_the_confusion_matrix_and_count_as_they_were_decided() -> None:
    targets, probabilities = np.eye(3)[[0, 1, 2, 2]], np.array([[0.4, 0.3, 0.3]] * 4)
    decided = np.eye(3)[[1, 1, 1, 2]]
    oof = OofPredictions(
        ("p", "q", "r", "s"), ("0", "1", "2"), targets, probabilities, decided, Ordinal("t.csv", grades=3)
    )
    assert oof.confusion.classes == ("0", "1", "2")
    assert oof.confusion.counts.tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 1]]


def several_targets() -> OofPredictions:
    labels = SeveralTargets(
        Multiclass("t.csv", label="root", classes=("a", "b")),
        Multiclass("t.csv", label="mark", classes=("x", "y", "z")),
    )
    targets = np.array([[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]], dtype=float)
    probabilities = np.array([[0.9, 0.1, 0.2, 0.7, 0.1], [0.3, 0.7, 0.1, 0.1, 0.8]])
    return OofPredictions(("p", "q"), labels.class_names, targets, probabilities, probabilities, labels)


def test_several_targets_are_told_one_by_one() -> None:
    oof = several_targets()
    root, mark = (part for _, part in oof.by_target)
    assert root.confusion.most_confused == []
    assert mark.confusion.most_confused == [ConfusedPair("x", "y", 1, 1)]
    assert oof.losses == pytest.approx(-np.log([0.9 * 0.2, 0.7 * 0.8]))
    assert caption(oof, 0)[:2] == ("root actual: a 90.0\u00a0%", "root predicted: a 90.0\u00a0%")


def test_the_loss_of_shares_counts_every_share() -> None:
    targets, probabilities = np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])
    labels = Multiclass("t.csv", columns=("a", "b"), soft=True)
    oof = OofPredictions(("p",), ("a", "b"), targets, probabilities, probabilities, labels)
    assert oof.losses == pytest.approx([np.log(2)])


def test_labels_that_are_decided_together_have_no_threshold() -> None:
    oof = replace(multilabel(), decision=FittedDecision(DecisionRule.EXPECTED))
    assert [score.threshold for score in per_label_scores(oof, 2)] == [None, None, None]


@pytest.mark.parametrize("rule", [DecisionRule.THRESHOLDS, DecisionRule.EXPECTED])
def test_labels_are_drawn_with_their_thresholds_if_they_have_some(rule: DecisionRule) -> None:
    oof = multilabel()
    if rule is DecisionRule.EXPECTED:
        oof = replace(oof, decision=FittedDecision(rule))
    has_thresholds = rule is DecisionRule.THRESHOLDS
    assert (labels_table(oof).header[-1] == "threshold") == has_thresholds
    figure = labels_figure(oof)
    assert figure is not None
    assert ("Dashed" in figure.note) == has_thresholds
    assert figure.numbers is not None and [row[0] for row in figure.numbers.rows] == ["x", "y", "z"]
    assert figure.block().svg.startswith("<svg")
    assert confidence_figure(oof).figure.axes[0].get_yscale() == "log"


def test_the_f2_curve_is_scikit_learns_at_every_threshold() -> None:
    oof = multilabel()
    curves = f_score_by_threshold(oof, 2)
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


def test_of_ten_thousand_classes_only_the_most_confused_are_drawn() -> None:
    labels = np.arange(20_000) % 10_000
    predictions = np.where(labels % 1000 < 3, labels + 1, labels)
    confusion = Confusion.of([f"c{number}" for number in range(10_000)], labels, predictions)
    (figure,) = confusion_figures(confusion)
    assert figure.name == "confusion-zoomed" and len(confusion.zoomed.classes) == 14
    assert str(confusion.most_confused[0]) == "c0 predicted as c1: 2 of 2"
    none_confused = Confusion.of(confusion.classes, labels, labels)
    assert len(confusion_figures(none_confused)) == 1


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
