"""Thumbnails of an index's images for a page."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.data.image_names import files_of
from runner.data.index import Index
from runner.errors import DataError
from runner.images.channels import resize
from runner.images.readers import ImageReader, open_images
from runner.report.page.page import Thumbnail

_RANGE_IMAGES = 200  # images that are read to find the range of values of each band
_RANGE_PIXELS = 10_000  # of each of them


class Samples:
    """Thumbnails by row of the index's table; links are relative to the page."""

    def __init__(self, index: Index, page: Path, side: int):
        self._index, self._page, self._side = index, page, side
        self.paths: list[str] = index.table["path"].tolist()
        self._reader = open_images(index.data_dir, self.paths, min_side=side)
        self._ranges = _ranges(self._reader) if self.has_bands else []

    @property
    def has_bands(self) -> bool:
        """Whether the images are measured bands, not red, green and blue."""
        return bool(self.paths) and not self._reader.layout.is_rgb

    def show(self, row: int, caption: Sequence[str], of: str = "") -> Thumbnail | None:
        """The thumbnail of a row; None if the image cannot be read."""
        try:
            pixels = self._reader[row]
        except DataError:
            return None
        words = of or ", ".join(caption)
        return Thumbnail(self.encode(pixels), f"{words}: {self.paths[row]}", caption, self._href(row))

    def read_whole(self, row: int) -> NDArray[Any]:
        """The image of a row at full size."""
        return open_images(self._index.data_dir, [self.paths[row]])[0]

    def encode(self, pixels: NDArray[Any]) -> bytes:
        """A JPEG that fits a square of the side; for bands a PNG, one grey image a band, side by side."""
        pixels = _shrunk(pixels, self._side)
        if not self.has_bands:
            return _jpeg(pixels)
        bands = [_to_grey(pixels[..., band], limits) for band, limits in enumerate(self._ranges)]
        gap = np.full((len(pixels), 2), 128, dtype=np.uint8)
        return _png(np.hstack([columns for band in bands for columns in (band, gap)][:-1]))

    def _href(self, row: int) -> str:
        path = self.paths[row]
        if files_of(path) != (path,):
            return ""
        return quote(Path(os.path.relpath(self._index.data_dir / path, self._page.parent)).as_posix())


def _ranges(reader: ImageReader) -> list[tuple[float, float]]:
    """(black, white) of each band, the same for all images, so that they can be compared."""
    pixels = [_some_pixels(reader, row) for row in range(0, len(reader), max(1, len(reader) // _RANGE_IMAGES))]
    low, high = np.percentile(np.concatenate(pixels), (1, 99.8), axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _some_pixels(reader: ImageReader, row: int) -> NDArray[Any]:
    """Pixels of an image, (some, channels), all over it; none if it cannot be read."""
    try:
        pixels = reader[row].reshape(-1, reader.channels)
    except DataError:
        return np.zeros((0, reader.channels))
    return pixels[:: -(-len(pixels) // _RANGE_PIXELS)]


def _to_grey(band: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    scaled: NDArray[np.uint8] = ((band - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)
    return scaled


def _shrunk(pixels: NDArray[Any], side: int) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    new_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return resize(pixels, new_size, cv2.INTER_AREA)


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=78, optimize=True)
    return out.getvalue()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()
