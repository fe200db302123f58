"""Predictions as files: ids, classes and probabilities, so that nothing after them needs the network again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.workspace import atomic_path


@dataclass(frozen=True)
class Predictions:
    """Probabilities shaped (rows, classes), and the ids and classes that they belong to."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: NDArray[Any]


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write one .npz without pickles; single precision holds seven digits, and scores move by none of them."""
    with atomic_path(path) as part:
        np.savez(
            part,
            ids=np.array(predictions.ids, dtype=np.str_),
            classes=np.array(predictions.classes, dtype=np.str_),
            probabilities=predictions.probabilities.astype(np.float32),
        )


def read_predictions(path: Path) -> Predictions:
    """The predictions in one file."""
    with np.load(path, allow_pickle=False) as file:
        return Predictions(
            tuple(file["ids"].tolist()),
            tuple(file["classes"].tolist()),
            file["probabilities"].astype(np.float64),
        )


def mean_predictions(parts: list[Predictions]) -> Predictions:
    """One average over everything that shares an id, in the order in which the ids first come."""
    ids = tuple(dict.fromkeys(name for part in parts for name in part.ids))
    place = {name: row for row, name in enumerate(ids)}
    total = np.zeros((len(ids), len(parts[0].classes)))
    count = np.zeros((len(ids), 1))
    for part in parts:
        rows = [place[name] for name in part.ids]
        columns = [part.classes.index(name) for name in parts[0].classes]
        total[rows] += part.probabilities[:, columns]
        count[rows] += 1
    return Predictions(ids, parts[0].classes, total / count)
