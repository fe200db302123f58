"""Simple image features for the baselines; every function returns (images, features) as float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Images = Sequence[NDArray[Any]]  # each (height, width, channels)

_HISTOGRAM_BINS = 12
_EDGE_SIDE, _EDGE_CELLS, _EDGE_DIRECTIONS = 48, 3, 8


def mean_colours(images: Images) -> Features:
    """The mean of each channel."""
    return _stack([image.mean(axis=(0, 1)) for image in images])


def channel_statistics(images: Images) -> Features:
    """Mean, standard deviation and five quantiles of each channel."""
    return _stack([_channel_statistics(image) for image in images])


def histograms(images: Images) -> Features:
    """A histogram of each channel, with the same bins for all images."""
    low, high = min(image.min() for image in images), max(image.max() for image in images)
    return _stack([_histogram(image, (float(low), float(high))) for image in images])


def thumbnails(images: Images, side: int) -> Features:
    """All pixels of a copy of `side` x `side` pixels."""
    size = (side, side)
    return _stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA).ravel() for image in images])


def edge_histograms(images: Images) -> Features:
    """A histogram of oriented gradients: eight directions in each of 3 x 3 cells."""
    return _stack([_edge_histogram(image) for image in images])


def _stack(rows: list[NDArray[Any]]) -> Features:
    return np.stack(rows).astype(np.float32)


def _channel_statistics(image: NDArray[Any]) -> NDArray[Any]:
    # A quarter of the pixels is enough for quantiles.
    pixels = image[::2, ::2].reshape(-1, image.shape[2]).astype(np.float32)
    quantiles = np.quantile(pixels, [0.02, 0.25, 0.5, 0.75, 0.98], axis=0)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), quantiles.ravel()])


def _histogram(image: NDArray[Any], limits: tuple[float, float]) -> NDArray[Any]:
    channels = np.moveaxis(image[::2, ::2], 2, 0)
    return np.concatenate([np.histogram(channel, _HISTOGRAM_BINS, limits)[0] / channel.size for channel in channels])


def _edge_histogram(image: NDArray[Any]) -> NDArray[Any]:
    size = (_EDGE_SIDE, _EDGE_SIDE)
    grey = cv2.resize(image.astype(np.float32).mean(axis=2), size, interpolation=cv2.INTER_AREA)
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    direction = (np.arctan2(dy, dx) % np.pi * _EDGE_DIRECTIONS / np.pi).astype(int) % _EDGE_DIRECTIONS
    cell = np.arange(_EDGE_SIDE) // (_EDGE_SIDE // _EDGE_CELLS)
    bins = (cell[:, None] * _EDGE_CELLS + cell) * _EDGE_DIRECTIONS + direction
    sums = np.bincount(bins.ravel(), strength.ravel(), minlength=_EDGE_CELLS**2 * _EDGE_DIRECTIONS)
    return np.asarray(np.sqrt(sums / (sums.sum() + 1e-6)))
