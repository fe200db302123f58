"""Prediction files: ids, classes and the probabilities of every view, so that no later step needs the network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.commands import command
from runner.contract import Outputs
from runner.errors import RunnerError
from runner.prediction.arrays import Arrays, open_arrays, write_arrays
from runner.prediction.averaging import Matrix, TTAMode, average

_PLAIN = ("plain",)


@dataclass(frozen=True)
class Predictions:
    """Probabilities shaped (rows, classes), with their ids and classes."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Matrix


@dataclass(frozen=True)
class ViewPredictions:
    """One model's predictions for some rows in every view: probabilities shaped (rows, views, classes).

    `view_ids` identify the views by all their settings, `weights_digest` the model and `images_digest` the images, to
    notice stale predictions.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    views: tuple[str, ...]
    view_ids: tuple[str, ...]
    probabilities: Matrix
    weights_digest: str = ""
    images_digest: str = ""

    def take(self, views: Sequence[str]) -> Matrix:
        """The probabilities of these views, in this order."""
        return self.probabilities[:, [self.views.index(view) for view in views]]


def predictions_file(folder: Path, name: str, subset: str) -> Path:
    """The file of a model's predictions for a subset (valid or test), in a fold's folder."""
    return folder / f"{name}.{subset}.npz"


def predict_command(run_dir: Path) -> str:
    """The command that predicts a run; its folder is RUNS/COMPETITION/RUN."""
    return command(run_dir.parent.name, "predict", "--run", run_dir.name)


def predicted_names(folder: Path) -> tuple[str, ...]:
    """The models with predictions for both validation and test rows in a fold's folder; the last snapshot last."""
    names = [path.name.removesuffix(".valid.npz") for path in folder.glob("*.valid.npz")]
    return tuple(
        sorted((name for name in names if predictions_file(folder, name, "test").exists()), key=_training_order)
    )


def _training_order(name: str) -> tuple[bool, int, str]:
    # Models that are no snapshots come first, so that the last member is the last snapshot.
    kind, _, number = name.partition("-")
    is_snapshot = kind == "snapshot" and number.isdecimal()
    return is_snapshot, int(number) if is_snapshot else 0, name


def write_view_predictions(path: Path, predictions: ViewPredictions) -> None:
    """Write one .npz without pickles; in single precision, whose seven digits no score depends on."""
    arrays = {
        "ids": np.array(predictions.ids, dtype=np.str_),
        "classes": np.array(predictions.classes, dtype=np.str_),
        "views": np.array(predictions.views, dtype=np.str_),
        "view_ids": np.array(predictions.view_ids, dtype=np.str_),
        "weights_digest": np.array(predictions.weights_digest, dtype=np.str_),
        "images_digest": np.array(predictions.images_digest, dtype=np.str_),
        "probabilities": predictions.probabilities.astype(np.float32, copy=False),
    }
    write_arrays(path, arrays)


def read_view_predictions(path: Path) -> ViewPredictions:
    """The predictions in a file; a DamagedFileError if they are not those that were written, or hold NaN."""
    with _open(path) as arrays:
        predictions = ViewPredictions(
            arrays.strings("ids"),
            arrays.strings("classes"),
            arrays.strings("views"),
            arrays.strings("view_ids"),
            arrays.read("probabilities", kind="f", dimensions=3),
            str(arrays.read("weights_digest", kind="U", dimensions=0)),
            str(arrays.read("images_digest", kind="U", dimensions=0)) if "images_digest" in arrays else "",
        )
        shape = len(predictions.ids), len(predictions.views), len(predictions.classes)
        if predictions.probabilities.shape != shape or len(predictions.view_ids) != len(predictions.views):
            raise ValueError(f"probabilities are shaped {predictions.probabilities.shape}, not {shape}")
        return predictions


def read_ids(path: Path) -> tuple[str, ...]:
    """The ids in a prediction file."""
    with _open(path) as arrays:
        return arrays.strings("ids")


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes in a prediction file."""
    with _open(path) as arrays:
        return arrays.strings("classes")


def read_weights_digest(path: Path) -> str:
    """The digest of the weights that a file was predicted with; empty if it is not known."""
    with _open(path) as arrays:
        return str(arrays.read("weights_digest", kind="U", dimensions=0))


def read_common_views(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of the views in all these files, in the order of the first file: the plain one leads."""
    first, *others = (_read_view_names(path) for path in paths)
    return tuple(name for name in first if all(name in names for names in others))


def _read_view_names(path: Path) -> tuple[str, ...]:
    with _open(path) as arrays:
        return arrays.strings("views")


def _open(path: Path) -> AbstractContextManager[Arrays]:
    fix = f"delete the file, then: `{predict_command(path.parent.parent)}`"
    return open_arrays(path, what="the file of predictions", fix=fix)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions of the plain view."""
    probabilities = predictions.probabilities[:, None]
    write_view_predictions(path, ViewPredictions(predictions.ids, predictions.classes, _PLAIN, _PLAIN, probabilities))


def read_predictions(path: Path) -> Predictions:
    """The predictions of the plain view in a file."""
    predictions = read_view_predictions(path)
    return Predictions(predictions.ids, predictions.classes, predictions.take(_PLAIN)[:, 0].astype(np.float64))


def averaged_views(
    predictions: ViewPredictions, rows: NDArray[np.int64], views: Sequence[str], tta: TTAMode, outputs: Outputs
) -> Matrix:
    """The predictions of these rows in double precision, with these views averaged as the TTA mode has it."""
    columns = [predictions.views.index(view) for view in tta.select_views(views)]
    every = len(rows) == len(predictions.ids) and np.array_equal(rows, np.arange(len(rows)))
    selected = (predictions.probabilities if every else predictions.probabilities[rows])[:, columns]
    if len(columns) == 1:
        return selected[:, 0].astype(np.float64)
    return average(tta.mean, ((1.0, selected[:, view]) for view in range(len(columns))), outputs)


class StoredRows:
    """The predictions in a file, of which some rows at a time are read."""

    def __init__(self, path: Path, views: Sequence[str], tta: TTAMode, outputs: Outputs):
        self.path, self._views, self._tta, self._outputs = path, views, tta, outputs
        self._predictions = read_view_predictions(path)
        self._next = 0  # the row after those that were read last

    @property
    def ids(self) -> tuple[str, ...]:
        return self._predictions.ids

    @property
    def classes(self) -> tuple[str, ...]:
        return self._predictions.classes

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return dict(zip(self.ids, range(len(self.ids)), strict=True))

    def read(self, ids: Sequence[str]) -> Predictions:
        """The predictions of those of these ids that the file has."""
        present, begin = tuple(ids), self._next
        self._next = begin + len(present)
        # Test rows are asked for as they are stored, some at a time: none of a million needs to be looked up.
        if self.ids[begin : self._next] == present:
            return Predictions(present, self.classes, self.read_rows(np.arange(begin, self._next)))
        present = tuple([name for name in present if name in self._row_of])
        rows = np.array([self._row_of[name] for name in present], dtype=np.int64)
        return Predictions(present, self.classes, self.read_rows(rows))

    def read_rows(self, rows: NDArray[np.int64]) -> Matrix:
        """The predictions in these rows of the file."""
        return averaged_views(self._predictions, rows, self._views, self._tta, self._outputs)


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """The mean over all predictions of each id, ids in order of appearance."""
    classes = predictions[0].classes
    ids = tuple(dict.fromkeys(name for item in predictions for name in item.ids))
    row_of = {name: row for row, name in enumerate(ids)}
    total = np.zeros((len(ids), len(classes)))
    count = np.zeros((len(ids), 1))
    for item in predictions:
        rows = [row_of[name] for name in item.ids]
        total[rows] += in_order(item.probabilities, item.classes, classes)
        count[rows] += 1
    return Predictions(ids, classes, total / count)


def align(predictions: Predictions, ids: Sequence[str], classes: Sequence[str], *, path: Path | None = None) -> Matrix:
    """The probabilities of these ids and classes, in this order; a RunnerError names `path` if some are missing."""
    if predictions.ids == tuple(ids) and predictions.classes == tuple(classes):
        return predictions.probabilities
    if set(predictions.classes) != set(classes):
        raise RunnerError(
            f"predictions of {len(predictions.classes)} classes cannot be averaged with those of {len(classes)} others",
            where=path,
            fix="leave one of the two runs out of the ensemble",
        )
    row_of = {name: row for row, name in enumerate(predictions.ids)}
    missing = [name for name in ids if name not in row_of]
    if missing:
        raise RunnerError(
            f"{len(missing)} rows have no prediction: {', '.join(missing[:3])}",
            where=path,
            fix=None if path is None else predict_command(path.parent.parent),
        )
    probabilities = predictions.probabilities
    if predictions.ids != tuple(ids):
        probabilities = probabilities[[row_of[name] for name in ids]]
    return in_order(probabilities, predictions.classes, classes)


def in_order(probabilities: Matrix, stored: Sequence[str], classes: Sequence[str]) -> Matrix:
    """Probabilities of the stored classes with the columns of these classes."""
    if tuple(stored) == tuple(classes):
        return probabilities
    column_of = {name: column for column, name in enumerate(stored)}
    return probabilities[:, [column_of[name] for name in classes]]
