"""Grids of images: labelled ones, the views and augmentations of one, the worst predictions of a run."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.data.index import Index
from runner.errors import UsageError
from runner.images.augment import build_augmentation
from runner.images.layout import layout_of
from runner.images.views import MultiView, choose_views
from runner.report.page.figures import ReportFigure, new_figure, plain_label, style
from runner.report.page.samples import Samples
from runner.report.run.data import OofPredictions
from runner.report.run.examples import caption
from runner.session import Session

_SIDE = 160  # pixels of an image in a grid
_WIDTH = 9.7  # inches of a grid, at most
_SMALL, _LARGE = 1.6, 2.3  # inches of an image; the larger for long captions
_LETTERS = 15  # of a line of a caption, in an inch

Pixels = NDArray[Any]


def labelled_images(session: Session, count: int, label: str | None, seed: int) -> ReportFigure:
    """Labelled images drawn at random, of one label if it is named."""
    table = session.index.train
    rows = np.flatnonzero((table["label"] == label).to_numpy()) if label is not None else np.arange(len(table))
    if not len(rows):
        known = ", ".join(map(str, session.index.classes[:20]))
        raise UsageError(f"no image has the label {label!r}", fix=f"one of: {known}")
    rows = np.random.default_rng(seed).permutation(rows)[:count]
    samples = _samples(session.index)
    ids, labels = table["id"].tolist(), table["label"].tolist()
    places = _places(session.index)
    images = [samples.encode(samples.read_whole(places[ids[row]])) for row in rows]
    return _grid("images", "Labelled images", images, [str(labels[row]) for row in rows])


def views_of(session: Session, tta: str, image: str | None, size: int) -> ReportFigure:
    """The test-time views of an image, by name."""
    samples, row = _sample_of(session, image)
    views = choose_views(session.competition.preset, tta)
    squares = MultiView(session.competition.preset, views, size)(samples.read_whole(row))
    images = [samples.encode(square) for square in squares]
    return _grid("views", f"Views by tta={tta!r}", images, [view.name for view in views])


def augmentations_of(session: Session, count: int, image: str | None, size: int) -> ReportFigure:
    """An image as training sees it, differently in each epoch."""
    samples, row = _sample_of(session, image)
    pixels = samples.read_whole(row)
    augment = build_augmentation(session.competition.preset, size, is_rgb=layout_of(pixels).is_rgb)
    images = [samples.encode(augment(pixels, seed)) for seed in range(count)]
    return _grid("augmented", "Augmentations of one image", images, [f"epoch {number + 1}" for number in range(count)])


def worst_rows(session: Session, oof: OofPredictions, count: int) -> ReportFigure:
    """The validation images with the highest losses, with their actual and predicted labels."""
    samples, places = _samples(session.index), _places(session.index)
    order = np.argsort(-oof.losses, kind="stable")
    rows = [int(row) for row in order if np.isfinite(oof.losses[row]) and oof.ids[row] in places][:count]
    images = [samples.encode(samples.read_whole(places[oof.ids[row]])) for row in rows]
    captions = ["\n".join([*caption(oof, row), f"loss {oof.losses[row]:.2f}"]) for row in rows]
    return _grid("top-losses", f"The {len(rows)} highest losses", images, captions)


def _sample_of(session: Session, image: str | None) -> tuple[Samples, int]:
    """The row of an image in the table, by its id; without one, the first labelled image."""
    places = _places(session.index)
    name = str(session.index.train["id"].iloc[0]) if image is None else str(image)
    if name not in places:
        raise UsageError(f"no labelled image has the id {name!r}", fix="session.index.train['id'] lists them")
    return _samples(session.index), places[name]


def _places(index: Index) -> dict[str, int]:
    """The row of each labelled id in the table of all images."""
    labelled = (index.table["subset"] != "test").to_numpy()
    return {name: row for row, name in enumerate(index.table["id"].tolist()) if labelled[row]}


def _samples(index: Index) -> Samples:
    return Samples(index, Path("page.html"), _SIDE)


def _grid(name: str, title: str, images: Sequence[bytes], captions: Sequence[str]) -> ReportFigure:
    decoded = [np.asarray(Image.open(io.BytesIO(image))) for image in images]
    widest = max((image.shape[1] / image.shape[0] for image in decoded), default=1.0)
    lines = max((1 + text.count("\n") for text in captions), default=1)
    longest = max((len(line) for text in captions for line in text.split("\n")), default=0)
    inches = _SMALL if longest <= _LETTERS * _SMALL * max(1.0, widest) else _LARGE
    columns = max(1, min(len(decoded), int(_WIDTH / (inches * max(1.0, widest)))))
    rows = max(1, math.ceil(len(decoded) / columns))
    with style():
        width, height = columns * inches * max(1.0, widest), rows * (inches + 0.14 * lines + 0.12)
        figure = new_figure(width, height)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for each in axes:
            each.set_axis_off()
            each.set_anchor("S")  # the room that is left is above, where captions are
        for each, image, text in zip(axes, decoded, captions, strict=False):
            each.imshow(image, cmap="gray" if image.ndim == 2 else None)
            short = [plain_label(line, int(_LETTERS * inches * max(1.0, widest))) for line in text.split("\n")]
            each.set_title("\n".join(short), fontsize=8)
    return ReportFigure(name, title, f"{title}: {'; '.join(captions)[:500]}", figure)
