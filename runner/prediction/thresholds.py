"""From probabilities of labels to decisions: a fixed threshold, the greatest expected F2, or fitted thresholds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np

from runner.contract.thresholds import DEFAULT_THRESHOLD, apply_thresholds
from runner.prediction.averaging import Matrix
from runner.prediction.expected_f2 import best_labels, best_labels_constrained
from runner.prediction.label_constraints import LabelConstraints, apply_constraints

# Thresholds are hundredths: finer ones would follow single images.
_GRID = np.arange(1, 100) / 100
_MAX_SWEEPS = 10


class DecisionRule(Enum):
    """How decisions are made; the simplest first."""

    FIXED = "fixed threshold"
    EXPECTED = "expected F2"
    THRESHOLDS = "threshold per label"


@dataclass(frozen=True)
class Decision:
    """A rule with its fitted thresholds, and the label constraints if they are used."""

    rule: DecisionRule = DecisionRule.FIXED
    thresholds: tuple[float, ...] = ()  # for THRESHOLDS only
    constraints: LabelConstraints | None = None

    def to_dict(self) -> dict[str, Any]:
        """A plain value for JSON."""
        constraints = None if self.constraints is None else asdict(self.constraints)
        return {"rule": self.rule.value, "thresholds": list(self.thresholds), "constraints": constraints}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Decision:
        """The decision that `to_dict` wrote."""
        columns = plain["constraints"]
        constraints = columns and LabelConstraints(**{name: tuple(value) for name, value in columns.items()})
        return cls(DecisionRule(plain["rule"]), tuple(plain["thresholds"]), constraints)


def fit_decision(
    rule: DecisionRule, probabilities: Matrix, targets: Matrix, constraints: LabelConstraints | None = None
) -> Decision:
    """The decision by that rule; only thresholds are fitted."""
    thresholds = fit_thresholds(probabilities, targets) if rule is DecisionRule.THRESHOLDS else ()
    return Decision(rule, thresholds, constraints)


def decide(decision: Decision, probabilities: Matrix) -> Matrix:
    """Decisions of 0 and 1, at least one label a row."""
    if decision.rule is DecisionRule.EXPECTED:
        if decision.constraints is None:
            return best_labels(probabilities).astype(np.float64)
        return best_labels_constrained(probabilities, decision.constraints).astype(np.float64)
    thresholds = np.array(decision.thresholds) if decision.rule is DecisionRule.THRESHOLDS else DEFAULT_THRESHOLD
    predicted = apply_thresholds(probabilities, thresholds)
    if decision.constraints is not None:
        predicted = apply_constraints(decision.constraints, predicted > 0, probabilities).astype(np.float64)
    return predicted


def fit_thresholds(probabilities: Matrix, targets: Matrix) -> tuple[float, ...]:
    """Thresholds with the greatest mean F2 by coordinate ascent: label by label, each the best given the others.

    On these rows they are never worse than the fixed threshold, from which they start.
    """
    ascent = _CoordinateAscent(probabilities, targets)
    for _ in range(_MAX_SWEEPS):
        improved = [ascent.improve(label) for label in range(probabilities.shape[1])]
        if not any(improved):
            break
    return tuple(float(_GRID[position]) for position in ascent.positions)


class _CoordinateAscent:
    """The current thresholds, as positions in the grid, and the counts per image that make up F2."""

    def __init__(self, probabilities: Matrix, targets: Matrix):
        # The number of grid thresholds below each probability: it exceeds threshold n if that number is above n.
        self.exceeded = np.searchsorted(_GRID, probabilities, side="left").astype(np.uint8)
        self.positive = targets > 0.5
        self.positives = self.positive.sum(axis=1)
        self.positions = np.full(probabilities.shape[1], np.searchsorted(_GRID, DEFAULT_THRESHOLD))
        predicted = self.exceeded > self.positions
        self.predicted, self.correct = predicted.sum(axis=1), (predicted & self.positive).sum(axis=1)
        # F2 of an image with no label above its threshold: its likeliest label is predicted.
        is_right = np.take_along_axis(self.positive, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
        self.fallback = 5 * is_right / (4 * self.positives + 1)

    def improve(self, label: int) -> bool:
        """Move one label's threshold to the greatest mean F2; False if the present one is as good."""
        exceeded, positive = self.exceeded[:, label], self.positive[:, label]
        predicted = exceeded > self.positions[label]
        others, others_correct = self.predicted - predicted, self.correct - (predicted & positive)
        f2_without = 5 * others_correct / np.maximum(4 * self.positives + others, 1)
        f2_without = np.where(others > 0, f2_without, self.fallback)
        gains = 5 * (others_correct + positive) / (4 * self.positives + others + 1) - f2_without
        gain_by_exceeded = np.bincount(exceeded, weights=gains, minlength=len(_GRID) + 1)
        # A threshold predicts the label for every image whose number exceeds its position.
        totals = gain_by_exceeded[::-1].cumsum()[::-1][1:]
        if totals.max() <= totals[self.positions[label]] + 1e-9:
            return False
        best = np.flatnonzero(totals >= totals.max() - 1e-12)
        self.positions[label] = best[len(best) // 2]  # the middle one of equally good thresholds
        predicted = exceeded > self.positions[label]
        self.predicted, self.correct = others + predicted, others_correct + (predicted & positive)
        return True
