"""Draw radar images of ships and icebergs: a target in speckle, in two bands of decibels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.practice.noise import NoiseBank

Random = np.random.Generator
Band = NDArray[np.float32]

SIDE = 75
MIN_DB, MAX_DB = -55.0, 45.0
_SPECKLE_LOOKS = 5  # multi-look averaging: the fewer looks, the grainier


@dataclass(frozen=True)
class Scene:
    """A radar image of the sea from which several targets are cropped: they share its angle and its wind."""

    angle: float  # degrees
    sea_db: float  # in HH
    hv_drop_db: float  # how much weaker the sea is in HV
    swell_db: float


def sample_scene(random: Random) -> Scene:
    """A random scene; the steeper the incidence angle, the stronger the sea's echo."""
    angle = float(random.uniform(24.8, 45.9))
    sea_db = -15 - 0.3 * (angle - 25) + random.normal(0, 2.0)
    return Scene(angle, float(sea_db), float(random.uniform(4.5, 9)), float(random.uniform(0.2, 1.3)))


def draw_target(is_iceberg: bool, scene: Scene, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    """Both bands of a target, HH and HV: (2, 75, 75), in decibels."""
    hh_shape, hv_shape = _iceberg_shapes(random, noise) if is_iceberg else _ship_shapes(random)
    # Both kinds are equally bright: the strength of the echo does not tell them apart.
    peak_db = scene.sea_db + random.uniform(8, 20)
    hv_ratio_db = random.normal(6.5, 1.8) if is_iceberg else random.normal(5.5, 1.8)
    swell_db = scene.swell_db * noise.window(random, SIDE, SIDE, 12)
    hh_db = 10 * np.log10(hh_shape + 1e-9)
    hv_db = 10 * np.log10(hv_shape + 1e-9)
    bands = (
        (scene.sea_db, peak_db, hh_db),
        (scene.sea_db - scene.hv_drop_db, peak_db - hv_ratio_db, hv_db),
    )
    return np.stack([_add_speckle(sea, swell_db, peak, shape, random) for sea, peak, shape in bands])


def _add_speckle(sea_db: float, swell_db: Band, peak_db: float, shape_db: Band, random: Random) -> Band:
    power = 10 ** ((sea_db + swell_db) / 10) + 10 ** ((peak_db + shape_db) / 10)
    speckle = random.gamma(_SPECKLE_LOOKS, 1 / _SPECKLE_LOOKS, power.shape)
    return np.asarray(np.clip(10 * np.log10(power * speckle), MIN_DB, MAX_DB), dtype=np.float32)


def _target_axes(random: Random) -> tuple[Band, Band]:
    """Each pixel's coordinates along and across a target near the centre, in a random direction."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - SIDE / 2
    x, y = x - random.normal(0, 3.5), y - random.normal(0, 3.5)
    angle = random.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return along.astype(np.float32), across.astype(np.float32)


def _ship_shapes(random: Random) -> tuple[Band, Band]:
    """A ship: long, narrow, with sharp edges and a few strong reflections; the same in HH and HV."""
    along, across = _target_axes(random)
    length, beam = random.uniform(2.6, 6.6), random.uniform(1.1, 2.2)
    hull = np.exp(-((along / length) ** 4) - (across / beam) ** 2)
    for _ in range(int(random.integers(1, 4))):
        position = random.uniform(-0.7, 0.7) * length
        hull += random.uniform(0.3, 1.2) * np.exp(-((along - position) ** 2 + across**2) / 1.6)
    shape = np.asarray(hull / hull.max(), dtype=np.float32)
    return shape, shape


def _iceberg_shapes(random: Random, noise: NoiseBank) -> tuple[Band, Band]:
    """An iceberg: rounder, with ragged soft edges; it scatters inside, so HV is wider than HH."""
    along, across = _target_axes(random)
    length = random.uniform(1.9, 4.3)
    width = length * random.uniform(0.55, 1.0)
    raggedness = 1 + 0.26 * noise.window(random, SIDE, SIDE, 4)
    distance = np.hypot(along / length, across / width) * np.clip(raggedness, 0.4, 2)
    hh_shape = np.exp(-(distance**1.7))
    hv_shape = np.exp(-((distance / random.uniform(1.0, 1.35)) ** 1.7))
    return hh_shape.astype(np.float32), hv_shape.astype(np.float32)


def blur_bands(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """The bands (2, 75, 75) blurred: an image that no radar took."""
    return np.stack([cv2.GaussianBlur(band, (0, 0), 0.8) for band in bands]).astype(np.float32)
