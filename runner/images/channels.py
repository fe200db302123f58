"""OpenCV's functions for images of any number of channels: it takes at most four at once, and drops an axis of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from runner.images.layout import Pixels, with_channel_axis

_AT_ONCE = 4


def by_channels(function: Callable[[Pixels], Any], image: Pixels) -> Pixels:
    """`function` of an image, of four channels at a time if there are more."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels <= _AT_ONCE:
        return with_channel_axis(np.asarray(function(image)))
    starts = range(0, channels, _AT_ONCE)
    parts = [np.ascontiguousarray(image[..., start : start + _AT_ONCE]) for start in starts]
    return np.concatenate([with_channel_axis(np.asarray(function(part))) for part in parts], axis=2)


def resize(image: Pixels, shape: Sequence[int], interpolation: int) -> Pixels:
    """The image in this (width, height)."""
    return by_channels(lambda part: cv2.resize(part, tuple(shape), interpolation=interpolation), image)


def warp_affine(image: Pixels, matrix: Pixels, size: int, border: int) -> Pixels:
    """The square that the matrix maps to, read by bilinear interpolation."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return by_channels(lambda part: cv2.warpAffine(part, matrix, (size, size), flags=flags, borderMode=border), image)


def pad(image: Pixels, borders: Sequence[int], border: int) -> Pixels:
    """The image with borders: top, bottom, left and right."""
    top, bottom, left, right = borders
    return by_channels(lambda part: cv2.copyMakeBorder(part, top, bottom, left, right, border), image)


def rotate(image: Pixels, code: int) -> Pixels:
    """A rotation by quarter turns."""
    return by_channels(lambda part: cv2.rotate(part, code), image)


def hflip(image: Pixels) -> Pixels:
    """The mirror image."""
    return by_channels(lambda part: cv2.flip(part, 1), image)
