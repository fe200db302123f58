"""The square for validation: the largest in the middle, or all of the image squashed or padded, resized."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from runner.contract.presets import Padding, Preset, Resize
from runner.images.channels import pad, resize
from runner.images.layout import Pixels

# Images are small and workers many: OpenCV's own threads would only compete for the cores.
cv2.setNumThreads(0)

Transform = Callable[[Pixels, int], Pixels]  # (image, seed) to what a network takes

# Averaging areas is sharpest for a large reduction, and blurs a small one.
_INTER_AREA_FROM = 1.6


_BORDERS = {Padding.REFLECT: cv2.BORDER_REFLECT_101, Padding.EDGE: cv2.BORDER_REPLICATE}


def padded_to_square(image: Pixels, border: int = cv2.BORDER_REFLECT_101) -> Pixels:
    """The image in the middle of a square as long as its longer side."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return pad(image, (top, side - height - top, left, side - width - left), border)


class CenterCrop:
    """A transform to (size, size, channels); it draws nothing at random."""

    def __init__(self, preset: Preset, size: int) -> None:
        self.size, self._keeps_values = size, preset.geometric_only
        self._resize, self._border = preset.resize, _BORDERS[preset.padding]

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        """Crop first, then resize: a panorama costs no more than a square."""
        if self._resize is Resize.SQUASH:
            return self._squashed(image)
        if self._resize is Resize.PAD:
            image = padded_to_square(image, self._border)
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        if side == self.size:
            return square
        return resize(square, (self.size, self.size), self._interpolation(side))

    def _squashed(self, image: Pixels) -> Pixels:
        if image.shape[:2] == (self.size, self.size):
            return image
        return resize(image, (self.size, self.size), self._interpolation(min(image.shape[:2])))

    def _interpolation(self, side: int) -> int:
        if self._keeps_values:
            return int(cv2.INTER_NEAREST)
        if side > _INTER_AREA_FROM * self.size:
            return int(cv2.INTER_AREA)
        return int(cv2.INTER_CUBIC if side > self.size else cv2.INTER_LINEAR)
