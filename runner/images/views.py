"""Test-time views: fixed crops and symmetries of an image, for TTA and for cached features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import cv2
import numpy as np

from runner.commands import again
from runner.contract import Preset, Resize, Symmetry
from runner.errors import UsageError
from runner.images.center_crop import CenterCrop, Transform, padded_to_square
from runner.images.channels import hflip, rotate
from runner.images.layout import Pixels, layout_of, with_channel_axis
from runner.images.view_size import name_at_size, name_without_size

MAX_RANDOM_VIEWS = 64

_ROTATE = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True)
class View:
    """One test-time view: a square crop, then a rotation and a flip."""

    name: str
    rot90: int = 0  # counter-clockwise quarter turns, as numpy.rot90
    hflip: bool = False
    zoom: float = 1.0
    x: float = 0.5  # crop position: 0 left, 1 right
    y: float = 0.5  # 0 top, 1 bottom
    pad_to_square: bool = False  # by reflection, instead of a crop
    # In px, and told by the name; None: the size that the network was trained at.
    size: int | None = field(default=None, repr=False)

    def at_size(self, size: int) -> View:
        """This view for a network that predicts at this size, under a name of its own."""
        return replace(self, name=name_at_size(self.name, size), size=size)

    @property
    def without_size(self) -> View:
        """What the view shows, at any size."""
        return replace(self, name=name_without_size(self.name), size=None)

    def apply(self, square: Pixels) -> Pixels:
        """Rotate and flip a square image."""
        # OpenCV rotates by blocks that fit its registers: several times faster than a strided copy.
        rotated = rotate(square, _ROTATE[self.rot90]) if self.rot90 else square
        return hflip(rotated) if self.hflip else with_channel_axis(rotated)

    def invert(self, square: Pixels) -> Pixels:
        """Undo the flip and the rotation."""
        unflipped = square[:, ::-1] if self.hflip else square
        return np.ascontiguousarray(np.rot90(unflipped, -self.rot90))

    def crop(self, image: Pixels, resize: Resize = Resize.CROP) -> Pixels:
        """The view's part of the image in its own resolution: a square, unless the image is squashed into one."""
        height, width = image.shape[:2]
        if self.pad_to_square:
            return padded_to_square(image)
        if resize is Resize.SQUASH:
            rows, columns = max(1, round(height / self.zoom)), max(1, round(width / self.zoom))
            top, left = int((height - rows) * self.y), int((width - columns) * self.x)
            return image[top : top + rows, left : left + columns]
        if resize is Resize.PAD and self.zoom != 1:
            return replace(self, pad_to_square=False).crop(padded_to_square(image))
        if resize is Resize.PAD:
            return image
        side = max(1, round(min(height, width) / self.zoom))
        # Rounded down as CenterCrop does, so that the plain view is equal to it.
        top, left = int((height - side) * self.y), int((width - side) * self.x)
        return image[top : top + side, left : left + side]


@dataclass(frozen=True)
class RandomView(View):
    """A training augmentation with a fixed seed for each image and `draw`."""

    draw: int = 0


def _name(rot90: int = 0, hflip: bool = False, prefix: str = "") -> str:
    """Such as "rot90 hflip" or "zoom hflip"."""
    parts = (prefix, f"rot{90 * rot90}" if rot90 else "", "hflip" if hflip else "")
    return " ".join(filter(None, parts)) or "plain"


PLAIN = View(_name())
_HFLIP = View(_name(hflip=True), hflip=True)
_D4 = tuple(View(_name(rot90, hflip), rot90, hflip) for rot90 in range(4) for hflip in (False, True) if rot90 or hflip)
_CORNERS = tuple(
    View(f"{row} {column}", zoom=1.15, x=x, y=y)
    for row, y in (("top", 0.0), ("bottom", 1.0))
    for column, x in (("left", 0.0), ("right", 1.0))
)


def symmetries(preset: Preset) -> tuple[View, ...]:
    """The plain view, then its rotations and flips that the preset allows."""
    others = {Symmetry.NONE: (), Symmetry.HFLIP: (_HFLIP,), Symmetry.D4: _D4}[preset.symmetry]
    return (PLAIN, *others)


def default_views(preset: Preset) -> tuple[View, ...]:
    """All eight symmetries for D4; else the plain view and its zoomed flip.

    On dog photographs the zoomed flip beside the plain view was worth as much as four views (log loss 0.285; with
    the plain view alone 0.317), at half their price.
    """
    plain = symmetries(preset)
    if len(plain) > 2 or preset.max_zoom == 1:
        return plain
    return (plain[0], _zoomed(plain, preset)[-1])


def all_views(preset: Preset) -> tuple[View, ...]:
    """Symmetries, the same zoomed, the four corners, and the image padded to a square."""
    plain = symmetries(preset)
    if preset.max_zoom == 1:
        return plain  # zooming would interpolate values that are measurements
    first = plain[:2] if preset.symmetry is not Symmetry.NONE else plain
    if preset.resize is Resize.PAD:
        return (*plain, *_zoomed(plain, preset), *_CORNERS)
    padded = [
        View(_name(view.rot90, view.hflip, "padded"), view.rot90, view.hflip, pad_to_square=True) for view in first
    ]
    return (*plain, *_zoomed(plain, preset), *_CORNERS, *padded)


def random_views(count: int) -> tuple[View, ...]:
    """The plain view, then `count` random augmentations."""
    return (PLAIN, *(RandomView(f"random {draw}", draw=draw) for draw in range(1, count + 1)))


def choose_views(preset: Preset, choice: str, size: int | None = None) -> tuple[View, ...]:
    """The views of `--tta none|default|all|random:N`, at the size of `--size`."""
    views = _views_of(preset, choice)
    return views if size is None else tuple(view.at_size(size) for view in views)


def _views_of(preset: Preset, choice: str) -> tuple[View, ...]:
    by_name = {"none": (PLAIN,), "default": default_views(preset), "all": all_views(preset)}
    kind, _, count = choice.partition(":")
    if kind == "random" and count.isdecimal() and 1 <= int(count) <= MAX_RANDOM_VIEWS:
        return random_views(int(count))
    if choice not in by_name:
        raise UsageError(
            f"--tta {choice}: must be none, default, all or random:N with N from 1 to {MAX_RANDOM_VIEWS}",
            fix=again("--tta", "default"),
        )
    return by_name[choice]


class MultiView:
    """A transform to (views, size, size, channels)."""

    def __init__(self, preset: Preset, views: Sequence[View], size: int) -> None:
        self.views = tuple(views)
        self._resize = CenterCrop(preset, size)
        self._preset, self._size = preset, size

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        """Every view of an image; views that differ by a symmetry alone share one resize."""
        squares: dict[tuple[object, ...], Pixels] = {}
        batch = np.empty((len(self.views), self._size, self._size, image.shape[2]), image.dtype)
        for number, view in enumerate(self.views):
            if isinstance(view, RandomView):
                batch[number] = self._augmentation(image)(image, (seed << 8) + view.draw)
                continue
            crop = (view.zoom, view.x, view.y, view.pad_to_square)
            if crop not in squares:
                squares[crop] = self._resize(view.crop(image, self._preset.resize), 0)
            batch[number] = view.apply(squares[crop])
        return batch

    def _augmentation(self, image: Pixels) -> Transform:
        return _augmentation(self._preset, self._size, layout_of(image).is_rgb)


@cache
def _augmentation(preset: Preset, size: int, is_rgb: bool) -> Transform:
    # Imported here because albumentations takes seconds to import, and only random views need it.
    from runner.images.augment import build_augmentation

    return build_augmentation(preset, size, is_rgb=is_rgb)


def _zoomed(views: Sequence[View], preset: Preset) -> tuple[View, ...]:
    return tuple(
        View(_name(view.rot90, view.hflip, "zoom"), view.rot90, view.hflip, zoom=preset.max_zoom) for view in views
    )
