"""The final step chosen and fitted, and the score of it on rows that had no part in either.

Out-of-fold rows are dealt into parts, groups whole. To score a part, everything is done again without it: which
steps are taken is chosen, and what they fit is fitted, on the other parts alone. That choice is itself judged in
the same way among those parts: a step that is worth taking must gain on rows it was not fitted on, by more than
chance (`Gain.exceeds_standard_error`), and else the simpler one stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric
from runner.prediction.averaging import Mean, blocks
from runner.prediction.calibration import CalibrationMethod
from runner.prediction.ensemble import SQUARED_ERROR, EnsembleMethod, without_member
from runner.prediction.fit_cache import EVERYTHING, FitCache, LeftOut
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Postprocess, PostprocessPlan, Predicted, Task
from runner.prediction.postprocess_folds import assign_postprocess_folds
from runner.prediction.score import Gain, Score, bootstrap_gain, group_codes, paired_gain, score_per_row, score_rows
from runner.prediction.thresholds import DecisionRule

Matrix = NDArray[Any]


@dataclass(frozen=True)
class NestedScore:
    """The score after the whole final step, no row scored by anything fitted on it. `optimistic` is for contrast:
    fitted and scored on the same rows, as it is often reported."""

    score: Score
    folds: dict[int, float]
    optimistic: float
    values: Matrix = field(repr=False, compare=False)  # the nested answers, in the order of the rows that were given


@dataclass(frozen=True)
class Contribution:
    """What a member is to the ensemble: its weight, its score alone, and what the ensemble loses without it."""

    name: str
    weight: float
    alone: float  # nothing was fitted for it
    gain: float  # above 0 where it helps; 0 where it has no weight


@dataclass(frozen=True)
class MethodScore:
    """A way to ensemble_weights the members, with its score where its weights were not fitted."""

    plan: PostprocessPlan
    score: Score
    chosen: bool


def _by_part_and_id(parts: Sequence[int], ids: Sequence[str]) -> list[int]:
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    return sorted(by_id, key=parts.__getitem__)


def _of_rows(score: Callable[[Matrix, Matrix], Matrix], targets: Matrix, values: Matrix) -> Matrix:
    return np.concatenate([np.asarray(score(targets[rows], values[rows])) for rows in blocks(values)])


class NestedCV:
    """Out-of-fold rows in parts, and all that is chosen and fitted on some parts and judged on others.

    Whatever was computed once is kept. Rows are sorted by part and id, so their first order changes nothing.
    """

    def __init__(self, rows: OutOfFold, task: Task, seed: int = 0):
        parts = assign_postprocess_folds(rows, seed)
        self.order = np.array(_by_part_and_id(parts.tolist(), rows.ids), dtype=np.int64)
        self.rows, self.task = rows.take(self.order), task
        self.units = group_codes(self.rows.groups)
        ends = np.cumsum(np.bincount(parts))
        self.slices = [slice(int(begin), int(end)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        self.nested = len(self.slices) > 1
        self.fits = FitCache(self.rows, self.slices, task)
        self._judged: dict[tuple[PostprocessPlan, LeftOut, int], Matrix] = {}
        self._plans: dict[LeftOut, PostprocessPlan] = {}
        self._units: dict[LeftOut, NDArray[np.int64]] = {}

    # What is asked of it.

    def final_step(self) -> Postprocess:
        """The chosen step, fitted on all the rows."""
        return self.fits.step(self.plan(), EVERYTHING)

    def nested_score(self) -> NestedScore:
        """The score of choosing and fitting, on rows that had no part in it."""
        values = np.concatenate([self.honest_answer(part).values for part in range(len(self.slices))])
        return self.score_answers(values)

    def score_answers(self, values: Matrix) -> NestedScore:
        """The score of honest answers, which are in the order of the parts, beside the optimistic one."""
        metric, rows = self.task.metric, self.rows
        step = self.final_step()
        fitted = np.concatenate([self.fits.answer(step, part).values for part in range(len(self.slices))])
        folds = {
            int(fold): metric.score(rows.targets[rows.folds == fold], values[rows.folds == fold])
            for fold in np.unique(rows.folds)
        }
        back = np.empty_like(values)
        back[self.order] = values
        score = score_rows(metric, rows.targets, values, groups=rows.groups)
        return NestedScore(score, folds, metric.score(rows.targets, fitted), back)

    def unfitted_values(self) -> Matrix:
        """What the plain mean of the members answers with nothing fitted, in the order of the parts."""
        step = self.fits.step(self._unfitted(), EVERYTHING)
        return np.concatenate([self.fits.answer(step, part).values for part in range(len(self.slices))])

    def honest_answer(self, part: int) -> Predicted:
        """What a part's rows are answered by a step that was chosen and fitted on the other parts."""
        left: LeftOut = frozenset([part]) if self.nested else EVERYTHING
        return self.fits.answer(self.fits.step(self.plan(left), left), part)

    def compare_weighings(self) -> tuple[MethodScore, ...]:
        """Every way to ensemble_weights the members, all else as chosen, each scored where it was not fitted."""
        chosen = self.plan()
        plans = [
            replace(option, calibrating=chosen.calibrating, deciding=chosen.deciding, by_rules=chosen.by_rules)
            for option in self._weighings(chosen)
        ]
        return tuple(MethodScore(plan, self._nested_score(plan), plan == chosen) for plan in plans)

    def contributions(self) -> tuple[Contribution, ...]:
        """Each member's part in the final step."""
        step, plain = self.final_step(), self.fits.step(self._decided(PostprocessPlan()), EVERYTHING)
        sign = 1 if self.task.metric.higher_is_better else -1
        whole = self._score(step)
        found = []
        for place, name in enumerate(self.rows.names):
            others = without_member(np.array(step.weights), place)
            only = tuple(float(other == place) for other in range(len(step.weights)))
            alone = self._score(replace(plain, weights=only))
            helps = step.weights[place] > 0 and others is not None
            less = self._score(replace(step, weights=tuple(others.tolist()))) if helps and others is not None else whole
            found.append(Contribution(name, step.weights[place], alone, sign * (whole - less)))
        return tuple(found)

    # What is chosen.

    def plan(self, left: LeftOut = EVERYTHING) -> PostprocessPlan:
        """The steps worth taking, judged without the parts that are left out."""
        if left not in self._plans:
            self._plans[left] = self._choose(left) if self.nested else self._unfitted()
        return self._plans[left]

    def _choose(self, left: LeftOut) -> PostprocessPlan:
        plan = PostprocessPlan()
        for stage in (self._weighings, self._calibratings, self._decidings):
            plan, *options = stage(plan)
            for option in options:
                if self.gain(plan, option, left).exceeds_standard_error:
                    plan = option
        return plan

    def _unfitted(self) -> PostprocessPlan:
        return replace(self._decided(PostprocessPlan()), weighing=EnsembleMethod.MEAN)

    def _decided(self, plan: PostprocessPlan) -> PostprocessPlan:
        # Until decisions are chosen themselves, they are those that need no fit and do most with probabilities.
        return replace(plan, deciding=DecisionRule.EXPECTED if self.task.metric.takes_decisions else None)

    def _weighings(self, plan: PostprocessPlan) -> list[PostprocessPlan]:
        if len(self.rows.names) == 1:
            return [plan]
        ways = [(EnsembleMethod.LAST, Mean.ARITHMETIC)]
        ways += [(EnsembleMethod.MEAN, space) for space in Mean]
        ways += [(EnsembleMethod.BEST, Mean.ARITHMETIC)]
        ways += [(EnsembleMethod.GREEDY, space) for space in Mean]
        return [replace(plan, weighing=weighing, space=space) for weighing, space in ways]

    def _calibratings(self, plan: PostprocessPlan) -> list[PostprocessPlan]:
        plan, kinds = self._decided(plan), [CalibrationMethod.NOTHING, CalibrationMethod.TEMPERATURE]
        if not self.task.metric.takes_decisions:
            kinds = [
                CalibrationMethod.NOTHING,
                CalibrationMethod.CLIP,
                CalibrationMethod.TEMPERATURE,
                CalibrationMethod.TEMPERATURE_AND_CLIP,
            ]
            if self.rows.targets.shape[1] == 1:
                kinds.append(CalibrationMethod.TEMPERATURE_BIAS_AND_CLIP)
        return [replace(plan, calibrating=kind) for kind in kinds]

    def _decidings(self, plan: PostprocessPlan) -> list[PostprocessPlan]:
        if not self.task.metric.takes_decisions:
            return [plan]
        by_rules = (False, True) if self.task.rules is not None else (False,)
        return [replace(plan, deciding=how, by_rules=obeyed) for obeyed in by_rules for how in DecisionRule]

    def _judge_of(self, plan: PostprocessPlan) -> Metric:
        """What a plan is judged by: the metric, but where that takes decisions and the plan makes none yet."""
        return SQUARED_ERROR if self.task.metric.takes_decisions and plan.deciding is None else self.task.metric

    def gain(self, simple: PostprocessPlan, other: PostprocessPlan, left: LeftOut = EVERYTHING) -> Gain:
        """How much better another plan is than the simple one, on rows that neither was fitted on."""
        one, two = self._judged_parts(simple, left), self._judged_parts(other, left)
        metric = self._judge_of(simple)
        if metric.per_row is not None:
            return paired_gain(metric, one, two, self._units_of(left))
        return bootstrap_gain(metric, self.rows.targets[self.fits.rows_of(left)], one, two, self._units_of(left))

    def _units_of(self, left: LeftOut) -> NDArray[np.int64]:
        """The units of the rows that are not left out, numbered from 0."""
        if left not in self._units:
            self._units[left] = np.unique(self.units[self.fits.rows_of(left)], return_inverse=True)[1]
        return self._units[left]

    def _judged_parts(self, plan: PostprocessPlan, left: LeftOut) -> Matrix:
        return np.concatenate([self._judge(plan, left | {part}, part) for part in self.fits.parts(left)])

    def _judge(self, plan: PostprocessPlan, left: LeftOut, part: int) -> Matrix:
        """What a part's rows score, each by itself where the metric allows; else their answers."""
        key = (plan, left, part)
        if key not in self._judged:
            values, per_row = self.fits.answer(self.fits.step(plan, left), part).values, self._judge_of(plan).per_row
            targets = self.rows.targets[self.slices[part]]
            self._judged[key] = values if per_row is None else _of_rows(per_row, targets, values)
        return self._judged[key]

    def _nested_score(self, plan: PostprocessPlan) -> Score:
        if not self.nested:
            step = self.fits.step(plan, EVERYTHING)
            return score_rows(
                self.task.metric, self.rows.targets, self.fits.answer(step, 0).values, groups=self.rows.groups
            )
        judged = self._judged_parts(plan, EVERYTHING)
        if self.task.metric.per_row is None:
            return score_rows(self.task.metric, self.rows.targets, judged, groups=self.rows.groups)
        return score_per_row(self.task.metric, judged, groups=self.rows.groups)

    def _score(self, step: Postprocess) -> float:
        values = np.concatenate([self.fits.answer(step, part).values for part in range(len(self.slices))])
        return self.task.metric.score(self.rows.targets, values)
