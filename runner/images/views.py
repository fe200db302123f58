"""Views: fixed ways of looking at an image, for predicting and for precomputed activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.contract import Preset, Symmetry
from runner.errors import UsageError
from runner.images.center_crop import CenterCrop

Pixels = NDArray[Any]
Transform = Callable[[Pixels, int], Pixels]


_QUARTERS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True)
class View:
    """One way of looking: which square of the image, how near, and moved by which symmetry of the square.

    `across` and `down` say where the square lies: 0 at the left or top, 0.5 in the middle, 1 at the right or
    bottom. `whole` pads the image to a square by reflection instead, so that nothing is cut off.
    """

    name: str
    rot90: int = 0  # quarter rot90, against the clock
    hflip: bool = False
    zoom: float = 1.0
    across: float = 0.5
    down: float = 0.5
    whole: bool = False

    def move(self, square: Pixels) -> Pixels:
        """The symmetry alone, on a square."""
        # OpenCV rot90 by blocks that fit its registers: several times faster than a strided copy.
        turned = cv2.rotate(square, _QUARTERS[self.rot90]) if self.rot90 else square
        moved = cv2.flip(turned, 1) if self.hflip else turned
        return moved if moved.ndim == 3 else moved[..., None]

    def invert(self, square: Pixels) -> Pixels:
        """The symmetry undone."""
        straight = square[:, ::-1] if self.hflip else square
        return np.ascontiguousarray(np.rot90(straight, -self.rot90))

    def cut(self, image: Pixels) -> Pixels:
        """The square that this view looks at, in the image's own pixels."""
        height, width = image.shape[:2]
        if self.whole:
            return _padded(image)
        side = max(1, round(min(height, width) / self.zoom))
        # Rounded down, as validation's centre square is: the plain view is that square to the pixel.
        top, left = int((height - side) * self.down), int((width - side) * self.across)
        return image[top : top + side, left : left + side]


@dataclass(frozen=True)
class RandomView(View):
    """A look through the augmentation of training: drawn, but the same image is always seen alike."""

    draw: int = 0


PLAIN = View("plain")
_MIRROR = View("mirror", hflip=True)
_SQUARE = tuple(
    View(f"turn {90 * rot90}{' mirror' * hflip}".replace("turn 0 mirror", "mirror"), rot90, bool(hflip))
    for rot90 in range(4)
    for hflip in range(2)
    if rot90 or hflip
)
_CORNERS = tuple(
    View(f"{row} {column}", zoom=1.15, across=across, down=down)
    for row, down in (("top", 0.0), ("bottom", 1.0))
    for column, across in (("left", 0.0), ("right", 1.0))
)


def symmetries(preset: Preset) -> tuple[View, ...]:
    """The plain view and its images under the symmetries that the preset allows."""
    moved = {Symmetry.NONE: (), Symmetry.HFLIP: (_MIRROR,), Symmetry.D4: _SQUARE}[preset.symmetry]
    return (PLAIN, *moved)


def default_views(preset: Preset) -> tuple[View, ...]:
    """The symmetries of the square where they hold; else the plain view, and the other one that is least like it.

    On dog photographs the mirror image a little nearer beside the plain view was worth as much as four views
    (log loss 0.285, with the plain view alone 0.317), at half their price.
    """
    plain = symmetries(preset)
    if len(plain) > 2 or preset.max_zoom == 1:
        return plain
    return (plain[0], _nearer(plain, preset)[-1])


def all_views(preset: Preset) -> tuple[View, ...]:
    """Every view the preset allows: symmetries, nearer, the four corners, and the whole image."""
    plain = symmetries(preset)
    if preset.max_zoom == 1:
        return plain  # zooming would blend values that are measurements
    few = plain[:2] if preset.symmetry is not Symmetry.NONE else plain
    whole = [View(f"whole {view.name}".replace(" plain", ""), view.rot90, view.hflip, whole=True) for view in few]
    return (*plain, *_nearer(plain, preset), *_CORNERS, *whole)


def random_views(count: int) -> tuple[View, ...]:
    """The plain view, and so many random augmentations."""
    return (PLAIN, *(RandomView(f"random {draw}", draw=draw) for draw in range(1, count + 1)))


def choose_views(preset: Preset, choice: str) -> tuple[View, ...]:
    """The views of `--views none|default|all|random:N`."""
    lists = {"none": (PLAIN,), "default": default_views(preset), "all": all_views(preset)}
    kind, _, count = choice.partition(":")
    if kind == "random" and count.isdecimal() and 1 <= int(count) <= 64:
        return random_views(int(count))
    if choice not in lists:
        raise UsageError(f"there are no views named {choice!r}", fix=f"--views {'|'.join(lists)}|random:4")
    return lists[choice]


class MultiView:
    """Turns an image into one array (views, size, size, channels); it is read and decoded once for all."""

    def __init__(self, preset: Preset, views: Sequence[View], size: int):
        self.views = tuple(views)
        self._scale = CenterCrop(preset, size)
        self._preset, self._size = preset, size

    def __call__(self, image: Pixels, seed: int = 0) -> Pixels:
        scaled: dict[tuple[object, ...], Pixels] = {}
        looks = np.empty((len(self.views), self._size, self._size, image.shape[2]), image.dtype)
        for place, view in enumerate(self.views):
            if isinstance(view, RandomView):
                looks[place] = self._augment(image)(image, (seed << 8) + view.draw)
                continue
            square = (view.zoom, view.across, view.down, view.whole)
            if square not in scaled:
                scaled[square] = self._scale(view.cut(image))
            looks[place] = view.move(scaled[square])
        return looks

    def _augment(self, image: Pixels) -> Transform:
        return _augmentation(self._preset, self._size, image.dtype == np.uint8)


@cache
def _augmentation(preset: Preset, size: int, is_rgb: bool) -> Transform:
    from runner.images.augment import build_augmentation

    return build_augmentation(preset, size, is_rgb=is_rgb)


def _nearer(views: Sequence[View], preset: Preset) -> tuple[View, ...]:
    return tuple(
        View(f"nearer {view.name}".replace(" plain", ""), view.rot90, view.hflip, zoom=preset.max_zoom)
        for view in views
    )


def _padded(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = cv2.copyMakeBorder(image, top, side - height - top, left, side - width - left, cv2.BORDER_REFLECT_101)
    return padded if padded.ndim == 3 else padded[..., None]
