"""Images looked at in passing: sizes from headers, and thumbnails with a few numbers of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.console import progress
from runner.data.image_arrays import is_array_path
from runner.errors import DataError
from runner.images.decode import ImageReader, open_images, read_size

Numbers = NDArray[np.float64]
Result = TypeVar("Result")

SIDE = 16  # of a thumbnail: enough to tell two scenes apart, and 12,000 of them are 3 MB
_DECODED = 64  # a JPEG is decoded at the smallest of its scales that still has so many pixels a side
_CHUNK = 128
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Broken:
    """An image that cannot be read, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class SizesRead:
    """Widths and heights in the order of the paths; NaN where a header cannot be read."""

    values: Numbers  # (images, 2)
    broken: tuple[Broken, ...]


@dataclass(frozen=True)
class ImageStats:
    """What a glance at every image gave; `places` says which of the paths these are."""

    places: NDArray[np.int64]
    measures: tuple[str, ...]
    values: Numbers  # (images, measures)
    hashes: NDArray[np.uint64]
    thumbnails: NDArray[np.uint8]  # (images, SIDE, SIDE), grey
    broken: tuple[Broken, ...]


def read_sizes(raw: Path, paths: Sequence[str]) -> SizesRead:
    """The size of every image from its header alone, or of its row in the array."""
    if paths and all(map(is_array_path, paths)):
        height, width = open_images(raw, paths[:1])[0].shape[:2]
        return SizesRead(np.tile([float(width), float(height)], (len(paths), 1)), ())
    found, broken = _each("headers", len(paths), lambda place: read_size(raw / paths[place]), paths)
    values = np.full((len(paths), 2), np.nan)
    for place, size in found:
        values[place] = size
    return SizesRead(values, broken)


def compute_image_stats(raw: Path, paths: Sequence[str], places: Sequence[int]) -> ImageStats:
    """A thumbnail, a difference hash and a few numbers of each of these images."""
    chosen = [paths[place] for place in places]
    reader = open_images(raw, chosen, min_side=_DECODED)
    measures = _measures(reader) if chosen else ()
    found, broken = _each("images", len(chosen), lambda place: _glance(reader[place]), chosen)
    values = np.array([values for _, (values, _, _) in found], dtype=np.float64).reshape(len(found), len(measures))
    hashes = np.array([bits for _, (_, bits, _) in found], dtype=np.uint64)
    grey = np.array([thumbnail for *_, (_, _, thumbnail) in found], dtype=np.uint8).reshape(-1, SIDE, SIDE)
    read = np.array([places[place] for place, _ in found], dtype=np.int64)
    return ImageStats(read, measures, values, hashes, grey, broken)


def grey_of(image: NDArray[Any]) -> NDArray[np.float32]:
    """One channel of 0 to 255: luminance, or of measured bands their mean between its own extremes."""
    if image.dtype == np.uint8:
        grey: NDArray[np.float32] = image.astype(np.float32) @ _LUMA
        return grey
    mean = image.mean(axis=2)
    low, high = np.percentile(mean, (1, 99))
    scaled: NDArray[np.float32] = ((mean - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.float32)
    return scaled


def difference_hash(grey: NDArray[np.float32]) -> int:
    """64 bits: whether each of 8 x 8 places is darker than its neighbour to the right."""
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _measures(reader: ImageReader) -> tuple[str, ...]:
    if reader.channels == 3:
        return "brightness", "contrast", "colourfulness"
    return tuple(f"{what} of band {band}" for band in range(1, reader.channels + 1) for what in ("mean", "peak"))


def _glance(image: NDArray[Any]) -> tuple[list[float], int, NDArray[np.uint8]]:
    grey = grey_of(image)
    thumbnail = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _values(image, grey), difference_hash(grey), thumbnail.round().astype(np.uint8)


def _values(image: NDArray[Any], grey: NDArray[np.float32]) -> list[float]:
    if image.dtype != np.uint8:
        return [float(value) for band in np.moveaxis(image, -1, 0) for value in (band.mean(), band.max())]
    spread = image.max(axis=2).astype(np.float32) - image.min(axis=2)
    return [float(grey.mean()), float(grey.std()), float(spread.mean())]


def _each(
    title: str, count: int, work: Callable[[int], Result], paths: Sequence[str]
) -> tuple[list[tuple[int, Result]], tuple[Broken, ...]]:
    """The work done for every place, in order, by a few threads; what cannot be read is named and left out."""
    found: list[tuple[int, Result]] = []
    broken: list[Broken] = []
    with progress(title, count) as advance:
        for results in _in_threads(range(count), lambda places: [_tried(work, place) for place in places]):
            for place, result in results:
                if isinstance(result, DataError):
                    broken.append(Broken(paths[place], result.message))
                else:
                    found.append((place, result))
            advance(len(results))
    return found, tuple(broken)


def _tried(work: Callable[[int], Result], place: int) -> tuple[int, Result | DataError]:
    try:
        return place, work(place)
    except DataError as error:
        return place, error


def _in_threads(places: Sequence[int], work: Callable[[Sequence[int]], Result]) -> Iterator[Result]:
    """Chunk by chunk, and never more of them under way than there are threads to do them."""
    chunks = (places[start : start + _CHUNK] for start in range(0, len(places), _CHUNK))
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Result]] = [pool.submit(work, chunk) for chunk in islice(chunks, 2 * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, chunk) for chunk in islice(chunks, 1)]
