"""Images reduced to what a network's input size needs: decoded at a smaller JPEG scale, resized once, cached.

The pixels depend on the file, the preset and the size alone, so results with and without the cache are equal bit
for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray

from runner.contract import Preset
from runner.data.image_names import is_array_path
from runner.images.cache import CacheOptions, ImageCache, open_cache
from runner.images.channels import resize
from runner.images.layout import Layout
from runner.images.readers import EncodedReader, ImageReader, open_encoded, open_images

# Images are resized to this many times the input size. Every view resizes them once more, and each resize blurs:
# from 1.1 times the size a linear probe on dog photographs lost up to 0.05 of log loss, from 1.5 times nothing
# measurable. (A JPEG's own smaller scales are sharp: 1.1 times is enough.)
_RESIZE_MARGIN = 1.5

# An image at most this many times its target is kept as decoded: so small a resize would cost sharpness and
# time, and save little disk.
_KEEP_UP_TO = 1.25

# The longest image that is cached, in short sides. Panoramas beyond it are decoded each time.
_MAX_ASPECT = 2.0


@dataclass(frozen=True)
class TargetSize:
    """Short side in pixels: the least that a decoder must return, and what is resized to."""

    min_decode: int
    resize_to: int

    @classmethod
    def of(cls, preset: Preset, size: int) -> TargetSize | None:
        """Sizes at which the most zoomed view is not upsampled; None if the preset is geometric only."""
        if preset.geometric_only:
            return None
        return cls(math.ceil(size * preset.max_zoom), math.ceil(size * max(_RESIZE_MARGIN, preset.max_zoom)))

    @property
    def max_pixels(self) -> int:
        """Pixels of the largest image that is cached."""
        side = self.resize_to * _KEEP_UP_TO
        return round(side * side * _MAX_ASPECT)


def open_cached_images(
    data_dir: Path,
    names: Sequence[str],
    preset: Preset,
    size: int,
    options: CacheOptions | None = None,
    layout: Layout | None = None,
) -> ImageReader:
    """A reader of the index's images at the resolution that a network of this input size needs, in a layout."""
    target = TargetSize.of(preset, size)
    if not names or is_array_path(names[0]):
        return open_images(data_dir, names)
    files = open_encoded(data_dir, names, layout=layout)
    if target is None:
        return files
    cache = open_cache(options, names, repr(target), target.max_pixels, files.layout)
    return CachedImages(files, target, cache)


def reduce_image(image: NDArray[Any], target: TargetSize) -> NDArray[Any]:
    """The image with its short side near the target; never enlarged."""
    height, width = image.shape[:2]
    scale = target.resize_to / min(height, width)
    if scale >= 1 / _KEEP_UP_TO:
        return image
    shape = (max(target.resize_to, round(width * scale)), max(target.resize_to, round(height * scale)))
    return resize(image, shape, cv2.INTER_AREA)


class CachedImages:
    """Image files, reduced; from the cache if it has them."""

    def __init__(self, files: EncodedReader, target: TargetSize, cache: ImageCache | None) -> None:
        self._files, self._target, self._cache = files, target, cache

    @property
    def layout(self) -> Layout:
        return self._files.layout

    @property
    def channels(self) -> int:
        return self._files.channels

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> NDArray[Any]:
        stamp = self._files.stamp(row) if self._cache else None
        if self._cache is None or stamp is None:
            return self._reduced(row)
        cached = self._cache.get(row, stamp)
        if cached is not None:
            return cached
        image = self._reduced(row)
        self._cache.put(row, stamp, image)
        return image

    def digest(self, row: int) -> bytes:
        """SHA-256 of the image's content."""
        return self._files.digest(row)

    def _reduced(self, row: int) -> NDArray[Any]:
        return reduce_image(self._files.read(row, self._target.min_decode), self._target)
