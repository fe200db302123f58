"""Draw photographs of dogs: eight breeds that differ in build and coat, in any colour and scene."""

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

_SHIFT = 4  # cv2 draws at sixteenths of a pixel: smooth edges


@dataclass(frozen=True)
class Breed:
    """What distinguishes a breed; lengths are shares of the body's. Not colour: any coat has any pair of colours."""

    name: str
    coat: str  # spots, stripes, patches, mantle
    pattern_scale: float
    leg_length: float
    depth: float  # of the body
    ears: str  # pricked, drooping
    tail: str  # whip, bushy, curled


# Pairs share a coat and differ in build, so that a model needs both.
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

_COAT_COLOURS = np.array(  # the dark and the light colour of a coat, RGB
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


def draw_dog(breed: Breed, random: Random, noise: NoiseBank) -> Pixels:
    """A photograph of one dog, RGB (height, width, 3), of random size."""
    height, width = _sample_size(random)
    scene = _draw_scene(height, width, random, noise)
    mask, body, mirrored = _draw_silhouette(breed, height, width, random)
    coat = _draw_coat(breed, mask, body, random, noise)
    alpha = np.asarray(cv2.GaussianBlur(mask, (3, 3), 0), dtype=np.float32)[..., None] / 255
    image = np.asarray(scene * (1 - alpha) + coat * alpha, dtype=np.float32)
    if mirrored:
        image = image[:, ::-1]
    return _add_lighting(image, random, noise)


def _sample_size(random: Random) -> tuple[int, int]:
    area, aspect = random.uniform(120, 210) ** 2, np.exp(random.uniform(-0.3, 0.45))
    return int(np.sqrt(area / aspect)), int(np.sqrt(area * aspect))


# --- scene --------------------------------------------------------------------------------------


def _random_colour(random: Random, low: float = 30, high: float = 230) -> NDArray[np.float32]:
    grey = random.uniform(low, high)
    return np.clip(grey + random.normal(0, 18, 3), 10, 245).astype(np.float32)


def _draw_scene(height: int, width: int, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    horizon = int(height * random.uniform(0.25, 0.75))
    scene = np.empty((height, width, 3), dtype=np.float32)
    scene[:horizon], scene[horizon:] = _random_colour(random), _random_colour(random)
    for _ in range(int(random.integers(2, 7))):
        _draw_clutter(scene, horizon, random)
    sigma = random.uniform(0.6, 3)  # depth of field: a sharp dog before a blurred scene
    scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma), dtype=np.float32)
    noise_scale = int(random.choice([1, 4, 12]))
    scene += random.uniform(3, 16) * noise.window(random, height, width, noise_scale)[..., None]
    scene += random.uniform(3, 16) * noise.window(random, height, width, 32)[..., None]
    return scene


def _draw_clutter(scene: NDArray[np.float32], horizon: int, random: Random) -> None:
    """Draw a bush, a trunk, a fence or stones: shapes unlike a dog, some with stripes or spots."""
    height, width = scene.shape[:2]
    colour = tuple(float(value) for value in _random_colour(random))
    kind, x = int(random.integers(4)), int(random.integers(width))
    size = int(width * random.uniform(0.04, 0.22))
    if kind == 0:
        cv2.ellipse(scene, (x, horizon), (size, int(size * random.uniform(0.5, 1.3))), 0, 0, 360, colour, -1)
    elif kind == 1:
        cv2.rectangle(scene, (x, 0), (x + size // 2, horizon + size // 2), colour, -1)
    elif kind == 2:
        for post in range(int(random.integers(6)), width, int(random.integers(8, 20))):
            cv2.line(scene, (post, horizon - size), (post, horizon + size // 3), colour, 2)
    else:
        for _ in range(12):
            stone = int(random.integers(width)), int(random.integers(horizon, height))
            cv2.circle(scene, stone, int(random.integers(1, 5)), colour, -1)


# --- dog ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Body:
    """The body's centre, length and depth, in pixels."""

    x: float
    y: float
    length: float
    depth: float


def _draw_silhouette(breed: Breed, height: int, width: int, random: Random) -> tuple[Mask, _Body, bool]:
    """The mask of a dog that faces right, its body, and whether the image is mirrored afterwards."""
    leg_length = breed.leg_length * float(np.exp(random.normal(0, 0.16)))
    depth = breed.depth * float(np.exp(random.normal(0, 0.08)))
    height_above = depth / 2 + 0.45  # from the body's centre to the tips of the ears, in body lengths
    max_length = min(width / 1.7, height / (height_above + depth / 2 + leg_length))
    length = max_length * random.uniform(0.72, 1.0)
    left, right = 0.75 * length, width - 0.9 * length
    top, bottom = height_above * length, height - (depth / 2 + leg_length) * length
    body = _Body(
        random.uniform(min(left, right), max(left, right)), random.uniform(top, bottom), length, depth * length
    )
    mask = np.zeros((height, width), dtype=np.uint8)
    _draw_legs(mask, body, leg_length * length, random)
    _draw_tail(mask, body, breed.tail, random)
    _draw_head(mask, body, breed.ears, random)
    _ellipse(mask, body.x, body.y, body.length / 2, body.depth / 2, random.uniform(-6, 6))
    return mask, body, bool(random.random() < 0.5)


def _draw_legs(mask: Mask, body: _Body, length: float, random: Random) -> None:
    thickness = max(0.085 * body.length, 2)
    for position in (-0.38, -0.27, 0.25, 0.36):
        top = body.x + position * body.length, body.y + 0.15 * body.depth
        foot = top[0] + random.normal(0, 0.05) * body.length, body.y + body.depth / 2 + length
        _stroke(mask, [top, foot], thickness)


def _draw_tail(mask: Mask, body: _Body, tail: str, random: Random) -> None:
    t = np.linspace(0, 1, 9)  # from the root of the tail to its tip
    root = np.array([body.x - 0.46 * body.length, body.y - 0.2 * body.depth])
    if tail == "curled":
        angle = t * random.uniform(4.2, 5.4)
        path = np.stack([-np.sin(angle) * 0.5 * np.cos(angle / 4), -1 + np.cos(angle)], axis=1) * 0.13
    else:
        lift = random.uniform(-0.15, 0.5)
        path = np.stack([-t * 0.3, -lift * t**1.5 * 0.7], axis=1)
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
        for left in (-0.75, 0.15):
            tip = (x + (left + 0.2) * size, y - 1.85 * size)
            _polygon(mask, [(x + left * size, y - 0.5 * size), (x + (left + 0.65) * size, y - 0.6 * size), tip])
    else:
        _ellipse(mask, x - 0.75 * size, y + 0.5 * size, 0.42 * size, 1.05 * size, 12)


def _fixed_point(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_SHIFT), round(y * 2**_SHIFT)


def _ellipse(mask: Mask, x: float, y: float, a: float, b: float, angle: float) -> None:
    cv2.ellipse(mask, _fixed_point(x, y), _fixed_point(a, b), angle, 0, 360, 255, -1, cv2.LINE_8, _SHIFT)


def _stroke(mask: Mask, path: object, thickness: float) -> None:
    points = np.round(np.asarray(path, dtype=float) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(mask, [points], False, 255, max(round(thickness), 1), cv2.LINE_8, _SHIFT)


def _polygon(mask: Mask, path: object) -> None:
    points = np.round(np.asarray(path, dtype=float) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, cv2.LINE_8, _SHIFT)


# --- coat ---------------------------------------------------------------------------------------


def _draw_coat(breed: Breed, mask: Mask, body: _Body, random: Random, noise: NoiseBank) -> NDArray[np.float32]:
    dark, light = _COAT_COLOURS[int(random.integers(len(_COAT_COLOURS)))] + random.normal(0, 8, (2, 3)).astype(
        np.float32
    )
    if random.random() < 0.5:
        dark, light = light, dark  # light on dark and dark on light are the same breed
    shape = mask.shape[0], mask.shape[1]
    scale = float(breed.pattern_scale * np.exp(random.normal(0, 0.18)))
    pattern = _PATTERNS[breed.coat](scale, shape, body, random, noise)
    contrast = random.uniform(0.55, 1.0)
    alpha = np.asarray(cv2.GaussianBlur(pattern, (3, 3), 0) * contrast, dtype=np.float32)[..., None]
    coat = light * (1 - alpha) + dark * alpha
    rows = np.arange(shape[0], dtype=np.float32)[:, None, None]
    shade = 1 - random.uniform(0.05, 0.4) * np.clip((rows - body.y) / body.depth, -0.5, 0.8)
    fur = 1 + 0.06 * noise.window(random, *shape, 4)[..., None]
    return np.asarray(coat * shade * fur, dtype=np.float32)


def _spots(scale: float, shape: Shape, body: _Body, random: Random, _noise: NoiseBank) -> Field:
    pattern = np.zeros(shape, dtype=np.uint8)
    radius = scale * body.length / 2
    step = radius * 3.1
    centres = np.mgrid[0 : shape[0] + step : step, 0 : shape[1] + step : step].reshape(2, -1).T
    centres += random.normal(0, 0.3 * step, centres.shape)
    for (y, x), size in zip(centres, np.exp(random.normal(0, 0.3, len(centres))), strict=True):
        _ellipse(pattern, x, y, radius * size, radius * np.sqrt(size), 0)
    return np.asarray(pattern / 255, dtype=np.float32)


def _stripes(scale: float, shape: Shape, body: _Body, random: Random, noise: NoiseBank) -> Field:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    lean = random.uniform(-0.35, 0.35)
    bend = 0.22 * noise.window(random, *shape, 32) + 0.08 * noise.window(random, *shape, 12)
    slope = (x + lean * y) / (scale * body.length) + bend + random.random()
    wave = np.sin(2 * np.pi * slope)
    return np.asarray(wave > random.uniform(-0.1, 0.3), dtype=np.float32)


def _patches(_scale: float, shape: Shape, _body: _Body, random: Random, noise: NoiseBank) -> Field:
    field = noise.window(random, *shape, 32) + 0.12 * noise.window(random, *shape, 4)
    return np.asarray(field > random.uniform(-0.1, 0.5), dtype=np.float32)


def _mantle(_scale: float, shape: Shape, body: _Body, random: Random, noise: NoiseBank) -> Field:
    """A back of one colour; belly, legs and muzzle of the other."""
    line = body.y + random.uniform(-0.12, 0.2) * body.depth
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    return np.asarray(rows + 0.12 * body.depth * noise.window(random, *shape, 12) < line, dtype=np.float32)


_PATTERNS = {"spots": _spots, "stripes": _stripes, "patches": _patches, "mantle": _mantle}


# --- camera -------------------------------------------------------------------------------------


def _add_lighting(image: NDArray[np.float32], random: Random, noise: NoiseBank) -> Pixels:
    """The image under a light of random brightness, colour and direction, with sensor noise."""
    height, width = image.shape[:2]
    light = np.exp(random.normal(0, 0.16)) * np.exp(random.normal(0, 0.05, 3))
    gradient = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None] * random.normal(0, 0.12)
    lit = image * light.astype(np.float32) * (1 + gradient)
    lit = lit + random.uniform(1, 6) * noise.window(random, height, width, 1)[..., None]
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)
