"""Ensemble weights: the last snapshot, the plain mean, the best member, or hill climbing.

Hill climbing is greedy forward selection with replacement (Caruana et al., 2004): each round adds the member that
improves the mean most, and a weight is how often a member was added. It goes on past a round that does not help,
because each step is smaller than the last; the best mean on the way is kept.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

import numpy as np

from runner.contract import Activation, Metric, Outputs
from runner.contract.metric_functions.arrays import class_numbers
from runner.contract.targets import Targets, are_class_numbers
from runner.prediction.averaging import Matrix, Mean, blocks, row_sums

# The finest weights are multiples of a 24th: finer ones cannot be told apart on the rows there are.
MAX_ROUNDS = 24
_PATIENCE = 6
_MIN_GAIN = 1e-5  # of the loss; a smaller one does not count as an improvement
_CHUNK_ROWS = 1 << 9


class EnsembleMethod(Enum):
    """How the weights are set; the simplest first."""

    LAST = "last snapshot"
    MEAN = "mean"
    BEST = "best member"
    GREEDY = "greedy selection"


class Objective(Protocol):
    """The loss of a mean of members on the rows that the weights are fitted on."""

    members: int

    def losses(self, counts: Matrix) -> Matrix:
        """For every member, the loss of the mean after adding that member once more to these counts."""


def _squared_error_per_row(targets: Targets, predictions: Matrix) -> Matrix:
    return (_errors(targets, predictions) ** 2).sum(axis=1)  # type: ignore[no-any-return]


def _errors(targets: Targets, predictions: Matrix) -> Matrix:
    """The errors of predictions (..., rows, columns); 0 where a target is not known."""
    if are_class_numbers(targets):
        errors = predictions.copy()
        errors[..., np.arange(len(targets)), targets] -= 1
        return errors
    errors = predictions - targets
    return np.nan_to_num(errors, copy=False) if np.isnan(targets).any() else errors


# Replaces a metric of decisions until there are decisions. Such a metric changes only if some probability crosses a
# threshold, so it is nearly flat and noisy in the weights, and it judges probabilities and threshold together. The
# squared error (Brier score) is a proper score: better probabilities allow better decisions.
SQUARED_ERROR = Metric(
    "squared_error", "squared error", higher_is_better=False, per_row=_squared_error_per_row, class_numbers=True
)


class SquaredError:
    """The squared error of the arithmetic mean, from the table of products of the members' errors.

    The table is small, and adds up over blocks of rows.
    """

    def __init__(self, table: Matrix):
        self.table, self.members = table, len(table)

    def losses(self, counts: Matrix) -> Matrix:
        """For every member, the summed loss after adding it once more."""
        products = self.table @ counts
        sums = counts @ products + 2 * products + np.diag(self.table)
        return sums / (counts.sum() + 1) ** 2  # type: ignore[no-any-return]


def error_table(members: Matrix, targets: Targets) -> Matrix:
    """Sums over rows of the products of every two members' errors, shaped (members, members)."""
    table = np.zeros((len(members), len(members)))
    for begin in range(0, members.shape[1], _CHUNK_ROWS):
        rows = slice(begin, begin + _CHUNK_ROWS)
        errors = _errors(targets[rows], members[:, rows]).astype(np.float32).reshape(len(members), -1)
        # Not `@`: the threads of BLAS wait for each other here, and on busy cores take fifty times as long.
        table += np.einsum("ij,kj->ik", errors, errors)
    return table


class LogLoss:
    """The log loss of the mean, from each member's value for the target class.

    The argument `members` has transformed probabilities (members, rows, classes) in single precision, as the files:
    sums are over thousands of rows, and losses differ in the fifth digit.
    """

    def __init__(self, members: Matrix, targets: Targets, mean: Mean, outputs: Outputs):
        self.members, self.mean = len(members), mean
        multiclass = outputs.only is Activation.SOFTMAX
        # The geometric mean of multiclass rows is normalised over all classes, so all of them are kept.
        self.all_classes = members if multiclass and mean is Mean.GEOMETRIC else None
        if multiclass:
            self.of_target = members[:, np.arange(len(targets)), class_numbers(targets)]
        else:
            positive = targets > 0.5
            complement = -members if mean is Mean.GEOMETRIC else 1 - members
            self.of_target = np.where(positive, members, complement)[:, ~np.isnan(targets)]

    def losses(self, counts: Matrix) -> Matrix:
        """For every member, the mean loss after adding it once more."""
        weights, size = counts.astype(np.float32), np.float32(counts.sum() + 1)
        of_target = weights @ self.of_target
        total = None if self.all_classes is None else np.tensordot(weights, self.all_classes, axes=1)
        losses = []
        for member in range(self.members):
            normalisers = None
            if total is not None and self.all_classes is not None:
                normalisers = _normalisers(total, self.all_classes[member], size)
            losses.append(self._loss((of_target + self.of_target[member]) / size, normalisers))
        return np.array(losses)

    def _loss(self, of_target: Matrix, normalisers: Matrix | None) -> float:
        if self.mean is Mean.ARITHMETIC:
            return float(-np.log(np.maximum(of_target, np.float32(1e-15))).mean(dtype=np.float64))
        if normalisers is None:
            return float(np.log1p(np.exp(-of_target)).mean(dtype=np.float64))
        return float((np.log(normalisers) - of_target).mean(dtype=np.float64))


def _normalisers(total: Matrix, member: Matrix, size: np.float32) -> Matrix:
    """The sum over classes of each row's geometric mean."""
    sums = np.empty(len(total), dtype=total.dtype)
    for rows in blocks(total):
        sums[rows] = row_sums(np.exp((total[rows] + member[rows]) / size))
    return sums


class ByMetric:
    """The metric itself as the objective, if it is neither a log loss nor a score of decisions."""

    def __init__(self, metric: Metric, members: Matrix, targets: Targets, mean: Mean, outputs: Outputs):
        self.metric, self.transformed, self.targets = metric, members, targets
        self.mean, self.outputs, self.members = mean, outputs, len(members)

    def losses(self, counts: Matrix) -> Matrix:
        """For every member, the score after adding it once more; negative if higher is better."""
        total = np.tensordot(counts.astype(np.float32), self.transformed, axes=1)
        averages = ((total + member) / (counts.sum() + 1) for member in self.transformed)
        predictions = (self.mean.inverse_transform(averaged, self.outputs) for averaged in averages)
        return np.array([self.metric.sort_key(self.metric.score(self.targets, values)) for values in predictions])


def hill_climb(objective: Objective, rounds: int = MAX_ROUNDS) -> Matrix:
    """Weights that sum to 1; on the objective's rows never worse than the best single member."""
    counts = np.zeros(objective.members)
    best_loss, best_counts, rounds_without_gain = np.inf, counts, 0
    for _ in range(rounds):
        losses = objective.losses(counts)
        counts = counts.copy()
        counts[losses.argmin()] += 1
        improved = not np.isfinite(best_loss) or losses.min() < best_loss - _MIN_GAIN * abs(best_loss)
        if improved:
            best_loss, best_counts = losses.min(), counts
        rounds_without_gain = 0 if improved else rounds_without_gain + 1
        if rounds_without_gain == _PATIENCE:
            break
    return _normalised(best_counts)


def ensemble_weights(method: EnsembleMethod, members: int, objective: Objective | None = None) -> Matrix:
    """Weights that sum to 1; BEST and GREEDY are fitted on the objective's rows."""
    if method is EnsembleMethod.MEAN:
        return np.full(members, 1 / members)
    if method is EnsembleMethod.LAST:
        return _single_member(members - 1, members)
    if objective is None:
        raise ValueError(f"{method.value} weights need an objective to be fitted on")
    if method is EnsembleMethod.BEST:
        return _single_member(int(objective.losses(np.zeros(members)).argmin()), members)
    return hill_climb(objective)


def _single_member(member: int, members: int) -> Matrix:
    weights = np.zeros(members)
    weights[member] = 1
    return weights


def without_member(weights: Matrix, member: int) -> Matrix | None:
    """The weights of the other members, scaled to sum to 1; None if they are all zero."""
    others = weights.copy()
    others[member] = 0
    return _normalised(others) if others.sum() > 0 else None


def _normalised(counts: Matrix) -> Matrix:
    return counts / counts.sum()  # type: ignore[no-any-return]
