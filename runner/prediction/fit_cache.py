"""All that the final step fits, on some parts of the out-of-fold rows and not on the others.

A fit leaves out one part or two and never cares which was left out first, so five parts need sixteen fits of a thing
and not thirty-one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import BINARY_LOG_LOSS, LOG_LOSS
from runner.prediction.averaging import Mean, average, to_mean_space
from runner.prediction.calibration import Calibration, CalibrationMethod, fit_calibration
from runner.prediction.ensemble import (
    ByMetric,
    EnsembleMethod,
    LogLoss,
    Objective,
    SquaredError,
    ensemble_weights,
    error_table,
)
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Postprocess, PostprocessPlan, Predicted, Task
from runner.prediction.thresholds import Decision, DecisionRule, fit_decision

Matrix = NDArray[Any]
LeftOut = frozenset[int]  # the parts that are left out of a fit

EVERYTHING: LeftOut = frozenset()


class FitCache:
    """Rows that are sorted by part, and each thing that was fitted on some of the parts. Whatever was computed once
    is kept."""

    def __init__(self, rows: OutOfFold, slices: list[slice], task: Task):
        self.rows, self.slices, self.task = rows, slices, task
        self._tables: dict[int, Matrix] = {}
        self._weights: dict[tuple[EnsembleMethod, Mean, LeftOut], Matrix] = {}
        self._mixed: dict[tuple[Mean, bytes, int], Matrix] = {}
        self._calibrations: dict[tuple[PostprocessPlan, LeftOut], Calibration] = {}
        self._steps: dict[tuple[PostprocessPlan, LeftOut], Postprocess] = {}

    def step(self, plan: PostprocessPlan, left: LeftOut) -> Postprocess:
        """The plan's step, fitted without the parts that are left out."""
        key = (plan, left)
        if key not in self._steps:
            weights = self._fitted_weights(plan.weighing, plan.space, left)
            step = Postprocess(
                members=self.rows.names,
                weights=tuple(weights.tolist()),
                # One member is the same in either space, but for rounding.
                space=plan.space if np.count_nonzero(weights) > 1 else Mean.ARITHMETIC,
                multiclass=self.task.multiclass,
            )
            step = replace(step, calibration=self._fitted_calibration(plan, step, left))
            self._steps[key] = replace(step, decision=self._fitted_decoder(plan, step, left))
        return self._steps[key]

    def _fitted_weights(self, how: EnsembleMethod, space: Mean, left: LeftOut) -> Matrix:
        key = (how, space, left)
        if key not in self._weights:
            fitted = how in (EnsembleMethod.BEST, EnsembleMethod.GREEDY)
            self._weights[key] = ensemble_weights(
                how, len(self.rows.names), self._objective(space, left) if fitted else None
            )
        return self._weights[key]

    def _objective(self, space: Mean, left: LeftOut) -> Objective:
        metric, multiclass = self.task.metric, self.task.multiclass
        if metric.takes_decisions:
            return SquaredError(np.sum([self._table(part) for part in self.parts(left)], axis=0))
        rows = self.rows_of(left)
        members, targets = (
            to_mean_space(space, self.rows.members.take(rows, axis=1), multiclass),
            self.rows.targets[rows],
        )
        if metric in (LOG_LOSS, BINARY_LOG_LOSS):
            return LogLoss(members, targets, space, multiclass)
        return ByMetric(metric, members, targets, space, multiclass)

    def _table(self, part: int) -> Matrix:
        if part not in self._tables:
            rows = self.slices[part]
            self._tables[part] = error_table(self.rows.members[:, rows], self.rows.targets[rows])
        return self._tables[part]

    def _fitted_calibration(self, plan: PostprocessPlan, step: Postprocess, left: LeftOut) -> Calibration:
        if plan.calibrating is CalibrationMethod.NOTHING:
            return Calibration()
        # How decisions are made has no part in it, so one fit serves them all.
        key = (replace(plan, deciding=None, by_rules=False), left)
        if key not in self._calibrations:
            mixed, targets = self._mixed_rows(step, left), self.rows.targets[self.rows_of(left)]
            self._calibrations[key] = fit_calibration(plan.calibrating, mixed, targets, self.task.multiclass)
        return self._calibrations[key]

    def _fitted_decoder(self, plan: PostprocessPlan, step: Postprocess, left: LeftOut) -> Decision | None:
        if plan.deciding is None:
            return None
        rules = self.task.rules if plan.by_rules else None
        if plan.deciding is not DecisionRule.THRESHOLDS:
            return Decision(plan.deciding, rules=rules)
        probabilities = step.finish(self._mixed_rows(step, left)).probabilities
        return fit_decision(plan.deciding, probabilities, self.rows.targets[self.rows_of(left)], rules)

    def answer(self, step: Postprocess, part: int) -> Predicted:
        """What a part's rows are answered by a step, wherever it was fitted."""
        return step.finish(self._mix(step, part))

    def _mix(self, step: Postprocess, part: int) -> Matrix:
        key = (step.space, np.array(step.weights).tobytes(), part)
        if key not in self._mixed:
            self._mixed[key] = average(step.space, self._weighted(step, part), step.multiclass)
        return self._mixed[key]

    def _weighted(self, step: Postprocess, part: int) -> Iterator[tuple[float, Matrix]]:
        for member, weight in zip(self.rows.members, step.weights, strict=True):
            if weight > 0:
                yield weight, member[self.slices[part]]

    def _mixed_rows(self, step: Postprocess, left: LeftOut) -> Matrix:
        return np.concatenate([self._mix(step, part) for part in self.parts(left)])

    def parts(self, left: LeftOut) -> list[int]:
        """The parts that are not left out."""
        return [part for part in range(len(self.slices)) if part not in left]

    def rows_of(self, left: LeftOut) -> NDArray[np.int64]:
        """The places of the rows in them."""
        places = np.arange(len(self.rows.ids))
        return np.concatenate([places[self.slices[part]] for part in self.parts(left)])
