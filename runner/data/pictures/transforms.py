"""Presets as albumentations pipelines: the one place where augmentation happens."""

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

# Pictures are small and workers many: OpenCV's own threads would only fight over the cores.
cv2.setNumThreads(0)

Picture = NDArray[Any]

_BORDERS = {Padding.REFLECT: cv2.BORDER_REFLECT_101, Padding.EDGE: cv2.BORDER_REPLICATE}
# Linear interpolation looks at two pixels: beyond this it would skip some of a larger picture's.
_MOST_SKIPPED = 1.5
# A mean over pixels and parts of pixels is the best picture of a much larger one, and blurs one hardly larger.
_BY_AREA = 1.6


class Transform:
    """A pipeline whose chances come from the seed of the call, and from nothing else.

    The same picture and seed give the same result in any worker, in any order, in any process.
    """

    def __init__(self, *steps: A.BasicTransform) -> None:
        self._pipeline = A.Compose(steps)

    def __call__(self, picture: Picture, seed: int = 0) -> Picture:
        # One generator for all steps. The pipeline's own `set_random_seed` gives each step a generator
        # with the same seed: what is mirrored would then always be zoomed alike.
        self._pipeline.set_random_state(np.random.Generator(np.random.PCG64(int(seed))), random.Random(int(seed)))
        moved: Picture = self._pipeline(image=picture)["image"]
        return np.ascontiguousarray(moved)


def build_augmentation(preset: Preset, size: int, *, channels_are_light: bool) -> Transform:
    """For training: (height, width, channels) to (size, size, channels), another way for each seed.

    `channels_are_light` says that values are brightness (uint8 red, green, blue). Where they are
    measurements nothing changes them, whatever the preset's `max_light`.
    """
    frame = _whole_pixels(preset, size) if preset.moves_only else [Window(preset, size)]
    light = _light(preset.max_light) if channels_are_light and preset.max_light else []
    return Transform(*frame, *_symmetry(preset.symmetry), *light)


def build_plain(preset: Preset, size: int) -> Transform:
    """For validation: the centre square, scaled to (size, size, channels); always the same."""
    return Transform(CentreSquare(size, keep_values=preset.moves_only))


def _whole_pixels(preset: Preset, size: int) -> list[A.BasicTransform]:
    """Padding by the largest shift and cropping anywhere is every shift up to it, whole pixels only."""
    margin = round(preset.max_shift * size)
    # Nearest, because a mean of speckle has other statistics than speckle; at the native size it does nothing.
    scale = A.SmallestMaxSize(size, interpolation=cv2.INTER_NEAREST, p=1)
    pad = [A.Pad(margin, border_mode=_BORDERS[preset.padding], p=1)] if margin else []
    return [scale, *pad, A.RandomCrop(size, size, p=1)]


def _symmetry(symmetry: Symmetry) -> list[A.BasicTransform]:
    if symmetry is Symmetry.SQUARE:
        return [A.SquareSymmetry(p=1)]
    return [A.HorizontalFlip(p=0.5)] if symmetry is Symmetry.MIRROR else []


def _light(share: float) -> list[A.BasicTransform]:
    # Brightness as a factor and contrast about the mean, as an exposure differs. (RandomBrightnessContrast
    # adds to black, too, which turns night into fog.) Colours stay: a breed is known by its own.
    factors = (1 - share, 1 + share)
    return [A.ColorJitter(brightness=factors, contrast=factors, saturation=(1, 1), hue=(0, 0), p=1)]


class CentreSquare(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations has no types
    """The largest square in the middle, scaled. The crop comes first: a panorama costs no more than a square."""

    def __init__(self, size: int, keep_values: bool) -> None:
        super().__init__(p=1)
        self.size, self.keep_values = size, keep_values

    def apply(self, img: Picture, **params: Any) -> Picture:
        """Cut and scaled."""
        height, width = img.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = img[top : top + side, left : left + side]
        if side == self.size:
            return square
        return _with_channels(cv2.resize(square, (self.size, self.size), interpolation=self._interpolation(side)))

    def _interpolation(self, side: int) -> int:
        if self.keep_values:
            return int(cv2.INTER_NEAREST)
        if side > _BY_AREA * self.size:
            return int(cv2.INTER_AREA)
        return int(cv2.INTER_CUBIC if side > self.size else cv2.INTER_LINEAR)


class Window(A.ImageOnlyTransform):  # type: ignore[misc]  # albumentations has no types
    """A square window on the picture: placed along its longer side, zoomed, turned and shifted in one warp.

    One interpolation instead of four: sharper, and faster.
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
            "degrees": draw(-preset.max_rotation, preset.max_rotation),
        }

    def apply(self, img: Picture, side: float, across: float, down: float, degrees: float, **params: Any) -> Picture:
        """What is seen through the window, `size` pixels square."""
        small = _reduced(img, side / self.size)
        # Both axes may have been rounded differently.
        grid = np.diag([small.shape[1] / img.shape[1], small.shape[0] / img.shape[0]])
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = grid @ turn * (side / self.size)
        # A pixel's centre lies half a pixel from its edge, in the picture and in the window.
        offset = grid @ np.array([across, down]) - 0.5 - linear @ np.full(2, (self.size - 1) / 2)
        return _with_channels(
            cv2.warpAffine(
                small,
                np.column_stack([linear, offset]),
                (self.size, self.size),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=_BORDERS[self.preset.padding],
            )
        )


def _reduced(picture: Picture, scale: float) -> Picture:
    """A picture much larger than wanted, averaged down first, so that no fine pattern turns to moiré."""
    if scale <= _MOST_SKIPPED:
        return picture
    height, width = picture.shape[:2]
    shape = (max(1, round(width / scale)), max(1, round(height / scale)))
    return _with_channels(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA))


def _with_channels(picture: Picture) -> Picture:
    # OpenCV drops the last axis where it is 1.
    return picture[..., None] if picture.ndim == 2 else picture
