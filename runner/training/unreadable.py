"""Images that cannot be read: told when the data arrives, refused before the first epoch, or skipped.

They are skipped by one run, with `train --skip-unreadable`, or by all that follow, with `download --skip-unreadable`.
A run keeps which they are in unreadable.json.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.console import log
from runner.data.index import Index
from runner.data.skipped_images import read_skipped_images, write_skipped_images
from runner.errors import DataError
from runner.images.layout import Layout
from runner.images.readers import ImageReader, open_images
from runner.images.unreadable import UnreadableImage, find_unreadable, read_all
from runner.options import TrainOptions
from runner.session import Session
from runner.training.run import Run
from runner.workspace import read_record, write_json

_FORMAT = 1
_LISTED = 5  # images in the message


@dataclass(frozen=True)
class SkippedImages:
    """Ids of labelled rows that are left out, and of test rows that are predicted by the class frequencies.

    `images` has the paths of those whose ids have other images: only these paths are left out.
    """

    labelled: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def union(self, other: SkippedImages) -> SkippedImages:
        """These and the others, each once."""
        names = zip(astuple(self), astuple(other), strict=True)
        return SkippedImages(*(tuple(dict.fromkeys(own + others)) for own, others in names))

    def with_images(self, index: Index, paths: Iterable[str]) -> SkippedImages:
        """These and the images at these paths. An id is skipped when none of its images is left."""
        unread, ids, images = {*self.images, *paths}, [], list[str]()
        for table, known in ((index.train, self.labelled), (index.test, self.test)):
            is_unread = table["path"].isin(unread)
            chosen = table[is_unread]
            has_others = chosen["id"].isin(table["id"][~is_unread])
            ids.append(tuple(dict.fromkeys([*known, *chosen["id"][~has_others]])))
            images += chosen["path"][has_others].tolist()
        labelled, test = ids
        return SkippedImages(labelled, test, tuple(dict.fromkeys(images)))

    def labelled_rows(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Which of these labelled rows are left out."""
        return np.asarray(table["id"].isin(self.labelled) | table["path"].isin(self.images))


class BlankedImages:
    """Images with a black one in place of each skipped row: cached features and test predictions keep their rows."""

    def __init__(self, images: ImageReader, skipped: frozenset[int], size: int) -> None:
        self._images, self._skipped = images, skipped
        self._blank = np.zeros((size, size, images.channels), images.layout.dtype)

    @property
    def layout(self) -> Layout:
        return self._images.layout

    @property
    def channels(self) -> int:
        return self._images.channels

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int) -> NDArray[Any]:
        return self._blank if int(number) in self._skipped else self._images[number]

    def digest(self, number: int) -> bytes:
        """A digest of the image's content; the same one for every skipped row."""
        return b"skipped" if number in self._skipped else self._images.digest(number)


def blank_skipped(images: ImageReader, skipped: frozenset[int], size: int) -> ImageReader:
    """The images, the skipped ones black; a skipped file is then never opened."""
    return BlankedImages(images, skipped, size) if skipped else images


def report_unreadable(session: Session) -> None:
    """Warn of the images that have arrived broken; those that the user has chosen to skip are not counted."""
    images = _find_all(session, _remembered(session), decode=False)
    if any(images):
        log.warning(f"{_describe(session, *images)}\n  fix: {_replace_or_skip(session)}")


def remember_unreadable(session: Session) -> None:
    """Decode every image, and remember those that cannot be read: every later run skips them."""
    labelled, test = _find_all(session, SkippedImages(), decode=True)
    write_skipped_images(session.index.data_dir, [image.path for image in (*labelled, *test)])
    if labelled or test:
        skipped = SkippedImages().with_images(session.index, [image.path for image in (*labelled, *test)])
        log.warning(f"{_describe(session, labelled, test)}\n{_describe_skipping(skipped)}")
    else:
        log.info("every image can be read: none is left out")


def check_images(session: Session, options: TrainOptions | None, known: SkippedImages | None = None) -> SkippedImages:
    """Which images to skip; a DataError that names the first few others that cannot be read.

    A run that began without the `known` ones goes on without them, and its other images are checked by their ends
    alone.
    """
    chosen = _remembered(session).union(known or SkippedImages())
    may_skip = options is not None and options.skip_unreadable
    labelled, test = _find_all(session, chosen, decode=may_skip and known is None)
    if (labelled or test) and not may_skip:
        once = "" if options is None else "; or without them this once: `... --skip-unreadable`"
        fix = _replace_or_skip(session) + once
        raise DataError(_describe(session, labelled, test), where=session.index.data_dir, fix=fix)
    chosen = chosen.with_images(session.index, [image.path for image in (*labelled, *test)])
    if any(astuple(chosen)):
        log.warning(_describe_skipping(chosen))
    return chosen


def skip_images(session: Session, run: Run, options: TrainOptions | None) -> None:
    """Check the images before a run is trained, or predicted (without options); write which it skips, if it does."""
    known = read_skipped(run) if run.skipped_file.exists() else None
    skipped = check_images(session, options, known)
    chose_now = options is not None and options.skip_unreadable and known is None
    if chose_now or skipped != (known or SkippedImages()):
        write_json(run.skipped_file, asdict(skipped), format=_FORMAT)


def read_skipped(run: Run) -> SkippedImages:
    """The images that a run skips; none if it was trained without --skip-unreadable."""
    if not run.skipped_file.exists():
        return SkippedImages()
    return read_record(
        run.skipped_file, SkippedImages, format=_FORMAT, fix="delete the run's folder and train it again"
    )


def write_skipped(run: Run, skipped: SkippedImages) -> None:
    """Write which images a run skips."""
    write_json(run.skipped_file, asdict(skipped), format=_FORMAT)


def copy_skipped(original: Run, run: Run) -> None:
    """A refit skips the images that its original skipped."""
    if original.skipped_file.exists():
        write_json(run.skipped_file, asdict(read_skipped(original)), format=_FORMAT)


def _remembered(session: Session) -> SkippedImages:
    """The images that the user has chosen to leave out of every run."""
    paths = read_skipped_images(session.index.data_dir)
    return SkippedImages().with_images(session.index, paths) if paths else SkippedImages()


def _find_all(
    session: Session, skipped: SkippedImages, *, decode: bool
) -> tuple[tuple[UnreadableImage, ...], tuple[UnreadableImage, ...]]:
    """The unreadable images of the labelled and of the test rows, without the skipped ones.

    File headers and ends are checked, which is quick; to `decode` each image finds one that is damaged in its middle.
    """
    index = session.index
    find = partial(_find, session, decode=decode)
    labelled, test = (
        table[~(table["id"].isin(ids) | table["path"].isin(skipped.images))]
        for table, ids in ((index.train, skipped.labelled), (index.test, skipped.test))
    )
    return find("labelled", labelled), find("test", test)


def _find(session: Session, subset: str, table: pd.DataFrame, *, decode: bool) -> tuple[UnreadableImage, ...]:
    data_dir, workers = session.index.data_dir, session.compute.workers
    workers = (os.cpu_count() or 1) if workers is None else workers
    paths = table["path"].tolist()
    if decode:
        images = open_images(data_dir, paths)
        return read_all(f"reading {subset} images", paths, lambda row: images[row].shape, workers)[1]
    readable = session.cache_dir / f"readable-{subset}.txt"
    return find_unreadable(data_dir, paths, workers=workers, readable_file=readable)


def _describe(session: Session, labelled: Sequence[UnreadableImage], test: Sequence[UnreadableImage]) -> str:
    images, index = [*labelled, *test], session.index
    lines = [f"  {image.path}: {image.reason}" for image in images[:_LISTED]]
    if len(images) > _LISTED:
        lines.append(f"  and {len(images) - _LISTED:,} more")
    counts = f"{len(labelled):,} of {len(index.train):,} labelled and {len(test):,} of {len(index.test):,} test images"
    return "\n".join([f"{counts} cannot be read:", *lines])


def _describe_skipping(skipped: SkippedImages) -> str:
    """What becomes of the rows whose images are skipped."""
    labelled, test, images = map(len, (skipped.labelled, skipped.test, skipped.images))
    parts = [
        f"{labelled:,} labelled {'row is' if labelled == 1 else 'rows are'} left out of training and score",
        f"for {test:,} test {'row' if test == 1 else 'rows'} the class frequencies of the training rows are submitted",
        f"{images:,} {'image is' if images == 1 else 'images are'} left out of ids that have others",
    ]
    told = [part for part, count in zip(parts, (labelled, test, images), strict=True) if count]
    return f"images that cannot be read: {'; '.join(told)}"


def _replace_or_skip(session: Session) -> str:
    return (
        f"replace the files: `{session.redownload_command}`; "
        f"or go on without them: `{session.command('download', '--skip-unreadable')}`"
    )
