"""Sizes from the headers of all images; a thumbnail, a difference hash and a few measures of decoded ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.data.image_arrays import open_array
from runner.data.image_names import is_array_path, parse_array_path
from runner.images.layout import layout_of
from runner.images.readers import open_encoded, open_images
from runner.images.unreadable import UnreadableImage, read_all

Floats = NDArray[np.float64]

THUMBNAIL_SIDE = 16  # pixels: enough to tell two scenes apart, and 12,000 of them are 3 MB
_MIN_SIDE = 64  # a JPEG is decoded at its smallest scale that still has so many pixels a side
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class ImageSizes:
    """(images, 2): width and height in the order of the paths; NaN if a header cannot be read."""

    values: Floats
    unreadable: tuple[UnreadableImage, ...]


@dataclass(frozen=True)
class ImageStats:
    """Statistics of the decoded images; `rows` are their positions in the list of paths."""

    rows: NDArray[np.int64]
    measures: tuple[str, ...]
    values: Floats  # (images, measures)
    hashes: NDArray[np.uint64]
    thumbnails: NDArray[np.uint8]  # (images, THUMBNAIL_SIDE, THUMBNAIL_SIDE), grey
    unreadable: tuple[UnreadableImage, ...]


class _Stats(NamedTuple):
    """Statistics of one image."""

    measures: dict[str, float]
    hash: int
    thumbnail: NDArray[np.uint8]


def read_sizes(data_dir: Path, paths: Sequence[str]) -> ImageSizes:
    """Width and height of every image, from its header or from the shape of its array."""
    if paths and all(map(is_array_path, paths)):
        arrays = [parse_array_path(path)[0] for path in paths]
        shapes = {array: open_array(data_dir / array).shape for array in set(arrays)}
        return ImageSizes(np.array([shapes[array][:1:-1] for array in arrays], dtype=np.float64), ())
    sizes, unreadable = read_all("headers", paths, open_encoded(data_dir, paths).size)
    values = np.full((len(paths), 2), np.nan)
    for row, size in sizes:
        values[row] = size
    return ImageSizes(values, unreadable)


def compute_image_stats(data_dir: Path, paths: Sequence[str], rows: Sequence[int]) -> ImageStats:
    """Decode the images of these rows and measure them; unreadable ones are left out and listed."""
    chosen = [paths[row] for row in rows]
    reader = open_images(data_dir, chosen, min_side=_MIN_SIDE)
    results, unreadable = read_all("images", chosen, lambda position: _stats_of(reader[position]))
    stats = [image for _, image in results]
    measures = tuple(dict.fromkeys(name for image in stats for name in image.measures))
    values = [[image.measures.get(name, np.nan) for name in measures] for image in stats]
    thumbnails = np.array([image.thumbnail for image in stats], dtype=np.uint8)
    return ImageStats(
        rows=np.array([rows[position] for position, _ in results], dtype=np.int64),
        measures=measures,
        values=np.array(values, dtype=np.float64).reshape(len(stats), len(measures)),
        hashes=np.array([image.hash for image in stats], dtype=np.uint64),
        thumbnails=thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
        unreadable=unreadable,
    )


def to_grey(image: NDArray[Any]) -> NDArray[np.float32]:
    """One channel of 0 to 255: luminance of RGB; of bands the mean, scaled from its 1st to its 99th percentile."""
    if layout_of(image).is_rgb:
        luminance: NDArray[np.float32] = image.astype(np.float32) @ _LUMA
        return luminance
    mean = image.mean(axis=2)
    low, high = np.percentile(mean, (1, 99))
    scaled: NDArray[np.float32] = ((mean - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.float32)
    return scaled


def difference_hash(grey: NDArray[np.float32]) -> int:
    """The 64 bits of dHash: whether each of 8 x 8 cells is darker than its right neighbour."""
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _stats_of(image: NDArray[Any]) -> _Stats:
    grey = to_grey(image)
    thumbnail = cv2.resize(grey, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return _Stats(_measures(image, grey), difference_hash(grey), thumbnail.round().astype(np.uint8))


def _measures(image: NDArray[Any], grey: NDArray[np.float32]) -> dict[str, float]:
    """Of RGB brightness, contrast and colourfulness; of bands mean and maximum of each."""
    if layout_of(image).is_rgb:
        chroma = image.max(axis=2).astype(np.float32) - image.min(axis=2)
        return {
            "brightness": float(grey.mean()),
            "contrast": float(grey.std()),
            "colourfulness": float(chroma.mean()),
        }
    bands = enumerate(np.moveaxis(image, -1, 0), start=1)
    return {
        f"{name} of band {number}": float(value)
        for number, band in bands
        for name, value in (("mean", band.mean()), ("maximum", band.max()))
    }
