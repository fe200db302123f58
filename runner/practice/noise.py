"""Smooth random fields: the texture of clouds, coats, forests and skies."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


class NoiseBank:
    """A few large fields, generated once; every image crops its own window, which is cheap."""

    _COUNT = 6

    def __init__(self, random: np.random.Generator, side: int = 512):
        self._side = side
        self._fields = {
            scale: [_generate_field(random, side, scale) for _ in range(self._COUNT)] for scale in (1, 4, 12, 32, 90)
        }

    def window(self, random: np.random.Generator, height: int, width: int, scale: int) -> Field:
        """Values with mean 0 and standard deviation near 1 that change over about `scale` pixels."""
        field = self._fields[scale][int(random.integers(self._COUNT))]
        top = int(random.integers(self._side - height + 1))
        left = int(random.integers(self._side - width + 1))
        window = field[top : top + height, left : left + width]
        return window[:: 1 if random.random() < 0.5 else -1, :: 1 if random.random() < 0.5 else -1]


def _generate_field(random: np.random.Generator, side: int, scale: int) -> Field:
    coarse = random.standard_normal((side // scale + 3, side // scale + 3)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)
