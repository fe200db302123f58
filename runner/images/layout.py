"""What all images of a table share: how many bands they have, and of which type their values are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]  # (height, width, channels)

_TITLES = {"uint8": "8-bit", "uint16": "16-bit", "float32": "floating-point"}


@dataclass(frozen=True)
class Layout:
    """Bands of an image and the type of its values as files have them: uint8, uint16 or float32.

    Three bands of 8 bits are red, green and blue. One grey band of 8 bits is read as three that are equal, since
    pretrained networks know photographs. All other values are measurements: they are kept, and normalised by the mean
    and deviation that each band has in the training rows.
    """

    channels: int = 3
    depth: str = "uint8"

    @property
    def is_rgb(self) -> bool:
        return self.channels == 3 and self.depth == "uint8"

    @property
    def dtype(self) -> np.dtype[Any]:
        """What readers return: torch computes little with uint16."""
        return np.dtype(np.uint8 if self.depth == "uint8" else np.float32)

    def __str__(self) -> str:
        return f"{self.channels} band{'s' * (self.channels != 1)} of {_TITLES[self.depth]} values"

    def fit(self, values: NDArray[Any]) -> NDArray[Any]:
        """An image's values in this layout; ValueError if they cannot be."""
        depth, bands = values.dtype.name, values.shape[2]
        if bands == 1 and self.is_rgb:
            values = np.repeat(values, 3, axis=2)
        if values.shape[2] != self.channels or (depth != self.depth and "float32" in (depth, self.depth)):
            raise ValueError(f"it has {Layout(bands, depth)}, and the first image {self}")
        if depth == "float32" and not np.isfinite(values).all():
            raise ValueError("some of its values are NaN or infinite")
        return np.ascontiguousarray(_full_scale(values, self.depth), dtype=self.dtype)


RGB = Layout()


def with_channel_axis(image: Pixels) -> Pixels:
    """The image as (height, width, channels); OpenCV drops the last axis if its length is 1."""
    return image[..., None] if image.ndim == 2 else image


def layout_of(values: NDArray[Any]) -> Layout:
    """The layout that an image's values ask for."""
    layout = Layout(values.shape[2], values.dtype.name)
    return RGB if (layout.channels, layout.depth) == (1, "uint8") else layout


def _full_scale(values: NDArray[Any], depth: str) -> NDArray[Any]:
    """8 bits as 16, or 16 as 8: black stays black, and white white."""
    if values.dtype == np.uint8 and depth == "uint16":
        return values.astype(np.float32) * 257
    if values.dtype == np.uint16 and depth == "uint8":
        return (values.astype(np.uint32) * 255 + 32_767) // 65_535
    return values
