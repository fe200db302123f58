"""Nested cross-validation of the postprocess: the methods are selected, fitted and scored on separate rows.

To score an outer fold, the methods are selected and fitted on all other folds, so no row has a part in the
postprocess that it is scored by. Each of those methods is selected by its gain on inner folds: every one of the
other folds is left out once more, and predicted by what was fitted on the rest. A method that must be fitted replaces
a simpler one only if its gain exceeds its standard error. The plain mean of the members fits nothing: it stays unless
the last member alone is better.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from runner.contract import BINARY_LOG_LOSS, LOG_LOSS, Binary, Metric, Multilabel
from runner.contract.targets import Targets, are_class_numbers
from runner.prediction.averaging import Matrix, Mean, TTAMode, average, blocks
from runner.prediction.calibration import Calibration, CalibrationMethod, fit_calibration
from runner.prediction.decisions import FittedDecision, fit_decision, rules_for
from runner.prediction.ensemble import (
    SQUARED_ERROR,
    ByMetric,
    EnsembleMethod,
    LogLoss,
    Objective,
    SquaredError,
    ensemble_weights,
    error_table,
    without_member,
)
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import (
    Postprocess,
    PostprocessPlan,
    Predicted,
    Task,
    calibration_options,
    decision_options,
    ensemble_options,
    plain_mean_plan,
    with_decision,
)
from runner.prediction.postprocess_folds import assign_postprocess_folds
from runner.prediction.score import (
    Gain,
    Score,
    bootstrap_gain,
    group_codes,
    paired_gain,
    score_from_row_values,
    score_rows,
)

LeftOut = frozenset[int]  # the postprocess folds that are left out of a fit
NO_FOLD: LeftOut = frozenset()
_MAX_KEPT = 1 << 23  # values of a fold; larger predictions are computed again when they are needed
T = TypeVar("T")


@dataclass(frozen=True)
class NestedScore:
    """The nested score, and for contrast the biased in-sample score: fitted and scored on the same rows."""

    score: Score
    folds: dict[int, float]  # by the run's fold
    in_sample: float
    values: Matrix = field(repr=False, compare=False)  # the nested predictions, in the order of the rows as read


@dataclass(frozen=True)
class Contribution:
    """A member's weight, its own score, and how much better the ensemble is with it than without."""

    name: str
    weight: float
    solo_score: float  # nothing is fitted for it
    gain: float  # above 0 if it helps; 0 if it has no weight


@dataclass(frozen=True)
class MethodScore:
    """The nested score of one ensemble method, all other methods as selected."""

    plan: PostprocessPlan
    score: Score
    chosen: bool


class NestedCV:
    """Out-of-fold rows in postprocess folds, with everything that is selected and fitted on some of them.

    `read` returns the rows for a TTA mode. The rows of one mode are held at a time, because planet's are large;
    what is computed on them is computed once. Rows are sorted by fold and id, so their order does not matter.
    `every` has the targets and postprocess folds of all rows, if those that are read are a sample of them.
    """

    def __init__(
        self,
        read: Callable[[TTAMode], OutOfFold],
        task: Task,
        *,
        tta_modes: Sequence[TTAMode] = (TTAMode.NONE,),
        seed: int = 0,
        every: tuple[Targets, NDArray[np.int64]] | None = None,
    ):
        self._every = every
        self._read, self.task, self.tta_modes, self._seed = read, task, tuple(tta_modes), seed
        self._plain_scores: dict[TTAMode, Matrix] = {}
        self._load(self.tta_modes[0])
        if len(self.tta_modes) > 1:
            for mode in self.tta_modes:
                plan = plain_mean_plan(task, mode)
                scores = [self._fold_scores(plan, NO_FOLD, fold) for fold in range(self.fold_count)]
                self._plain_scores[mode] = np.concatenate(scores)

    @classmethod
    def from_rows(cls, rows: OutOfFold, task: Task, seed: int = 0) -> NestedCV:
        """Nested cross-validation of rows without TTA."""
        return cls(lambda _: rows, task, seed=seed)

    def _load(self, mode: TTAMode) -> None:
        rows = self._read(mode)
        folds = assign_postprocess_folds(rows, self._seed)
        by_id = np.array(sorted(range(len(rows.ids)), key=rows.ids.__getitem__), dtype=np.int64)
        ends = np.cumsum(np.bincount(folds))
        self.mode, self._memo = mode, dict[Hashable, object]()
        self.order = by_id[np.argsort(folds[by_id], kind="stable")]  # from the rows as read to the rows by fold
        self.rows = rows.take(self.order)
        self.codes = group_codes(self.rows.groups)
        self.slices = [slice(int(begin), int(end)) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]

    @property
    def fold_count(self) -> int:
        return len(self.slices)

    @property
    def is_nested(self) -> bool:
        """False if there are too few rows: then nothing is selected or fitted."""
        return self.fold_count > 1

    def _once(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of `compute`, kept until the rows of another TTA mode are read."""
        if key not in self._memo:
            self._memo[key] = compute()
        return cast(T, self._memo[key])

    # Results.

    def postprocess(self) -> Postprocess:
        """The selected postprocess, fitted on all rows."""
        return self.fit(self.select_plan(), NO_FOLD)

    def nested_score(self) -> NestedScore:
        """Score each outer fold with the TTA mode and postprocess that were selected and fitted on the others."""
        return self._score_values(np.concatenate([predicted.values for predicted in self._predict_outer_folds()]))

    def nested_predictions(self) -> Predicted:
        """What `nested_score` scores, with the probabilities that it was decided from, in the order as read."""
        folds = self._predict_outer_folds()
        probabilities = np.concatenate([predicted.probabilities for predicted in folds])
        values = np.concatenate([predicted.values for predicted in folds])
        return Predicted(self._as_read(probabilities), self._as_read(values))

    def _predict_outer_folds(self) -> list[Predicted]:
        plan = self.select_plan()
        selected = [self._select_tta(self._outer(fold)) for fold in range(self.fold_count)]
        predictions: dict[int, Predicted] = {}
        for mode in sorted(set(selected), key=lambda mode: mode is plan.tta):  # the final mode last: it stays loaded
            for fold in (fold for fold in range(self.fold_count) if selected[fold] is mode):
                predictions[fold] = self.predict_outer(fold)
        return [predictions[fold] for fold in range(self.fold_count)]

    def predict_outer(self, fold: int) -> Predicted:
        """Predictions for an outer fold by the postprocess that was selected and fitted on the others."""
        return self.predict(self.fit_outer(fold), fold)

    def fit_outer(self, fold: int) -> Postprocess:
        """The postprocess that an outer fold is scored by: selected and fitted on the others."""
        left_out = self._outer(fold)
        return self.fit(self.select_plan(left_out), left_out)

    def score_methods(self) -> tuple[MethodScore, ...]:
        """The nested score of every ensemble method, all else as selected."""
        selected = self.select_plan()
        plans = ensemble_options(selected, len(self.rows.names), self.task.outputs)
        return tuple(MethodScore(plan, self._score_plan(plan), plan == selected) for plan in plans)

    def contributions(self) -> tuple[Contribution, ...]:
        """Each member's contribution to the selected postprocess."""
        postprocess = self.postprocess()
        unfitted = self.fit(with_decision(PostprocessPlan(tta=postprocess.tta), self.task), NO_FOLD)
        score = self._score(postprocess)
        contributions = []
        for member, name in enumerate(self.rows.names):
            solo = tuple(float(other == member) for other in range(len(postprocess.weights)))
            solo_score = self._score(replace(unfitted, weights=solo))
            others = without_member(np.array(postprocess.weights), member)
            score_without = score
            if postprocess.weights[member] > 0 and others is not None:
                score_without = self._score(replace(postprocess, weights=tuple(others.tolist())))
            gain = self.task.metric.gain(score, score_without)
            contributions.append(Contribution(name, postprocess.weights[member], solo_score, gain))
        return tuple(contributions)

    def tta_gain(self) -> Gain | None:
        """The gain of the best mean of views over the plain view, with the plain mean of members; None without TTA."""
        return self._tta_gain(TTAMode.NONE, self._best_tta_mean(NO_FOLD), NO_FOLD) if self._plain_scores else None

    # Selection.

    def select_plan(self, left_out: LeftOut = NO_FOLD) -> PostprocessPlan:
        """The TTA mode and the method of each step, selected without the folds that are left out."""
        mode = self._select_tta(left_out)
        self._use(mode)
        return self._once(("plan", left_out), lambda: self._select_methods(mode, left_out))

    def _select_methods(self, mode: TTAMode, left_out: LeftOut) -> PostprocessPlan:
        if not self.is_nested:
            return plain_mean_plan(self.task, mode)
        plan = PostprocessPlan(tta=mode)
        steps: tuple[Callable[[PostprocessPlan], list[PostprocessPlan]], ...] = (
            lambda plan: ensemble_options(plan, len(self.rows.names), self.task.outputs),
            lambda plan: calibration_options(plan, self.task),
            lambda plan: decision_options(plan, self.task),
        )
        for options_of in steps:
            plan, *options = options_of(plan)
            for option in options:
                gain = self.gain(plan, option, left_out)
                if gain.exceeds_standard_error or (_is_plain_mean_of(plan, option) and gain.value > 0):
                    plan = option
        return plan

    def gain(self, simple: PostprocessPlan, better: PostprocessPlan, left_out: LeftOut = NO_FOLD) -> Gain:
        """How much better the second plan scores than the first, on inner folds that neither was fitted on."""
        scores = self._inner_scores(simple, left_out), self._inner_scores(better, left_out)
        return self._gain(self._metric_of(simple), *scores, left_out)

    def _select_tta(self, left_out: LeftOut) -> TTAMode:
        """The TTA mode. A mean of views needs no fit and reduces variance: it stays unless the plain view is better."""
        if not self._plain_scores:
            return self.tta_modes[0]
        if not self.is_nested:
            return TTAMode.MEAN
        mean = self._best_tta_mean(left_out)
        return mean if self._tta_gain(TTAMode.NONE, mean, left_out).value > 0 else TTAMode.NONE

    def _best_tta_mean(self, left_out: LeftOut) -> TTAMode:
        if TTAMode.GEOMETRIC_MEAN not in self.tta_modes:  # numbers have none
            return TTAMode.MEAN
        gain = self._tta_gain(TTAMode.MEAN, TTAMode.GEOMETRIC_MEAN, left_out)
        return TTAMode.GEOMETRIC_MEAN if gain.exceeds_standard_error else TTAMode.MEAN

    def _tta_gain(self, simple: TTAMode, better: TTAMode, left_out: LeftOut) -> Gain:
        rows = self._rows_without(left_out)
        scores = self._plain_scores[simple][rows], self._plain_scores[better][rows]
        return self._gain(self.task.metric, *scores, left_out)

    def _gain(self, metric: Metric, simple: Matrix, better: Matrix, left_out: LeftOut) -> Gain:
        """The gain from scores per row; from predictions if the metric has no scores per row."""
        rows = self._rows_without(left_out)
        codes = self._once(("codes", left_out), lambda: np.unique(self.codes[rows], return_inverse=True)[1])
        if metric.per_row is not None:
            return paired_gain(metric, simple, better, codes)
        return bootstrap_gain(metric, self.rows.targets[rows], simple, better, codes)

    def _metric_of(self, plan: PostprocessPlan) -> Metric:
        """The metric that compares plans: a metric of decisions needs a plan with a decision rule."""
        has_rules = bool(rules_for(self.task.metric.decision))
        return SQUARED_ERROR if has_rules and plan.decision is None else self.task.metric

    # Fits, each on the folds that are not left out. Which fold was left out first does not matter, so five folds
    # need sixteen fits of a step and not thirty-one.

    def fit(self, plan: PostprocessPlan, left_out: LeftOut) -> Postprocess:
        """The plan's postprocess, fitted without the folds that are left out."""
        self._use(plan.tta)
        return self._once(("fit", plan, left_out), lambda: self._fit(plan, left_out))

    def _fit(self, plan: PostprocessPlan, left_out: LeftOut) -> Postprocess:
        weights = self._fit_weights(plan, left_out)
        postprocess = Postprocess(
            members=self.rows.names,
            weights=tuple(weights.tolist()),
            # Both means of a single member are equal but for rounding.
            mean=plan.mean if np.count_nonzero(weights) > 1 else Mean.ARITHMETIC,
            outputs=self.task.outputs,
            tta=plan.tta,
        )
        postprocess = replace(postprocess, calibration=self._fit_calibration(plan, postprocess, left_out))
        return replace(postprocess, decision=self._fit_decision(plan, postprocess, left_out))

    def _fit_weights(self, plan: PostprocessPlan, left_out: LeftOut) -> Matrix:
        is_fitted = plan.ensemble in (EnsembleMethod.BEST, EnsembleMethod.GREEDY)

        def compute() -> Matrix:
            objective = self._objective(plan.mean, left_out) if is_fitted else None
            return ensemble_weights(plan.ensemble, len(self.rows.names), objective)

        return self._once(("weights", plan.ensemble, plan.mean, left_out), compute)

    def _objective(self, mean: Mean, left_out: LeftOut) -> Objective:
        metric, outputs = self.task.metric, self.task.outputs
        if rules_for(metric.decision) or outputs.are_numbers:
            return SquaredError(np.sum([self._error_table(fold) for fold in self._folds_without(left_out)], axis=0))
        rows = self._rows_without(left_out)
        members = mean.transform(self.rows.members.take(rows, axis=1), outputs)
        targets = self.rows.targets[rows]
        if _is_served_by_log_loss(metric) and not _is_shared(targets):
            return LogLoss(members, targets, mean, outputs)
        return ByMetric(metric, members, targets, mean, outputs)

    def _error_table(self, fold: int) -> Matrix:
        rows = self.slices[fold]
        return self._once(
            ("error table", fold), lambda: error_table(self.rows.members[:, rows], self.rows.targets[rows])
        )

    def _fit_calibration(self, plan: PostprocessPlan, postprocess: Postprocess, left_out: LeftOut) -> Calibration:
        if plan.calibration is CalibrationMethod.NONE:
            return Calibration()

        def compute() -> Calibration:
            averaged, targets = self._averaged_without(postprocess, left_out), self.rows.targets
            targets = targets[self._rows_without(left_out)]
            return fit_calibration(plan.calibration, averaged, targets, self.task.outputs)

        # The decision rule has no part in it, so one fit serves them all.
        return self._once(("calibration", replace(plan, decision=None, constrained=False), left_out), compute)

    def _fit_decision(
        self, plan: PostprocessPlan, postprocess: Postprocess, left_out: LeftOut
    ) -> FittedDecision | None:
        if plan.decision is None:
            return None

        def read() -> tuple[Matrix, Matrix]:
            averaged = self._averaged_without(postprocess, left_out)
            targets = self.rows.targets[self._rows_without(left_out)]
            return postprocess.calibrate_and_decide(averaged).probabilities, targets

        def read_all_targets() -> Targets:
            assert self._every is not None
            targets, folds = self._every
            return targets[~np.isin(folds, list(left_out))]

        read_targets = None if self._every is None else read_all_targets
        constraints = self.task.constraints if plan.constrained else None
        return fit_decision(plan.decision, self.task.metric, self.task.outputs, read, constraints, read_targets)

    # Predictions and their scores.

    def predict(self, postprocess: Postprocess, fold: int) -> Predicted:
        """Predictions for one fold by a postprocess, whatever it was fitted on."""
        self._use(postprocess.tta)
        return postprocess.calibrate_and_decide(self._averaged(postprocess, fold))

    def _averaged(self, postprocess: Postprocess, fold: int) -> Matrix:
        def compute() -> Matrix:
            return average(postprocess.mean, self._weighted(postprocess, fold), postprocess.outputs)

        if self.rows.members[0, self.slices[fold]].size > _MAX_KEPT:
            return compute()  # to read the members again takes less than the memory of all that were averaged
        return self._once(("averaged", postprocess.mean, postprocess.weights, fold), compute)

    def _weighted(self, postprocess: Postprocess, fold: int) -> Iterator[tuple[float, Matrix]]:
        for member, weight in zip(self.rows.members, postprocess.weights, strict=True):
            if weight > 0:
                yield weight, member[self.slices[fold]]

    def _averaged_without(self, postprocess: Postprocess, left_out: LeftOut) -> Matrix:
        return np.concatenate([self._averaged(postprocess, fold) for fold in self._folds_without(left_out)])

    def _predict_all(self, postprocess: Postprocess) -> Matrix:
        return np.concatenate([self.predict(postprocess, fold).values for fold in range(self.fold_count)])

    def _inner_scores(self, plan: PostprocessPlan, left_out: LeftOut) -> Matrix:
        """Scores per row of the inner folds, each predicted by a fit without it; predictions if there are none."""
        folds = self._folds_without(left_out)
        return np.concatenate([self._fold_scores(plan, left_out | {fold}, fold) for fold in folds])

    def _fold_scores(self, plan: PostprocessPlan, left_out: LeftOut, fold: int) -> Matrix:
        def compute() -> Matrix:
            values = self.predict(self.fit(plan, left_out), fold).values
            metric, targets = self._metric_of(plan), self.rows.targets[self.slices[fold]]
            if metric.per_row is None:
                compact = metric.compact(targets, values)
                return values if compact is None else compact
            return np.concatenate([metric.row_scores(targets[rows], values[rows]) for rows in blocks(values)])

        self._use(plan.tta)
        return self._once(("scores", plan, left_out, fold), compute)

    def _score_values(self, values: Matrix) -> NestedScore:
        """The score of nested predictions, which are in the order of the folds."""
        in_sample = self._score(self.postprocess())
        metric, rows = self.task.metric, self.rows
        folds = {
            int(fold): metric.score(rows.targets[rows.folds == fold], values[rows.folds == fold])
            for fold in np.unique(rows.folds)
        }
        score = score_rows(metric, rows.targets, values, codes=self.codes)
        return NestedScore(score, folds, in_sample, self._as_read(values))

    def _as_read(self, values: Matrix) -> Matrix:
        """Values by postprocess fold, in the order of the rows as they were read."""
        as_read = np.empty_like(values)
        as_read[self.order] = values
        return as_read

    def _score_plan(self, plan: PostprocessPlan) -> Score:
        metric, rows = self.task.metric, self.rows
        if not self.is_nested:
            values = self.predict(self.fit(plan, NO_FOLD), 0).values
            return score_rows(metric, rows.targets, values, codes=self.codes)
        scores = self._inner_scores(plan, NO_FOLD)
        if metric.per_row is None:
            return score_rows(metric, rows.targets, scores, codes=self.codes)
        return score_from_row_values(metric, scores, codes=self.codes)

    def _score(self, postprocess: Postprocess) -> float:
        values = self._predict_all(postprocess)
        return self.task.metric.score(self.rows.targets, values)

    # Rows and folds.

    def _use(self, mode: TTAMode) -> None:
        if mode is not self.mode:
            self._load(mode)

    def _outer(self, fold: int) -> LeftOut:
        return frozenset([fold]) if self.is_nested else NO_FOLD

    def _folds_without(self, left_out: LeftOut) -> list[int]:
        return [fold for fold in range(self.fold_count) if fold not in left_out]

    def _rows_without(self, left_out: LeftOut) -> NDArray[np.int64]:
        rows = np.arange(len(self.rows.ids))
        return np.concatenate([rows[self.slices[fold]] for fold in self._folds_without(left_out)])


def _is_plain_mean_of(plan: PostprocessPlan, option: PostprocessPlan) -> bool:
    """Whether the option is the plain mean of the members, whose last one the plan is: a mean lowers the variance."""
    return plan.ensemble is EnsembleMethod.LAST and option.ensemble is EnsembleMethod.MEAN


def _is_served_by_log_loss(metric: Metric) -> bool:
    """Whether the log loss is fitted instead: it is proper, and quicker than an order of all rows."""
    order_of_columns = bool(metric.labels) and set(metric.labels) <= {Binary, Multilabel} and metric.decision is None
    return metric in (LOG_LOSS, BINARY_LOG_LOSS) or order_of_columns


def _is_shared(targets: Targets) -> bool:
    """Whether some targets are shares of votes, and not 0 or 1."""
    return not are_class_numbers(targets) and bool(((targets > 0) & (targets < 1)).any())
