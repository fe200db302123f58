"""Simple image features for the baselines; every function returns one row an image as float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]
Images = Sequence[NDArray[Any]]  # each (height, width, channels)

_HISTOGRAM_BINS = 12
_GRADIENT_DIRECTIONS = 9
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))  # around the centre of 3 x 3 pixels
_PATCH_BATCH = 32  # images


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
    return pixels(images, side).reshape(len(images), -1)


def pixels(images: Images, side: int) -> Features:
    """Copies of `side` x `side` pixels, (images, channels, side, side); each channel has mean 0 and deviation 1."""
    copies = _stack([_resize(image, side).reshape(side, side, -1).transpose(2, 0, 1) for image in images])
    mean, deviation = copies.mean(axis=(0, 2, 3), keepdims=True), copies.std(axis=(0, 2, 3), keepdims=True)
    return np.asarray((copies - mean) / (deviation + 1e-6))


def gradient_histograms(images: Images, side: int, cells: int) -> Features:
    """Histograms of oriented gradients (HOG): nine directions in each of `cells` x `cells` cells."""
    bins = np.arange(side) * cells // side
    cell = (bins[:, None] * cells + bins) * _GRADIENT_DIRECTIONS
    return _stack([_gradient_histogram(_grey(image, side), cell, cells) for image in images])


def binary_patterns(images: Images, side: int) -> Features:
    """A histogram of local binary patterns (LBP): which of its eight neighbours are brighter than a pixel."""
    return _stack([_binary_patterns(_grey(image, side)) for image in images])


def random_patches(images: Images, side: int, patches: int, size: int = 6) -> Features:
    """How strongly each of 3 x 3 cells responds to random patches of the images: a network without training."""
    import torch  # here: a second to import, and no other feature needs it

    copies = torch.from_numpy(pixels(images, side))
    filters = _sample_patches(pixels(images[:200], side), patches, size)
    threshold = 0.5 * np.sqrt(filters[0].size)
    with torch.inference_mode():
        return np.concatenate(
            [
                torch.nn.functional.adaptive_avg_pool2d(
                    torch.relu(torch.nn.functional.conv2d(batch, torch.from_numpy(filters)) - threshold), 3
                ).flatten(1)
                for batch in torch.split(copies, _PATCH_BATCH)
            ]
        )


def joined(*parts: Callable[[Images], Features]) -> Callable[[Images], Features]:
    """A function that returns the features of several functions side by side."""
    return lambda images: np.hstack([part(images) for part in parts])


def _stack(rows: list[NDArray[Any]]) -> Features:
    return np.stack(rows).astype(np.float32)


def _resize(image: NDArray[Any], side: int) -> NDArray[Any]:
    return np.asarray(cv2.resize(image.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA))


def _grey(image: NDArray[Any], side: int) -> NDArray[Any]:
    return _resize(image.mean(axis=2, dtype=np.float32), side)


def _channel_statistics(image: NDArray[Any]) -> NDArray[Any]:
    # A quarter of the pixels is enough for quantiles.
    pixels = image[::2, ::2].reshape(-1, image.shape[2]).astype(np.float32)
    quantiles = np.quantile(pixels, [0.02, 0.25, 0.5, 0.75, 0.98], axis=0)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), quantiles.ravel()])


def _histogram(image: NDArray[Any], limits: tuple[float, float]) -> NDArray[Any]:
    channels = np.moveaxis(image[::2, ::2], 2, 0)
    return np.concatenate([np.histogram(channel, _HISTOGRAM_BINS, limits)[0] / channel.size for channel in channels])


def _gradient_histogram(grey: NDArray[Any], cell: NDArray[Any], cells: int) -> NDArray[Any]:
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength = np.hypot(dx, dy)
    direction = (np.arctan2(dy, dx) % np.pi) * _GRADIENT_DIRECTIONS / np.pi
    lower, share = np.floor(direction).astype(int), direction % 1
    sums = np.zeros(cells**2 * _GRADIENT_DIRECTIONS)
    for step, weight in ((0, 1 - share), (1, share)):
        bins = cell + (lower + step) % _GRADIENT_DIRECTIONS
        sums += np.bincount(bins.ravel(), (strength * weight).ravel(), minlength=len(sums))
    by_cell = sums.reshape(cells, cells, _GRADIENT_DIRECTIONS)
    # Each cell relative to its surroundings: light and contrast differ across an image.
    energy = 9 * cv2.blur((by_cell**2).sum(axis=2).astype(np.float32), (3, 3))
    return np.asarray(np.sqrt(by_cell / np.sqrt(energy + 1e-3)[..., None])).ravel()


def _binary_patterns(grey: NDArray[Any]) -> NDArray[Any]:
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    centre, code = grey[1:-1, 1:-1], np.zeros((height, width), dtype=int)
    for bit, (top, left) in enumerate(_NEIGHBOURS):
        code |= (grey[top : top + height, left : left + width] > centre).astype(int) << bit
    return np.asarray(np.sqrt(np.bincount(code.ravel(), minlength=256) / code.size))


def _sample_patches(copies: Features, count: int, size: int) -> Features:
    """Random patches of the images, (count, channels, size, size), each with mean 0 and length sqrt(values)."""
    random = np.random.default_rng(0)
    rows = random.integers(len(copies), size=count)
    corners = random.integers(copies.shape[2] - size + 1, size=(count, 2))
    patches = np.stack(
        [
            copies[row, :, top : top + size, left : left + size]
            for row, (top, left) in zip(rows, corners.tolist(), strict=True)
        ]
    )
    patches -= patches.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(patches / (patches.std(axis=(1, 2, 3), keepdims=True) + 0.1), dtype=np.float32)
