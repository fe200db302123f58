"""Images that belong to no competition: files of a folder or a pattern, or arrays, transformed some at a time."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Preset
from runner.data.image_names import is_image, parts_of, stack_name
from runner.errors import DataError, UsageError
from runner.images.cached import TargetSize, open_cached_images, reduce_image
from runner.images.layout import Layout, with_channel_axis
from runner.images.readers import fit
from runner.images.views import MultiView, View

_CHUNK_BYTES = 1 << 26  # of transformed images that are in memory at a time; twice that while the next are read
_MOST_IMAGES = 256  # of a chunk

Inputs = Sequence[tuple[int, tuple[View, ...]]]  # sizes, and the views of each


@dataclass(frozen=True)
class ImageBatch:
    """Images by the number that they have among all: for each size shaped (images, views, height, width, bands)."""

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    images: dict[int, NDArray[Any]]
    unreadable: tuple[tuple[str, str], ...]  # name and reason of those that are left out


def find_images(where: str | Path) -> Iterator[str]:
    """The paths of all images in a folder and below, in order, or of a pattern such as `photos/*.jpg`; or of one file.

    They are found while they are used: a million names are never in memory. A UsageError if there is none.
    """
    path = Path(where).expanduser()
    found = _below(path) if path.is_dir() else iter([str(path)]) if path.is_file() else _matching(str(path))
    first = next(found, None)
    if first is None:
        reason = "no image in this folder" if path.is_dir() else "no such folder, and no file of this pattern"
        raise UsageError(
            f"there is {reason}",
            where=path,
            fix="name a folder of images, or a pattern in quotes, as 'photos/*.jpg'",
        )
    yield first
    yield from found


def _below(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    for name, is_folder in names:
        if is_folder:
            yield from _below(folder / name)
        elif is_image(name):
            yield str(folder / name)


def _matching(pattern: str) -> Iterator[str]:
    found = glob.iglob(pattern, recursive=True)  # noqa: PTH207  (Path.glob takes no absolute pattern)
    return (path for path in found if Path(path).is_file())


def read_batches(
    images: Iterable[str | Path | NDArray[Any]], inputs: Inputs, preset: Preset, layout: Layout, threads: int
) -> Iterator[ImageBatch]:
    """The images in batches, each read and transformed for every size and view; unreadable ones are named and left out.

    While a batch is used the next one is read, by so many threads.
    """
    reader = _Reader(inputs, preset, layout)
    size = reader.images_at_a_time
    numbered = enumerate(images)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        waiting = _submit(pool, reader, list(islice(numbered, size)))
        while waiting:
            following = _submit(pool, reader, list(islice(numbered, size)))
            yield _joined([future.result() for future in waiting], inputs)
            waiting = following


_Read = tuple[int, str, dict[int, NDArray[Any]] | DataError]


def _submit(
    pool: ThreadPoolExecutor, reader: _Reader, chunk: Sequence[tuple[int, str | Path | NDArray[Any]]]
) -> list[Future[_Read]]:
    return [pool.submit(reader.read, number, image) for number, image in chunk]


def _joined(read: Sequence[_Read], inputs: Inputs) -> ImageBatch:
    whole = [(number, name, images) for number, name, images in read if not isinstance(images, DataError)]
    broken = [(name, images.message) for _, name, images in read if isinstance(images, DataError)]
    stacked = {size: np.stack([images[size] for _, _, images in whole]) for size, _ in inputs} if whole else {}
    return ImageBatch(
        tuple(number for number, _, _ in whole), tuple(name for _, name, _ in whole), stacked, tuple(broken)
    )


class _Reader:
    """Reads one image for every size and view."""

    def __init__(self, inputs: Inputs, preset: Preset, layout: Layout):
        self._inputs, self._preset, self._layout = inputs, preset, layout
        self._transforms = {size: MultiView(preset, views, size) for size, views in inputs}

    @property
    def images_at_a_time(self) -> int:
        """How many images of all sizes and views are a batch."""
        values = sum(size * size * len(views) for size, views in self._inputs) * self._layout.channels
        return max(1, min(_MOST_IMAGES, _CHUNK_BYTES // (values * self._layout.dtype.itemsize)))

    def read(self, number: int, image: str | Path | NDArray[Any]) -> _Read:
        """The image's number, its name, and its views of each size, or why it cannot be read."""
        is_file = isinstance(image, str | Path)
        name = str(image) if is_file else str(number)
        try:
            values = {
                size: self._read_file(name, size) if is_file else self._fitted(name, image, size)
                for size, _ in self._inputs
            }
            return number, name, {size: self._transforms[size](pixels, number) for size, pixels in values.items()}
        except DataError as error:
            return number, name, error

    def _read_file(self, name: str, size: int) -> NDArray[Any]:
        paths = [Path(part).absolute() for part in parts_of(name)]  # an image of several files has a plus between them
        return open_cached_images(
            Path(paths[0].anchor), [stack_name([*map(str, paths)])], self._preset, size, None, self._layout
        )[0]

    def _fitted(self, name: str, image: Any, size: int) -> NDArray[Any]:
        """An array, or an image of Pillow's, as a file with these values would be read."""
        values = np.asarray(image)
        if values.ndim not in (2, 3) or 0 in values.shape or values.dtype.kind not in "uif":
            raise DataError(f"an array shaped {values.shape} of {values.dtype} is no image (height, width, bands)")
        if values.dtype not in (np.uint8, np.uint16):
            values = values.astype(np.float32)
        fitted = fit(with_channel_axis(values), self._layout, Path(name))
        target = TargetSize.of(self._preset, size)
        return fitted if target is None else reduce_image(fitted, target)
