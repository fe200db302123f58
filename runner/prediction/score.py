"""Scores on validation rows with a bootstrap standard error, and gains between two predictions of the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric
from runner.prediction.averaging import Matrix

_SCORE_RESAMPLES = 200
_GAIN_RESAMPLES = 60  # there are many gains, and each is only compared with its error


@dataclass(frozen=True)
class Score:
    """A metric on validation rows, with its standard error by bootstrap."""

    metric: str
    value: float
    error: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.5f} ± {self.error:.5f}"

    def __repr__(self) -> str:
        return f"<{self.metric} {self}, {self.rows:,} rows>"


def group_codes(groups: Sequence[str]) -> NDArray[np.int64]:
    """A number for each row's group, from 0 in order of appearance; a row without a group ("") is its own."""
    if len(set(groups)) == len(groups):
        return np.arange(len(groups))
    code_of: dict[str | int, int] = {}
    codes = [code_of.setdefault(group or row, len(code_of)) for row, group in enumerate(groups)]
    return np.array(codes, dtype=np.int64)


def score_rows(
    metric: Metric, targets: Matrix, predictions: Matrix, seed: int = 0, *, codes: NDArray[np.int64] | None = None
) -> Score:
    """The score of these rows, resampled with a fixed seed. Rows with one group code are drawn together."""
    value = metric.score(targets, predictions)
    if metric.per_row is not None:
        row_scores = metric.row_scores(targets, predictions)
        return replace(score_from_row_values(metric, row_scores, seed, codes=codes), value=value)
    codes = np.arange(len(targets)) if codes is None else codes
    scores = _bootstrap_scores(metric, targets, (predictions,), codes, _generator(seed), _SCORE_RESAMPLES)
    return Score(metric.key, value, _standard_deviation(scores[0]), len(targets))


def score_from_row_values(
    metric: Metric, row_scores: Matrix, seed: int = 0, *, codes: NDArray[np.int64] | None = None
) -> Score:
    """The score whose value is the mean of these values per row."""
    codes = np.arange(len(row_scores)) if codes is None else codes
    error = _error_of_mean(row_scores, codes, _generator(seed))
    return Score(metric.key, float(row_scores.mean()), error, len(row_scores))


@dataclass(frozen=True)
class Gain:
    """How much better one prediction scores than another (above 0), and the standard error of that difference."""

    value: float
    error: float

    @property
    def exceeds_standard_error(self) -> bool:
        """Whether the gain is larger than its own standard error.

        A one-sided test at one standard error: one change in six without effect passes, and one in six that gains
        two standard errors is missed. The next change is compared with this one applied, and the final score
        is on rows that were not used for any of these choices.
        """
        # The difference of equal scores after rounding is no gain, however small its error.
        return self.value > max(self.error, 1e-9)


def paired_gain(metric: Metric, simple: Matrix, better: Matrix, codes: NDArray[np.int64]) -> Gain:
    """The gain from the values per row of both predictions: the mean of their differences, clustered by group."""
    gains = (better - simple) * (1 if metric.higher_is_better else -1)
    deviations = np.bincount(codes, weights=gains - gains.mean())
    return Gain(float(gains.mean()), float(np.sqrt((deviations**2).sum()) / len(gains)))


def bootstrap_gain(metric: Metric, targets: Matrix, simple: Matrix, better: Matrix, codes: NDArray[np.int64]) -> Gain:
    """The gain of a score that is no mean over rows: both predictions are scored on the same resamples."""
    scores = _bootstrap_scores(metric, targets, (simple, better), codes, _generator(0), _GAIN_RESAMPLES)
    gain = metric.gain(metric.score(targets, better), metric.score(targets, simple))
    return Gain(gain, _standard_deviation(scores[1] - scores[0]))


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _error_of_mean(row_scores: Matrix, codes: NDArray[np.int64], generator: np.random.Generator) -> float:
    """The standard deviation of the mean over resampled groups, from each group's sum and size alone."""
    sums, sizes = np.bincount(codes, weights=row_scores), np.bincount(codes).astype(float)
    single_rows = bool((sizes == 1).all())  # then every resample has the same number of rows
    means, values = [], np.empty(len(sums))
    for _ in range(_SCORE_RESAMPLES):
        drawn = generator.integers(0, len(sums), len(sums))
        # Into one array, and without a look at the numbers first: of a million rows `sums[drawn]` takes thrice as long.
        total = np.take(sums, drawn, out=values, mode="clip").sum()
        rows = len(sizes) if single_rows else np.take(sizes, drawn, out=values, mode="clip").sum()
        means.append(total / rows)
    return float(np.std(means))


def _bootstrap_scores(
    metric: Metric,
    targets: Matrix,
    predictions: Sequence[Matrix],
    codes: NDArray[np.int64],
    generator: np.random.Generator,
    resamples: int,
) -> Matrix:
    """Scores shaped (predictions, resamples), all predictions on the same resampled groups."""
    groups = int(codes.max()) + 1
    scorers = [metric.resampler(targets, values) for values in predictions]
    scores = np.empty((len(predictions), resamples))
    for resample in range(resamples):
        drawn = np.bincount(generator.integers(0, groups, groups), minlength=groups)[codes].astype(float)
        scores[:, resample] = [score(drawn) for score in scorers]
    return scores


def _standard_deviation(scores: Matrix) -> float:
    # A resample with one class only has no ROC AUC (nan): it is left out.
    finite = scores[np.isfinite(scores)]
    return float(finite.std()) if len(finite) else float("nan")
