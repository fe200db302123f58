"""From the models' probabilities to the submission: TTA mode, ensemble weights, calibration, decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from runner.contract import Competition, Metric, Outputs
from runner.contract.outputs import Activation, Block, outputs_of
from runner.images.view_size import size_in
from runner.prediction.averaging import Matrix, Mean, TTAMode, average
from runner.prediction.calibration import Calibration, CalibrationMethod, calibration_methods
from runner.prediction.decisions import DecisionRule, FittedDecision, decide, rule_without_fit, rules_for
from runner.prediction.ensemble import EnsembleMethod
from runner.prediction.label_constraints import LabelConstraints, label_constraints
from runner.prediction.out_of_fold import Member
from runner.prediction.predictions import StoredRows, align, predict_command
from runner.workspace import read_record, write_json

FORMAT = 2  # of postprocess.json


@dataclass(frozen=True)
class Task:
    """The metric and the kind of predictions."""

    metric: Metric
    outputs: Outputs
    constraints: LabelConstraints | None = None


def task_of(competition: Competition, classes: Sequence[str]) -> Task:
    """The task of a competition with these classes."""
    labels = competition.labels
    return Task(competition.metric, outputs_of(labels, len(classes)), label_constraints(labels, classes))


@dataclass(frozen=True)
class PostprocessPlan:
    """The method of each step, before anything is fitted."""

    ensemble: EnsembleMethod = EnsembleMethod.LAST
    mean: Mean = Mean.ARITHMETIC
    calibration: CalibrationMethod = CalibrationMethod.NONE
    decision: DecisionRule | None = None
    constrained: bool = False
    tta: TTAMode = TTAMode.NONE

    def __str__(self) -> str:
        words = [self.ensemble.value]
        if self.ensemble is EnsembleMethod.MEAN:
            words = [f"{self.mean.value} mean"]
        if self.ensemble is EnsembleMethod.GREEDY:
            words[0] += f" ({self.mean.value} mean)"
        if self.calibration is not CalibrationMethod.NONE:
            words.append(self.calibration.value)
        if self.decision is not None:
            words.append(self.decision.value + (" with constraints" if self.constrained else ""))
        return ", ".join(words)


def plain_mean_plan(task: Task, tta: TTAMode = TTAMode.NONE) -> PostprocessPlan:
    """The plan that needs no fit: the mean of all members, and decisions by the best rule without one."""
    return replace(with_decision(PostprocessPlan(tta=tta), task), ensemble=EnsembleMethod.MEAN)


def with_decision(plan: PostprocessPlan, task: Task) -> PostprocessPlan:
    """The plan with the best decision rule that needs no fit, if there is something to decide."""
    return replace(plan, decision=rule_without_fit(task.metric.decision))


def ensemble_options(plan: PostprocessPlan, members: int, outputs: Outputs) -> list[PostprocessPlan]:
    """The plan with every ensemble method, the simplest first."""
    if members == 1:
        return [plan]
    means = [Mean.ARITHMETIC] if outputs.are_numbers else list(Mean)
    methods = [(EnsembleMethod.LAST, Mean.ARITHMETIC)]
    methods += [(EnsembleMethod.MEAN, mean) for mean in means]
    methods += [(EnsembleMethod.BEST, Mean.ARITHMETIC)]
    methods += [(EnsembleMethod.GREEDY, mean) for mean in means]
    return [replace(plan, ensemble=method, mean=mean) for method, mean in methods]


def calibration_options(plan: PostprocessPlan, task: Task) -> list[PostprocessPlan]:
    """The plan with every calibration method, the simplest first."""
    methods = calibration_methods(task.outputs, for_decisions=bool(rules_for(task.metric.decision)))
    return [replace(with_decision(plan, task), calibration=method) for method in methods]


def decision_options(plan: PostprocessPlan, task: Task) -> list[PostprocessPlan]:
    """The plan with every decision rule, the simplest first; the plan alone if there is nothing to decide."""
    rules = rules_for(task.metric.decision)
    if not rules:
        return [plan]
    constrained = (False, True) if task.constraints is not None else (False,)
    return [replace(plan, decision=rule, constrained=value) for value in constrained for rule in rules]


@dataclass(frozen=True)
class Predicted:
    """Probabilities or numbers, and the values that are scored and submitted, decided from them."""

    probabilities: Matrix
    values: Matrix


@dataclass(frozen=True)
class Postprocess:
    """A plan fitted on out-of-fold rows, applied to validation and test rows."""

    members: tuple[str, ...]
    weights: tuple[float, ...]
    mean: Mean
    outputs: Outputs
    calibration: Calibration = Calibration()  # noqa: RUF009  (frozen)
    decision: FittedDecision | None = None
    tta: TTAMode = TTAMode.NONE

    def predict_test(
        self, members: Sequence[Member], ids: Sequence[str], classes: Sequence[str]
    ) -> Callable[[Sequence[int]], Matrix]:
        """A function from numbers of test rows to what is submitted for them, from the members' files.

        Only the rows asked for are held in memory.
        """
        weight_of = dict(zip(self.members, self.weights, strict=True))
        stored = {
            member.name: [StoredRows(path, member.views, self.tta, self.outputs) for path in member.test]
            for member in members
            if weight_of.get(member.name, 0) > 0
        }

        def predict(rows: Sequence[int]) -> Matrix:
            chosen = tuple([ids[row] for row in rows])

            def read(name: str) -> list[Matrix]:
                return [align(file.read(chosen), chosen, classes, path=file.path) for file in stored[name]]

            return self.apply(read).values

        return predict

    def apply(self, read: Callable[[str], Iterable[Matrix]]) -> Predicted:
        """Predictions from `read`, which returns a named member's matrices: one, or one a fold.

        Members with weight 0 are not read, and only one member's matrices are held at a time.
        """
        return self.calibrate_and_decide(average(self.mean, self._weighted(read), self.outputs))

    def calibrate_and_decide(self, averaged: Matrix) -> Predicted:
        """Predictions from the weighted mean of the members."""
        probabilities = self.calibration.apply(averaged, self.outputs)
        values = probabilities if self.decision is None else decide(self.decision, probabilities, self.outputs)
        return Predicted(probabilities, values)

    def _weighted(self, read: Callable[[str], Iterable[Matrix]]) -> Iterator[tuple[float, Matrix]]:
        for name, weight in zip(self.members, self.weights, strict=True):
            if weight > 0:
                matrices = list(read(name))
                for matrix in matrices:  # the folds of a member share its weight evenly
                    yield weight / len(matrices), np.asarray(matrix)

    def to_dict(self) -> dict[str, Any]:
        """A plain value for JSON."""
        return {
            "tta": self.tta.value,
            "mean": self.mean.value,
            "outputs": self.outputs.to_list(),
            "weights": dict(zip(self.members, self.weights, strict=True)),
            "calibration": self.calibration.to_dict(),
            "decision": None if self.decision is None else self.decision.to_dict(),
        }


def write_postprocess(path: Path, postprocess: Postprocess, members: Sequence[Member], tta_option: str = "") -> None:
    """Write postprocess.json, with each member's views and the value of `--tta` that chose them."""
    views = {member.name: list(member.views) for member in members}
    write_json(path, {**postprocess.to_dict(), "views": views, "tta_option": tta_option}, format=FORMAT)


def read_postprocess(path: Path) -> Postprocess:
    """The postprocess in a postprocess.json."""
    record = _read_record(path)
    return Postprocess(
        members=tuple(record.weights),
        weights=tuple(record.weights.values()),
        mean=record.mean,
        outputs=Outputs(tuple(Block(activation, size) for activation, size in record.outputs)),
        calibration=record.calibration,
        decision=record.decision,
        tta=record.tta,
    )


def read_scored_views(path: Path) -> dict[str, tuple[str, ...]]:
    """The views of each member in a postprocess.json, by the member's name."""
    return _read_record(path).views


def read_tta_option(path: Path) -> str:
    """The value of `--tta` in a postprocess.json; empty for an ensemble of several runs."""
    return _read_record(path).tta_option


def read_size_option(path: Path) -> int | None:
    """The value of `--size` that the views in a run's postprocess.json tell."""
    views = read_scored_views(path)
    return size_in(next(iter(views.values()), ()))


@dataclass(frozen=True)
class _PostprocessRecord:
    """What a postprocess.json holds."""

    tta: TTAMode
    mean: Mean
    outputs: tuple[tuple[Activation, int], ...]
    weights: dict[str, float]
    calibration: Calibration
    decision: FittedDecision | None
    views: dict[str, tuple[str, ...]]
    tta_option: str


def _read_record(path: Path) -> _PostprocessRecord:
    return read_record(
        path, _PostprocessRecord, format=FORMAT, fix=predict_command(path.parent), name="the postprocess"
    )
