"""From predictions to decisions: tags, classes and grades, by the rule that the metric rewards.

Each kind of decision has several rules, the simplest first. What a rule fits is fitted on out-of-fold rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

import numpy as np

from runner.contract import Activation, Average, Decision, Grade, Metric, OneClass, Outputs, Sharpened, TagSet
from runner.contract.default_decisions import apply_thresholds
from runner.contract.targets import Targets, are_class_numbers
from runner.prediction.averaging import Matrix, blocks, by_block
from runner.prediction.expected_f import best_labels, best_labels_constrained
from runner.prediction.label_constraints import LabelConstraints, apply_constraints

# Thresholds are hundredths: finer ones would follow single images.
_GRID = np.arange(1, 100) / 100
_POWERS = np.arange(0, 13) / 10  # of the prior; 1 is the optimum for a mean over classes of recalls
_CUT_CANDIDATES = 40  # between two neighbouring cuts
_MAX_SWEEPS = 10


class DecisionRule(Enum):
    """How decisions are made."""

    # Tags.
    FIXED = "fixed threshold"
    EXPECTED = "expected F-score"
    ONE_THRESHOLD = "one fitted threshold"
    THRESHOLDS = "threshold per label"
    # Classes.
    LIKELIEST = "likeliest class"
    PRIOR_AWARE = "likeliest class by its frequency"
    # Grades.
    MEAN_GRADE = "nearest grade to the mean"
    CUTS = "cuts on the mean grade"
    # One probability.
    AS_IS = "probability as it is"
    SHARPENED = "0 and 1 above a threshold"


_TAG_RULES = {
    Average.ROWS: (DecisionRule.FIXED, DecisionRule.EXPECTED, DecisionRule.THRESHOLDS),
    Average.ALL: (DecisionRule.FIXED, DecisionRule.ONE_THRESHOLD),
    Average.TAGS: (DecisionRule.FIXED, DecisionRule.THRESHOLDS),
}
_FITTED = (
    DecisionRule.ONE_THRESHOLD,
    DecisionRule.THRESHOLDS,
    DecisionRule.PRIOR_AWARE,
    DecisionRule.CUTS,
    DecisionRule.SHARPENED,
)


def rules_for(decision: Decision) -> tuple[DecisionRule, ...]:
    """The rules for a metric's decision, the simplest first; none if the predictions are scored as they are."""
    if isinstance(decision, TagSet):
        return _TAG_RULES[decision.average]
    if isinstance(decision, OneClass) and decision.rare_count_as_much:
        return DecisionRule.LIKELIEST, DecisionRule.PRIOR_AWARE
    if isinstance(decision, Grade):
        return DecisionRule.LIKELIEST, DecisionRule.MEAN_GRADE, DecisionRule.CUTS
    if isinstance(decision, Sharpened):
        return DecisionRule.AS_IS, DecisionRule.SHARPENED
    return ()


def rule_without_fit(decision: Decision) -> DecisionRule | None:
    """The best rule that needs no fit; None if there is nothing to decide."""
    rules = [rule for rule in rules_for(decision) if rule not in _FITTED]
    return rules[-1] if rules else None


@dataclass(frozen=True)
class FittedDecision:
    """A rule with what was fitted for it, and the label constraints if they are used."""

    rule: DecisionRule
    beta: int = 1  # of the F-score, for tags
    thresholds: tuple[float, ...] = ()  # one a tag, or one; or the cuts between grades
    power: float = 0.0  # classes are weighed by prior ** -power
    prior: tuple[float, ...] = ()
    constraints: LabelConstraints | None = None

    def to_dict(self) -> dict[str, Any]:
        """A plain value for JSON."""
        constraints = None if self.constraints is None else asdict(self.constraints)
        plain = {"rule": self.rule.value, "beta": self.beta, "thresholds": list(self.thresholds)}
        return {**plain, "power": self.power, "prior": list(self.prior), "constraints": constraints}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> FittedDecision:
        """The decision that `to_dict` wrote."""
        columns = plain["constraints"]
        constraints = columns and LabelConstraints(**{name: tuple(value) for name, value in columns.items()})
        return cls(
            DecisionRule(plain["rule"]),
            int(plain["beta"]),
            tuple(plain["thresholds"]),
            float(plain["power"]),
            tuple(plain["prior"]),
            constraints,
        )


def fit_decision(
    rule: DecisionRule,
    metric: Metric,
    outputs: Outputs,
    read: Callable[[], tuple[Matrix, Targets]],
    constraints: LabelConstraints | None = None,
    read_targets: Callable[[], Targets] | None = None,
) -> FittedDecision:
    """The decision by that rule, fitted on the predictions and targets that `read` returns, if it needs a fit.

    `read_targets` returns those of more rows, if only a sample is fitted on: rare classes are counted in all.
    """
    beta = metric.decision.beta if isinstance(metric.decision, TagSet) else 1
    if rule not in _FITTED:
        return FittedDecision(rule, beta, constraints=constraints)
    predictions, targets = read()
    if rule is DecisionRule.PRIOR_AWARE:
        return _fit_power(metric, outputs, predictions, targets, read_targets() if read_targets else targets)
    if rule is DecisionRule.CUTS:
        return FittedDecision(rule, thresholds=_fit_cuts(metric, predictions, targets))
    if rule is DecisionRule.SHARPENED:
        return FittedDecision(rule, thresholds=_fit_sharpening(metric, predictions, targets))
    if rule is DecisionRule.ONE_THRESHOLD:
        thresholds: tuple[float, ...] = (_best_threshold(predictions.ravel(), targets.ravel()),)
    elif isinstance(metric.decision, TagSet) and metric.decision.average is Average.TAGS:
        thresholds = tuple(_best_threshold(*columns) for columns in zip(predictions.T, targets.T, strict=True))
    else:
        thresholds = fit_thresholds(predictions, targets, beta)
    return FittedDecision(rule, beta, thresholds, constraints=constraints)


def decide(decision: FittedDecision, predictions: Matrix, outputs: Outputs) -> Matrix:
    """What is scored and submitted: tags of 0 and 1, one-hot grades, or probabilities weighed for the metric."""
    rule = decision.rule
    if rule in (DecisionRule.LIKELIEST, DecisionRule.AS_IS):
        return predictions
    if rule is DecisionRule.PRIOR_AWARE:
        return _weighed(outputs, predictions, _class_weights(outputs, np.array(decision.prior), decision.power))
    if rule is DecisionRule.SHARPENED:
        return (predictions > decision.thresholds[0]).astype(np.float64)
    if rule in (DecisionRule.MEAN_GRADE, DecisionRule.CUTS):
        cuts = decision.thresholds if rule is DecisionRule.CUTS else _middle_cuts(predictions.shape[1])
        return _one_hot(np.searchsorted(cuts, _mean_grade(predictions), side="right"), predictions.shape[1])
    return _decide_tags(decision, predictions)


def _decide_tags(decision: FittedDecision, probabilities: Matrix) -> Matrix:
    """Tags of 0 and 1, at least one a row."""
    if decision.rule is DecisionRule.EXPECTED:
        if decision.constraints is None:
            return best_labels(probabilities, decision.beta).astype(np.float64)
        return best_labels_constrained(probabilities, decision.constraints, decision.beta).astype(np.float64)
    fitted = decision.rule is not DecisionRule.FIXED
    thresholds = np.array(decision.thresholds) if fitted else TagSet(decision.beta).default_threshold
    predicted = apply_thresholds(probabilities, thresholds)
    if decision.constraints is not None:
        predicted = apply_constraints(decision.constraints, predicted > 0, probabilities).astype(np.float64)
    return predicted


# --- classes --------------------------------------------------------------------------------------


def _fit_power(
    metric: Metric, outputs: Outputs, predictions: Matrix, targets: Targets, counted: Targets
) -> FittedDecision:
    """The power of the prior with the best score; the smallest of equally good ones. `counted` make the prior."""
    # A class without a row keeps half a row: its prior must not be 0.
    prior = np.maximum(_rows_of_classes(counted, outputs.columns), 0.5) / len(counted)
    weights = [_class_weights(outputs, prior, power) for power in _POWERS]
    scores = [_score_weighed(metric, outputs, predictions, targets, of_power) for of_power in weights]
    power = metric.best(list(zip(_POWERS.tolist(), scores, strict=True)), key=lambda pair: pair[1])[0]
    return FittedDecision(DecisionRule.PRIOR_AWARE, power=power, prior=tuple(prior.tolist()))


def _rows_of_classes(targets: Targets, columns: int) -> Matrix:
    return np.bincount(targets, minlength=columns) if are_class_numbers(targets) else np.nansum(targets, axis=0)


def _score_weighed(metric: Metric, outputs: Outputs, predictions: Matrix, targets: Targets, weights: Matrix) -> float:
    """The score of weighed predictions; of many classes some rows at a time, with what the metric needs of them."""
    parts = []
    for rows in blocks(predictions):
        part = metric.scored_part(targets[rows], _weighed(outputs, predictions[rows], weights))
        if part is None:
            return metric.score(targets, _weighed(outputs, predictions, weights))
        parts.append(part)
    return metric.total(targets, np.concatenate(parts))


def _class_weights(outputs: Outputs, prior: Matrix, power: float) -> Matrix:
    """What each class is divided by; of one column, its odds: the negatives are a class too."""
    return prior**power if outputs.columns > 1 else (prior / (1 - np.minimum(prior, 1 - 1e-9))) ** power


def _weighed(outputs: Outputs, predictions: Matrix, weights: Matrix) -> Matrix:
    if outputs.columns == 1:
        positive = predictions / weights
        return positive / np.maximum(positive + 1 - predictions, 1e-300)

    def scaled(_: Activation, block: Matrix) -> Matrix:
        return block / np.maximum(block.sum(axis=1, keepdims=True), 1e-300)  # type: ignore[no-any-return]

    return by_block(outputs, predictions / weights, scaled)


# --- grades ---------------------------------------------------------------------------------------


def _mean_grade(predictions: Matrix) -> Matrix:
    return predictions @ np.arange(predictions.shape[1])


def _middle_cuts(grades: int) -> Matrix:
    return np.arange(grades - 1) + 0.5


def _one_hot(classes: Matrix, count: int) -> Matrix:
    matrix = np.zeros((len(classes), count))
    matrix[np.arange(len(classes)), classes] = 1
    return matrix


def _fit_cuts(metric: Metric, predictions: Matrix, targets: Targets) -> tuple[float, ...]:
    """The cuts between grades with the best score, each moved in turn between its neighbours."""
    means, grades = _mean_grade(predictions), predictions.shape[1]
    cuts = _middle_cuts(grades)

    def score(candidate: Matrix) -> float:
        return metric.score(targets, _one_hot(np.searchsorted(candidate, means, side="right"), grades))

    best = score(cuts)
    for _ in range(_MAX_SWEEPS):
        before = best
        for position in range(len(cuts)):
            low = cuts[position - 1] if position else 0.0
            high = cuts[position + 1] if position + 1 < len(cuts) else grades - 1.0
            candidates = []
            for value in np.linspace(low, high, _CUT_CANDIDATES + 2)[1:-1]:
                moved = cuts.copy()
                moved[position] = value
                candidates.append((moved, score(moved)))
            moved, value = metric.best(candidates, key=lambda pair: pair[1])
            if metric.is_better(value, best):
                cuts, best = moved, value
        if not metric.is_better(best, before):
            break
    return tuple(cuts.tolist())


# --- thresholds -----------------------------------------------------------------------------------


def _fit_sharpening(metric: Metric, predictions: Matrix, targets: Matrix) -> tuple[float, ...]:
    scores = [(float(threshold), metric.score(targets, (predictions > threshold).astype(float))) for threshold in _GRID]
    finite = [pair for pair in scores if np.isfinite(pair[1])]
    return (metric.best(finite, key=lambda pair: pair[1])[0] if finite else 0.5,)


def _best_threshold(probabilities: Matrix, targets: Matrix) -> float:
    """The threshold with the greatest F1 of these rows; the middle one of equally good ones."""
    exceeded = np.searchsorted(_GRID, probabilities, side="left")
    predicted = np.bincount(exceeded, minlength=len(_GRID) + 1)[::-1].cumsum()[::-1][1:]
    right = np.bincount(exceeded, weights=targets > 0.5, minlength=len(_GRID) + 1)[::-1].cumsum()[::-1][1:]
    f1 = 2 * right / np.maximum(predicted + (targets > 0.5).sum(), 1)
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(_GRID[best[len(best) // 2]])


def fit_thresholds(probabilities: Matrix, targets: Matrix, beta: int) -> tuple[float, ...]:
    """Thresholds with the greatest mean F-score by coordinate ascent: label by label, each the best given the others.

    On these rows they are never worse than the fixed threshold, from which they start.
    """
    ascent = _CoordinateAscent(probabilities, targets, beta)
    for _ in range(_MAX_SWEEPS):
        improved = [ascent.improve(label) for label in range(probabilities.shape[1])]
        if not any(improved):
            break
    return tuple(float(_GRID[position]) for position in ascent.positions)


class _CoordinateAscent:
    """The current thresholds, as positions in the grid, and the counts per image that make up the F-score."""

    def __init__(self, probabilities: Matrix, targets: Matrix, beta: int):
        self.weight = beta * beta
        # The number of grid thresholds below each probability: it exceeds threshold n if that number is above n.
        self.exceeded = np.searchsorted(_GRID, probabilities, side="left").astype(np.uint8)
        self.positive = targets > 0.5
        self.positives = self.positive.sum(axis=1)
        start = np.searchsorted(_GRID, TagSet(beta).default_threshold)
        self.positions = np.full(probabilities.shape[1], start)
        predicted = self.exceeded > self.positions
        self.predicted, self.correct = predicted.sum(axis=1), (predicted & self.positive).sum(axis=1)
        # The score of an image with no label above its threshold: its likeliest label is predicted.
        is_right = np.take_along_axis(self.positive, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0]
        self.fallback = (1 + self.weight) * is_right / (self.weight * self.positives + 1)

    def improve(self, label: int) -> bool:
        """Move one label's threshold to the greatest mean score; False if the present one is as good."""
        exceeded, positive = self.exceeded[:, label], self.positive[:, label]
        predicted = exceeded > self.positions[label]
        others, others_correct = self.predicted - predicted, self.correct - (predicted & positive)
        total = self.weight * self.positives + others
        without = (1 + self.weight) * others_correct / np.maximum(total, 1)
        without = np.where(others > 0, without, self.fallback)
        gains = (1 + self.weight) * (others_correct + positive) / (total + 1) - without
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
