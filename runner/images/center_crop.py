"""The plain look at an image: the square in its middle, scaled."""

from __future__ import annotations

from typing import Any

import cv2
from numpy.typing import NDArray

from runner.contract.presets import Preset

# Images are small and workers many: OpenCV's own threads would only fight over the cores.
cv2.setNumThreads(0)

Pixels = NDArray[Any]

# A mean over pixels and parts of pixels is the best image of a much larger one, and blurs one hardly larger.
_BY_AREA = 1.6


class CenterCrop:
    """For validation: the largest square in the middle, scaled to (size, size, channels); always the same.

    The crop comes first: a panorama costs no more than a square.
    """

    def __init__(self, preset: Preset, size: int) -> None:
        self.size, self._keeps_values = size, preset.geometric_only

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        """Cut and scaled; nothing is drawn, so the seed is of no use."""
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        if side == self.size:
            return square
        return with_channels(cv2.resize(square, (self.size, self.size), interpolation=self._interpolation(side)))

    def _interpolation(self, side: int) -> int:
        if self._keeps_values:
            return int(cv2.INTER_NEAREST)
        if side > _BY_AREA * self.size:
            return int(cv2.INTER_AREA)
        return int(cv2.INTER_CUBIC if side > self.size else cv2.INTER_LINEAR)


def with_channels(image: Pixels) -> Pixels:
    """The image with a last axis for its channels: OpenCV drops it where it is 1."""
    return image[..., None] if image.ndim == 2 else image
