"""The few simple things that bots see in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Pictures = Sequence[NDArray[Any]]

_BINS = 12


def mean_colours(pictures: Pictures) -> Features:
    """The mean of each channel."""
    return _table([picture.mean(axis=(0, 1)) for picture in pictures])


def statistics(pictures: Pictures) -> Features:
    """Of each channel: mean, spread, and how its values are distributed."""
    return _table([_statistics(picture) for picture in pictures])


def histograms(pictures: Pictures) -> Features:
    """Of each channel: the share of pixels in each of a dozen steps of brightness, common to all pictures."""
    low, high = min(p.min() for p in pictures), max(p.max() for p in pictures)
    return _table([_histogram(picture, (float(low), float(high))) for picture in pictures])


def thumbnails(pictures: Pictures, side: int) -> Features:
    """All pixels of a very small copy."""
    size = (side, side)
    small = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures)
    return _table([thumbnail.ravel() for thumbnail in small])


def edge_directions(pictures: Pictures) -> Features:
    """How strong the edges of each direction are, in each of nine fields of the picture."""
    return _table([_edges(picture) for picture in pictures])


def _table(rows: list[NDArray[Any]]) -> Features:
    return np.stack(rows).astype(np.float32)


def _statistics(picture: NDArray[Any]) -> NDArray[Any]:
    # Every fourth pixel tells as much of a distribution as all do.
    flat = picture[::2, ::2].reshape(-1, picture.shape[2]).astype(np.float32)
    ranks = np.quantile(flat, [0.02, 0.25, 0.5, 0.75, 0.98], axis=0)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0), ranks.ravel()])


def _histogram(picture: NDArray[Any], limits: tuple[float, float]) -> NDArray[Any]:
    channels = np.moveaxis(picture[::2, ::2], 2, 0)
    return np.concatenate([np.histogram(one, _BINS, limits)[0] / one.size for one in channels])


def _edges(picture: NDArray[Any]) -> NDArray[Any]:
    grey = cv2.resize(picture.astype(np.float32).mean(axis=2), (48, 48), interpolation=cv2.INTER_AREA)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    direction = (np.arctan2(down, across) % np.pi * 8 / np.pi).astype(int) % 8
    field = np.arange(48) // 16
    place = (field[:, None] * 3 + field) * 8 + direction
    sums = np.bincount(place.ravel(), strength.ravel(), minlength=72)
    return np.asarray(np.sqrt(sums / (sums.sum() + 1e-6)))
