"""Decisions compared with every possible set of labels, for few labels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import MEAN_F2, Multiclass, Multilabel
from runner.fields import checked
from runner.prediction.decisions import DecisionRule, FittedDecision, decide, fit_decision, fit_thresholds
from runner.prediction.expected_f import best_labels, best_labels_constrained, expected_f
from runner.prediction.label_constraints import LabelConstraints, apply_constraints, label_constraints
from runner.workspace import read_json, write_json
from tests.prediction.conftest import outputs

property_test = settings(deadline=None, max_examples=40)
CONSTRAINTS = (
    LabelConstraints((0, 2, 4), (2,)),
    LabelConstraints((0, 2, 4)),
    LabelConstraints((0, 1, 2, 3, 4), (1, 3)),
)


TAG_RULES = (DecisionRule.FIXED, DecisionRule.EXPECTED, DecisionRule.THRESHOLDS)


def fitted(rule, probabilities, targets, constraints=None, metric=MEAN_F2):
    return fit_decision(rule, metric, outputs(False), lambda: (probabilities, targets), constraints)


def decided(decision, probabilities):
    return decide(decision, probabilities, outputs(False))


def all_sets(labels: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 1], repeat=labels)), dtype=float)


def chances_if_independent(probabilities: np.ndarray) -> np.ndarray:
    """The probability that each set of labels is the target set, of independent labels."""
    sets = all_sets(len(probabilities))
    return np.array([np.where(targets, probabilities, 1 - probabilities).prod() for targets in sets])


def chances_if_constrained(probabilities: np.ndarray, constraints: LabelConstraints) -> np.ndarray:
    """The same if exactly one exclusive label is in the set, and no other label beside a standalone one."""
    columns = list(constraints.mutually_exclusive)
    exclusive = dict(zip(columns, probabilities[columns] / probabilities[columns].sum(), strict=True))
    combinable = sum(exclusive[column] for column in constraints.combinable)
    chances = []
    for targets in all_sets(len(probabilities)):
        present = [column for column in columns if targets[column]]
        chance = exclusive[present[0]] if len(present) == 1 else 0.0
        for column in set(range(len(probabilities))).difference(columns):
            is_standalone = bool(set(present) & set(constraints.standalone))
            conditional = 0.0 if is_standalone else min(probabilities[column] / combinable, 1)
            chance *= conditional if targets[column] else 1 - conditional
        chances.append(chance)
    return np.array(chances)


def expectation(predicted: np.ndarray, chances: np.ndarray) -> float:
    target_sets = all_sets(len(predicted))
    return float(chances @ MEAN_F2.per_row(target_sets, np.repeat(predicted[None], len(target_sets), axis=0)))


def draw(seed: int, labels: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.beta(*random.uniform(0.2, 2, 2), (1, labels))


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(1, 6))
def test_no_set_of_independent_labels_has_a_greater_expected_f2(seed, labels):
    probabilities = draw(seed, labels)
    chances = chances_if_independent(probabilities[0])
    best = max(expectation(predicted, chances) for predicted in all_sets(labels))
    assert expectation(best_labels(probabilities, 2)[0].astype(float), chances) == pytest.approx(best, rel=1e-9)


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(5, 6), constraints=st.sampled_from(CONSTRAINTS))
def test_no_set_has_a_greater_expected_f2_under_constraints(seed, labels, constraints):
    probabilities = draw(seed, labels)
    chances = chances_if_constrained(probabilities[0], constraints)
    assert chances.sum() == pytest.approx(1)
    best = max(expectation(predicted, chances) for predicted in all_sets(labels))
    predicted = best_labels_constrained(probabilities, constraints, 2)[0].astype(float)
    assert expectation(predicted, chances) == pytest.approx(best, rel=1e-9)


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(1, 6))
def test_the_expected_f2_is_the_mean_over_all_target_sets(seed, labels):
    ranked = -np.sort(-draw(seed, labels), axis=1)
    for count, value in enumerate(expected_f(ranked, 2)[0], start=1):
        predicted = (np.arange(labels) < count).astype(float)
        assert value == pytest.approx(expectation(predicted, chances_if_independent(ranked[0])), rel=1e-9)


def test_certain_labels_are_predicted_and_impossible_ones_are_not():
    certain = np.array([[1.0, 0, 0, 1, 0], [0, 0, 1, 0, 0]])
    assert best_labels(certain, 2).tolist() == certain.astype(bool).tolist()
    assert (
        best_labels_constrained(certain, LabelConstraints((0, 2, 4), (2,)), 2).tolist() == certain.astype(bool).tolist()
    )


def test_quadrature_is_accurate_for_seventeen_certain_labels():
    for sure in (0.5, 0.99, 1.0):
        assert best_labels(np.full((1, 17), sure), 2).all()
    assert expected_f(np.ones((1, 17)), 2)[0, -1] == pytest.approx(1, abs=1e-6)


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(5, 8), rule=st.sampled_from(TAG_RULES), constrained=st.booleans())
def test_every_image_has_at_least_one_label(seed, labels, rule, constrained):
    random = np.random.default_rng(seed)
    probabilities = random.random((40, labels)) ** random.integers(1, 30)
    probabilities[0] = 0
    targets = (random.random((40, labels)) < probabilities).astype(float)
    decision = fitted(rule, probabilities, targets, CONSTRAINTS[0] if constrained else None)
    predicted = decided(decision, probabilities)
    assert (predicted.sum(axis=1) >= 1).all() and np.isin(predicted, (0, 1)).all()


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(1, 8), rows=st.integers(1, 120))
def test_fitted_thresholds_are_never_worse_on_their_own_rows(seed, labels, rows):
    random = np.random.default_rng(seed)
    probabilities = random.random((rows, labels)).round(2)
    targets = (random.random((rows, labels)) < probabilities ** random.uniform(0.3, 4)).astype(float)
    thresholds = fitted(DecisionRule.THRESHOLDS, probabilities, targets)
    score = MEAN_F2.score(targets, decided(thresholds, probabilities))
    assert score >= MEAN_F2.score(targets, decided(FittedDecision(DecisionRule.FIXED, 2), probabilities)) - 1e-9


@property_test
@given(seed=st.integers(0, 2**32), labels=st.integers(1, 5))
def test_no_single_threshold_can_be_improved(seed, labels):
    random = np.random.default_rng(seed)
    probabilities = random.random((50, labels))
    targets = (random.random((50, labels)) < probabilities**2).astype(float)
    thresholds = fit_thresholds(probabilities, targets, 2)
    score = MEAN_F2.score(targets, decided(FittedDecision(DecisionRule.THRESHOLDS, 2, thresholds), probabilities))
    for label, value in itertools.product(range(labels), np.arange(1, 100) / 100):
        changed = (*thresholds[:label], float(value), *thresholds[label + 1 :])
        assert (
            MEAN_F2.score(targets, decided(FittedDecision(DecisionRule.THRESHOLDS, 2, changed), probabilities))
            <= score + 1e-9
        )


def test_the_order_of_rows_does_not_change_thresholds():
    random = np.random.default_rng(2)
    probabilities = random.random((200, 4))
    targets = (random.random((200, 4)) < probabilities**3).astype(float)
    order = random.permutation(200)
    assert fit_thresholds(probabilities[order], targets[order], 2) == fit_thresholds(probabilities, targets, 2)


def test_expected_f2_beats_thresholds_on_calibrated_probabilities():
    random = np.random.default_rng(5)
    probabilities = random.beta(0.4, 1.2, (20_000, 10))
    targets = (random.random(probabilities.shape) < probabilities).astype(float)
    fitting, new = slice(0, 10_000), slice(10_000, None)
    scores = [
        MEAN_F2.score(targets[new], decided(fitted(rule, probabilities[fitting], targets[fitting]), probabilities[new]))
        for rule in (DecisionRule.FIXED, DecisionRule.THRESHOLDS, DecisionRule.EXPECTED)
    ]
    assert scores == sorted(scores)


def test_constrained_decisions_have_one_exclusive_label():
    probabilities = np.array([[0.6, 0.9, 0.5, 0.1], [0.2, 0.9, 0.7, 0.1], [0.1, 0.0, 0.0, 0.0]])
    above = probabilities > 0.3
    constrained = apply_constraints(LabelConstraints((0, 2, 3), (2,)), above, probabilities)
    assert constrained.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_two_exclusive_labels_may_both_be_predicted():
    # Predicting both loses a little precision; predicting one loses all recall half of the time.
    predicted = best_labels_constrained(np.array([[0.5, 0.5, 0.0, 0.9]]), LabelConstraints((0, 1, 2), (2,)), 2)
    assert predicted[0, 0] and predicted[0, 1]


def test_constraints_name_only_classes_in_the_data():
    labels = Multilabel(csv="t.csv", mutually_exclusive=("clear", "cloudy", "haze"), standalone=("cloudy",))
    assert label_constraints(labels, ("clear", "cloudy", "haze", "road")) == LabelConstraints((0, 1, 2), (1,))
    assert label_constraints(labels, ("clear", "haze", "road")) == LabelConstraints((0, 1))
    assert label_constraints(labels, ("cloudy", "road")) is None
    assert label_constraints(Multilabel(csv="t.csv"), ("clear", "road")) is None
    assert label_constraints(Multiclass(csv="t.csv"), ("clear", "cloudy")) is None


@pytest.mark.parametrize("rule", TAG_RULES)
@pytest.mark.parametrize("constraints", [None, CONSTRAINTS[0]])
def test_a_decision_comes_back_equal_from_its_file(tmp_path, rule, constraints):
    random = np.random.default_rng(1)
    probabilities = random.random((50, 6))
    decision = fitted(rule, probabilities, (probabilities > 0.5).astype(float), constraints)
    write_json(tmp_path / "decision.json", decision.to_dict())
    assert checked(FittedDecision, read_json(tmp_path / "decision.json")) == decision
