"""Presets as albumentations pipelines: the one place where augmentation happens.

Importing albumentations takes longer than a head stage waits for anything else: what only looks goes without.
"""

from __future__ import annotations

import os
import random
from typing import Any

# albumentations asks the network for news of itself when it is imported, unless this is set before.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from runner.contract.presets import Padding, Preset, Symmetry
from runner.images.center_crop import with_channels

Pixels = NDArray[Any]

_BORDERS = {Padding.REFLECT: cv2.BORDER_REFLECT_101, Padding.EDGE: cv2.BORDER_REPLICATE}
# Linear interpolation looks at two pixels: beyond this it would skip some of a larger image's.
_MOST_SKIPPED = 1.5


_LEVELS = np.arange(256, dtype=np.float64)
_GREY = (0.299, 0.587, 0.114)  # what red, green and blue weigh in brightness

# The symmetries as they act on a window's axes: mirrored or not, and four quarter turns of each.
_TURNED = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])]
_TURNED += [-move for move in _TURNED]
_MIRROR = np.diag([-1.0, 1.0])
_MOVES = {
    Symmetry.NONE: _TURNED[:1],
    Symmetry.HFLIP: [_TURNED[0], _MIRROR],
    Symmetry.D4: [*_TURNED, *(_MIRROR @ move for move in _TURNED)],
}


class Transform:
    """A pipeline whose chances come from the seed of the call, and from nothing else.

    The same image and seed give the same result in any worker, in any order, in any process.
    """

    def __init__(self, *steps: A.BasicTransform) -> None:
        self._pipeline = A.Compose(steps)

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        # One generator for all steps. The pipeline's own `set_random_seed` gives each step a generator
        # with the same seed: what is mirrored would then always be zoomed alike.
        self._pipeline.set_random_state(np.random.Generator(np.random.PCG64(int(seed))), random.Random(int(seed)))
        moved: Pixels = self._pipeline(image=image)["image"]
        return np.ascontiguousarray(moved)


def build_augmentation(preset: Preset, size: int, *, is_rgb: bool) -> Transform:
    """For training: (height, width, channels) to (size, size, channels), another way for each seed.

    `is_rgb` says that values are brightness (uint8 red, green, blue). Where they are
    measurements nothing changes them, whatever the preset's `max_lighting`.
    """
    moves = (
        [*_whole_pixels(preset, size), *_symmetry(preset.symmetry)]
        if preset.geometric_only
        else [RandomCropAffine(preset, size)]
    )
    light = [BrightnessContrast(preset.max_lighting)] if is_rgb and preset.max_lighting else []
    return Transform(*moves, *light)


def _whole_pixels(preset: Preset, size: int) -> list[A.BasicTransform]:
    """Padding by the largest shift and cropping anywhere is every shift up to it, whole pixels only."""
    margin = round(preset.max_shift * size)
    # Nearest, because a mean of speckle has other statistics than speckle; at the native size it does nothing.
    scale = A.SmallestMaxSize(size, interpolation=cv2.INTER_NEAREST, p=1)
    pad = [A.Pad(margin, border_mode=_BORDERS[preset.padding], p=1)] if margin else []
    return [scale, *pad, A.RandomCrop(size, size, p=1)]


def _symmetry(symmetry: Symmetry) -> list[A.BasicTransform]:
    if symmetry is Symmetry.D4:
        return [A.SquareSymmetry(p=1)]
    return [A.HorizontalFlip(p=0.5)] if symmetry is Symmetry.HFLIP else []


class RandomCropAffine(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations has no types
    """A square window on the image: placed along its longer side, zoomed, turned, mirrored and shifted in one warp.

    One interpolation instead of four, and no pass over the pixels for the symmetry: sharper, and faster.
    """

    def __init__(self, preset: Preset, size: int) -> None:
        super().__init__(p=1)
        self.preset, self.size = preset, size

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Where the window is: its centre and side in source pixels, and its turn."""
        height, width = params["shape"][:2]
        preset, draw = self.preset, self.py_random.uniform
        side = min(height, width) / draw(1, preset.max_zoom)
        shift = preset.max_shift * side
        return {
            "side": side,
            "across": draw(side / 2, width - side / 2) + draw(-shift, shift),
            "down": draw(side / 2, height - side / 2) + draw(-shift, shift),
            "degrees": draw(-preset.max_rotate, preset.max_rotate),
            "move": self.py_random.choice(_MOVES[preset.symmetry]),
        }

    def apply(
        self, img: Pixels, side: float, across: float, down: float, degrees: float, move: Pixels, **params: Any
    ) -> Pixels:
        """What is seen through the window, `size` pixels square."""
        small = _reduced(img, side / self.size)
        # Both axes may have been rounded differently.
        grid = np.diag([small.shape[1] / img.shape[1], small.shape[0] / img.shape[0]])
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = grid @ turn @ move * (side / self.size)
        # A pixel's centre lies half a pixel from its edge, in the image and in the window.
        offset = grid @ np.array([across, down]) - 0.5 - linear @ np.full(2, (self.size - 1) / 2)
        return with_channels(
            cv2.warpAffine(
                small,
                np.column_stack([linear, offset]),
                (self.size, self.size),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=_BORDERS[self.preset.padding],
            )
        )


class BrightnessContrast(A.ImageOnlyTransform):  # type: ignore[misc]
    """Brightness as a factor and contrast about the mean, as exposures differ: one look into a table a value.

    Black stays black where only the brightness differs: what is added to it turns night into fog. Colours stay: a
    breed is known by its own.
    """

    def __init__(self, share: float) -> None:
        super().__init__(p=1)
        self.share = share

    def get_params(self) -> dict[str, Any]:
        """By how much."""
        draw = self.py_random.uniform
        return {
            "brightness": draw(1 - self.share, 1 + self.share),
            "contrast": draw(1 - self.share, 1 + self.share),
        }

    def apply(self, img: Pixels, brightness: float, contrast: float, **params: Any) -> Pixels:
        """Every value by the table."""
        mean = float(np.dot(cv2.mean(img)[:3], _GREY))
        values = (brightness * contrast) * _LEVELS + brightness * (1 - contrast) * mean
        return np.asarray(cv2.LUT(img, cv2.convertScaleAbs(np.maximum(values, 0))))


def _reduced(image: Pixels, scale: float) -> Pixels:
    """An image much larger than wanted, averaged down first, so that no fine pattern turns to moiré."""
    if scale <= _MOST_SKIPPED:
        return image
    height, width = image.shape[:2]
    shape = (max(1, round(width / scale)), max(1, round(height / scale)))
    return with_channels(cv2.resize(image, shape, interpolation=cv2.INTER_AREA))
