"""A score on held-out rows, how far chance alone could move it, and whether a change beats another beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric

Matrix = NDArray[Any]

_RESAMPLES = 200
_RESAMPLES_OF_A_GAIN = 60  # there are many gains, and each is only held against its error


@dataclass(frozen=True)
class Score:
    """A metric on held-out rows, with its standard error by bootstrap."""

    metric: str
    value: float
    error: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.5f} ± {self.error:.5f}"


def group_codes(groups: Sequence[str]) -> NDArray[np.int64]:
    """The number of each row's unit: its group, or itself where it has none. Units are kept whole."""
    if len(set(groups)) == len(groups):
        return np.arange(len(groups))  # all of them alone
    number: dict[str, int] = {}
    units, free = [], 0
    for group in groups:
        unit = number.setdefault(group, free) if group else free
        free += unit == free
        units.append(unit)
    return np.array(units, dtype=np.int64)


def score_rows(
    metric: Metric, targets: Matrix, predicted: Matrix, seed: int = 0, *, groups: Sequence[str] | None = None
) -> Score:
    """The score of these rows. Resampled with a fixed seed: a stranger gets the same error.

    Rows of one group are drawn together: they resemble each other, and count for less than as many strangers.
    """
    value = metric.score(targets, predicted)
    if metric.per_row is not None:
        parts = np.asarray(metric.per_row(np.asarray(targets, dtype=float), np.asarray(predicted, dtype=float)))
        return replace(score_per_row(metric, parts, seed, groups=groups), value=value)
    units = np.arange(len(targets)) if groups is None else group_codes(groups)
    scores = _resampled(metric, targets, (predicted,), units, np.random.Generator(np.random.PCG64(seed)))
    return Score(metric.key, value, _spread(scores[0]), len(targets))


def score_per_row(metric: Metric, parts: Matrix, seed: int = 0, *, groups: Sequence[str] | None = None) -> Score:
    """The score whose rows' parts these are."""
    units = np.arange(len(parts)) if groups is None else group_codes(groups)
    error = _error_of_mean(parts, units, np.random.Generator(np.random.PCG64(seed)))
    return Score(metric.key, float(parts.mean()), error, len(parts))


@dataclass(frozen=True)
class Gain:
    """How much better one answer to the same rows is than another (above 0), and the standard error of that."""

    value: float
    error: float

    @property
    def exceeds_standard_error(self) -> bool:
        """Whether the gain is larger than its own standard error.

        A change that does nothing passes one time in six and then does no harm, since it does nothing;
        one that truly gains two standard errors is missed one time in six. The next change is judged
        on top of it, and the score in the end on rows that had no part in any of this.
        """
        # What is left of equal scores after rounding is no gain, however small its error.
        return self.value > max(self.error, 1e-9)


def paired_gain(metric: Metric, simple: Matrix, better: Matrix, units: NDArray[np.int64]) -> Gain:
    """The gain where each row's part of both scores is known: of the differences, row by row."""
    gains = (better - simple) * (1 if metric.higher_is_better else -1)
    away = np.bincount(units, weights=gains - gains.mean())
    return Gain(float(gains.mean()), float(np.sqrt((away**2).sum()) / len(gains)))


def bootstrap_gain(metric: Metric, targets: Matrix, simple: Matrix, better: Matrix, units: NDArray[np.int64]) -> Gain:
    """The gain where a score is not a mean of rows: both are scored on the same resamples."""
    draws = np.random.Generator(np.random.PCG64(0))
    one, other = _resampled(metric, targets, (simple, better), units, draws, _RESAMPLES_OF_A_GAIN)
    sign = 1 if metric.higher_is_better else -1
    gain = metric.score(targets, better) - metric.score(targets, simple)
    return Gain(sign * gain, _spread(other - one))


def _error_of_mean(parts: Matrix, units: NDArray[np.int64], draws: np.random.Generator) -> float:
    """The spread of the mean over resampled units, from each unit's sum and size alone."""
    sums, sizes = np.bincount(units, weights=parts), np.bincount(units).astype(float)
    even = bool((sizes == 1).all())  # then every resample has as many rows as there are
    means = [
        sums[chosen].sum() / (len(sizes) if even else sizes[chosen].sum())
        for chosen in (draws.integers(0, len(sums), len(sums)) for _ in range(_RESAMPLES))
    ]
    return float(np.std(means))


def _resampled(
    metric: Metric,
    targets: Matrix,
    answers: Sequence[Matrix],
    units: NDArray[np.int64],
    draws: np.random.Generator,
    times: int = _RESAMPLES,
) -> Matrix:
    """The scores (answers, times) of several answers on the same resampled units."""
    in_order = np.argsort(units, kind="stable")
    rows_of_unit = np.split(in_order, np.cumsum(np.bincount(units))[:-1])
    scores = np.empty((len(answers), times))
    for number in range(times):
        chosen = draws.integers(0, len(rows_of_unit), len(rows_of_unit))
        rows = np.concatenate([rows_of_unit[unit] for unit in chosen])
        scores[:, number] = [metric.score(targets[rows], answer[rows]) for answer in answers]
    return scores


def _spread(scores: Matrix) -> float:
    # A resample may hold one class only, on which some scores are not defined: it is left out.
    known = scores[np.isfinite(scores)]
    return float(known.std()) if len(known) else float("nan")
