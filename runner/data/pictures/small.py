"""Pictures as small as a network's size needs them: decoded at a reduced scale, resized once, kept in the cache.

What is made of a file depends on the file, the preset and the size alone. The cache only remembers it, so a
training with the cache and one without are the same bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.contract import Preset
from runner.data.pictures.cache import Keeping, PictureCache, open_cache, stamp_of
from runner.data.pictures.reading import FilePictures, PictureReader, is_band_path, open_pictures, read_picture

# How much larger than a network sees them pictures are kept. They are scaled once more for each look, and every
# scaling blurs: from 1.1 times the size a linear probe on dog photographs lost up to 0.05 of log loss, from 1.5
# times nothing that could be told from chance.
_SPARE = 1.5

# What a decoder gives is kept as it is where its short side is at most this many times what is needed: resizing
# by so little would cost sharpness and time, and win little room.
_ENOUGH = 1.25

# The longest picture that has a place in the cache, in short sides. Panoramas beyond it are read each time.
_LONGEST = 2.0


def needed_side(preset: Preset, size: int) -> int | None:
    """The short side that a picture must have to be seen `size` pixels square; None where no pixel may be blended.

    The nearest that a preset goes still finds a pixel of the picture for each of its own.
    """
    return None if preset.moves_only else math.ceil(size * max(_SPARE, preset.max_zoom))


def open_small_pictures(
    raw: Path, paths: Sequence[str], preset: Preset, size: int, keeping: Keeping | None = None
) -> PictureReader:
    """The index's pictures as a network of this size needs them, remembered where `keeping` says."""
    side = needed_side(preset, size)
    if side is None or not paths or is_band_path(paths[0]):
        return open_pictures(raw, paths)
    most = round(side * _ENOUGH)
    longest = most * round(most * _LONGEST)
    cache = open_cache(keeping, paths, f"{side} px", longest) if keeping else None
    return SmallPictures(raw, paths, side, cache)


def read_small(path: Path, side: int) -> NDArray[np.uint8]:
    """The picture with a short side of `side` pixels or a little more; a smaller one as it is."""
    picture = read_picture(path, at_least=side)
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if scale >= 1 / _ENOUGH:
        return picture
    shape = (max(side, round(width * scale)), max(side, round(height * scale)))
    return np.asarray(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class SmallPictures(FilePictures):
    """Pictures that are files, each as small as a size needs it."""

    def __init__(self, raw: Path, paths: Sequence[str], side: int, cache: PictureCache | None) -> None:
        super().__init__(raw, paths)
        self._side, self._cache = side, cache

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        path = self._raw / self._paths[number]
        stamp = stamp_of(path) if self._cache else None
        if self._cache is None or stamp is None:
            return read_small(path, self._side)
        known = self._cache.get(number, stamp)
        if known is not None:
            return known
        picture = read_small(path, self._side)
        self._cache.put(number, stamp, picture)
        return picture
