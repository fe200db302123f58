"""Nested cross-validation: no row has a part in what it is scored by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import (
    ACCURACY,
    BALANCED_ACCURACY,
    LOG_LOSS,
    MEAN_F2,
    RMSE,
    ROC_AUC,
    Activation,
    Block,
    Metric,
    Outputs,
    map_at,
)
from runner.prediction.averaging import Mean, TTAMode
from runner.prediction.calibration import Calibration, CalibrationMethod
from runner.prediction.decisions import DecisionRule
from runner.prediction.ensemble import EnsembleMethod
from runner.prediction.nested_cv import NO_FOLD, NestedCV
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import (
    Postprocess,
    PostprocessPlan,
    Task,
    calibration_options,
    decision_options,
    ensemble_options,
    with_decision,
)
from runner.prediction.postprocess_folds import MIN_GROUPS
from tests.prediction.conftest import BINARY, MULTICLASS, MULTILABEL, TASKS, draw_rows, outputs

slow_property = settings(deadline=None, max_examples=8)
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.metric.key)


class FixedPlanCV(NestedCV):
    """Nested cross-validation that selects the same plan everywhere."""

    def __init__(self, rows: OutOfFold, task: Task, plan: PostprocessPlan):
        self.fixed_plan = plan
        super().__init__(lambda _: rows, task)

    def select_plan(self, left_out: frozenset[int] = NO_FOLD) -> PostprocessPlan:
        return self.fixed_plan


def with_leak(cv: NestedCV, folds: frozenset[int]) -> NestedCV:
    """The same rows, but in these folds with other labels, and with a member that knows them."""
    rows = replace(cv.rows, members=cv.rows.members.copy(), targets=cv.rows.targets.copy())
    random = np.random.default_rng(0)
    for place in (cv.slices[fold] for fold in folds):
        rows.targets[place] = rows.targets[place][random.permutation(place.stop - place.start)]
        rows.members[1, place] = 0.9 * rows.targets[place] + 0.05
    leaky = NestedCV.from_rows(rows, cv.task)
    assert leaky.slices == cv.slices
    return leaky


def every_plan(cv: NestedCV) -> list[PostprocessPlan]:
    """Every option of each step, one step at a time."""
    plan = with_decision(PostprocessPlan(ensemble=EnsembleMethod.GREEDY), cv.task)
    return [
        *ensemble_options(plan, len(cv.rows.names), cv.task.outputs),
        *calibration_options(plan, cv.task),
        *decision_options(plan, cv.task),
    ]


def apply(postprocess: Postprocess, rows: OutOfFold, which: slice) -> np.ndarray:
    member_of = dict(zip(rows.names, rows.members[:, which], strict=True))
    return postprocess.apply(lambda name: [member_of[name]]).values


# No leak.


@every_task
def test_a_leak_into_an_outer_fold_does_not_change_its_postprocess(task: Task):
    cv = NestedCV.from_rows(draw_rows(task, rows=80), task)
    for fold in range(5):
        left_out = frozenset([fold])
        leaky = with_leak(cv, left_out)
        plan = cv.select_plan(left_out)
        assert leaky.select_plan(left_out) == plan
        assert leaky.fit(plan, left_out) == cv.fit(plan, left_out)


@every_task
def test_no_fit_uses_the_folds_that_it_leaves_out(task: Task):
    cv = NestedCV.from_rows(draw_rows(task, rows=200, members=4, signal=0.6), task)
    changed = 0
    for left_out in (frozenset([0]), frozenset([1, 3])):
        leaky = with_leak(cv, left_out)
        for plan in every_plan(cv):
            assert leaky.fit(plan, left_out) == cv.fit(plan, left_out)
            # Fits on the leaky folds do change, or this test could not fail.
            changed += leaky.fit(plan, frozenset([4])) != cv.fit(plan, frozenset([4]))
    assert changed > len(every_plan(cv)) / 2


def test_labels_leaked_into_one_fold_do_not_improve_its_nested_score():
    # Members of pure noise, but for one with the labels of one fold.
    rows = NestedCV.from_rows(draw_rows(BINARY, rows=300, members=4, signal=0.0), BINARY).rows
    cv = NestedCV.from_rows(rows, BINARY)
    place, left_out = cv.slices[0], frozenset([0])
    members = rows.members.copy()
    members[0, place] = 0.98 * rows.targets[place] + 0.01
    leaky_rows = replace(rows, members=members)
    leaky = NestedCV.from_rows(leaky_rows, BINARY)
    assert leaky.fit(leaky.select_plan(left_out), left_out) == cv.fit(cv.select_plan(left_out), left_out)
    # Weights that favour the leaky member gain nothing on the other folds.
    assert leaky.select_plan().ensemble is not EnsembleMethod.GREEDY
    # If they were selected all the same, only the in-sample score would be too good.
    forced = FixedPlanCV(leaky_rows, BINARY, PostprocessPlan(EnsembleMethod.BEST))
    assert forced.postprocess().weights[0] == 1
    nested = forced.nested_score()
    assert nested.score.value > nested.in_sample + 2 * nested.score.error
    assert BINARY.metric.score(rows.targets[place], forced.predict_outer(0).values) > 0.7


@slow_property
@given(seed=st.integers(0, 2**32), task=st.sampled_from(TASKS[:3]))
def test_the_plan_of_an_outer_fold_is_the_plan_of_its_other_folds_alone(seed: int, task: Task):
    rows = draw_rows(task, rows=100, seed=seed)
    cv = NestedCV.from_rows(replace(rows, folds=np.arange(100) % 5), task)
    left_out = frozenset([4])
    others = NestedCV.from_rows(cv.rows.take(np.flatnonzero(cv.rows.folds != 4)), task)
    assert others.select_plan() == cv.select_plan(left_out)
    # The fits are equal but for the last digits of sums.
    weights = cv.fit(cv.select_plan(left_out), left_out).weights
    np.testing.assert_allclose(others.postprocess().weights, weights, atol=1e-6)


def scores_of_noise(seed: int) -> tuple[float, float, float]:
    """Of members of pure noise: the nested score, the in-sample score, and the score on hidden rows."""
    both = draw_rows(BINARY, rows=1060, members=12, seed=seed, signal=0.0)
    # Everything is fitted, whether it gains or not, so that the in-sample score is as biased as it can be.
    plan = PostprocessPlan(EnsembleMethod.GREEDY, Mean.GEOMETRIC, CalibrationMethod.PLATT_AND_CLIP)
    cv = FixedPlanCV(both.take(np.arange(60)), BINARY, plan)
    nested = cv.nested_score()
    hidden = BINARY.metric.score(both.targets[60:], apply(cv.postprocess(), both, slice(60, None)))
    return nested.score.value, nested.in_sample, hidden


def test_on_noise_the_in_sample_score_is_biased_and_the_nested_one_is_not():
    nested, in_sample, hidden = np.array([scores_of_noise(seed) for seed in range(30)]).T
    error = (in_sample - hidden).std() / np.sqrt(30)
    assert (in_sample - hidden).mean() < -5 * error
    bias = (nested - hidden).mean() / ((nested - hidden).std() / np.sqrt(30))
    # Outer folds are predicted by fits on four fifths of the rows, so the nested loss may be slightly too large.
    assert -2.5 < bias < 4
    assert (nested - hidden).mean() < -(in_sample - hidden).mean()


@pytest.mark.parametrize(
    "task", [BINARY, pytest.param(MULTILABEL, marks=pytest.mark.slow)], ids=lambda task: task.metric.key
)
def test_the_hidden_score_is_within_the_error_of_the_nested_one(task: Task):
    nested_bias, in_sample_bias = [], []
    for seed in range(30):
        both = draw_rows(task, rows=2300, members=4, seed=seed, signal=0.8)
        cv = NestedCV.from_rows(both.take(np.arange(300)), task)
        nested, postprocess = cv.nested_score(), cv.postprocess()
        hidden = task.metric.score(both.targets[300:], apply(postprocess, both, slice(300, None)))
        nested_bias.append((nested.score.value - hidden) / nested.score.error)
        in_sample_bias.append((nested.in_sample - hidden) / nested.score.error)
    assert np.mean(np.abs(nested_bias) < 2) >= 0.8
    assert abs(np.mean(nested_bias)) < 0.6
    if task is MULTILABEL:  # the more is fitted, the more the in-sample score is biased
        assert np.mean(in_sample_bias) > np.mean(nested_bias) + 0.5


# Selection.


def test_the_mean_is_selected_for_similar_members():
    similar = draw_rows(BINARY, rows=400, members=5, signal=0.8)
    assert NestedCV.from_rows(similar, BINARY).select_plan().ensemble is EnsembleMethod.MEAN


def test_one_good_member_among_noise_gets_most_of_the_weight():
    rows = draw_rows(BINARY, rows=400, members=5, signal=0.8)
    rows.members[:4] = np.random.default_rng(1).random((4, 400, 1)) * 0.98 + 0.01
    assert NestedCV.from_rows(rows, BINARY).postprocess().weights[4] > 0.7


def test_a_calibration_without_gain_is_not_selected():
    # Calibrated by construction, with a single member.
    random = np.random.default_rng(3)
    members = random.random((1, 3000, 1)).astype(np.float32)
    rows = draw_rows(BINARY, rows=3000, members=1)
    rows = replace(rows, members=members, targets=(random.random((3000, 1)) < members[0]).astype(float))
    assert NestedCV.from_rows(rows, BINARY).postprocess().calibration == Calibration()


def test_overconfident_members_get_a_temperature_that_helps_on_new_rows():
    both = draw_rows(BINARY, rows=3000, members=2, signal=0.5)
    logits = 8 * np.log(both.members / (1 - both.members))
    both = replace(both, members=(1 / (1 + np.exp(-logits))).astype(np.float32))
    postprocess = NestedCV.from_rows(both.take(np.arange(1000)), BINARY).postprocess()
    assert postprocess.calibration.temperature > 1.5
    targets, mean = both.targets[1000:], both.members[:, 1000:].mean(axis=0)
    calibrated = apply(postprocess, both, slice(1000, None))
    assert BINARY.metric.score(targets, calibrated) < BINARY.metric.score(targets, mean) - 0.05


def test_constraints_are_selected_if_the_targets_satisfy_them():
    rows = draw_rows(MULTILABEL, rows=1500, members=1, signal=0.5)
    assert NestedCV.from_rows(rows, MULTILABEL).select_plan().constrained


def test_constraints_are_not_selected_if_the_targets_violate_them():
    random = np.random.default_rng(0)
    members = random.beta(0.6, 1.0, (1, 1500, 6)).astype(np.float32)
    targets = (random.random((1500, 6)) < members[0]).astype(float)
    rows = replace(draw_rows(MULTILABEL, rows=1500, members=1), names=("one",), members=members, targets=targets)
    plan = NestedCV.from_rows(rows, MULTILABEL).select_plan()
    assert not plan.constrained
    assert plan.decision is DecisionRule.EXPECTED


def test_with_too_few_rows_nothing_is_fitted():
    for task in TASKS[:3]:
        cv = NestedCV.from_rows(draw_rows(task, rows=MIN_GROUPS - 1), task)
        assert cv.select_plan().ensemble is EnsembleMethod.MEAN
        nested = cv.nested_score()
        assert nested.score.value == nested.in_sample
        assert cv.score_methods() and cv.contributions()


# The nested score.


@pytest.mark.parametrize(("seed", "task"), list(enumerate(TASKS)), ids=[task.metric.key for task in TASKS])
def test_the_order_of_rows_changes_nothing(seed: int, task: Task):
    rows = draw_rows(task, rows=60, seed=seed)
    shuffled = rows.take(np.random.default_rng(seed).permutation(len(rows.ids)))
    first, second = NestedCV.from_rows(rows, task), NestedCV.from_rows(shuffled, task)
    assert first.postprocess() == second.postprocess()
    nested, again = first.nested_score(), second.nested_score()
    assert nested == again
    by_id = dict(zip(rows.ids, nested.values.tolist(), strict=True))
    assert by_id == dict(zip(shuffled.ids, again.values.tolist(), strict=True))


def test_the_nested_score_has_a_score_for_each_fold_of_the_run():
    rows = replace(draw_rows(MULTICLASS, rows=100), folds=np.arange(100) % 5)
    nested = NestedCV.from_rows(rows, MULTICLASS).nested_score()
    assert list(nested.folds) == [0, 1, 2, 3, 4]
    assert np.mean(list(nested.folds.values())) == pytest.approx(nested.score.value)
    assert MULTICLASS.metric.score(rows.targets, nested.values) == pytest.approx(nested.score.value)


def test_groups_increase_the_standard_error():
    rows = draw_rows(BINARY, rows=100)
    copies = np.repeat(np.arange(25), 4)
    repeated = replace(rows, members=rows.members[:, copies], targets=rows.targets[copies])
    grouped = replace(repeated, groups=tuple(f"scene {number}" for number in copies))
    scores = [NestedCV.from_rows(value, BINARY).nested_score().score for value in (repeated, grouped)]
    assert scores[1].error > 1.5 * scores[0].error


def test_the_in_sample_score_is_the_postprocess_on_its_own_rows():
    for task in TASKS[:3]:
        rows = draw_rows(task, rows=100)
        cv = NestedCV.from_rows(rows, task)
        values = apply(cv.postprocess(), rows, slice(None))
        assert task.metric.score(rows.targets, values) == pytest.approx(cv.nested_score().in_sample)


def test_every_ensemble_method_is_scored():
    methods = NestedCV.from_rows(draw_rows(MULTICLASS, rows=150), MULTICLASS).score_methods()
    names = [method.plan.ensemble for method in methods]
    assert names[:2] == [EnsembleMethod.LAST, EnsembleMethod.MEAN] and EnsembleMethod.GREEDY in names
    assert sum(method.chosen for method in methods) == 1
    scores = {method.plan.ensemble: method.score for method in methods}
    assert scores[EnsembleMethod.MEAN].value < scores[EnsembleMethod.LAST].value
    assert all(score.error > 0 for score in scores.values())


def test_the_one_good_member_contributes_most():
    rows = draw_rows(BINARY, rows=300, members=3, signal=1.0)
    rows.members[:2] = np.random.default_rng(1).random((2, 300, 1)) * 0.98 + 0.01
    members = NestedCV.from_rows(rows, BINARY).contributions()
    assert [member.name for member in members] == list(rows.names)
    assert sum(member.weight for member in members) == pytest.approx(1)
    assert members[2].solo_score < min(members[0].solo_score, members[1].solo_score)
    assert members[2].weight == max(member.weight for member in members)
    assert all(member.gain == 0 for member in members if member.weight == 0)


# The TTA mode.

ROWS = 120
BETTER = {TTAMode.NONE: 1.5, TTAMode.MEAN: 0.7, TTAMode.GEOMETRIC_MEAN: 0.7}
WORSE = {TTAMode.NONE: 0.5, TTAMode.MEAN: 1.5, TTAMode.GEOMETRIC_MEAN: 1.5}
EQUAL = {TTAMode.NONE: 1.0, TTAMode.MEAN: 1.0, TTAMode.GEOMETRIC_MEAN: 1.0}
Read = Callable[[TTAMode], OutOfFold]


def reader(noise: dict[TTAMode, float], *, rows: int = ROWS, targets: np.ndarray | None = None) -> Read:
    """Members that see the targets through noise, of another amount for each TTA mode."""
    drawn = np.eye(3)[np.random.default_rng(0).integers(0, 3, rows)]
    ids = tuple(f"row{row:03d}" for row in range(rows))

    def read(mode: TTAMode) -> OutOfFold:
        random = np.random.default_rng([0, int(1000 * noise[mode])])
        logits = 2 * drawn[None] + random.normal(scale=noise[mode], size=(2, rows, 3))
        members = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        known = drawn if targets is None else targets
        return OutOfFold(("one", "two"), ids, members.astype(np.float32), known, np.arange(rows) % 5, ("",) * rows)

    return read


def tta_cv(read: Read, task: Task = MULTICLASS) -> NestedCV:
    return NestedCV(read, task, tta_modes=tuple(TTAMode))


def test_the_mean_of_views_is_selected_if_it_scores_better():
    better, worse = tta_cv(reader(BETTER)), tta_cv(reader(WORSE))
    assert better.select_plan().tta is not TTAMode.NONE
    assert better.tta_gain().value > 0
    assert worse.select_plan().tta is TTAMode.NONE
    assert worse.tta_gain().value < 0


def test_the_geometric_mean_of_views_needs_a_gain_above_its_error():
    much_better = tta_cv(reader({**BETTER, TTAMode.GEOMETRIC_MEAN: 0.2}))
    assert much_better.select_plan().tta is TTAMode.GEOMETRIC_MEAN
    assert tta_cv(reader(BETTER)).select_plan().tta is TTAMode.MEAN


def test_numbers_have_no_geometric_mean_of_views_to_choose():
    modes = (TTAMode.NONE, TTAMode.MEAN)
    better, worse = (NestedCV(reader(noise), MULTICLASS, tta_modes=modes) for noise in (BETTER, WORSE))
    assert [cv.select_plan().tta for cv in (better, worse)] == [TTAMode.MEAN, TTAMode.NONE]
    assert better.tta_gain().value > 0


def test_a_single_tta_mode_is_scored_as_rows_without_tta():
    read = reader(BETTER)
    single, plain = NestedCV(read, MULTICLASS), NestedCV.from_rows(read(TTAMode.NONE), MULTICLASS)
    assert single.nested_score() == plain.nested_score()
    assert single.postprocess() == plain.postprocess()
    assert single.tta_gain() is None


def test_with_too_few_rows_the_mean_of_views_is_selected():
    for noise in (WORSE, {**BETTER, TTAMode.GEOMETRIC_MEAN: 0.01}):
        assert tta_cv(reader(noise, rows=12)).select_plan().tta is TTAMode.MEAN


@pytest.mark.parametrize("noise", [BETTER, WORSE, EQUAL])
def test_a_folds_labels_do_not_change_its_own_predictions(noise: dict[TTAMode, float]):
    targets = reader(noise)(TTAMode.NONE).targets
    changed = targets.copy()
    fold = np.arange(ROWS) % 5 == 2
    changed[fold] = np.roll(changed[fold], 1, axis=1)
    before, after = (tta_cv(reader(noise, targets=labels)).nested_score().values for labels in (targets, changed))
    assert np.array_equal(before[fold], after[fold])
    assert not np.array_equal(before[~fold], after[~fold])


def test_metrics_of_decisions_and_of_ranks_select_a_tta_mode():
    decisions = tta_cv(reader(BETTER), Task(MEAN_F2, outputs(False, 6)))
    assert decisions.select_plan().tta is not TTAMode.NONE
    assert set(np.unique(decisions.nested_score().values)) <= {0, 1}

    def one_column(mode: TTAMode) -> OutOfFold:
        rows = reader(BETTER)(mode)
        return replace(rows, members=rows.members[:, :, :1], targets=rows.targets[:, :1])

    ranks = tta_cv(one_column, Task(ROC_AUC, outputs(False, 1)))
    assert ranks.select_plan().tta is not TTAMode.NONE
    assert 0.5 < ranks.nested_score().score.value <= 1


def test_the_nested_score_reads_each_tta_mode_at_most_once_more():
    read, modes = reader(EQUAL), []

    def counting(mode: TTAMode) -> OutOfFold:
        modes.append(mode)
        return read(mode)

    cv = tta_cv(counting)
    assert set(modes) == set(TTAMode)
    modes.clear()
    selected = cv.select_plan().tta
    cv.nested_score()
    assert len(modes) <= len(TTAMode) + 1
    assert cv.mode is selected


@pytest.mark.parametrize("metric", [LOG_LOSS, ACCURACY, BALANCED_ACCURACY, map_at(2)], ids=lambda metric: metric.key)
def test_class_numbers_are_fitted_and_scored_as_one_hot_targets(metric: Metric) -> None:
    task = Task(metric, outputs(True, 3))
    rows = draw_rows(MULTICLASS, rows=200)
    one_hot, numbers = (
        NestedCV.from_rows(replace(rows, targets=targets), task)
        for targets in (rows.targets.astype(np.float32), rows.targets.argmax(axis=1))
    )
    assert one_hot.postprocess() == numbers.postprocess()
    assert one_hot.nested_score() == numbers.nested_score()
    assert one_hot.contributions() == numbers.contributions()


def test_the_mean_of_members_stays_where_nothing_distinguishes_it_from_the_last():
    undecided = 0
    for seed in range(6):
        cv = NestedCV.from_rows(draw_rows(BINARY, rows=40, seed=seed, signal=0.3), BINARY)
        last, mean, *_ = ensemble_options(PostprocessPlan(), 3, cv.task.outputs)
        gain = cv.gain(last, mean)
        undecided += gain.value > 0 and not gain.exceeds_standard_error
        if gain.value > 0:
            assert cv.select_plan().ensemble is not EnsembleMethod.LAST
    assert undecided > 0


@pytest.mark.parametrize("rows", [12, 60])
def test_numbers_in_several_views_are_averaged_or_not(rows: int) -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(rows, 1))
    ids, folds = tuple(f"row {row:02d}" for row in range(rows)), np.zeros(rows, dtype=np.int64)

    def read(tta: TTAMode) -> OutOfFold:
        noise = 0.1 if tta is TTAMode.MEAN else 1.0
        members = (targets + noise * np.random.default_rng(1).normal(size=targets.shape))[None].astype(np.float32)
        return OutOfFold(("a",), ids, members, targets, folds, ("",) * rows)

    task = Task(RMSE, Outputs((Block(Activation.LINEAR, 1),)))
    cv = NestedCV(read, task, tta_modes=(TTAMode.NONE, TTAMode.MEAN))
    assert cv.select_plan().tta is TTAMode.MEAN
    gain = cv.tta_gain()
    assert gain is not None and gain.value > 0
    assert cv.nested_score().score.value < 0.2
