"""Predictions as files: ids, classes and probabilities through every view, so that nothing after needs the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.errors import RunnerError
from runner.prediction.averaging import TTAMode, average
from runner.workspace import atomic_path

Matrix = NDArray[Any]

_PLAIN = ("plain",)


@dataclass(frozen=True)
class Predictions:
    """Probabilities shaped (rows, classes), and the ids and classes that they belong to."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Matrix


@dataclass(frozen=True)
class ViewPredictions:
    """What one network says of some rows through each view: probabilities shaped (rows, views, classes).

    `keys` tell the views apart by all that they are, and `weights` the network, so that what is stale is known.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    probabilities: Matrix
    weights: str = ""

    def take(self, names: Sequence[str]) -> Matrix:
        """The views of these names, in this order."""
        return self.probabilities[:, [self.names.index(name) for name in names]]


def path_of(folder: Path, name: str, part: str) -> Path:
    """Where a fold keeps what a snapshot says of a part."""
    return folder / f"{name}.{part}.npz"


def write_view_predictions(path: Path, said: ViewPredictions) -> None:
    """Write one .npz without pickles; single precision holds seven digits, and scores move by none of them."""
    with atomic_path(path) as part:
        np.savez(
            part,
            ids=np.array(said.ids, dtype=np.str_),
            classes=np.array(said.classes, dtype=np.str_),
            views=np.array(said.names, dtype=np.str_),
            keys=np.array(said.keys, dtype=np.str_),
            weights=np.array(said.weights, dtype=np.str_),
            probabilities=said.probabilities.astype(np.float32),
        )


def read_view_predictions(path: Path) -> ViewPredictions:
    """Everything in one file."""
    with _opened(path) as file:
        return ViewPredictions(
            tuple(file["ids"].tolist()),
            tuple(file["classes"].tolist()),
            tuple(file["views"].tolist()),
            tuple(file["keys"].tolist()),
            file["probabilities"],
            str(file["weights"]),
        )


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids alone."""
    with _opened(path) as file:
        return tuple(file["ids"].tolist())


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes alone."""
    with _opened(path) as file:
        return tuple(file["classes"].tolist())


def read_view_names(path: Path) -> tuple[str, ...]:
    """The names of the views alone."""
    with _opened(path) as file:
        return tuple(file["views"].tolist())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The arrays in a file; one that is not whole is named."""
    try:
        # Opened here: where the zip is broken, numpy would leave its own handle open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except Exception as error:  # a cut zip fails in whatever way its cut allows
        raise RunnerError(
            f"these predictions cannot be read: {error}",
            where=path,
            fix="delete the file, then: runner COMPETITION predict --run NAME",
        ) from error


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions through the plain view alone."""
    through = predictions.probabilities[:, None]
    write_view_predictions(path, ViewPredictions(predictions.ids, predictions.classes, _PLAIN, _PLAIN, through))


def read_predictions(
    path: Path, views: Sequence[str] = _PLAIN, look: TTAMode = TTAMode.NONE, *, multiclass: bool = True
) -> Predictions:
    """The predictions in one file, with its views made one as `look` says."""
    said = read_view_predictions(path)
    through = said.take(look.views(views))
    if through.shape[1] == 1:
        return Predictions(said.ids, said.classes, through[:, 0].astype(np.float64))
    each = ((1.0, through[:, view]) for view in range(through.shape[1]))
    return Predictions(said.ids, said.classes, average(look.space, each, multiclass))


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
