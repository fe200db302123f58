"""Soft random fields: the ground that clouds, coats, forests and skies are painted from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


class NoiseBank:
    """A few big fields made once; every image takes its own window out of one, which costs nothing."""

    _COUNT = 6

    def __init__(self, random: np.random.Generator, side: int = 512):
        self._side = side
        self._fields = {
            grain: [_field(random, side, grain) for _ in range(self._COUNT)] for grain in (1, 4, 12, 32, 90)
        }

    def window(self, random: np.random.Generator, height: int, width: int, grain: int) -> Field:
        """Values around 0 with a deviation near 1, that change over about `grain` pixels."""
        field = self._fields[grain][int(random.integers(self._COUNT))]
        top = int(random.integers(self._side - height + 1))
        left = int(random.integers(self._side - width + 1))
        window = field[top : top + height, left : left + width]
        return window[:: 1 if random.random() < 0.5 else -1, :: 1 if random.random() < 0.5 else -1]


def _field(random: np.random.Generator, side: int, grain: int) -> Field:
    coarse = random.standard_normal((side // grain + 3, side // grain + 3)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray((field - field.mean()) / field.std(), dtype=np.float32)
