"""Presets: the symmetries of a competition's images, and how strongly they are augmented."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Symmetry(Enum):
    """The flips and rotations of a square that keep an image's label."""

    NONE = "none"  # letters, digits: a mirrored b is a d
    HFLIP = "hflip"  # things that stand upright: left and right may be swapped
    D4 = "d4"  # things seen from above: four rotations, each with its mirror image


class Padding(Enum):
    """What fills the corners that a rotation or a shift leaves empty."""

    REFLECT = "reflect"
    EDGE = "edge"


class Resize(Enum):
    """How an oblong image becomes a square."""

    CROP = "crop"  # the square in the middle, in training a random one
    SQUASH = "squash"  # all of it, the longer side shortened more
    PAD = "pad"  # all of it, filled up


@dataclass(frozen=True)
class Preset:
    """Augmentation as data; `runner/images/augment.py` builds the pipeline from it."""

    name: str
    symmetry: Symmetry
    max_rotate: float = 0.0  # degrees, in both directions
    max_zoom: float = 1.0  # 1.1: up to a tenth closer
    max_shift: float = 0.0  # share of the side
    max_lighting: float = 0.0  # share of brightness and contrast, up or down
    padding: Padding = Padding.REFLECT
    resize: Resize = Resize.CROP

    def __post_init__(self) -> None:
        if not isinstance(self.resize, Resize):
            raise ValueError(f"Preset.resize: {self.resize!r} is not a Resize")
        if self.geometric_only and self.resize is not Resize.CROP:
            raise ValueError(
                "Preset.resize: without rotation and zoom every pixel is copied, and the crop alone does so"
            )

    @property
    def geometric_only(self) -> bool:
        """Whether every pixel is copied: no rotation or zoom interpolates between neighbours."""
        return self.max_rotate == 0 and self.max_zoom == 1


# Photographs from the side: mirrored, never upside down.
SIDE_ON = Preset("SIDE_ON", Symmetry.HFLIP, max_rotate=10, max_zoom=1.1, max_shift=0.05, max_lighting=0.2)

# Images from above have no up. Reflection keeps the statistics of the ground in the corners.
TOP_DOWN = Preset("TOP_DOWN", Symmetry.D4, max_rotate=10, max_zoom=1.05, max_shift=0.05, max_lighting=0.1)

# Radar backscatter in decibels: the value is the measurement, so nothing may change it.
RADAR = Preset("RADAR", Symmetry.D4, max_shift=0.08)

# Letters and digits: no flips, and only as much rotation as handwriting has.
NO_FLIP = Preset("NO_FLIP", Symmetry.NONE, max_rotate=7, max_zoom=1.1, max_shift=0.05, max_lighting=0.2)
