"""Images that the tests of this room share."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image


def noisy(width: int, height: int, seed: int = 7) -> Image.Image:
    """A smooth scene with some grain, as a photograph has."""
    y, x = np.mgrid[0:height, 0:width]
    base: Any = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    grain = np.random.default_rng(seed).normal(0, 6, base.shape)
    return Image.fromarray(np.clip(base + grain, 0, 255).astype(np.uint8))
