"""The few simple things that baselines see in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Images = Sequence[NDArray[Any]]

_BINS = 12


def mean_colours(images: Images) -> Features:
    """The mean of each channel."""
    return _table([image.mean(axis=(0, 1)) for image in images])


def statistics(images: Images) -> Features:
    """Of each channel: mean, spread, and how its values are distributed."""
    return _table([_statistics(image) for image in images])


def histograms(images: Images) -> Features:
    """Of each channel: the share of pixels in each of a dozen steps of brightness, common to all images."""
    low, high = min(p.min() for p in images), max(p.max() for p in images)
    return _table([_histogram(image, (float(low), float(high))) for image in images])


def thumbnails(images: Images, side: int) -> Features:
    """All pixels of a very small copy."""
    size = (side, side)
    small = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images)
    return _table([thumbnail.ravel() for thumbnail in small])


def edge_directions(images: Images) -> Features:
    """How strong the edges of each direction are, in each of nine fields of the image."""
    return _table([_edges(image) for image in images])


def _table(rows: list[NDArray[Any]]) -> Features:
    return np.stack(rows).astype(np.float32)


def _statistics(image: NDArray[Any]) -> NDArray[Any]:
    # Every fourth pixel tells as much of a distribution as all do.
    flat = image[::2, ::2].reshape(-1, image.shape[2]).astype(np.float32)
    ranks = np.quantile(flat, [0.02, 0.25, 0.5, 0.75, 0.98], axis=0)
    return np.concatenate([flat.mean(axis=0), flat.std(axis=0), ranks.ravel()])


def _histogram(image: NDArray[Any], limits: tuple[float, float]) -> NDArray[Any]:
    channels = np.moveaxis(image[::2, ::2], 2, 0)
    return np.concatenate([np.histogram(one, _BINS, limits)[0] / one.size for one in channels])


def _edges(image: NDArray[Any]) -> NDArray[Any]:
    grey = cv2.resize(image.astype(np.float32).mean(axis=2), (48, 48), interpolation=cv2.INTER_AREA)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    direction = (np.arctan2(down, across) % np.pi * 8 / np.pi).astype(int) % 8
    field = np.arange(48) // 16
    place = (field[:, None] * 3 + field) * 8 + direction
    sums = np.bincount(place.ravel(), strength.ravel(), minlength=72)
    return np.asarray(np.sqrt(sums / (sums.sum() + 1e-6)))
