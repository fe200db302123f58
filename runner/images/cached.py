"""Images as small as a network's size needs them: decoded at a reduced scale, resized once, kept in the cache.

What is made of a file depends on the file, the preset and the size alone. The cache only remembers it, so a
training with the cache and one without are the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.contract import Preset
from runner.data.image_arrays import is_array_path
from runner.images.cache import CacheOptions, ImageCache, open_cache
from runner.images.decode import ImageFiles, ImageReader, open_images, read_image, stamp_of

# How much larger than a network sees them images are resized to. They are scaled once more for each look, and
# every scaling blurs: from 1.1 times the size a linear probe on dog photographs lost up to 0.05 of log loss, from
# 1.5 times nothing that could be told from chance. (A JPEG's own smaller scales are sharp: 1.1 times is enough.)
_SPARE = 1.5

# What a decoder gives is kept as it is where it is at most this many times as large as it would be resized to:
# so small a step would cost sharpness and time, and win little room.
_ENOUGH = 1.25

# The longest image that has a place in the cache, in short sides. Panoramas beyond it are read each time.
_LONGEST = 2.0


@dataclass(frozen=True)
class TargetSize:
    """How small an image may be: its short side as a decoder must give it at least, and as it is resized to."""

    decoded: int
    resized: int

    @classmethod
    def of(cls, preset: Preset, size: int) -> TargetSize | None:
        """What looks of that size need: a pixel for each of their own, also the nearest. None: every pixel is."""
        if preset.geometric_only:
            return None
        return cls(math.ceil(size * preset.max_zoom), math.ceil(size * max(_SPARE, preset.max_zoom)))

    @property
    def most_pixels(self) -> int:
        """Of an image that has a place in the cache."""
        side = self.resized * _ENOUGH
        return round(side * side * _LONGEST)


def open_cached_images(
    raw: Path, paths: Sequence[str], preset: Preset, size: int, keeping: CacheOptions | None = None
) -> ImageReader:
    """The index's images as a network of this size needs them, remembered where `keeping` says."""
    small = TargetSize.of(preset, size)
    if small is None or not paths or is_array_path(paths[0]):
        return open_images(raw, paths)
    return CachedImages(raw, paths, small, open_cache(keeping, paths, repr(small), small.most_pixels))


def read_small(path: Path, small: TargetSize) -> NDArray[np.uint8]:
    """The image as small as it may be, or a little larger; never enlarged."""
    image = read_image(path, min_side=small.decoded)
    height, width = image.shape[:2]
    scale = small.resized / min(height, width)
    if scale >= 1 / _ENOUGH:
        return image
    shape = (max(small.resized, round(width * scale)), max(small.resized, round(height * scale)))
    return np.asarray(cv2.resize(image, shape, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class CachedImages(ImageFiles):
    """Images that are files, each as small as a size needs it."""

    def __init__(self, raw: Path, paths: Sequence[str], small: TargetSize, cache: ImageCache | None) -> None:
        super().__init__(raw, paths)
        self._small, self._cache = small, cache

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        path = self.path(number)
        stamp = stamp_of(path) if self._cache else None
        if self._cache is None or stamp is None:
            return read_small(path, self._small)
        known = self._cache.get(number, stamp)
        if known is not None:
            return known
        image = read_small(path, self._small)
        self._cache.put(number, stamp, image)
        return image
