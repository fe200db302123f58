"""The members' weights: the last one, all alike, the best one, or chosen greedily by what they lose together.

Greedy forward selection with replacement: round by round the member that helps the mean most is added
once more, and its weight is how often it was chosen. Adding goes on past a round that does not help,
because each round's step is smaller than the last; the best mean on the way is kept.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric
from runner.prediction.averaging import Mean, blocks, from_mean_space

Matrix = NDArray[Any]

# Weights are multiples of a 24th at the finest: finer ones are beyond what the rows can tell.
ROUNDS = 24
_PATIENCE = 6
_WORTH = 1e-5  # of the loss; a round that gains less is no gain
_CHUNK = 1 << 9


class EnsembleMethod(Enum):
    """How the weights come about; the simplest first."""

    LAST = "last"
    MEAN = "plain mean"
    BEST = "best single"
    GREEDY = "greedy"


class Objective(Protocol):
    """What a mean of members loses on the rows that weights are fitted on; less is better."""

    members: int

    def losses(self, counts: Matrix) -> Matrix:
        """For every member the loss of the mean once that member is in it one more time."""


def _squared_error_of_rows(targets: Matrix, probabilities: Matrix) -> Matrix:
    return ((probabilities - targets) ** 2).sum(axis=1)  # type: ignore[no-any-return]


def _squared_error(targets: Matrix, probabilities: Matrix) -> float:
    return float(_squared_error_of_rows(targets, probabilities).mean())


# It stands in for metrics of decisions until there are decisions. Those take any step only when some image
# crosses a threshold, so they are nearly flat and noisy in the weights, and they judge the probabilities and the
# threshold at once. This is a proper score: the better the probabilities, the better the best decisions from them.
SQUARED_ERROR = Metric(
    "squared_error", "squared error", _squared_error, higher_is_better=False, per_row=_squared_error_of_rows
)


class SquaredError:
    """The squared error of the mean of probabilities, from the members' errors multiplied with each other.

    It needs one small table, which adds up over blocks of rows.
    """

    def __init__(self, table: Matrix):
        self.table, self.members = table, len(table)

    def losses(self, counts: Matrix) -> Matrix:
        """For every member the loss of the mean once that member is in it one more time."""
        crossed = self.table @ counts
        grown = counts @ crossed + 2 * crossed + np.diag(self.table)
        return grown / (counts.sum() + 1) ** 2  # type: ignore[no-any-return]


def error_table(members: Matrix, targets: Matrix) -> Matrix:
    """The sums of products of every two members' errors, shaped (members, members), over these rows."""
    table = np.zeros((len(members), len(members)))
    for begin in range(0, members.shape[1], _CHUNK):
        rows = slice(begin, begin + _CHUNK)
        errors = (members[:, rows] - targets[None, rows]).astype(np.float32).reshape(len(members), -1)
        # Not `@`: the threads of BLAS wait for each other here, and on busy cores take fifty times as long.
        table += np.einsum("ij,kj->ik", errors, errors)
    return table


class LogLoss:
    """The log loss of the mean, from what each member gave to the truth.

    `members` are in their space, shaped (members, rows, columns). In single precision, as the files
    are: the sums are over thousands of rows, and a loss is told apart from another in its fifth digit.
    """

    def __init__(self, members: Matrix, targets: Matrix, space: Mean, multiclass: bool):
        self.members, self.space = len(members), space
        truth = targets > 0.5
        # In the log space of a softmax the mean must be scaled by all the classes, so all are kept.
        self.whole = members if multiclass and space is Mean.GEOMETRIC else None
        if multiclass:
            self.given = members[:, np.arange(len(targets)), truth.argmax(axis=1)]
        else:
            otherwise = -members if space is Mean.GEOMETRIC else 1 - members
            self.given = np.where(truth, members, otherwise).reshape(len(members), -1)

    def losses(self, counts: Matrix) -> Matrix:
        """For every member the loss of the mean once that member is in it one more time."""
        weights, size = counts.astype(np.float32), np.float32(counts.sum() + 1)
        given = weights @ self.given
        whole = None if self.whole is None else np.tensordot(weights, self.whole, axes=1)
        losses = []
        for member in range(self.members):
            sums = None if whole is None or self.whole is None else _sums(whole, self.whole[member], size)
            losses.append(self._loss((given + self.given[member]) / size, sums))
        return np.array(losses)

    def _loss(self, given: Matrix, sums: Matrix | None) -> float:
        if self.space is Mean.ARITHMETIC:
            return float(-np.log(np.maximum(given, np.float32(1e-15))).mean(dtype=np.float64))
        if sums is None:
            return float(np.log1p(np.exp(-given)).mean(dtype=np.float64))
        return float((np.log(sums) - given).mean(dtype=np.float64))


def _sums(whole: Matrix, member: Matrix, size: np.float32) -> Matrix:
    """What the rows of a mean of logs sum to, once they are no logs any more."""
    sums = np.empty(len(whole), dtype=whole.dtype)
    for rows in blocks(whole):
        sums[rows] = np.exp((whole[rows] + member[rows]) / size).sum(axis=1)
    return sums


class ByMetric:
    """The metric itself, for those that are neither a log loss nor a score of decisions."""

    def __init__(self, metric: Metric, members: Matrix, targets: Matrix, space: Mean, multiclass: bool):
        self.metric, self.stack, self.targets = metric, members, targets
        self.space, self.multiclass, self.members = space, multiclass, len(members)

    def losses(self, counts: Matrix) -> Matrix:
        """For every member the loss of the mean once that member is in it one more time."""
        total = np.tensordot(counts.astype(np.float32), self.stack, axes=1)
        sign = -1 if self.metric.higher_is_better else 1
        means = ((total + member) / (counts.sum() + 1) for member in self.stack)
        answers = (from_mean_space(self.space, mean, self.multiclass) for mean in means)
        return sign * np.array([self.metric.score(self.targets, answer) for answer in answers])


def hill_climb(objective: Objective, rounds: int = ROUNDS) -> Matrix:
    """Weights that sum to 1, never worse on the objective's own rows than the best single member."""
    counts = np.zeros(objective.members)
    best, kept, idle = np.inf, counts, 0
    for _ in range(rounds):
        losses = objective.losses(counts)
        counts = counts.copy()
        counts[losses.argmin()] += 1
        improved = not np.isfinite(best) or losses.min() < best - _WORTH * abs(best)
        if improved:
            best, kept = losses.min(), counts
        idle = 0 if improved else idle + 1
        if idle == _PATIENCE:
            break
    return scaled(kept)


def ensemble_weights(how: EnsembleMethod, members: int, objective: Objective | None = None) -> Matrix:
    """The weights, which sum to 1; the best and the greedy ones are fitted on the objective's rows."""
    if how is EnsembleMethod.MEAN:
        return np.full(members, 1 / members)
    if how is EnsembleMethod.LAST:
        return _only(members - 1, members)
    if objective is None:
        raise ValueError(f"{how.value} weights are fitted, and there is nothing to fit them on")
    if how is EnsembleMethod.BEST:
        return _only(int(objective.losses(np.zeros(members)).argmin()), members)
    return hill_climb(objective)


def _only(member: int, members: int) -> Matrix:
    weights = np.zeros(members)
    weights[member] = 1
    return weights


def without_member(weights: Matrix, member: int) -> Matrix | None:
    """The weights of the others, scaled to sum to 1; None where no other has any."""
    others = weights.copy()
    others[member] = 0
    return scaled(others) if others.sum() > 0 else None


def scaled(counts: Matrix) -> Matrix:
    """Weights that sum to 1."""
    return counts / counts.sum()  # type: ignore[no-any-return]
