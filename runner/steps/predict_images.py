"""Predict images that belong to no competition with a run: its networks, its views, its postprocess."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from runner.console import log, progress
from runner.contract import Binary, Labels, Multilabel, Regression, SeveralTargets
from runner.contract.outputs import outputs_of
from runner.errors import DataError, UsageError
from runner.images.readers import layout_of_first
from runner.prediction.loaded_models import LoadedRun, load_run, tabular_values
from runner.prediction.other_images import find_images, read_batches
from runner.prediction.postprocess import Predicted
from runner.session import Session
from runner.training.fold import worker_count
from runner.training.run import Run
from runner.workspace import atomic_path

Matrix = NDArray[Any]
Images = Any  # a path or pattern, an array, a DataFrame, or several paths or arrays
_NAMED = 5  # unreadable images in the message


@dataclass(frozen=True)
class ImagePredictions:
    """Predictions of some images: probabilities or numbers shaped (images, columns), and what is decided from them."""

    numbers: tuple[int, ...]  # of each image among all that were given
    names: tuple[str, ...]
    columns: tuple[str, ...]
    probabilities: Matrix
    decisions: tuple[tuple[str, tuple[str, ...]], ...]  # a column and its texts; none for numbers
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of a table of them."""
        return ("image", *self.columns, *(name for name, _ in self.decisions))

    def rows(self) -> Iterator[list[str]]:
        """The rows of a table of them, as texts."""
        for at, name in enumerate(self.names):
            numbers = (f"{value:.6g}" for value in self.probabilities[at].tolist())
            yield [name, *numbers, *(texts[at] for _, texts in self.decisions)]


@dataclass(frozen=True)
class ImagesResult:
    """How many images were predicted, and which were not."""

    predicted: int
    unreadable: tuple[tuple[str, str], ...]


def predict_images(
    session: Session,
    run: Run,
    images: Iterable[str | Path | Matrix],
    tabular: Callable[[Sequence[int]], Matrix] | None = None,
) -> Iterator[ImagePredictions]:
    """Predictions of files or arrays, some at a time, with the run's own views and postprocess.

    Of a million images no more are in memory than of a thousand. `tabular` gives the values of the competition's
    columns for some of the images, by their numbers.
    """
    tabular_values(0, session.competition, None if tabular is None else np.zeros(0))
    loaded = load_run(session, run)
    index = session.index
    layout = layout_of_first(index.data_dir, index.train["path"].tolist())
    batches = read_batches(
        images, loaded.inputs, session.competition.preset, layout, threads=worker_count(session.compute)
    )
    for batch in batches:
        if not batch.numbers:
            yield ImagePredictions(
                (), (), column_names(loaded), np.zeros((0, len(loaded.classes))), (), batch.unreadable
            )
            continue
        values = None if tabular is None else tabular(batch.numbers)
        predicted = loaded.predict(batch.images, tabular_values(len(batch.numbers), session.competition, values))
        yield ImagePredictions(
            batch.numbers,
            batch.names,
            column_names(loaded),
            predicted.values if isinstance(session.competition.labels, Regression) else predicted.probabilities,
            tuple(decisions(session.competition.labels, loaded.classes, predicted)),
            batch.unreadable,
        )


def predict_any(session: Session, run: Run, images: Images) -> Iterator[ImagePredictions]:
    """Predictions of a folder, a pattern, one image or several, or of the rows of a DataFrame."""
    import pandas as pd

    if isinstance(images, pd.DataFrame):
        return _predict_table(session, run, images)
    if isinstance(images, str | Path):
        return predict_images(session, run, find_images(images))
    if isinstance(images, np.ndarray):
        return predict_images(session, run, images if images.ndim == 4 else [images])
    return predict_images(session, run, [images] if hasattr(images, "convert") else images)  # an image of Pillow's


def _predict_table(session: Session, run: Run, table: Any) -> Iterator[ImagePredictions]:
    """Predictions of the rows of a DataFrame: a path each, and the values that the networks also read."""
    tabular = session.competition.tabular
    missing = [name for name in ("path", *tabular) if name not in table.columns]
    if missing:
        raise UsageError(
            f"the DataFrame has no column {', '.join(missing)}",
            fix=f"columns of images and of what the networks also read: {', '.join(('path', *tabular))}",
        )
    values = table[list(tabular)].to_numpy(dtype=np.float32) if tabular else None
    paths = table["path"].tolist()
    return predict_images(session, run, paths, None if values is None else lambda rows: values[list(rows)])


def column_names(loaded: LoadedRun) -> tuple[str, ...]:
    """The classes; of one yes or no, and of one number, the label's name."""
    labels = loaded.competition.labels
    return (labels.label,) if isinstance(labels, Binary) and not labels.columns else loaded.classes


def decisions(labels: Labels, classes: Sequence[str], predicted: Predicted) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is decided of each image, by column: a class, tags with blanks between them, or 0 and 1."""
    values = predicted.values
    if isinstance(labels, Regression):
        return
    if isinstance(labels, SeveralTargets):
        slices = [columns for _, columns in outputs_of(labels, len(classes)).slices]
        for target, columns in zip(labels.targets, slices, strict=True):
            chosen = values[:, columns].argmax(axis=1)
            yield f"prediction {target.label}", tuple((target.classes or ())[number] for number in chosen.tolist())
    elif isinstance(labels, Multilabel) or (isinstance(labels, Binary) and labels.columns):
        separator = labels.separator if isinstance(labels, Multilabel) else " "
        tags = (
            separator.join(name for name, is_one in zip(classes, row, strict=True) if is_one) for row in values > 0.5
        )
        yield "prediction", tuple(tags)
    elif isinstance(labels, Binary):
        yield "prediction", tuple(str(int(value >= 0.5)) for value in values[:, 0].tolist())
    else:
        yield "prediction", tuple(classes[number] for number in values.argmax(axis=1).tolist())


def write_image_predictions(session: Session, run: Run, where: str | Path, out: Path | None) -> ImagesResult:
    """Predict every image of a folder or pattern into a CSV file, or to stdout; unreadable ones are named and skipped.

    The file has its name when it is complete. A DataError if no image could be read.
    """
    total = sum(1 for _ in find_images(where))
    with nullcontext(None) if out is None else atomic_path(out) as part:
        file: IO[str] = sys.stdout if part is None else part.open("w", encoding="utf-8", newline="")
        try:
            result = _write(predict_images(session, run, find_images(where)), file, total)
        finally:
            if part is not None:
                file.close()
        if not result.predicted:
            raise DataError(
                f"none of {total:,} images can be read; {result.unreadable[0][0]}: {result.unreadable[0][1]}",
                where=str(where),
                fix="name a folder of images such as the competition's",
            )
    _warn_of_unreadable(result.unreadable)
    return result


def _write(predictions: Iterable[ImagePredictions], file: IO[str], total: int) -> ImagesResult:
    writer, unreadable, count = csv.writer(file, lineterminator="\n"), list[tuple[str, str]](), 0
    with progress("predicting images", total) as advance:
        for some in predictions:
            if count == 0 and some.names:
                writer.writerow(some.header)
            writer.writerows(some.rows())
            count += len(some.names)
            unreadable += some.unreadable
            advance(len(some.names) + len(some.unreadable))
    return ImagesResult(count, tuple(unreadable))


def _warn_of_unreadable(unreadable: Sequence[tuple[str, str]]) -> None:
    if unreadable:
        named = "".join(f"\n  {name}: {reason}" for name, reason in unreadable[:_NAMED])
        more = f"\n  and {len(unreadable) - _NAMED:,} more" if len(unreadable) > _NAMED else ""
        log.warning(f"{len(unreadable):,} images cannot be read and are left out:{named}{more}")
