"""Augmentation presets as image transforms: the one module that imports albumentations.

albumentations is archived since June 2025; it stays as the engine of the present presets behind
`build_augmentation`, so that it can be exchanged in a day. New transforms come from torchvision.transforms.v2 or cv2.
"""

from __future__ import annotations

import os
import random
from typing import Any

# Otherwise albumentations looks for a newer version on the network when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import cv2
import numpy as np

from runner.contract.presets import Padding, Preset, Resize, Symmetry
from runner.contract.training_practice import Augment, Policy
from runner.images.center_crop import Transform
from runner.images.channels import resize, warp_affine
from runner.images.layout import Pixels

_BORDERS = {Padding.REFLECT: cv2.BORDER_REFLECT_101, Padding.EDGE: cv2.BORDER_REPLICATE}
# Bilinear interpolation reads two pixels an axis: beyond this reduction it would skip some.
_MAX_BILINEAR_SCALE = 1.5

_ERASING = 1  # so that it draws other numbers than the steps before it
_ERASED_AREA, _LOG_ASPECT = (0.02, 1 / 3), np.log(3)

_LEVELS = np.arange(256, dtype=np.float64)
_LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness

# The symmetries as matrices on the axes of the crop: four quarter turns, then the flip of each.
_ROT90 = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [-1.0, 0.0]])]
_ROT90 += [-matrix for matrix in _ROT90]
_HFLIP = np.diag([-1.0, 1.0])
_SYMMETRIES = {
    Symmetry.NONE: _ROT90[:1],
    Symmetry.HFLIP: [_ROT90[0], _HFLIP],
    Symmetry.D4: [*_ROT90, *(_HFLIP @ matrix for matrix in _ROT90)],
}


def build_augmentation(
    preset: Preset,
    size: int,
    *,
    is_rgb: bool,
    augment: Augment = Augment(),  # noqa: B008  (frozen)
) -> Transform:
    """The training transform: (height, width, channels) to (size, size, channels), random by seed.

    `is_rgb`: the values are uint8 red, green and blue. Lighting and policies change only those; other values are
    measurements, which no preset changes.
    """
    if preset.geometric_only:
        geometric = [*_shifts_by_whole_pixels(preset, size), *_symmetry(preset.symmetry)]
    else:
        geometric = [RandomCropAffine(preset, size)]
    lighting = [BrightnessContrast(preset.max_lighting)] if is_rgb and preset.max_lighting else []
    transform = _Augmentation(*geometric, *lighting)
    steps: list[Transform] = []
    if augment.policy is not None and is_rgb:
        steps.append(_PolicyStep(augment.policy, augment.magnitude))
    if augment.erase:
        steps.append(_Erase(augment.erase))
    return _InOrder(transform, *steps) if steps else transform


class _InOrder:
    """One transform after the other, each with draws of its own."""

    def __init__(self, *steps: Transform) -> None:
        self._steps = steps

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        for step in self._steps:
            image = step(image, seed)
        return image


class _PolicyStep:
    """torchvision's TrivialAugment or RandAugment; what a shift or rotation uncovers is the mean colour."""

    def __init__(self, policy: Policy, magnitude: int) -> None:
        self._policy, self._magnitude = policy, magnitude

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        # torchvision takes a second to import, and only policies need it.
        import torch
        from torchvision.transforms import v2

        settings: dict[str, Any] = {
            "interpolation": v2.InterpolationMode.BILINEAR,
            "fill": image.mean((0, 1)).tolist(),
        }
        if self._policy is Policy.TRIVIAL:
            change: torch.nn.Module = v2.TrivialAugmentWide(**settings)
        else:
            change = v2.RandAugment(2, self._magnitude, **settings)
        # It draws from torch's global generator, on which the order of the images would else have an influence.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed: torch.Tensor = change(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))))
        return np.ascontiguousarray(changed.numpy().transpose(1, 2, 0))


class _Erase:
    """Random erasing (Zhong et al. 2020): in a share of the images a rectangle becomes the image's mean colour."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        random = np.random.default_rng((_ERASING, seed))
        if random.random() >= self._share:
            return image
        height, width = image.shape[:2]
        area, aspect = random.uniform(*_ERASED_AREA), np.exp(random.uniform(-_LOG_ASPECT, _LOG_ASPECT))
        rows = min(height, max(1, round(height * np.sqrt(area * aspect))))
        columns = min(width, max(1, round(width * np.sqrt(area / aspect))))
        top, left = random.integers(height - rows + 1), random.integers(width - columns + 1)
        erased = image.copy()
        erased[top : top + rows, left : left + columns] = image.mean((0, 1))
        return erased


class _Augmentation:
    """An albumentations pipeline that is a function of image and seed, in any worker and in any order."""

    def __init__(self, *steps: A.BasicTransform) -> None:
        self._pipeline = A.Compose(steps)

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        # One generator for all steps. The pipeline's own `set_random_seed` gives each step a generator
        # with the same seed: a flip would then always come with the same zoom.
        self._pipeline.set_random_state(np.random.Generator(np.random.PCG64(int(seed))), random.Random(int(seed)))
        augmented: Pixels = self._pipeline(image=image)["image"]
        return np.ascontiguousarray(augmented)


def _shifts_by_whole_pixels(preset: Preset, size: int) -> list[A.BasicTransform]:
    """Padding by the largest shift and cropping anywhere gives every shift up to it, without interpolation."""
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
    """Random square crop, zoom, rotation, symmetry and shift as one affine warp.

    One interpolation instead of four, and no separate pass for the symmetry: sharper, and faster.
    """

    def __init__(self, preset: Preset, size: int) -> None:
        super().__init__(p=1)
        self.preset, self.size = preset, size

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The crop's sides and centre in source pixels, its rotation in degrees and its symmetry."""
        height, width = params["shape"][:2]
        preset, draw = self.preset, self.py_random.uniform
        zoom = draw(1, preset.max_zoom)
        longer, shorter = max(height, width), min(height, width)
        side = (longer if preset.resize is Resize.PAD else shorter) / zoom
        rows, columns = (height / zoom, width / zoom) if preset.resize is Resize.SQUASH else (side, side)
        # What is filled up beside the image may be in the crop too.
        beside_x, beside_y = (
            ((longer - width) / 2, (longer - height) / 2) if preset.resize is Resize.PAD else (0.0, 0.0)
        )
        shift_x, shift_y = preset.max_shift * columns, preset.max_shift * rows
        return {
            "rows": rows,
            "columns": columns,
            "x": draw(columns / 2 - beside_x, width - columns / 2 + beside_x) + draw(-shift_x, shift_x),
            "y": draw(rows / 2 - beside_y, height - rows / 2 + beside_y) + draw(-shift_y, shift_y),
            "degrees": draw(-preset.max_rotate, preset.max_rotate),
            "symmetry": self.py_random.choice(_SYMMETRIES[preset.symmetry]),
        }

    def apply(
        self,
        img: Pixels,
        rows: float,
        columns: float,
        x: float,
        y: float,
        degrees: float,
        symmetry: Pixels,
        **params: Any,
    ) -> Pixels:
        """The crop, (size, size, channels)."""
        source = _reduced(img, rows / self.size, columns / self.size)
        # Both axes may have been rounded differently.
        grid = np.diag([source.shape[1] / img.shape[1], source.shape[0] / img.shape[0]])
        angle = np.deg2rad(degrees)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if rows == columns:
            linear = grid @ rotation @ symmetry * (columns / self.size)
        else:  # turned as a square, then stretched to the image
            linear = grid @ np.diag([columns / self.size, rows / self.size]) @ rotation @ symmetry
        # A pixel's centre lies half a pixel from its edge, in the image and in the crop.
        offset = grid @ np.array([x, y]) - 0.5 - linear @ np.full(2, (self.size - 1) / 2)
        return warp_affine(source, np.column_stack([linear, offset]), self.size, _BORDERS[self.preset.padding])


class BrightnessContrast(A.ImageOnlyTransform):  # type: ignore[misc]
    """Random brightness (a factor) and contrast (about the image's mean), by one lookup table.

    As a factor, brightness keeps black black; as one table for all channels, lighting keeps hues.
    """

    def __init__(self, max_change: float) -> None:
        super().__init__(p=1)
        self.max_change = max_change

    def get_params(self) -> dict[str, Any]:
        """The two factors, both near 1."""
        draw = self.py_random.uniform
        return {
            "brightness": draw(1 - self.max_change, 1 + self.max_change),
            "contrast": draw(1 - self.max_change, 1 + self.max_change),
        }

    def apply(self, img: Pixels, brightness: float, contrast: float, **params: Any) -> Pixels:
        """The image with every value replaced by the table's."""
        mean = float(np.dot(cv2.mean(img)[:3], _LUMA))
        table = (brightness * contrast) * _LEVELS + brightness * (1 - contrast) * mean
        return np.asarray(cv2.LUT(img, cv2.convertScaleAbs(np.maximum(table, 0))))


def _reduced(image: Pixels, rows: float, columns: float) -> Pixels:
    """Area-averaged if it is so many times larger than the crop, so that fine patterns do not turn to moiré."""
    if max(rows, columns) <= _MAX_BILINEAR_SCALE:
        return image
    height, width = image.shape[:2]
    shape = (max(1, round(width / max(1, columns))), max(1, round(height / max(1, rows))))
    return resize(image, shape, cv2.INTER_AREA)
