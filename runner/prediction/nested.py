"""The final step chosen and fitted, and the score of it on rows that had no part in either.

Out-of-fold rows are dealt into parts, groups whole. To score a part, everything is done again without it: which
steps are taken is chosen, and what they fit is fitted, on the other parts alone. That choice is itself judged in
the same way among those parts: a step that is worth taking must gain on rows it was not fitted on, by more than
chance (`Gain.beyond_chance`), and else the simpler one stays. A fit leaves out one part or two and never cares which
was left out first, so five parts need sixteen fits of a thing and not thirty-one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import BINARY_LOG_LOSS, LOG_LOSS, Metric
from runner.prediction.averaging import Space, average, blocks, into_space
from runner.prediction.calibration import Calibrating, Calibration, fit_calibration
from runner.prediction.ensemble import (
    SQUARED_ERROR,
    ByMetric,
    LogLoss,
    Objective,
    SquaredError,
    Weighing,
    error_table,
    weigh,
    without_member,
)
from runner.prediction.final_step import Answer, FinalStep, Plan, Task
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.score import Gain, Score, gain_of_parts, gain_of_whole, score_parts, score_rows, units_of
from runner.prediction.thresholds import Deciding, Decoder, fit_decoder

Matrix = NDArray[Any]
Left = frozenset[int]  # the parts that are left out of a fit

PARTS = 5
# With fewer units a part has less than four: no fit could be told from chance, and none is made.
FEWEST_UNITS = 20
_EVERYTHING: Left = frozenset()


@dataclass(frozen=True)
class HonestScore:
    """The score after the whole final step, no row scored by anything fitted on it. `optimistic` is for contrast:
    fitted and scored on the same rows, as it is often reported."""

    score: Score
    folds: dict[int, float]
    optimistic: float
    values: Matrix = field(repr=False, compare=False)  # the nested answers, in the order of the rows that were given

    def to_json(self) -> dict[str, Any]:
        """A value that JSON can hold; without the rows' values."""
        folds = {str(fold): score for fold, score in self.folds.items()}
        return {**asdict(self.score), "folds": folds, "optimistic": self.optimistic}


@dataclass(frozen=True)
class Contribution:
    """What a member is to the ensemble: its weight, its score alone, and what the ensemble loses without it."""

    name: str
    weight: float
    alone: float  # nothing was fitted for it
    gain: float  # above 0 where it helps; 0 where it has no weight


@dataclass(frozen=True)
class Compared:
    """A way to weigh the members, with its score where its weights were not fitted."""

    plan: Plan
    score: Score
    chosen: bool


def fit_final_step(rows: OutOfFold, task: Task, seed: int = 0) -> FinalStep:
    """The final step that nested validation chooses, fitted on all the rows."""
    return Nest(rows, task, seed).final_step()


def honest_score(rows: OutOfFold, task: Task, seed: int = 0) -> HonestScore:
    """The score of the final step, choice and fits included, on rows that had no part in them."""
    return Nest(rows, task, seed).honest_score()


def assign_parts(rows: OutOfFold, seed: int = 0) -> NDArray[np.int64]:
    """The part of each row: the run's folds where they are enough, else by a hash of ids; groups whole.

    A choice inside a part's others needs several of them, so fewer than four folds are not used.
    """
    units = units_of(rows.groups)
    if units.max() + 1 < FEWEST_UNITS:
        return np.zeros(len(units), dtype=np.int64)
    if len(np.unique(rows.folds)) >= PARTS - 1 and _are_whole(units, rows.folds):
        number = np.unique(rows.folds, return_inverse=True)[1]
        return np.asarray(number % PARTS, dtype=np.int64)
    return _deal(rows, units, seed)


def _are_whole(units: NDArray[np.int64], folds: NDArray[np.int64]) -> bool:
    return len(set(zip(units.tolist(), folds.tolist(), strict=True))) == len(set(units.tolist()))


def _deal(rows: OutOfFold, units: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Units in an order that a hash of their least id shuffles, each to the part with the fewest rows."""
    least: dict[int, str] = {}
    for name, unit in zip(rows.ids, units.tolist(), strict=True):
        least[unit] = min(name, least.get(unit, name))
    shuffled = sorted(least, key=lambda unit: hashlib.sha256(f"{seed}/{least[unit]}".encode()).digest())
    sizes, part_of_unit, filled = np.bincount(units), np.zeros(len(least), dtype=np.int64), [0] * PARTS
    for unit in shuffled:
        part = filled.index(min(filled))
        part_of_unit[unit] = part
        filled[part] += int(sizes[unit])
    return part_of_unit[units]


def _by_part_and_id(parts: Sequence[int], ids: Sequence[str]) -> list[int]:
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    return sorted(by_id, key=parts.__getitem__)


def _of_rows(score: Callable[[Matrix, Matrix], Matrix], targets: Matrix, values: Matrix) -> Matrix:
    return np.concatenate([np.asarray(score(targets[rows], values[rows])) for rows in blocks(values)])


class Nest:
    """Out-of-fold rows in parts, and all that is chosen and fitted on some parts and judged on others.

    Whatever was computed once is kept. Rows are sorted by part and id, so their first order changes nothing.
    """

    def __init__(self, rows: OutOfFold, task: Task, seed: int = 0):
        parts = assign_parts(rows, seed)
        self.order = np.array(_by_part_and_id(parts.tolist(), rows.ids), dtype=np.int64)
        self.rows, self.task = rows.take(self.order), task
        self.units = units_of(self.rows.groups)
        ends = np.cumsum(np.bincount(parts))
        self.slices = [slice(int(begin), int(end)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        self.nested = len(self.slices) > 1
        self._tables: dict[int, Matrix] = {}
        self._weights: dict[tuple[Weighing, Space, Left], Matrix] = {}
        self._mixed: dict[tuple[Space, bytes, int], Matrix] = {}
        self._calibrations: dict[tuple[Plan, Left], Calibration] = {}
        self._steps: dict[tuple[Plan, Left], FinalStep] = {}
        self._judged: dict[tuple[Plan, Left, int], Matrix] = {}
        self._plans: dict[Left, Plan] = {}
        self._units: dict[Left, NDArray[np.int64]] = {}

    # What is asked of it.

    def final_step(self) -> FinalStep:
        """The chosen step, fitted on all the rows."""
        return self.step(self.plan(), _EVERYTHING)

    def honest_score(self) -> HonestScore:
        """The score of choosing and fitting, on rows that had no part in it."""
        values = np.concatenate([self.honest_answer(part).values for part in range(len(self.slices))])
        return self.score_answers(values)

    def score_answers(self, values: Matrix) -> HonestScore:
        """The score of honest answers, which are in the order of the parts, beside the optimistic one."""
        metric, rows = self.task.metric, self.rows
        step = self.final_step()
        fitted = np.concatenate([self._answer(step, part).values for part in range(len(self.slices))])
        folds = {
            int(fold): metric.score(rows.targets[rows.folds == fold], values[rows.folds == fold])
            for fold in np.unique(rows.folds)
        }
        back = np.empty_like(values)
        back[self.order] = values
        score = score_rows(metric, rows.targets, values, groups=rows.groups)
        return HonestScore(score, folds, metric.score(rows.targets, fitted), back)

    def unfitted_values(self) -> Matrix:
        """What the plain mean of the members answers with nothing fitted, in the order of the parts."""
        step = self.step(self._unfitted(), _EVERYTHING)
        return np.concatenate([self._answer(step, part).values for part in range(len(self.slices))])

    def honest_answer(self, part: int) -> Answer:
        """What a part's rows are answered by a step that was chosen and fitted on the other parts."""
        left: Left = frozenset([part]) if self.nested else _EVERYTHING
        return self._answer(self.step(self.plan(left), left), part)

    def compare_weighings(self) -> tuple[Compared, ...]:
        """Every way to weigh the members, all else as chosen, each scored where it was not fitted."""
        chosen = self.plan()
        plans = [
            replace(option, calibrating=chosen.calibrating, deciding=chosen.deciding, by_rules=chosen.by_rules)
            for option in self._weighings(chosen)
        ]
        return tuple(Compared(plan, self._nested_score(plan), plan == chosen) for plan in plans)

    def contributions(self) -> tuple[Contribution, ...]:
        """Each member's part in the final step."""
        step, plain = self.final_step(), self.step(self._decided(Plan()), _EVERYTHING)
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

    def plan(self, left: Left = _EVERYTHING) -> Plan:
        """The steps worth taking, judged without the parts that are left out."""
        if left not in self._plans:
            self._plans[left] = self._choose(left) if self.nested else self._unfitted()
        return self._plans[left]

    def _choose(self, left: Left) -> Plan:
        plan = Plan()
        for stage in (self._weighings, self._calibratings, self._decidings):
            plan, *options = stage(plan)
            for option in options:
                if self.gain(plan, option, left).beyond_chance:
                    plan = option
        return plan

    def _unfitted(self) -> Plan:
        return replace(self._decided(Plan()), weighing=Weighing.MEAN)

    def _decided(self, plan: Plan) -> Plan:
        # Until decisions are chosen themselves, they are those that need no fit and do most with probabilities.
        return replace(plan, deciding=Deciding.EXPECTED if self.task.metric.decides else None)

    def _weighings(self, plan: Plan) -> list[Plan]:
        if len(self.rows.names) == 1:
            return [plan]
        ways = [(Weighing.LAST, Space.PROBABILITIES)]
        ways += [(Weighing.MEAN, space) for space in Space]
        ways += [(Weighing.BEST, Space.PROBABILITIES)]
        ways += [(Weighing.GREEDY, space) for space in Space]
        return [replace(plan, weighing=weighing, space=space) for weighing, space in ways]

    def _calibratings(self, plan: Plan) -> list[Plan]:
        plan, kinds = self._decided(plan), [Calibrating.NOTHING, Calibrating.TEMPERATURE]
        if not self.task.metric.decides:
            kinds = [Calibrating.NOTHING, Calibrating.CLIP, Calibrating.TEMPERATURE, Calibrating.TEMPERATURE_AND_CLIP]
            if self.rows.targets.shape[1] == 1:
                kinds.append(Calibrating.TEMPERATURE_BIAS_AND_CLIP)
        return [replace(plan, calibrating=kind) for kind in kinds]

    def _decidings(self, plan: Plan) -> list[Plan]:
        if not self.task.metric.decides:
            return [plan]
        by_rules = (False, True) if self.task.rules is not None else (False,)
        return [replace(plan, deciding=how, by_rules=obeyed) for obeyed in by_rules for how in Deciding]

    def _judge_of(self, plan: Plan) -> Metric:
        """What a plan is judged by: the metric, but where that takes decisions and the plan makes none yet."""
        return SQUARED_ERROR if self.task.metric.decides and plan.deciding is None else self.task.metric

    def gain(self, simple: Plan, other: Plan, left: Left = _EVERYTHING) -> Gain:
        """How much better another plan is than the simple one, on rows that neither was fitted on."""
        one, two = self._judged_parts(simple, left), self._judged_parts(other, left)
        metric = self._judge_of(simple)
        if metric.of_rows is not None:
            return gain_of_parts(metric, one, two, self._units_of(left))
        return gain_of_whole(metric, self.rows.targets[self._rows_of(left)], one, two, self._units_of(left))

    def _units_of(self, left: Left) -> NDArray[np.int64]:
        """The units of the rows that are not left out, numbered from 0."""
        if left not in self._units:
            self._units[left] = np.unique(self.units[self._rows_of(left)], return_inverse=True)[1]
        return self._units[left]

    def _judged_parts(self, plan: Plan, left: Left) -> Matrix:
        return np.concatenate([self._judge(plan, left | {part}, part) for part in self._parts(left)])

    def _judge(self, plan: Plan, left: Left, part: int) -> Matrix:
        """What a part's rows score, each by itself where the metric allows; else their answers."""
        key = (plan, left, part)
        if key not in self._judged:
            values, of_rows = self._answer(self.step(plan, left), part).values, self._judge_of(plan).of_rows
            targets = self.rows.targets[self.slices[part]]
            self._judged[key] = values if of_rows is None else _of_rows(of_rows, targets, values)
        return self._judged[key]

    def _nested_score(self, plan: Plan) -> Score:
        if not self.nested:
            step = self.step(plan, _EVERYTHING)
            return score_rows(
                self.task.metric, self.rows.targets, self._answer(step, 0).values, groups=self.rows.groups
            )
        judged = self._judged_parts(plan, _EVERYTHING)
        if self.task.metric.of_rows is None:
            return score_rows(self.task.metric, self.rows.targets, judged, groups=self.rows.groups)
        return score_parts(self.task.metric, judged, groups=self.rows.groups)

    # What is fitted, on the parts that are not left out.

    def step(self, plan: Plan, left: Left) -> FinalStep:
        """The plan's step, fitted without the parts that are left out."""
        key = (plan, left)
        if key not in self._steps:
            weights = self._fitted_weights(plan.weighing, plan.space, left)
            step = FinalStep(
                members=self.rows.names,
                weights=tuple(weights.tolist()),
                # One member is the same in either space, but for rounding.
                space=plan.space if np.count_nonzero(weights) > 1 else Space.PROBABILITIES,
                one_of_many=self.task.one_of_many,
            )
            step = replace(step, calibration=self._fitted_calibration(plan, step, left))
            self._steps[key] = replace(step, decoder=self._fitted_decoder(plan, step, left))
        return self._steps[key]

    def _fitted_weights(self, how: Weighing, space: Space, left: Left) -> Matrix:
        key = (how, space, left)
        if key not in self._weights:
            fitted = how in (Weighing.BEST, Weighing.GREEDY)
            self._weights[key] = weigh(how, len(self.rows.names), self._objective(space, left) if fitted else None)
        return self._weights[key]

    def _objective(self, space: Space, left: Left) -> Objective:
        metric, one_of_many = self.task.metric, self.task.one_of_many
        if metric.decides:
            return SquaredError(np.sum([self._table(part) for part in self._parts(left)], axis=0))
        rows = self._rows_of(left)
        members, targets = into_space(space, self.rows.members.take(rows, axis=1), one_of_many), self.rows.targets[rows]
        if metric in (LOG_LOSS, BINARY_LOG_LOSS):
            return LogLoss(members, targets, space, one_of_many)
        return ByMetric(metric, members, targets, space, one_of_many)

    def _table(self, part: int) -> Matrix:
        if part not in self._tables:
            rows = self.slices[part]
            self._tables[part] = error_table(self.rows.members[:, rows], self.rows.targets[rows])
        return self._tables[part]

    def _fitted_calibration(self, plan: Plan, step: FinalStep, left: Left) -> Calibration:
        if plan.calibrating is Calibrating.NOTHING:
            return Calibration()
        # How decisions are made has no part in it, so one fit serves them all.
        key = (replace(plan, deciding=None, by_rules=False), left)
        if key not in self._calibrations:
            mixed, targets = self._mixed_rows(step, left), self.rows.targets[self._rows_of(left)]
            self._calibrations[key] = fit_calibration(plan.calibrating, mixed, targets, self.task.one_of_many)
        return self._calibrations[key]

    def _fitted_decoder(self, plan: Plan, step: FinalStep, left: Left) -> Decoder | None:
        if plan.deciding is None:
            return None
        rules = self.task.rules if plan.by_rules else None
        if plan.deciding is not Deciding.CUTOFFS:
            return Decoder(plan.deciding, rules=rules)
        probabilities = step.finish(self._mixed_rows(step, left)).probabilities
        return fit_decoder(plan.deciding, probabilities, self.rows.targets[self._rows_of(left)], rules)

    # What comes of it for the rows of a part.

    def _answer(self, step: FinalStep, part: int) -> Answer:
        return step.finish(self._mix(step, part))

    def _score(self, step: FinalStep) -> float:
        values = np.concatenate([self._answer(step, part).values for part in range(len(self.slices))])
        return self.task.metric.score(self.rows.targets, values)

    def _mix(self, step: FinalStep, part: int) -> Matrix:
        key = (step.space, np.array(step.weights).tobytes(), part)
        if key not in self._mixed:
            self._mixed[key] = average(step.space, self._weighted(step, part), step.one_of_many)
        return self._mixed[key]

    def _weighted(self, step: FinalStep, part: int) -> Iterator[tuple[float, Matrix]]:
        for member, weight in zip(self.rows.members, step.weights, strict=True):
            if weight > 0:
                yield weight, member[self.slices[part]]

    def _mixed_rows(self, step: FinalStep, left: Left) -> Matrix:
        return np.concatenate([self._mix(step, part) for part in self._parts(left)])

    def _parts(self, left: Left) -> list[int]:
        return [part for part in range(len(self.slices)) if part not in left]

    def _rows_of(self, left: Left) -> NDArray[np.int64]:
        places = np.arange(len(self.rows.ids))
        return np.concatenate([places[self.slices[part]] for part in self._parts(left)])
