"""The crop for validation: the largest square in the middle, resized."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from runner.contract.presets import Preset
from runner.images.channels import resize
from runner.images.layout import Pixels

# Images are small and workers many: OpenCV's own threads would only compete for the cores.
cv2.setNumThreads(0)

Transform = Callable[[Pixels, int], Pixels]  # (image, seed) to what a network takes

# Averaging areas is sharpest for a large reduction, and blurs a small one.
_INTER_AREA_FROM = 1.6


class CenterCrop:
    """A transform to (size, size, channels); it draws nothing at random."""

    def __init__(self, preset: Preset, size: int) -> None:
        self.size, self._keeps_values = size, preset.geometric_only

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        """Crop first, then resize: a panorama costs no more than a square."""
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        if side == self.size:
            return square
        return resize(square, (self.size, self.size), self._interpolation(side))

    def _interpolation(self, side: int) -> int:
        if self._keeps_values:
            return int(cv2.INTER_NEAREST)
        if side > _INTER_AREA_FROM * self.size:
            return int(cv2.INTER_AREA)
        return int(cv2.INTER_CUBIC if side > self.size else cv2.INTER_LINEAR)
