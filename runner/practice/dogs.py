"""Paints dog-breed: eight breeds that differ in build and coat, in every colour, before any background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.practice.noise import Field, NoiseBank

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Random = np.random.Generator
Shape = tuple[int, int]

_SHIFT = 4  # cv2 takes coordinates in sixteenths of a pixel: edges without steps


@dataclass(frozen=True)
class Breed:
    """What tells a breed from the others. Colour does not: every coat comes in every pair of colours."""

    name: str
    coat: str  # spots, stripes, patches, mantle
    grain: float  # how coarse the coat's pattern is, as a share of the body's length
    legs: float  # length, as a share of the body's length
    depth: float  # of the body, likewise
    ears: str  # pricked, drooping
    tail: str  # whip, bushy, curled


# In pairs that share a coat and differ in build, so that neither alone is enough.
BREEDS = (
    Breed("basset", "patches", 0.30, 0.26, 0.42, "drooping", "whip"),
    Breed("bluetick", "spots", 0.085, 0.62, 0.40, "drooping", "whip"),
    Breed("border_collie", "patches", 0.30, 0.56, 0.46, "pricked", "bushy"),
    Breed("english_setter", "spots", 0.05, 0.52, 0.44, "drooping", "bushy"),
    Breed("great_dane", "stripes", 0.15, 0.78, 0.42, "pricked", "whip"),
    Breed("pembroke", "mantle", 0.2, 0.26, 0.42, "pricked", "bushy"),
    Breed("siberian_husky", "mantle", 0.2, 0.60, 0.44, "pricked", "curled"),
    Breed("staffordshire_bullterrier", "stripes", 0.12, 0.40, 0.48, "drooping", "whip"),
)

_COATS = np.array(  # dark and light of a coat, in RGB
    [
        [(40, 34, 32), (236, 230, 220)],
        [(96, 58, 30), (226, 196, 150)],
        [(70, 70, 78), (198, 198, 202)],
        [(120, 70, 34), (244, 236, 222)],
        [(30, 28, 30), (170, 112, 62)],
        [(60, 44, 36), (190, 160, 120)],
    ],
    dtype=np.float32,
)


def paint_dog(breed: Breed, random: Random, noise: NoiseBank) -> Pixels:
    """One photograph of one dog, RGB, of any size and shape."""
    height, width = _frame(random)
    scene = _paint_scene(height, width, random, noise)
    mask, body, turned = _draw_dog(breed, height, width, random)
    coat = _paint_coat(breed, mask, body, random, noise)
    edge = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), dtype=np.float32)[..., None] / 255
    image = np.asarray(scene * (1 - edge) + coat * edge, dtype=np.float32)
    if turned:
        image = image[:, ::-1]
    return _photograph(image, random, noise)


def _frame(random: Random) -> tuple[int, int]:
    area, aspect = random.uniform(120, 210) ** 2, np.exp(random.uniform(-0.3, 0.45))
    return int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))


# --- the scene ----------------------------------------------------------------------------------


def _colour(random: Random, low: float = 30, high: float = 230) -> NDArray[np.float32]:
    grey = random.uniform(low, high)
    return np.clip(grey + random.normal(0, 18, 3), 10, 245).astype(np.float32)


def _paint_scene(height: int, width: int, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    horizon = int(height * random.uniform(0.25, 0.75))
    scene = np.empty((height, width, 3), dtype=np.float32)
    scene[:horizon], scene[horizon:] = _colour(random), _colour(random)
    for _ in range(int(random.integers(2, 7))):
        _paint_clutter(scene, horizon, random)
    sigma = random.uniform(0.6, 3)  # a lens keeps the dog sharp and what is behind it soft
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma), dtype=np.float32)
    grain = int(random.choice([1, 4, 12]))
    scene += random.uniform(3, 16) * noise.window(random, height, width, grain)[..., None]
    scene += random.uniform(3, 16) * noise.window(random, height, width, 32)[..., None]
    return scene


def _paint_clutter(scene: NDArray[np.float32], horizon: int, random: Random) -> None:
    """A bush, a trunk, a fence, a stone: shapes that are not the dog's, some striped and some spotted."""
    height, width = scene.shape[:2]
    colour = tuple(float(value) for value in _colour(random))
    kind, x = int(random.integers(4)), int(random.integers(width))
    size = int(width * random.uniform(0.04, 0.22))
    if kind == 0:
        cv2.ellipse(scene, (x, horizon), (size, int(size * random.uniform(0.5, 1.3))), 0, 0, 360, colour, -1)
    elif kind == 1:
        cv2.rectangle(scene, (x, 0), (x + size // 2, horizon + size // 2), colour, -1)
    elif kind == 2:
        for place in range(int(random.integers(6)), width, int(random.integers(8, 20))):
            cv2.line(scene, (place, horizon - size), (place, horizon + size // 3), colour, 2)
    else:
        for _ in range(12):
            at = int(random.integers(width)), int(random.integers(horizon, height))
            cv2.circle(scene, at, int(random.integers(1, 5)), colour, -1)


# --- the dog ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Body:
    """Where the body is in the image, and how big."""

    x: float
    y: float
    length: float
    depth: float


def _draw_dog(breed: Breed, height: int, width: int, random: Random) -> tuple[Mask, _Body, bool]:
    """The outline, facing right; the last value says whether the image is mirrored in the end."""
    legs = breed.legs * float(np.exp(random.normal(0, 0.16)))
    depth = breed.depth * float(np.exp(random.normal(0, 0.08)))
    rise = depth / 2 + 0.45  # from the middle of the body up to the ears, in body lengths
    room = min(width / 1.7, height / (rise + depth / 2 + legs))
    length = room * random.uniform(0.72, 1.0)
    left, right = 0.75 * length, width - 0.9 * length
    top, bottom = rise * length, height - (depth / 2 + legs) * length
    body = _Body(
        random.uniform(min(left, right), max(left, right)), random.uniform(top, bottom), length, depth * length
    )
    mask = np.zeros((height, width), dtype=np.uint8)
    _draw_legs(mask, body, legs * length, random)
    _draw_tail(mask, body, breed.tail, random)
    _draw_head(mask, body, breed.ears, random)
    _ellipse(mask, body.x, body.y, body.length / 2, body.depth / 2, random.uniform(-6, 6))
    return mask, body, bool(random.random() < 0.5)


def _draw_legs(mask: Mask, body: _Body, length: float, random: Random) -> None:
    thickness = max(0.085 * body.length, 2)
    for place in (-0.38, -0.27, 0.25, 0.36):
        top = body.x + place * body.length, body.y + 0.15 * body.depth
        foot = top[0] + random.normal(0, 0.05) * body.length, body.y + body.depth / 2 + length
        _stroke(mask, [top, foot], thickness)


def _draw_tail(mask: Mask, body: _Body, tail: str, random: Random) -> None:
    angle = np.linspace(0, 1, 9)
    root = np.array([body.x - 0.46 * body.length, body.y - 0.2 * body.depth])
    if tail == "curled":
        turn = angle * random.uniform(4.2, 5.4)
        path = np.stack([-np.sin(turn) * 0.5 * np.cos(turn / 4), -1 + np.cos(turn)], axis=1) * 0.13
    else:
        lift = random.uniform(-0.15, 0.5)
        path = np.stack([-angle * 0.3, -lift * angle**1.5 * 0.7], axis=1)
    thickness = body.length * {"whip": 0.035, "bushy": 0.12, "curled": 0.09}[tail]
    _stroke(mask, root + path * body.length, max(thickness, 2))


def _draw_head(mask: Mask, body: _Body, ears: str, random: Random) -> None:
    size = 0.15 * body.length * random.uniform(0.9, 1.15)
    x = body.x + (0.62 + random.normal(0, 0.03)) * body.length
    y = body.y - body.depth / 2 - (0.1 + random.uniform(-0.08, 0.08)) * body.length
    _stroke(mask, [(body.x + 0.36 * body.length, body.y - 0.1 * body.depth), (x, y)], 0.2 * body.length)
    _ellipse(mask, x, y, size, size * 0.85, 0)
    _stroke(mask, [(x, y + 0.2 * size), (x + random.uniform(1.4, 1.9) * size, y + 0.45 * size)], 0.85 * size)
    if ears == "pricked":
        for place in (-0.75, 0.15):
            tip = (x + (place + 0.2) * size, y - 1.85 * size)
            _polygon(mask, [(x + place * size, y - 0.5 * size), (x + (place + 0.65) * size, y - 0.6 * size), tip])
    else:
        _ellipse(mask, x - 0.75 * size, y + 0.5 * size, 0.42 * size, 1.05 * size, 12)


def _point(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_SHIFT), round(y * 2**_SHIFT)


def _ellipse(mask: Mask, x: float, y: float, a: float, b: float, angle: float) -> None:
    cv2.ellipse(mask, _point(x, y), _point(a, b), angle, 0, 360, 255, -1, cv2.LINE_8, _SHIFT)


def _stroke(mask: Mask, path: object, thickness: float) -> None:
    points = np.round(np.asarray(path, dtype=float) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(mask, [points], False, 255, max(round(thickness), 1), cv2.LINE_8, _SHIFT)


def _polygon(mask: Mask, path: object) -> None:
    points = np.round(np.asarray(path, dtype=float) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, cv2.LINE_8, _SHIFT)


# --- the coat -----------------------------------------------------------------------------------


def _paint_coat(breed: Breed, mask: Mask, body: _Body, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    dark, light = _COATS[int(random.integers(len(_COATS)))] + random.normal(0, 8, (2, 3)).astype(np.float32)
    if random.random() < 0.5:
        dark, light = light, dark  # light spots on dark and dark spots on light are one breed
    shape = mask.shape[0], mask.shape[1]
    grain = float(breed.grain * np.exp(random.normal(0, 0.18)))
    pattern = _PATTERNS[breed.coat](grain, shape, body, random, noise)
    strength = random.uniform(0.55, 1.0)
    share = np.asarray(cv2.GaussianBlur(pattern, (3, 3), 0) * strength, dtype=np.float32)[..., None]
    coat = light * (1 - share) + dark * share
    rows = np.arange(shape[0], dtype=np.float32)[:, None, None]
    shade = 1 - random.uniform(0.05, 0.4) * np.clip((rows - body.y) / body.depth, -0.5, 0.8)
    fur = 1 + 0.06 * noise.window(random, *shape, 4)[..., None]
    return np.asarray(coat * shade * fur, dtype=np.float32)


def _spots(grain: float, shape: Shape, body: _Body, random: Random, _noise: NoiseBank) -> Field:
    pattern = np.zeros(shape, dtype=np.uint8)
    radius = grain * body.length / 2
    step = radius * 3.1
    places = np.mgrid[0 : shape[0] + step : step, 0 : shape[1] + step : step].reshape(2, -1).T
    places += random.normal(0, 0.3 * step, places.shape)
    for (y, x), size in zip(places, np.exp(random.normal(0, 0.3, len(places))), strict=True):
        _ellipse(pattern, x, y, radius * size, radius * np.sqrt(size), 0)
    return np.asarray(pattern / 255, dtype=np.float32)


def _stripes(grain: float, shape: Shape, body: _Body, random: Random, noise: NoiseBank) -> Field:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    lean = random.uniform(-0.35, 0.35)
    bend = 0.22 * noise.window(random, *shape, 32) + 0.08 * noise.window(random, *shape, 12)
    slope = (x + lean * y) / (grain * body.length) + bend + random.random()
    wave = np.sin(2 * np.pi * slope)
    return np.asarray(wave > random.uniform(-0.1, 0.3), dtype=np.float32)


def _patches(_grain: float, shape: Shape, _body: _Body, random: Random, noise: NoiseBank) -> Field:
    field = noise.window(random, *shape, 32) + 0.12 * noise.window(random, *shape, 4)
    return np.asarray(field > random.uniform(-0.1, 0.5), dtype=np.float32)


def _mantle(_grain: float, shape: Shape, body: _Body, random: Random, noise: NoiseBank) -> Field:
    """The back of one colour, belly, legs and muzzle of the other."""
    line = body.y + random.uniform(-0.12, 0.2) * body.depth
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    return np.asarray(rows + 0.12 * body.depth * noise.window(random, *shape, 12) < line, dtype=np.float32)


_PATTERNS = {"spots": _spots, "stripes": _stripes, "patches": _patches, "mantle": _mantle}


# --- the camera ---------------------------------------------------------------------------------


def _photograph(image: NDArray[np.float32], random: Random, noise: NoiseBank) -> Pixels:
    """Light, its colour and its direction, and the sensor's noise."""
    height, width = image.shape[:2]
    light = np.exp(random.normal(0, 0.16)) * np.exp(random.normal(0, 0.05, 3))
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * random.normal(0, 0.12)
    lit = image * light.astype(np.float32) * (1 + across)
    lit = lit + random.uniform(1, 6) * noise.window(random, height, width, 1)[..., None]
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)
