"""All that happens after the networks have spoken, as one value: space, weights, calibration, decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition, Metric, Multiclass
from runner.prediction.averaging import Mean, average
from runner.prediction.calibration import Calibration, CalibrationMethod
from runner.prediction.ensemble import EnsembleMethod
from runner.prediction.label_constraints import LabelConstraints, label_constraints
from runner.prediction.thresholds import Decision, DecisionRule, decode

Matrix = NDArray[Any]


@dataclass(frozen=True)
class Task:
    """What an answer is judged by, and what kind it is. `multiclass`: the probabilities of a row sum to 1."""

    metric: Metric
    multiclass: bool
    rules: LabelConstraints | None = None


def task_of(competition: Competition, classes: Sequence[str]) -> Task:
    """The task that a competition sets."""
    labels = competition.labels
    return Task(competition.metric, isinstance(labels, Multiclass), label_constraints(labels, classes))


@dataclass(frozen=True)
class PostprocessPlan:
    """Which of the final steps are taken; what is fitted of them is another matter."""

    weighing: EnsembleMethod = EnsembleMethod.LAST
    space: Mean = Mean.ARITHMETIC
    calibrating: CalibrationMethod = CalibrationMethod.NOTHING
    deciding: DecisionRule | None = None
    by_rules: bool = False

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold."""
        return {
            "weighing": self.weighing.value,
            "space": self.space.value,
            "calibrating": self.calibrating.value,
            "deciding": self.deciding and self.deciding.value,
            "by_rules": self.by_rules,
        }

    def __str__(self) -> str:
        parts = [self.weighing.value]
        if self.weighing in (EnsembleMethod.MEAN, EnsembleMethod.GREEDY):
            parts[0] += f" of {self.space.value}"
        if self.calibrating is not CalibrationMethod.NOTHING:
            parts.append(self.calibrating.value)
        if self.deciding is not None:
            parts.append(self.deciding.value + (" by rules" if self.by_rules else ""))
        return ", ".join(parts)


@dataclass(frozen=True)
class Predicted:
    """What comes of it: probabilities, and the values that are scored and submitted (decisions for tags)."""

    probabilities: Matrix
    values: Matrix


@dataclass(frozen=True)
class Postprocess:
    """Fitted on out-of-fold rows, applied to test rows."""

    members: tuple[str, ...]
    weights: tuple[float, ...]
    space: Mean
    multiclass: bool
    calibration: Calibration = Calibration()  # noqa: RUF009  (frozen)
    decision: Decision | None = None

    def apply(self, read: Callable[[str], Iterable[Matrix]]) -> Predicted:
        """The answer for rows that `read` gives a named member's matrices of: one, or one a fold.

        Members without weight are not read, and one matrix is held at a time.
        """
        return self.finish(average(self.space, self._weighted(read), self.multiclass))

    def finish(self, mixed: Matrix) -> Predicted:
        """The answer from what the members say together."""
        probabilities = self.calibration.apply(mixed, self.multiclass)
        return Predicted(
            probabilities, probabilities if self.decision is None else decode(self.decision, probabilities)
        )

    def _weighted(self, read: Callable[[str], Iterable[Matrix]]) -> Iterator[tuple[float, Matrix]]:
        for name, weight in zip(self.members, self.weights, strict=True):
            if weight > 0:
                yield from _shared(weight, read(name))

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold."""
        return {
            "space": self.space.value,
            "multiclass": self.multiclass,
            "weights": dict(zip(self.members, self.weights, strict=True)),
            "calibration": self.calibration.to_dict(),
            "decision": self.decision and self.decision.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Postprocess:
        """The step that `to_dict` wrote."""
        return cls(
            members=tuple(value["weights"]),
            weights=tuple(value["weights"].values()),
            space=Mean(value["space"]),
            multiclass=value["multiclass"],
            calibration=Calibration(**value["calibration"]),
            decision=value["decision"] and Decision.from_dict(value["decision"]),
        )


def _shared(weight: float, matrices: Iterable[Matrix]) -> Iterator[tuple[float, Matrix]]:
    """A member's weight, shared alike by its folds."""
    held = list(matrices)
    for matrix in held:
        yield weight / len(held), np.asarray(matrix)
