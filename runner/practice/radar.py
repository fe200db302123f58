"""Paints iceberg: a target in radar speckle, in two bands of decibels; ship or iceberg."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.practice.noise import NoiseBank

Random = np.random.Generator
Band = NDArray[np.float32]

SIDE = 75
_LOOKS = 5  # how many looks the speckle is averaged over: the fewer, the grainier
LOWEST, HIGHEST = -55.0, 45.0  # decibels


@dataclass(frozen=True)
class Scene:
    """One radar image of the sea, from which several targets are cut: they share its angle and its wind."""

    angle: float
    sea: float  # decibels in HH
    cross: float  # how much weaker the sea is in HV
    swell: float


def draw_scene(random: Random) -> Scene:
    """A scene; the steeper the radar looks down, the more the sea sends back."""
    angle = float(random.uniform(24.8, 45.9))
    sea = -15 - 0.3 * (angle - 25) + random.normal(0, 2.0)
    return Scene(angle, float(sea), float(random.uniform(4.5, 9)), float(random.uniform(0.2, 1.3)))


def paint_target(is_iceberg: bool, scene: Scene, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    """Both bands of one target, (2, 75, 75), in decibels: HH, then HV."""
    shape, share = _iceberg(random, noise) if is_iceberg else _ship(random)
    # Both kinds come as bright and as faint: how strong the echo is does not tell them apart.
    peak = scene.sea + random.uniform(8, 20)
    ratio = random.normal(6.5, 1.8) if is_iceberg else random.normal(5.5, 1.8)
    sea = scene.swell * noise.window(random, SIDE, SIDE, 12)
    echo = 10 * np.log10(shape + 1e-9)
    other = 10 * np.log10(share + 1e-9)
    bands = ((scene.sea, peak, echo), (scene.sea - scene.cross, peak - ratio, other))
    return np.stack([_decibels(level, sea, top, form, random) for level, top, form in bands])


def _decibels(level: float, sea: Band, peak: float, form: Band, random: Random) -> Band:
    power = 10 ** ((level + sea) / 10) + 10 ** ((peak + form) / 10)
    speckle = random.gamma(_LOOKS, 1 / _LOOKS, power.shape)
    return np.asarray(np.clip(10 * np.log10(power * speckle), LOWEST, HIGHEST), dtype=np.float32)


def _axes(random: Random) -> tuple[Band, Band]:
    """Coordinates along and across a target that lies anyhow, near the middle."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - SIDE / 2
    x, y = x - random.normal(0, 3.5), y - random.normal(0, 3.5)
    angle = random.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    return along.astype(np.float32), across.astype(np.float32)


def _ship(random: Random) -> tuple[Band, Band]:
    """A hull: long, narrow, sharp at the edges, with a few strong corners; the same in both bands."""
    along, across = _axes(random)
    length, beam = random.uniform(2.6, 6.6), random.uniform(1.1, 2.2)
    hull = np.exp(-((along / length) ** 4) - (across / beam) ** 2)
    for _ in range(int(random.integers(1, 4))):
        at = random.uniform(-0.7, 0.7) * length
        hull += random.uniform(0.3, 1.2) * np.exp(-((along - at) ** 2 + across**2) / 1.6)
    form = np.asarray(hull / hull.max(), dtype=np.float32)
    return form, form


def _iceberg(random: Random, noise: NoiseBank) -> tuple[Band, Band]:
    """Ice: rounder, ragged, fading outwards, and scattered within, so that HV spreads wider than HH."""
    along, across = _axes(random)
    length = random.uniform(1.9, 4.3)
    width = length * random.uniform(0.55, 1.0)
    ragged = 1 + 0.26 * noise.window(random, SIDE, SIDE, 4)
    distance = np.hypot(along / length, across / width) * np.clip(ragged, 0.4, 2)
    form = np.exp(-(distance**1.7))
    spread = np.exp(-((distance / random.uniform(1.0, 1.35)) ** 1.7))
    return form.astype(np.float32), spread.astype(np.float32)


def blur_machine_made(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image that no radar took: the test set is padded with such, and they count for nothing."""
    return np.stack([cv2.GaussianBlur(band, (0, 0), 0.8) for band in bands]).astype(np.float32)
