"""The held-out score of a run, and how far chance alone could move it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric

_RESAMPLES = 200


@dataclass(frozen=True)
class Score:
    """A metric on held-out rows, with its standard error by bootstrap."""

    metric: str
    value: float
    error: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.5f} ± {self.error:.5f}"


def score_rows(metric: Metric, targets: NDArray[Any], predicted: NDArray[Any], seed: int = 0) -> Score:
    """The score of these rows. Resampled with a fixed seed: a stranger gets the same error."""
    return Score(metric.key, metric.score(targets, predicted), _error(metric, targets, predicted, seed), len(targets))


def _error(metric: Metric, targets: NDArray[Any], predicted: NDArray[Any], seed: int) -> float:
    draws = np.random.Generator(np.random.PCG64(seed))
    scores: Sequence[float] = [
        metric.score(targets[rows], predicted[rows])
        for rows in (draws.integers(0, len(targets), len(targets)) for _ in range(_RESAMPLES))
    ]
    return float(np.std(scores))
