"""Decisions: against every possible choice, for few tags; and never none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import MEAN_F2, Multiclass, Multilabel
from runner.prediction.expected_f2 import best_labels_constrained, best_tags, expected_f2
from runner.prediction.label_constraints import LabelConstraints, apply_constraints, label_constraints
from runner.prediction.thresholds import Decision, DecisionRule, decode, fit_decision, fit_thresholds
from runner.workspace import read_json, write_json

law = settings(deadline=None, max_examples=40)
RULES = (LabelConstraints((0, 2, 4), (2,)), LabelConstraints((0, 2, 4)), LabelConstraints((0, 1, 2, 3, 4), (1, 3)))


def all_sets(tags: int) -> np.ndarray:
    return np.array(list(itertools.product([0, 1], repeat=tags)), dtype=float)


def independent(probabilities: np.ndarray) -> np.ndarray:
    """How likely each set of tags is the true one."""
    return np.array(
        [np.where(truth, probabilities, 1 - probabilities).prod() for truth in all_sets(len(probabilities))]
    )


def obeying(probabilities: np.ndarray, rules: LabelConstraints) -> np.ndarray:
    """The same, where just one of the mutually_exclusive tags is true, and nothing beside one that is standalone."""
    share = probabilities[list(rules.mutually_exclusive)] / probabilities[list(rules.mutually_exclusive)].sum()
    weather = dict(zip(rules.mutually_exclusive, share, strict=True))
    company = sum(weather[column] for column in rules.others_among_exclusive)
    likely = []
    for truth in all_sets(len(probabilities)):
        there = [column for column in rules.mutually_exclusive if truth[column]]
        rest = [column for column in range(len(probabilities)) if column not in rules.mutually_exclusive]
        chance = weather[there[0]] if len(there) == 1 else 0.0
        for column in rest:
            given = 0.0 if set(there) & set(rules.standalone) else min(probabilities[column] / company, 1)
            chance *= given if truth[column] else 1 - given
        likely.append(chance)
    return np.array(likely)


def expectation(named: np.ndarray, likely: np.ndarray) -> float:
    truths = all_sets(len(named))
    return float(likely @ MEAN_F2.per_row(truths, np.repeat(named[None], len(truths), axis=0)))


def draw(seed: int, tags: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.beta(*random.uniform(0.2, 2, 2), (1, tags))


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(1, 6))
def test_no_set_of_independent_tags_has_a_greater_expected_f2_than_the_one_named(seed, tags):
    probabilities = draw(seed, tags)
    likely = independent(probabilities[0])
    best = max(expectation(named, likely) for named in all_sets(tags))
    assert expectation(best_tags(probabilities)[0].astype(float), likely) == pytest.approx(best, rel=1e-9)


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(5, 6), rules=st.sampled_from(RULES))
def test_no_set_has_a_greater_expected_f2_where_the_truth_obeys_rules(seed, tags, rules):
    probabilities = draw(seed, tags)
    likely = obeying(probabilities[0], rules)
    assert likely.sum() == pytest.approx(1)
    best = max(expectation(named, likely) for named in all_sets(tags))
    named = best_labels_constrained(probabilities, rules)[0].astype(float)
    assert expectation(named, likely) == pytest.approx(best, rel=1e-9)


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(1, 6))
def test_the_expected_f2_is_the_mean_over_all_truths(seed, tags):
    ranked = -np.sort(-draw(seed, tags), axis=1)
    for count, value in enumerate(expected_f2(ranked)[0], start=1):
        named = (np.arange(tags) < count).astype(float)
        assert value == pytest.approx(expectation(named, independent(ranked[0])), rel=1e-9)


def test_certain_tags_are_named_and_impossible_ones_are_not():
    certain = np.array([[1.0, 0, 0, 1, 0], [0, 0, 1, 0, 0]])
    assert best_tags(certain).tolist() == certain.astype(bool).tolist()
    assert best_labels_constrained(certain, LabelConstraints((0, 2, 4), (2,))).tolist() == certain.astype(bool).tolist()


def test_where_seventeen_tags_are_all_but_certain_the_sum_over_nodes_still_holds():
    for sure in (0.5, 0.99, 1.0):
        assert best_tags(np.full((1, 17), sure)).all()
    assert expected_f2(np.ones((1, 17)))[0, -1] == pytest.approx(1, abs=1e-6)


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(5, 8), how=st.sampled_from(DecisionRule), obeyed=st.booleans())
def test_no_image_is_ever_without_a_tag(seed, tags, how, obeyed):
    random = np.random.default_rng(seed)
    probabilities = random.random((40, tags)) ** random.integers(1, 30)
    probabilities[0] = 0
    truth = (random.random((40, tags)) < probabilities).astype(float)
    decision = fit_decision(how, probabilities, truth, RULES[0] if obeyed else None)
    named = decode(decision, probabilities)
    assert (named.sum(axis=1) >= 1).all() and np.isin(named, (0, 1)).all()


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(1, 8), rows=st.integers(1, 120))
def test_fitted_cutoffs_are_never_worse_than_the_fixed_one_where_they_were_fitted(seed, tags, rows):
    random = np.random.default_rng(seed)
    probabilities = random.random((rows, tags)).round(2)
    truth = (random.random((rows, tags)) < probabilities ** random.uniform(0.3, 4)).astype(float)
    fitted = fit_decision(DecisionRule.THRESHOLDS, probabilities, truth)
    score = MEAN_F2.score(truth, decode(fitted, probabilities))
    assert score >= MEAN_F2.score(truth, decode(Decision(), probabilities)) - 1e-9


@law
@given(seed=st.integers(0, 2**32), tags=st.integers(1, 5))
def test_no_other_hundredth_for_one_tag_is_better_than_its_fitted_cutoff(seed, tags):
    random = np.random.default_rng(seed)
    probabilities = random.random((50, tags))
    truth = (random.random((50, tags)) < probabilities**2).astype(float)
    thresholds = fit_thresholds(probabilities, truth)
    score = MEAN_F2.score(truth, decode(Decision(DecisionRule.THRESHOLDS, thresholds), probabilities))
    for tag, other in itertools.product(range(tags), np.arange(1, 100) / 100):
        moved = tuple(other if place == tag else threshold for place, threshold in enumerate(thresholds))
        assert MEAN_F2.score(truth, decode(Decision(DecisionRule.THRESHOLDS, moved), probabilities)) <= score + 1e-9


def test_cutoffs_and_rows_in_another_order_are_the_same():
    random = np.random.default_rng(2)
    probabilities = random.random((200, 4))
    truth = (random.random((200, 4)) < probabilities**3).astype(float)
    order = random.permutation(200)
    assert fit_thresholds(probabilities[order], truth[order]) == fit_thresholds(probabilities, truth)


def test_on_calibrated_probabilities_the_expected_f2_beats_cutoffs_on_new_rows():
    random = np.random.default_rng(5)
    probabilities = random.beta(0.4, 1.2, (20_000, 10))
    truth = (random.random(probabilities.shape) < probabilities).astype(float)
    fitting, new = slice(0, 10_000), slice(10_000, None)
    scores = [
        MEAN_F2.score(truth[new], decode(fit_decision(how, probabilities[fitting], truth[fitting]), probabilities[new]))
        for how in (DecisionRule.FIXED, DecisionRule.THRESHOLDS, DecisionRule.EXPECTED)
    ]
    assert scores == sorted(scores)


def test_a_choice_made_to_obey_has_one_weather_and_leaves_a_cloud_alone():
    probabilities = np.array([[0.6, 0.9, 0.5, 0.1], [0.2, 0.9, 0.7, 0.1], [0.1, 0.0, 0.0, 0.0]])
    chosen = probabilities > 0.3
    obeyed = apply_constraints(LabelConstraints((0, 2, 3), (2,)), chosen, probabilities)
    assert obeyed.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]


def test_by_the_rules_two_likely_weathers_may_both_be_named():
    # Naming both loses a little precision for sure; naming one loses all recall half of the time.
    named = best_labels_constrained(np.array([[0.5, 0.5, 0.0, 0.9]]), LabelConstraints((0, 1, 2), (2,)))
    assert named[0, 0] and named[0, 1]


def test_rules_come_from_the_plugin_and_only_of_classes_that_there_are():
    labels = Multilabel(csv="t.csv", mutually_exclusive=("clear", "cloudy", "haze"), standalone=("cloudy",))
    assert label_constraints(labels, ("clear", "cloudy", "haze", "road")) == LabelConstraints((0, 1, 2), (1,))
    assert label_constraints(labels, ("clear", "haze", "road")) == LabelConstraints((0, 1))
    assert label_constraints(labels, ("cloudy", "road")) is None
    assert label_constraints(Multilabel(csv="t.csv"), ("clear", "road")) is None
    assert label_constraints(Multiclass(csv="t.csv"), ("clear", "cloudy")) is None


@pytest.mark.parametrize("how", DecisionRule)
@pytest.mark.parametrize("rules", [None, RULES[0]])
def test_a_decoder_comes_back_from_its_file(tmp_path, how, rules):
    random = np.random.default_rng(1)
    probabilities = random.random((50, 6))
    decision = fit_decision(how, probabilities, (probabilities > 0.5).astype(float), rules)
    write_json(tmp_path / "decision.json", decision.to_dict())
    assert Decision.from_dict(read_json(tmp_path / "decision.json")) == decision
