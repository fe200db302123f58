"""Draw satellite tiles: a layer for every tag, one over the other."""

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
# Less rare than in the Amazon, where so few tiles would have none of them.
_RARE_TAGS = {
    "bare_ground": 0.025,
    "selective_logging": 0.016,
    "artisinal_mine": 0.016,
    "blooming": 0.015,
    "slash_burn": 0.013,
    "conventional_mine": 0.009,
    "blow_down": 0.009,
}
TAGS = tuple(sorted({*WEATHER, *_RARE_TAGS, "primary", "agriculture", "road", "water", "cultivation", "habitation"}))


def sample_tags(random: Random) -> frozenset[str]:
    """Random tags for one tile, with the frequencies and combinations of the Amazon."""
    weather = str(random.choice(list(WEATHER), p=list(WEATHER.values())))
    if weather == "cloudy":
        return frozenset({weather})
    probabilities = dict(_RARE_TAGS, primary=0.95, agriculture=0.31, water=0.19)
    tags = {tag for tag, probability in probabilities.items() if random.random() < probability}
    has_fields = "agriculture" in tags
    tags |= {"road"} if random.random() < (0.48 if has_fields else 0.08) else set()
    tags |= {"cultivation"} if random.random() < (0.26 if has_fields else 0.05) else set()
    tags |= {"habitation"} if random.random() < (0.38 if "road" in tags else 0.015) else set()
    if tags & {"blow_down", "selective_logging", "blooming"} or len(tags) == 0:
        tags |= {"primary"}
    return frozenset(tags | {weather})


def draw_tile(tags: frozenset[str], random: Random, noise: NoiseBank) -> NDArray[np.uint8]:
    """One RGB tile, (128, 128, 3), seen from above."""
    tile = _draw_ground("primary" in tags, random, noise)
    for tag, draw_layer in _LAYERS.items():
        if tag in tags:
            draw_layer(tile, random, noise)
    tile = _add_weather(tile, tags, random, noise)
    # The light tints the whole tile, so that its mean colour depends little on the tags.
    light = np.exp(random.normal(0, 0.16) + random.normal(0, 0.06, 3)).astype(np.float32)
    tile = tile * light + 2.5 * noise.window(random, SIDE, SIDE, 1)[..., None]
    return np.clip(tile, 0, 255).astype(np.uint8)


# --- the ground and its layers ------------------------------------------------------------------


def _jitter(colour: Colour, random: Random, std: float = 9) -> Colour:
    red, green, blue = np.asarray(colour) + random.normal(0, std) + random.normal(0, std / 2, 3)
    return float(red), float(green), float(blue)


def _draw_ground(forest: bool, random: Random, noise: NoiseBank) -> Tile:
    colour = (52, 74, 46) if forest else (112, 112, 78)
    tile = np.empty((SIDE, SIDE, 3), dtype=np.float32)
    tile[:] = _jitter(colour, random)
    crowns = 9 * noise.window(random, SIDE, SIDE, 4) + 4 * noise.window(random, SIDE, SIDE, 1)
    hills = random.uniform(2, 7) * noise.window(random, SIDE, SIDE, 32)
    tile += ((crowns if forest else 0.25 * crowns) + hills)[..., None]
    return tile


def _blend(tile: Tile, mask: NDArray[np.uint8], colour: Colour, relief: NDArray[np.float32] | float) -> None:
    alpha = (cv2.GaussianBlur(mask, (3, 3), 0).astype(np.float32) / 255)[..., None]
    layer = np.asarray(colour, dtype=np.float32) + np.asarray(relief, dtype=np.float32)[..., None]
    tile *= 1 - alpha
    tile += alpha * layer


def _empty_mask() -> NDArray[np.uint8]:
    return np.zeros((SIDE, SIDE), dtype=np.uint8)


def _random_point(random: Random, margin: float = 0.2) -> NDArray[np.float64]:
    return random.uniform(margin * SIDE, (1 - margin) * SIDE, 2)


def _blob(random: Random, noise: NoiseBank, radius: float, centre: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A mask of a patch with a ragged edge."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    distance = np.hypot(x - centre[0], y - centre[1]) / radius
    ragged = distance + 0.28 * noise.window(random, SIDE, SIDE, 12)
    return np.where(ragged < 1, 255, 0).astype(np.uint8)


def _random_rotation(random: Random) -> NDArray[np.float64]:
    angle = random.uniform(0, np.pi)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _draw_agriculture(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Rectangular fields beside each other."""
    rotation, centre = _random_rotation(random), _random_point(random, 0.3)
    for _ in range(int(random.integers(2, 6))):
        width, height = random.uniform(22, 60, 2)
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - [width / 2, height / 2]
        offset = random.choice([-1, 0, 1], 2) * random.uniform(15, 40, 2)
        mask = _empty_mask()
        cv2.fillPoly(mask, [np.round((corners + offset) @ rotation + centre).astype(np.int32)], 255)
        colour = (_jitter((124, 134, 82), random, 14), _jitter((150, 128, 92), random, 14))[int(random.integers(2))]
        _blend(tile, mask, colour, 2 * noise.window(random, SIDE, SIDE, 12))


def _draw_cultivation(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Small plots with rows of crops."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    for _ in range(int(random.integers(2, 5))):
        angle = random.uniform(0, np.pi)
        rows = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / random.uniform(5, 8))
        mask = _blob(random, noise, random.uniform(10, 20), _random_point(random))
        _blend(tile, mask, _jitter((112, 126, 70), random), 15 * rows)


def _draw_bare_ground(tile: Tile, random: Random, noise: NoiseBank) -> None:
    mask = _blob(random, noise, random.uniform(18, 36), _random_point(random))
    _blend(tile, mask, _jitter((176, 156, 130), random), 4 * noise.window(random, SIDE, SIDE, 12))


def _draw_slash_burn(tile: Tile, random: Random, noise: NoiseBank) -> None:
    centre = _random_point(random, 0.3)
    mask = _blob(random, noise, random.uniform(22, 36), centre)
    _blend(tile, mask, _jitter((58, 44, 44), random, 4), 7 * noise.window(random, SIDE, SIDE, 4))
    smoke = cv2.GaussianBlur(_blob(random, noise, 18, centre + random.normal(0, 14, 2)), (0, 0), 8)
    tile += (smoke.astype(np.float32) * 0.35)[..., None]


def _river(random: Random, width: float) -> NDArray[np.uint8]:
    """A mask of a winding line, `width` pixels wide."""
    x = np.linspace(-0.8, 0.8, 40) * SIDE
    y = sum(random.uniform(3, 11) * np.sin(x / random.uniform(9, 26) + random.uniform(0, 6.3)) for _ in range(2))
    path = np.stack([x, y], axis=1) @ _random_rotation(random) + _random_point(random, 0.3)
    points = np.round(path).astype(np.int32)
    mask = _empty_mask()
    cv2.polylines(mask, [points], False, 255, round(width), cv2.LINE_AA)
    return mask


_WATER_COLOURS: tuple[Colour, ...] = ((58, 78, 84), (104, 92, 72), (40, 56, 58))


def _draw_water(tile: Tile, random: Random, noise: NoiseBank) -> None:
    colour = _jitter(_WATER_COLOURS[int(random.integers(len(_WATER_COLOURS)))], random, 6)
    if random.random() < 0.75:
        mask = _river(random, random.uniform(5, 22))
    else:
        mask = _blob(random, noise, random.uniform(16, 34), _random_point(random))
    _blend(tile, mask, colour, 1.0 * noise.window(random, SIDE, SIDE, 32))


def _draw_artisinal_mine(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """Sand with many small ponds."""
    centre = _random_point(random, 0.3)
    _blend(tile, _blob(random, noise, random.uniform(16, 24), centre), _jitter((190, 168, 130), random), 0.0)
    for _ in range(int(random.integers(6, 14))):
        mask = _empty_mask()
        pond = np.round(centre + random.normal(0, 11, 2)).astype(int)
        cv2.circle(mask, (int(pond[0]), int(pond[1])), int(random.integers(2, 5)), 255, -1)
        _blend(tile, mask, _jitter((96, 140, 132), random), 0.0)


def _draw_conventional_mine(tile: Tile, random: Random, noise: NoiseBank) -> None:
    """One terraced pit."""
    centre, radius = _random_point(random, 0.3), random.uniform(24, 38)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    terraces = np.sign(np.sin(np.hypot(x - centre[0], y - centre[1]) * 2 * np.pi / random.uniform(7, 10)))
    _blend(tile, _blob(random, noise, radius, centre), _jitter((172, 160, 154), random), 20 * terraces)


def _draw_selective_logging(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """Trails from one point, each with a small clearing at its end."""
    mask, centre = _empty_mask(), _random_point(random, 0.3)
    for _ in range(int(random.integers(8, 15))):
        end = centre + random.normal(0, 26, 2)
        cv2.line(mask, np.round(centre).astype(int).tolist(), np.round(end).astype(int).tolist(), 190, 1)
        cv2.circle(mask, np.round(end).astype(int).tolist(), 3, 255, -1)
    _blend(tile, mask, _jitter((150, 124, 92), random), 0.0)


def _draw_blooming(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    mask = _empty_mask()
    for x, y in random.integers(0, SIDE, (int(random.integers(50, 120)), 2)):
        cv2.circle(mask, (int(x), int(y)), int(random.integers(1, 3)), 230, -1)
    _blend(tile, mask, _jitter((196, 176, 128), random), 0.0)


def _draw_blow_down(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """Fallen trees, all in about the same direction."""
    mask, centre, main_angle = _empty_mask(), _random_point(random, 0.3), random.uniform(0, 2 * np.pi)
    for angle in main_angle + random.normal(0, 0.3, 30):
        direction = np.array([np.cos(angle), np.sin(angle)])
        start, end = centre + direction * random.uniform(0, 18), centre + direction * random.uniform(20, 46)
        cv2.line(mask, np.round(start).astype(int).tolist(), np.round(end).astype(int).tolist(), 220, 1)
    _blend(tile, mask, _jitter((142, 136, 108), random), 0.0)


def _draw_road(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    mask, rotation, centre = _empty_mask(), _random_rotation(random), _random_point(random, 0.25)
    bend = random.normal(0, 9)
    path = np.array([[-200, bend], [-15, 0], [15, 0], [200, bend]]) @ rotation + centre
    thickness = int(random.integers(2, 4))
    cv2.polylines(mask, [np.round(path).astype(np.int32)], False, 255, thickness, cv2.LINE_AA)
    if random.random() < 0.4:
        branch = np.array([[0, 0], [random.normal(0, 20), 200]]) @ rotation + centre
        cv2.polylines(mask, [np.round(branch).astype(np.int32)], False, 255, 2, cv2.LINE_AA)
    _blend(tile, mask, _jitter((182, 152, 124), random), 0.0)


def _draw_habitation(tile: Tile, random: Random, _noise: NoiseBank) -> None:
    """Roofs in a loose grid."""
    rotation, centre = _random_rotation(random), _random_point(random, 0.25)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    houses = np.argwhere(random.random((7, 7)) < random.uniform(0.4, 0.8)) - 3
    for house in houses * random.uniform(6, 8):
        mask = _empty_mask()
        roof = (corners * random.uniform(1.2, 2.6, 2) + house) @ rotation + centre
        cv2.fillPoly(mask, [np.round(roof).astype(np.int32)], 255)
        tile[mask > 0] = _jitter((205, 190, 182), random, 22)


# In drawing order, the lowest layer first.
_LAYERS: dict[str, Callable[[Tile, Random, NoiseBank], None]] = {
    "blooming": _draw_blooming,
    "blow_down": _draw_blow_down,
    "selective_logging": _draw_selective_logging,
    "agriculture": _draw_agriculture,
    "cultivation": _draw_cultivation,
    "bare_ground": _draw_bare_ground,
    "slash_burn": _draw_slash_burn,
    "water": _draw_water,
    "artisinal_mine": _draw_artisinal_mine,
    "conventional_mine": _draw_conventional_mine,
    "road": _draw_road,
    "habitation": _draw_habitation,
}


# --- the weather --------------------------------------------------------------------------------


def _add_weather(tile: Tile, tags: frozenset[str], random: Random, noise: NoiseBank) -> Tile:
    if "cloudy" in tags:
        relief = 9 * noise.window(random, SIDE, SIDE, 32) + 3 * noise.window(random, SIDE, SIDE, 12)
        return np.asarray(random.uniform(150, 215) + relief, dtype=np.float32)[..., None].repeat(3, axis=2)
    if "haze" in tags:
        thickness = random.uniform(0.4, 0.65) + 0.06 * noise.window(random, SIDE, SIDE, 90)
        haze = np.array([160, 168, 176], dtype=np.float32) * random.uniform(0.75, 1.1)
        return np.asarray(tile * (1 - thickness[..., None]) + haze * thickness[..., None], dtype=np.float32)
    if "partly_cloudy" in tags:
        return _draw_clouds(tile, random, noise)
    return tile


def _draw_clouds(tile: Tile, random: Random, noise: NoiseBank) -> Tile:
    field = noise.window(random, SIDE, SIDE, 32) + 0.25 * noise.window(random, SIDE, SIDE, 12)
    threshold = np.quantile(field, random.uniform(0.72, 0.93))
    cloud = np.clip((field - threshold) * 2.2, 0, 0.95)[..., None]
    shift = random.integers(4, 11, 2)
    shadow = np.roll(cloud, tuple(int(step) for step in shift), axis=(0, 1))
    return np.asarray(tile * (1 - 0.5 * shadow) * (1 - cloud) + 226 * cloud, dtype=np.float32)
