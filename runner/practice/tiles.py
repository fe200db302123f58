"""Paints planet: satellite tiles on which every tag is really drawn, one over the other."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from runner.practice.noise import NoiseBank

Random = np.random.Generator
Tile = NDArray[np.float32]
Colour = tuple[float, float, float]

SIDE = 128
WEATHER = {"clear": 0.70, "partly_cloudy": 0.18, "haze": 0.07, "cloudy": 0.05}
# The seldom ones are a little less seldom than in the Amazon, or so few tiles would hold none at all.
_SELDOM = {
    "bare_ground": 0.025,
    "selective_logging": 0.016,
    "artisinal_mine": 0.016,
    "blooming": 0.015,
    "slash_burn": 0.013,
    "conventional_mine": 0.009,
    "blow_down": 0.009,
}
TAGS = tuple(sorted({*WEATHER, *_SELDOM, "primary", "agriculture", "road", "water", "cultivation", "habitation"}))


def draw_tags(random: Random) -> frozenset[str]:
    """The tags of one tile, as often and in such company as they come in the Amazon."""
    weather = str(random.choice(list(WEATHER), p=list(WEATHER.values())))
    if weather == "cloudy":
        return frozenset({weather})
    chances = dict(_SELDOM, primary=0.95, agriculture=0.31, water=0.19)
    tags = {tag for tag, chance in chances.items() if random.random() < chance}
    farmed = "agriculture" in tags
    tags |= {"road"} if random.random() < (0.48 if farmed else 0.08) else set()
    tags |= {"cultivation"} if random.random() < (0.26 if farmed else 0.05) else set()
    tags |= {"habitation"} if random.random() < (0.38 if "road" in tags else 0.015) else set()
    if tags & {"blow_down", "selective_logging", "blooming"} or len(tags) == 0:
        tags |= {"primary"}
    return frozenset(tags | {weather})


def paint_tile(tags: frozenset[str], random: Random, noise: NoiseBank) -> NDArray[np.uint8]:
    """One tile, RGB, seen from above."""
    tile = _paint_ground("primary" in tags, random, noise)
    for tag, paint in _LAYERS.items():
        if tag in tags:
            paint(tile, random, noise)
    tile = _spread_weather(tile, tags, random, noise)
    # The light of the hour tints everything, so that a mean colour says little about the ground.
    light = np.exp(random.normal(0, 0.16) + random.normal(0, 0.06, 3)).astype(np.float32)
    tile = tile * light + 2.5 * noise.window(random, SIDE, SIDE, 1)[..., None]
    return np.clip(tile, 0, 255).astype(np.uint8)


# --- the ground and what lies on it -------------------------------------------------------------


def _near(colour: Colour, random: Random, spread: float = 9) -> Colour:
    red, green, blue = np.asarray(colour) + random.normal(0, spread) + random.normal(0, spread / 2, 3)
    return float(red), float(green), float(blue)


def _paint_ground(forest: bool, random: Random, noise: NoiseBank) -> Tile:
    colour = (52, 74, 46) if forest else (112, 112, 78)
    tile = np.empty((SIDE, SIDE, 3), dtype=np.float32)
    tile[:] = _near(colour, random)
    crowns = 9 * noise.window(random, SIDE, SIDE, 4) + 4 * noise.window(random, SIDE, SIDE, 1)
    hills = random.uniform(2, 7) * noise.window(random, SIDE, SIDE, 32)
    tile += ((crowns if forest else 0.25 * crowns) + hills)[..., None]
    return tile


def _cover(tile: Tile, mask: NDArray[np.uint8], colour: Colour, relief: NDArray[np.float32] | float) -> None:
    share = (cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255)[..., None]
    layer = np.asarray(colour, dtype=np.float32) + np.asarray(relief, dtype=np.float32)[..., None]
    tile *= 1 - share
    tile += share * layer


def _blank() -> NDArray[np.uint8]:
    return np.zeros((SIDE, SIDE), dtype=np.uint8)


def _place(random: Random, margin: float = 0.2) -> NDArray[np.float64]:
    return random.uniform(margin * SIDE, (1 - margin) * SIDE, 2)


def _blob(random: Random, noise: NoiseBank, radius: float, centre: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A patch with a ragged edge."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1]) / radius
    ragged = distance + 0.28 * noise.window(random, SIDE, SIDE, 12)
    return np.where(ragged < 1, 255, 0).astype(np.uint8)


def _turned(random: Random) -> NDArray[np.float64]:
    angle = random.uniform(0, np.pi)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _paint_agriculture(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Fields in a row, with straight borders, from one edge of the tile inwards."""
    turn, start = _turned(random), _place(random, 0.3)
    for _ in range(int(random.integers(2, 6))):
        width, height = random.uniform(22, 60, 2)
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - [width / 2, height / 2]
        offset = random.choice([-1, 0, 1], 2) * random.uniform(15, 40, 2)
        mask = _blank()
        cv2.fillPoly(mask, [np.round((corners + offset) @ turn + start).astype(np.int32)], 255)
        colour = (_near((124, 134, 82), random, 14), _near((150, 128, 92), random, 14))[int(random.integers(2))]
        _cover(tile, mask, colour, 2 * noise.window(random, SIDE, SIDE, 12))


def _paint_cultivation(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Small plots with rows of crops."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for _ in range(int(random.integers(2, 5))):
        angle = random.uniform(0, np.pi)
        rows = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / random.uniform(5, 8))
        mask = _blob(random, noise, random.uniform(10, 20), _place(random))
        _cover(tile, mask, _near((112, 126, 70), random), 15 * rows)


def _paint_bare_ground(tile: Tile, random: Random, noise: NoiseBank) -> None:
    mask = _blob(random, noise, random.uniform(18, 36), _place(random))
    _cover(tile, mask, _near((176, 156, 130), random), 4 * noise.window(random, SIDE, SIDE, 12))


def _paint_slash_burn(tile: Tile, random: Random, noise: NoiseBank) -> None:
    centre = _place(random, 0.3)
    mask = _blob(random, noise, random.uniform(22, 36), centre)
    _cover(tile, mask, _near((58, 44, 44), random, 4), 7 * noise.window(random, SIDE, SIDE, 4))
    smoke = cv2.GaussianBlur(_blob(random, noise, 18, centre + random.normal(0, 14, 2)), (0, 0), 8)
    tile += (smoke.astype(np.float32) * 0.35)[..., None]


def _river(random: Random, width: float) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    along = np.linspace(-0.8, 0.8, 40) * SIDE
    bends = sum(
        random.uniform(3, 11) * np.sin(along / random.uniform(9, 26) + random.uniform(0, 6.3)) for _ in range(2)
    )
    path = np.stack([along, bends], axis=1) @ _turned(random) + _place(random, 0.3)
    points = np.round(path).astype(np.int32)
    mask = _blank()
    cv2.polylines(mask, [points], False, 255, round(width), cv2.LINE_AA)
    return mask, points


_WATERS: tuple[Colour, ...] = ((58, 78, 84), (104, 92, 72), (40, 56, 58))


def _paint_water(tile: Tile, random: Random, noise: NoiseBank) -> None:
    colour = _near(_WATERS[int(random.integers(len(_WATERS)))], random, 6)
    if random.random() < 0.75:
        mask, _ = _river(random, random.uniform(5, 22))
    else:
        mask = _blob(random, noise, random.uniform(16, 34), _place(random))
    _cover(tile, mask, colour, 1.0 * noise.window(random, SIDE, SIDE, 32))


def _paint_artisinal_mine(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Sandy diggings full of ponds, along a stream."""
    centre = _place(random, 0.3)
    _cover(tile, _blob(random, noise, random.uniform(16, 24), centre), _near((190, 168, 130), random), 0.0)
    for _ in range(int(random.integers(6, 14))):
        mask = _blank()
        at = np.round(centre + random.normal(0, 11, 2)).astype(int)
        cv2.circle(mask, (int(at[0]), int(at[1])), int(random.integers(2, 5)), 255, -1)
        _cover(tile, mask, _near((96, 140, 132), random), 0.0)


def _paint_conventional_mine(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """One pit in terraces."""
    centre, radius = _place(random, 0.3), random.uniform(24, 38)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    terraces = np.sign(np.sin(np.hypot(x - centre[0], y - centre[1]) * 2 * np.pi / random.uniform(7, 10)))
    _cover(tile, _blob(random, noise, radius, centre), _near((172, 160, 154), random), 20 * terraces)


def _paint_selective_logging(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """Trails that branch, and a small clearing where each ends."""
    mask, centre = _blank(), _place(random, 0.3)
    for _ in range(int(random.integers(8, 15))):
        end = centre + random.normal(0, 26, 2)
        cv2.line(mask, np.round(centre).astype(int).tolist(), np.round(end).astype(int).tolist(), 190, 1)
        cv2.circle(mask, np.round(end).astype(int).tolist(), 3, 255, -1)
    _cover(tile, mask, _near((150, 124, 92), random), 0.0)


def _paint_blooming(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    mask = _blank()
    for x, y in random.integers(0, SIDE, (int(random.integers(50, 120)), 2)):
        cv2.circle(mask, (int(x), int(y)), int(random.integers(1, 3)), 230, -1)
    _cover(tile, mask, _near((196, 176, 128), random), 0.0)


def _paint_blow_down(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """A fan of fallen trees, all thrown the same way."""
    mask, centre, towards = _blank(), _place(random, 0.3), random.uniform(0, 2 * np.pi)
    for angle in towards + random.normal(0, 0.3, 30):
        way = np.array([np.cos(angle), np.sin(angle)])
        begin, end = centre + way * random.uniform(0, 18), centre + way * random.uniform(20, 46)
        cv2.line(mask, np.round(begin).astype(int).tolist(), np.round(end).astype(int).tolist(), 220, 1)
    _cover(tile, mask, _near((142, 136, 108), random), 0.0)


def _paint_road(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    mask, turn, centre = _blank(), _turned(random), _place(random, 0.25)
    bend = random.normal(0, 9)
    path = np.array([[-200, bend], [-15, 0], [15, 0], [200, bend]]) @ turn + centre
    thickness = int(random.integers(2, 4))
    cv2.polylines(mask, [np.round(path).astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
    if random.random() < 0.4:
        side = np.array([[0, 0], [random.normal(0, 20), 200]]) @ turn + centre
        cv2.polylines(mask, [np.round(side).astype(np.int32)], False, 255, 2, cv2.LINE_AA)
    _cover(tile, mask, _near((182, 152, 124), random), 0.0)


def _paint_habitation(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """Roofs, in a loose grid."""
    turn, centre = _turned(random), _place(random, 0.25)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    spots = np.argwhere(random.random((7, 7)) < random.uniform(0.4, 0.8)) - 3
    for spot in spots * random.uniform(6, 8):
        mask = _blank()
        roof = (corners * random.uniform(1.2, 2.6, 2) + spot) @ turn + centre
        cv2.fillPoly(mask, [np.round(roof).astype(np.int32)], 255)
        tile[mask > 0] = _near((205, 190, 182), random, 22)


# What lies deeper is painted first.
_LAYERS: dict[str, Callable[[Tile, Random, NoiseBank], None]] = {
    "blooming": _paint_blooming,
    "blow_down": _paint_blow_down,
    "selective_logging": _paint_selective_logging,
    "agriculture": _paint_agriculture,
    "cultivation": _paint_cultivation,
    "bare_ground": _paint_bare_ground,
    "slash_burn": _paint_slash_burn,
    "water": _paint_water,
    "artisinal_mine": _paint_artisinal_mine,
    "conventional_mine": _paint_conventional_mine,
    "road": _paint_road,
    "habitation": _paint_habitation,
}


# --- the air between ----------------------------------------------------------------------------


def _spread_weather(tile: Tile, tags: frozenset[str], random: Random, noise: NoiseBank) -> Tile:
    if "cloudy" in tags:
        relief = 9 * noise.window(random, SIDE, SIDE, 32) + 3 * noise.window(random, SIDE, SIDE, 12)
        return np.asarray(random.uniform(150, 215) + relief, dtype=np.float32)[..., None].repeat(3, axis=2)
    if "haze" in tags:
        thickness = random.uniform(0.4, 0.65) + 0.06 * noise.window(random, SIDE, SIDE, 90)
        veil = np.array([160, 168, 176], dtype=np.float32) * random.uniform(0.75, 1.1)
        return np.asarray(tile * (1 - thickness[..., None]) + veil * thickness[..., None], dtype=np.float32)
    if "partly_cloudy" in tags:
        return _scatter_clouds(tile, random, noise)
    return tile


def _scatter_clouds(tile: Tile, random: Random, noise: NoiseBank) -> Tile:
    field = noise.window(random, SIDE, SIDE, 32) + 0.25 * noise.window(random, SIDE, SIDE, 12)
    level = np.quantile(field, random.uniform(0.72, 0.93))
    cloud = np.clip((field - level) * 2.2, 0, 0.95)[..., None]
    shift = random.integers(4, 11, 2)
    shadow = np.roll(cloud, tuple(int(step) for step in shift), axis=(0, 1))
    return np.asarray(tile * (1 - 0.5 * shadow) * (1 - cloud) + 226 * cloud, dtype=np.float32)
