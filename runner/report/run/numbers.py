"""How far predicted numbers are from the actual ones, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from runner.report.run.data import OofPredictions


@dataclass(frozen=True)
class NumberScore:
    """One predicted number: its errors over the rows where it is known. R² is None if it is the same everywhere."""

    name: str
    rows: int
    mean: float
    rmse: float
    mae: float
    bias: float  # mean of predicted minus actual
    r2: float | None


def number_scores(oof: OofPredictions) -> list[NumberScore]:
    """The errors of every number, the lowest R² first; numbers without a row are left out."""
    scores = [
        _score(name, oof.targets[:, column], oof.values[:, column])
        for column, name in enumerate(oof.classes)
        if np.isfinite(oof.targets[:, column]).any()
    ]
    return sorted(scores, key=lambda score: (score.r2 is None, score.r2))


def _score(name: str, targets: np.ndarray, predictions: np.ndarray) -> NumberScore:
    known = np.isfinite(targets)
    actual, errors = targets[known].astype(float), (predictions - targets)[known].astype(float)
    variance = float(actual.var())
    return NumberScore(
        name,
        int(known.sum()),
        float(actual.mean()),
        float(np.sqrt((errors**2).mean())),
        float(np.abs(errors).mean()),
        float(errors.mean()),
        1 - float((errors**2).mean()) / variance if variance > 0 else None,
    )
