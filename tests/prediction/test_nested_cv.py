"""The honest number: what is scored had no part in what it is scored by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, ROC_AUC
from runner.prediction.averaging import Mean
from runner.prediction.calibration import Calibration, CalibrationMethod
from runner.prediction.ensemble import EnsembleMethod
from runner.prediction.label_constraints import LabelConstraints
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Postprocess, PostprocessPlan, Task
from runner.prediction.postprocess_folds import FEWEST_UNITS, assign_postprocess_folds
from runner.prediction.thresholds import Decision, DecisionRule
from runner.workspace import read_json, write_json

law = settings(deadline=None, max_examples=8)

BINARY = Task(BINARY_LOG_LOSS, multiclass=False)
BREEDS = Task(LOG_LOSS, multiclass=True)
TAGS = Task(MEAN_F2, multiclass=False, rules=LabelConstraints((0, 1, 2), (1,)))
TASKS = (BINARY, BREEDS, TAGS, Task(ROC_AUC, multiclass=False), Task(ACCURACY, multiclass=True))


def draw(task: Task, rows: int = 120, members: int = 3, *, seed: int = 0, signal: float = 1.5) -> OutOfFold:
    """Members that see the truth through noise of their own, and say just what that tells them: without signal
    they know nothing and say anything."""
    random = np.random.default_rng(seed)
    truth = draw_truth(task, rows, random)
    seen = signal * (2 * truth - 1) + random.normal(size=(members, *truth.shape))
    logits = 2 * signal * seen if signal else seen
    if task.metric is MEAN_F2:
        said = np.concatenate([softmax(np.log(WEATHER) + logits[..., :3]), expit(LOGIT_OF_REST + logits[..., 3:])], 2)
        said[..., 3:] *= 1 - said[..., 1:2]
    else:
        said = softmax(logits) if task.multiclass else expit(logits)
    names = tuple(f"member {number}" for number in range(members))
    ids = tuple(f"row {number:04d}" for number in range(rows))
    return OutOfFold(names, ids, said.astype(np.float32), truth, np.zeros(rows, dtype=np.int64), ("",) * rows)


# The second weather is a cloud: there is nothing else on its images.
WEATHER, REST = np.array([0.6, 0.2, 0.2]), 0.3
LOGIT_OF_REST = np.log(REST / (1 - REST))


def draw_truth(task: Task, rows: int, random: np.random.Generator) -> np.ndarray:
    if task.metric is MEAN_F2:
        weather = np.eye(3)[random.choice(3, rows, p=WEATHER)]
        return np.hstack([weather, (random.random((rows, 3)) < REST) * (weather[:, 1:2] == 0)])
    if task.multiclass:
        return np.eye(3)[random.integers(0, 3, rows)]
    return random.integers(0, 2, (rows, 1)).astype(float)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def expit(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def shuffled(rows: OutOfFold, seed: int) -> OutOfFold:
    return rows.take(np.random.default_rng(seed).permutation(len(rows.ids)))


# No row has a part in what it is scored by.


def plant(nest: NestedCV, parts: frozenset[int]) -> NestedCV:
    """The same rows, but in these parts with other labels, and with a member that was told them."""
    rows = replace(nest.rows, members=nest.rows.members.copy(), targets=nest.rows.targets.copy())
    random = np.random.default_rng(0)
    for place in (nest.slices[part] for part in parts):
        rows.targets[place] = rows.targets[place][random.permutation(place.stop - place.start)]
        rows.members[1, place] = 0.9 * rows.targets[place] + 0.05
    planted = NestedCV(rows, nest.task)
    assert planted.slices == nest.slices
    return planted


def every_plan(nest: NestedCV) -> list[PostprocessPlan]:
    """Each way to do a step, one step at a time."""
    plain = nest._decided(PostprocessPlan(weighing=EnsembleMethod.GREEDY))
    return [*nest._weighings(plain), *nest._calibratings(plain), *nest._decidings(plain)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.metric.key)
def test_nothing_that_is_planted_in_a_part_reaches_the_step_that_scores_it(task):
    nest = NestedCV(draw(task, rows=80), task)
    for part in range(5):
        left = frozenset([part])
        planted = plant(nest, left)
        assert planted.plan(left) == nest.plan(left)
        assert planted.fits.step(planted.plan(left), left) == nest.fits.step(nest.plan(left), left)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.metric.key)
def test_no_fit_of_any_kind_sees_the_parts_that_it_leaves_out(task):
    nest = NestedCV(draw(task, rows=200, members=4, signal=0.6), task)
    moved = 0
    for left in (frozenset([0]), frozenset([1, 3])):
        planted = plant(nest, left)
        for plan in every_plan(nest):
            assert planted.fits.step(plan, left) == nest.fits.step(plan, left)
            # Elsewhere the same planting shows, or this test could not fail.
            moved += planted.fits.step(plan, frozenset([4])) != nest.fits.step(plan, frozenset([4]))
    assert moved > len(every_plan(nest)) / 2


def test_labels_planted_in_one_part_buy_that_part_nothing(monkeypatch):
    # Members that know nothing, but one that was told the labels of one part.
    rows = NestedCV(draw(BINARY, rows=300, members=4, signal=0.0), BINARY).rows
    nest = NestedCV(rows, BINARY)
    part, left = nest.slices[0], frozenset([0])
    told = rows.members.copy()
    told[0, part] = 0.98 * rows.targets[part] + 0.01
    other = NestedCV(replace(rows, members=told), BINARY)
    assert other.fits.step(other.plan(left), left) == nest.fits.step(nest.plan(left), left)
    # It is not fallen for: weights that trust the one that was told do not gain on the other parts.
    assert other.plan().weighing is not EnsembleMethod.GREEDY
    # And if it were, the rows that it was fitted on would flatter, and the honest score would not.
    plan = PostprocessPlan(EnsembleMethod.BEST)
    forced = NestedCV(other.rows, BINARY)
    monkeypatch.setattr(forced, "_choose", lambda _: plan)
    assert forced.final_step().weights[0] == 1
    honest = forced.nested_score()
    assert honest.score.value > honest.optimistic + 2 * honest.score.error
    assert BINARY.metric.score(rows.targets[part], forced.honest_answer(0).values) > 0.7


@law
@given(seed=st.integers(0, 2**32), task=st.sampled_from(TASKS[:3]))
def test_the_plan_of_a_part_is_the_plan_that_its_others_alone_would_choose(seed, task):
    rows = draw(task, rows=100, seed=seed)
    nest = NestedCV(replace(rows, folds=np.arange(100) % 5), task)
    left = frozenset([4])
    alone = nest.rows.take(np.flatnonzero(nest.rows.folds != 4))
    other = NestedCV(alone, task)
    assert other.plan() == nest.plan(left)
    # Plans are equal values; what they fit is the same but for the last digits of sums.
    np.testing.assert_allclose(other.final_step().weights, nest.fits.step(nest.plan(left), left).weights, atol=1e-6)


def apply(step: Postprocess, rows: OutOfFold, which: slice) -> np.ndarray:
    by_name = dict(zip(rows.names, rows.members[:, which], strict=True))
    return step.apply(lambda name: [by_name[name]]).values


def noise(seed: int, monkeypatch) -> tuple[float, float, float]:
    """Of members that know nothing: the honest score, the optimistic one, and the score on hidden rows."""
    task = BINARY
    both = draw(task, rows=1060, members=12, seed=seed, signal=0.0)
    nest = NestedCV(both.take(np.arange(60)), task)
    # Everything is fitted, whether it is worth it or not: the more there is, the more there is to flatter.
    plan = PostprocessPlan(EnsembleMethod.GREEDY, Mean.GEOMETRIC, CalibrationMethod.TEMPERATURE_BIAS_AND_CLIP)
    monkeypatch.setattr(nest, "_choose", lambda _: plan)
    honest = nest.nested_score()
    hidden = task.metric.score(both.targets[60:], apply(nest.final_step(), both, slice(60, None)))
    return honest.score.value, honest.optimistic, hidden


def test_on_members_that_know_nothing_the_optimistic_score_flatters_and_the_honest_one_does_not(monkeypatch):
    honest, optimistic, hidden = np.array([noise(seed, monkeypatch) for seed in range(30)]).T
    error = (optimistic - hidden).std() / np.sqrt(30)
    assert (optimistic - hidden).mean() < -5 * error, "the loss where it was fitted is too small, far beyond chance"
    off = (honest - hidden).mean() / ((honest - hidden).std() / np.sqrt(30))
    # Parts are fitted on four fifths of the rows, so the honest loss may be a little too large.
    assert -2.5 < off < 4
    assert (honest - hidden).mean() < -(optimistic - hidden).mean()


@pytest.mark.parametrize("task", [BINARY, TAGS], ids=lambda task: task.metric.key)
def test_the_hidden_score_is_where_the_honest_one_says(task):
    off, flattery = [], []
    for seed in range(30):
        both = draw(task, rows=2300, members=4, seed=seed, signal=0.8)
        nest = NestedCV(both.take(np.arange(300)), task)
        honest, step = nest.nested_score(), nest.final_step()
        hidden = task.metric.score(both.targets[300:], apply(step, both, slice(300, None)))
        off.append((honest.score.value - hidden) / honest.score.error)
        flattery.append((honest.optimistic - hidden) / honest.score.error)
    assert np.mean(np.abs(off) < 2) >= 0.8
    assert abs(np.mean(off)) < 0.6
    if task is TAGS:  # where there is much to fit, fitting and scoring on the same rows flatters
        assert np.mean(flattery) > np.mean(off) + 0.5


# What is chosen.


def test_of_members_alike_the_mean_is_chosen_and_of_one_good_one_among_bad_ones_not():
    alike = draw(BINARY, rows=400, members=5, signal=0.8)
    assert NestedCV(alike, BINARY).plan().weighing is EnsembleMethod.MEAN
    unlike = draw(BINARY, rows=400, members=5, signal=0.8)
    unlike.members[:4] = np.random.default_rng(1).random((4, 400, 1)) * 0.98 + 0.01
    assert NestedCV(unlike, BINARY).final_step().weights[4] > 0.7


def test_a_step_without_any_gain_is_not_taken():
    # Calibrated by construction, and the last member is the only one there is.
    random = np.random.default_rng(3)
    said = random.random((1, 3000, 1)).astype(np.float32)
    rows = draw(BINARY, rows=3000, members=1)
    rows = replace(rows, members=said, targets=(random.random((3000, 1)) < said[0]).astype(float))
    assert NestedCV(rows, BINARY).final_step().calibration == Calibration()


def test_overconfident_members_are_cooled_and_what_is_chosen_helps_on_new_rows():
    both = draw(BINARY, rows=3000, members=2, signal=0.5)
    logits = 8 * np.log(both.members / (1 - both.members))
    both = replace(both, members=(1 / (1 + np.exp(-logits))).astype(np.float32))
    step = NestedCV(both.take(np.arange(1000)), BINARY).final_step()
    assert step.calibration.temperature > 1.5
    truth, plain = both.targets[1000:], both.members[:, 1000:].mean(axis=0)
    after = apply(step, both, slice(1000, None))
    assert BINARY.metric.score(truth, after) < BINARY.metric.score(truth, plain) - 0.05


def test_rules_are_used_where_the_truth_obeys_them_and_not_where_it_does_not():
    obeying = draw(TAGS, rows=1500, members=1, signal=0.5)
    assert NestedCV(obeying, TAGS).plan().by_rules
    random = np.random.default_rng(0)
    said = random.beta(0.6, 1.0, (1, 1500, 6)).astype(np.float32)
    lawless = replace(obeying, names=("one",), members=said, targets=(random.random((1500, 6)) < said[0]).astype(float))
    nest = NestedCV(lawless, TAGS)
    assert not nest.plan().by_rules
    assert nest.plan().deciding is DecisionRule.EXPECTED


def test_too_few_rows_to_fit_anything_are_scored_by_what_needs_no_fit():
    for task in TASKS[:3]:
        rows = draw(task, rows=FEWEST_UNITS - 1)
        nest = NestedCV(rows, task)
        assert nest.plan().weighing is EnsembleMethod.MEAN
        honest = nest.nested_score()
        assert honest.score.value == honest.optimistic
        assert nest.compare_weighings() and nest.contributions()


# The parts.


def test_groups_are_kept_whole_and_parts_are_even():
    rows = draw(BINARY, rows=200)
    groups = tuple(f"scene {number // 7}" if number < 150 else "" for number in range(200))
    parts = assign_postprocess_folds(replace(rows, groups=groups))
    for group in set(groups) - {""}:
        assert len({part for part, name in zip(parts, groups, strict=True) if name == group}) == 1
    assert np.bincount(parts).min() >= 34


def test_the_runs_folds_are_the_parts_where_there_are_enough_of_them():
    rows = draw(BINARY, rows=100)
    folds = np.arange(100) % 5
    assert (assign_postprocess_folds(replace(rows, folds=folds)) == folds).all()
    ten = assign_postprocess_folds(replace(rows, folds=np.arange(100) % 10))
    assert (ten == np.arange(100) % 10 % 5).all()
    assert len(set(assign_postprocess_folds(replace(rows, folds=np.arange(100) % 2)))) == 5


def test_folds_that_tear_a_group_are_not_the_parts():
    rows = draw(BINARY, rows=100)
    torn = replace(rows, folds=np.arange(100) % 5, groups=("pair", "pair", *[""] * 98))
    parts = assign_postprocess_folds(torn)
    assert parts[0] == parts[1]


@pytest.mark.parametrize(("seed", "task"), list(enumerate(TASKS)), ids=[task.metric.key for task in TASKS])
def test_neither_the_order_of_rows_nor_a_second_time_changes_anything(seed, task):
    rows = draw(task, rows=60, seed=seed)
    one, two = NestedCV(rows, task), NestedCV(shuffled(rows, seed), task)
    assert one.final_step() == two.final_step()
    first, second = one.nested_score(), two.nested_score()
    assert first == second
    by_id = dict(zip(rows.ids, first.values.tolist(), strict=True))
    again = dict(zip(shuffled(rows, seed).ids, second.values.tolist(), strict=True))
    assert by_id == again


def test_the_honest_score_tells_each_fold():
    rows = replace(draw(BREEDS, rows=100), folds=np.arange(100) % 5)
    honest = NestedCV(rows, BREEDS).nested_score()
    assert list(honest.folds) == [0, 1, 2, 3, 4]
    assert np.mean(list(honest.folds.values())) == pytest.approx(honest.score.value)
    assert BREEDS.metric.score(rows.targets, honest.values) == pytest.approx(honest.score.value)


def test_groups_widen_the_error():
    rows = draw(BINARY, rows=100)
    copies = np.repeat(np.arange(25), 4)
    same = replace(rows.take(np.arange(100)), members=rows.members[:, copies], targets=rows.targets[copies])
    grouped = replace(same, groups=tuple(f"scene {number}" for number in copies))
    nest = NestedCV(grouped, BINARY)
    assert nest.nested_score().score.error > 1.5 * NestedCV(same, BINARY).nested_score().score.error


# The step as a value.


def test_applied_to_the_rows_it_was_fitted_on_the_step_gives_the_optimistic_score():
    for task in TASKS[:3]:
        rows = draw(task, rows=100)
        nest = NestedCV(rows, task)
        values = apply(nest.final_step(), rows, slice(None))
        assert task.metric.score(rows.targets, values) == pytest.approx(nest.nested_score().optimistic)


def test_members_without_weight_are_not_read_and_folds_share_their_members_weight():
    step = Postprocess(("a", "b", "c"), (0.5, 0.0, 0.5), Mean.ARITHMETIC, multiclass=False)
    asked = []

    def read(name):
        asked.append(name)
        yield np.array([[0.0]])
        if name == "c":
            yield np.array([[1.0]])

    assert step.apply(read).values.tolist() == [[0.25]]
    assert asked == ["a", "c"]


def test_a_step_comes_back_from_its_file(tmp_path):
    decision = Decision(DecisionRule.THRESHOLDS, (0.2, 0.31), LabelConstraints((0, 1), (1,)))
    for step in (
        Postprocess(("a", "b"), (0.25, 0.75), Mean.GEOMETRIC, True, Calibration(1.3, 0.1, 1e-4)),
        Postprocess(("a",), (1.0,), Mean.ARITHMETIC, False, Calibration(), decision),
    ):
        write_json(tmp_path / "step.json", step.to_dict())
        assert Postprocess.from_dict(read_json(tmp_path / "step.json")) == step


# The tables.


def test_every_way_to_weigh_is_compared_with_the_last_and_the_plain_mean():
    compared = NestedCV(draw(BREEDS, rows=150), BREEDS).compare_weighings()
    ways = [one.plan.weighing for one in compared]
    assert ways[:2] == [EnsembleMethod.LAST, EnsembleMethod.MEAN] and EnsembleMethod.GREEDY in ways
    assert sum(one.chosen for one in compared) == 1
    scores = {one.plan.weighing: one.score for one in compared}
    assert scores[EnsembleMethod.MEAN].value < scores[EnsembleMethod.LAST].value
    assert all(score.error > 0 for score in scores.values())


def test_the_contribution_of_the_one_good_member_is_the_largest():
    rows = draw(BINARY, rows=300, members=3, signal=1.0)
    rows.members[:2] = np.random.default_rng(1).random((2, 300, 1)) * 0.98 + 0.01
    told = NestedCV(rows, BINARY).contributions()
    assert [one.name for one in told] == list(rows.names)
    assert sum(one.weight for one in told) == pytest.approx(1)
    assert told[2].alone < min(told[0].alone, told[1].alone)
    assert told[2].weight == max(one.weight for one in told)
    assert all(one.gain == 0 for one in told if one.weight == 0)


def test_rows_that_do_not_belong_together_are_refused():
    rows = draw(BINARY, rows=30)
    with pytest.raises(ValueError, match="belong together"):
        replace(rows, targets=rows.targets[:20])
    with pytest.raises(ValueError, match="no id comes twice"):
        replace(rows, ids=("same",) * 30)
