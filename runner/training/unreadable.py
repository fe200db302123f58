"""Images that cannot be read: refused before the first epoch, or skipped by a run that says so in unreadable.json."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.console import log
from runner.data.image_arrays import is_array_path
from runner.errors import DataError
from runner.images.decode import ImageReader, open_images
from runner.images.unreadable import UnreadableImage, find_unreadable, read_all
from runner.options import TrainOptions
from runner.session import Session
from runner.training.run import Run
from runner.workspace import read_json, write_json

_FORMAT = 1
_LISTED = 5  # images in the message


@dataclass(frozen=True)
class SkippedImages:
    """Ids of labelled rows that are left out, and of test rows that are predicted by the class frequencies."""

    labelled: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


class BlankedImages:
    """Images with a black one in place of each skipped row: cached features and test predictions keep their rows."""

    def __init__(self, images: ImageReader, skipped: frozenset[int], size: int, dtype: type[Any]) -> None:
        self._images, self._skipped = images, skipped
        self._blank = np.zeros((size, size, images.channels), dtype)

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


def blank_skipped(images: ImageReader, paths: Sequence[str], skipped: frozenset[int], size: int) -> ImageReader:
    """The images, the skipped ones black; a skipped file is then never opened."""
    if not skipped:
        return images
    return BlankedImages(images, skipped, size, np.float32 if is_array_path(paths[0]) else np.uint8)


def check_images(session: Session, options: TrainOptions) -> SkippedImages:
    """Which images to skip, with --skip-unreadable; a DataError that names the first few without it."""
    labelled, test = (_find(session, subset, options) for subset in ("labelled", "test"))
    if not labelled and not test:
        return SkippedImages()
    if not options.skip_unreadable:
        raise _unreadable_error(session, labelled, test)
    train, tests = session.index.train, session.index.test
    log.warning(
        f"skipping images that cannot be read: {len(labelled):,} of {len(train):,} labelled ones, "
        f"and {len(test):,} of {len(tests):,} test ones, which are predicted by the class frequencies"
    )
    return SkippedImages(
        tuple(train["id"].iloc[[image.row for image in labelled]]),
        tuple(tests["id"].iloc[[image.row for image in test]]),
    )


def skip_images(session: Session, run: Run, options: TrainOptions) -> None:
    """Check the images of a run; with --skip-unreadable write which it skips. A resumed run keeps its choice."""
    if run.skipped_file.exists():
        return
    skipped = check_images(session, options)
    if options.skip_unreadable:
        write_json(run.skipped_file, asdict(skipped), format=_FORMAT)


def read_skipped(run: Run) -> SkippedImages:
    """The images that a run skips; none if it was trained without --skip-unreadable."""
    if not run.skipped_file.exists():
        return SkippedImages()
    plain = read_json(run.skipped_file, format=_FORMAT, fix="delete the run's folder and train it again")
    return SkippedImages(tuple(plain["labelled"]), tuple(plain["test"]))


def copy_skipped(original: Run, run: Run) -> None:
    """A refit skips the images that its original skipped."""
    if original.skipped_file.exists():
        write_json(run.skipped_file, asdict(read_skipped(original)), format=_FORMAT)


def _find(session: Session, subset: str, options: TrainOptions) -> tuple[UnreadableImage, ...]:
    """The unreadable images of the labelled or the test rows.

    Without the flag file ends are checked, which is quick; with it each image is decoded, so that training cannot
    stop at one that is damaged in its middle.
    """
    index, workers = session.index, session.compute.workers
    workers = (os.cpu_count() or 1) if workers is None else workers
    paths = (index.train if subset == "labelled" else index.test)["path"].tolist()
    if options.skip_unreadable:
        images = open_images(index.data_dir, paths)
        return read_all(f"reading {subset} images", paths, lambda row: images[row].shape, workers)[1]
    readable = session.cache_dir / f"readable-{subset}.txt"
    return find_unreadable(index.data_dir, paths, workers=workers, readable_file=readable)


def _unreadable_error(
    session: Session, labelled: Sequence[UnreadableImage], test: Sequence[UnreadableImage]
) -> DataError:
    images = [*labelled, *test]
    lines = [f"  {image.path}: {image.reason}" for image in images[:_LISTED]]
    if len(images) > _LISTED:
        lines.append(f"  and {len(images) - _LISTED:,} more")
    counts = f"{len(labelled):,} labelled and {len(test):,} test images cannot be read:"
    return DataError(
        "\n".join([counts, *lines]),
        where=session.index.data_dir,
        fix="replace the files, or train without them: the same command with --skip-unreadable",
    )
