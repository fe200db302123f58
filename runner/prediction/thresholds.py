"""From probabilities of tags to decisions: one threshold, a threshold a tag, or the greatest expected F2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.thresholds import DEFAULT_THRESHOLD, apply_thresholds
from runner.prediction.expected_f2 import best_labels_constrained, best_tags
from runner.prediction.label_constraints import LabelConstraints, apply_constraints

Matrix = NDArray[Any]

# Cutoffs are whole hundredths: finer ones would follow single images.
_GRID = np.arange(1, 100) / 100
_MOST_SWEEPS = 10


class DecisionRule(Enum):
    """How decisions are made; the simplest first."""

    FIXED = "fixed threshold"
    EXPECTED = "expected F2"
    THRESHOLDS = "a threshold a tag"


@dataclass(frozen=True)
class Decision:
    """How tags are named. With `rules`, what the data obeys is made use of."""

    how: DecisionRule = DecisionRule.FIXED
    thresholds: tuple[float, ...] = ()  # of THRESHOLDS alone
    rules: LabelConstraints | None = None

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold."""
        rules = self.rules and {
            "mutually_exclusive": list(self.rules.mutually_exclusive),
            "alone": list(self.rules.alone),
        }
        return {"how": self.how.value, "thresholds": list(self.thresholds), "rules": rules}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Decision:
        """The decision that `to_dict` wrote."""
        rules = value["rules"] and LabelConstraints(
            tuple(value["rules"]["mutually_exclusive"]), tuple(value["rules"]["alone"])
        )
        return cls(DecisionRule(value["how"]), tuple(value["thresholds"]), rules)


def fit_decision(
    how: DecisionRule, probabilities: Matrix, targets: Matrix, rules: LabelConstraints | None = None
) -> Decision:
    """The decision of that kind; only thresholds have anything to fit."""
    thresholds = fit_thresholds(probabilities, targets) if how is DecisionRule.THRESHOLDS else ()
    return Decision(how, thresholds, rules)


def decode(decision: Decision, probabilities: Matrix) -> Matrix:
    """Decisions of 0 and 1; no row is ever without a tag."""
    if decision.how is DecisionRule.EXPECTED:
        rules = decision.rules
        named = best_tags(probabilities) if rules is None else best_labels_constrained(probabilities, rules)
        return named.astype(np.float64)
    thresholds = np.array(decision.thresholds) if decision.how is DecisionRule.THRESHOLDS else DEFAULT_THRESHOLD
    named = apply_thresholds(probabilities, thresholds)
    if decision.rules is not None:
        named = apply_constraints(decision.rules, named > 0, probabilities).astype(np.float64)
    return named


def fit_thresholds(probabilities: Matrix, targets: Matrix) -> tuple[float, ...]:
    """The thresholds of greatest mean F2 by coordinate ascent: tag after tag, each the best given the others.

    Never worse on these rows than the fixed threshold, from which it starts.
    """
    ascent = _Ascent(probabilities, targets)
    for _ in range(_MOST_SWEEPS):
        moved = [ascent.improve(tag) for tag in range(probabilities.shape[1])]
        if not any(moved):
            break
    return tuple(float(_GRID[place]) for place in ascent.places)


class _Ascent:
    """Cutoffs on their way up, and the counts per image from which F2 comes."""

    def __init__(self, probabilities: Matrix, targets: Matrix):
        # How many of the grid's thresholds a probability is above: it is above threshold b where that is more than b.
        self.passed = np.searchsorted(_GRID, probabilities, side="left").astype(np.uint8)
        self.truth = targets > 0.5
        self.true = self.truth.sum(axis=1)
        self.places = np.full(probabilities.shape[1], np.searchsorted(_GRID, DEFAULT_THRESHOLD))
        chosen = self.passed > self.places
        self.chosen, self.right = chosen.sum(axis=1), (chosen & self.truth).sum(axis=1)
        # What an image scores that no threshold names a tag of: its likeliest tag is named.
        likeliest = np.take_along_axis(self.truth, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
        self.fallback = 5 * likeliest / (4 * self.true + 1)

    def improve(self, tag: int) -> bool:
        """Move one tag's threshold to where the mean F2 is greatest, if that is better than where it is."""
        passed, truth = self.passed[:, tag], self.truth[:, tag]
        named = passed > self.places[tag]
        others, others_right = self.chosen - named, self.right - (named & truth)
        without = np.where(others > 0, 5 * others_right / np.maximum(4 * self.true + others, 1), self.fallback)
        gains = 5 * (others_right + truth) / (4 * self.true + others + 1) - without
        by_passed = np.bincount(passed, weights=gains, minlength=len(_GRID) + 1)
        # A threshold names every image that has passed more of the grid than its place.
        totals = by_passed[::-1].cumsum()[::-1][1:]
        if totals.max() <= totals[self.places[tag]] + 1e-9:
            return False
        best = np.flatnonzero(totals >= totals.max() - 1e-12)
        self.places[tag] = best[len(best) // 2]  # of thresholds that are as good, one amid them
        named = passed > self.places[tag]
        self.chosen, self.right = others + named, others_right + (named & truth)
        return True
