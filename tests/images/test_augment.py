"""Presets as pipelines: what they may do to an image, and what they never do."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Padding, Preset, Symmetry
from runner.images.augment import Transform, build_augmentation
from runner.images.center_crop import CenterCrop

ALL = (SIDE_ON, TOP_DOWN, RADAR, NO_FLIP)
STILL = Preset("STILL", Symmetry.NONE)


def photograph(height: int = 90, width: int = 120, seed: int = 0) -> NDArray[np.uint8]:
    """Blurred noise: smooth as photographs are, and nowhere symmetric."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    blurred: NDArray[np.uint8] = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    return blurred


def coordinates(height: int, width: int) -> NDArray[np.float32]:
    """An image whose values are the places of its pixels: what comes out says where it came from."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    return np.stack([across, down], axis=2)


class View(NamedTuple):
    """How a window lay on the image, told from the coordinates that it shows."""

    scale: float  # source pixels a pixel
    degrees: float
    hflip: bool
    across: float
    down: float


def view_of(shown: NDArray[np.float32]) -> View:
    # Measured in the middle, which no padding reaches.
    size = len(shown)
    low, high = size // 4, size * 3 // 4
    middle = shown[low:high, low:high].astype(float)
    right = (middle[:, -1] - middle[:, 0]).mean(axis=0) / (high - low - 1)
    below = (middle[-1] - middle[0]).mean(axis=0) / (high - low - 1)
    mirrored = right[0] * below[1] - right[1] * below[0] < 0
    across, down = middle.mean(axis=(0, 1))
    # Judged by the downward axis, which a mirror leaves alone.
    degrees = math.degrees(math.atan2(-below[0], below[1]))
    return View(float(np.hypot(*right)), degrees, bool(mirrored), float(across), float(down))


def views(preset: Preset, height: int, width: int, size: int, number: int = 300) -> list[View]:
    transform = build_augmentation(preset, size, is_rgb=False)
    image = coordinates(height, width)
    return [view_of(transform(image, seed)) for seed in range(number)]


def moves_of_the_square(image: NDArray[Any]) -> list[NDArray[Any]]:
    turns = [np.rot90(image, quarter) for quarter in range(4)]
    return [*turns, *(np.flip(turn, axis=1) for turn in turns)]


# Sameness


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_the_seed_alone_decides(preset: Preset) -> None:
    image = photograph()
    transform = build_augmentation(preset, 48, is_rgb=True)
    first = [transform(image, seed) for seed in range(12)]
    again = pickle.loads(pickle.dumps(transform))  # as a worker gets it
    for seed in reversed(range(12)):
        assert (again(image, seed) == first[seed]).all()
    assert len({result.tobytes() for result in first}) > 8
    assert (transform(image, np.int64(3)) == first[3]).all()


def test_another_process_does_the_same() -> None:
    code = (
        "import numpy as np, hashlib\n"
        "from runner.contract import SIDE_ON\n"
        "from runner.images.augment import build_augmentation\n"
        "image = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)\n"
        "shown = build_augmentation(SIDE_ON, 32, is_rgb=True)(image, 7)\n"
        "print(hashlib.sha256(shown.tobytes()).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here: dict[str, Any] = {}
    exec(code.replace("print(", "digest = ("), here)
    assert done.stdout.strip() == here["digest"]


def test_the_chances_are_independent_of_each_other() -> None:
    # With one seed a step instead of one for all, what is mirrored would always be zoomed alike.
    seen = views(SIDE_ON, 90, 120, 64, number=400)
    columns = np.array([(view.hflip, view.scale, view.degrees, view.down) for view in seen], dtype=float).T
    correlation = np.corrcoef(columns) - np.eye(4)
    assert np.abs(correlation).max() < 0.15


def test_the_image_given_is_left_as_it_was() -> None:
    for preset in ALL:
        image = photograph(64, 64)
        before = image.copy()
        shown = build_augmentation(preset, 64, is_rgb=True)(image, 3)
        shown[:] = 0
        CenterCrop(preset, 32)(image)
        assert (image == before).all(), preset.name


# SubmissionFormat


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(75, 75), (40, 90), (300, 200)])
def test_any_image_becomes_a_square_of_the_size(preset: Preset, channels: int, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(-20, 5, (*shape, channels)).astype(np.float32)
    for transform in (build_augmentation(preset, 64, is_rgb=False), CenterCrop(preset, 64)):
        shown = transform(image, 5)
        assert shown.shape == (64, 64, channels) and shown.dtype == np.float32
        assert shown.flags.c_contiguous and shown.flags.writeable


def test_light_images_stay_light() -> None:
    for preset in ALL:
        shown = build_augmentation(preset, 40, is_rgb=True)(photograph(), 1)
        assert shown.shape == (40, 40, 3) and shown.dtype == np.uint8


# Symmetries


def whole_moves(symmetry: Symmetry) -> Transform:
    """The symmetry and nothing else."""
    return build_augmentation(replace(STILL, symmetry=symmetry), 16, is_rgb=False)


def test_the_square_has_exactly_eight_moves_all_equally_likely() -> None:
    image = photograph(16, 16)
    expected = [move.tobytes() for move in moves_of_the_square(image)]
    transform = whole_moves(Symmetry.D4)
    counts = Counter(transform(image, seed).tobytes() for seed in range(1600))
    assert set(counts) == set(expected) and len(set(expected)) == 8
    # 200 each; three standard deviations are 40.
    assert all(160 <= count <= 240 for count in counts.values())


def test_mirroring_has_exactly_two_moves_both_equally_likely() -> None:
    image = photograph(16, 16)
    transform = whole_moves(Symmetry.HFLIP)
    counts = Counter(transform(image, seed).tobytes() for seed in range(1000))
    assert set(counts) == {image.tobytes(), image[:, ::-1].tobytes()}
    assert all(450 <= count <= 550 for count in counts.values())


def test_without_a_symmetry_nothing_moves() -> None:
    image = photograph(16, 16)
    assert all((whole_moves(Symmetry.NONE)(image, seed) == image).all() for seed in range(50))


def test_what_stands_upright_never_lies_or_hangs() -> None:
    image = np.zeros((90, 120, 3), dtype=np.uint8)
    image[:25] = 255  # the sky
    transform = build_augmentation(SIDE_ON, 64, is_rgb=True)
    for seed in range(300):
        shown = transform(image, seed).mean(axis=2)
        assert shown[:8].mean() > shown[-20:].mean() + 100


def test_what_stands_upright_is_mirrored_every_second_time() -> None:
    mirrored = sum(view.hflip for view in views(SIDE_ON, 90, 120, 64))
    assert 120 <= mirrored <= 180


def test_letters_are_never_mirrored_nor_turned_far() -> None:
    seen = views(NO_FLIP, 90, 120, 64)
    assert not any(view.hflip for view in seen)
    assert max(abs(view.degrees) for view in seen) <= NO_FLIP.max_rotate + 0.1


# Windows


@pytest.mark.parametrize("preset", [SIDE_ON, NO_FLIP], ids=lambda preset: preset.name)
def test_zoom_rotation_and_shift_keep_to_the_preset_and_use_it(preset: Preset) -> None:
    seen = views(preset, 90, 120, 64, number=500)
    zooms = [90 / 64 / view.scale for view in seen]
    assert 0.999 <= min(zooms) < 1.01 and preset.max_zoom - 0.01 < max(zooms) <= preset.max_zoom + 0.001
    turns = [view.degrees for view in seen]
    assert -preset.max_rotate - 0.1 <= min(turns) < -0.9 * preset.max_rotate
    assert 0.9 * preset.max_rotate < max(turns) <= preset.max_rotate + 0.1
    # The short axis moves by the shift and by what zooming leaves free; the long axis over the whole image.
    free = 90 / 2 * (1 - 1 / preset.max_zoom) + preset.max_shift * 90
    assert 0.7 * free < max(abs(view.down - 45) for view in seen) <= free + 0.1
    places = [view.across for view in seen]
    assert min(places) < 45 and max(places) > 75
    assert abs(np.mean(places) - 60) < 2


def test_a_window_of_the_images_own_size_shows_it_as_it_is() -> None:
    almost_still = replace(STILL, max_rotate=1e-9)
    image = photograph(64, 64)
    shown = build_augmentation(almost_still, 64, is_rgb=True)(image, 1)
    assert np.abs(shown.astype(int) - image).max() <= 1


@pytest.mark.parametrize("side", [100, 128, 300, 1000])
def test_training_and_validation_look_at_the_same_place(side: int) -> None:
    # A window without its chances is the centre square: nothing is off by half a pixel at any scale.
    image = coordinates(side, side)
    window = build_augmentation(replace(STILL, max_rotate=1e-9), 64, is_rgb=False)(image, 1)
    plain = CenterCrop(SIDE_ON, 64)(image)
    inner = slice(2, -2)
    assert np.abs(window[inner, inner] - plain[inner, inner]).max() < 0.03 * side / 64


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_no_corner_is_left_black(preset: Preset, padding: Padding) -> None:
    white = np.full((50, 70, 3), 255, dtype=np.uint8)
    transform = build_augmentation(replace(preset, padding=padding, max_lighting=0), 40, is_rgb=True)
    assert all(transform(white, seed).min() == 255 for seed in range(60))


def test_the_ground_beyond_an_edge_is_its_reflection_or_its_last_pixel() -> None:
    image = np.arange(32, dtype=np.float32)[None, :, None].repeat(32, axis=0)
    shifted = replace(STILL, max_shift=0.1)
    reflected = build_augmentation(shifted, 32, is_rgb=False)
    held = build_augmentation(replace(shifted, padding=Padding.EDGE), 32, is_rgb=False)
    rows = {tuple(reflected(image, seed)[0, :4, 0]) for seed in range(60)}
    assert rows == {tuple(abs(start + step) for step in range(4)) for start in range(-3, 4)}
    rows = {tuple(held(image, seed)[0, :4, 0]) for seed in range(60)}
    assert rows == {tuple(max(start + step, 0) for step in range(4)) for start in range(-3, 4)}


def test_a_fine_pattern_in_a_large_image_turns_grey_and_not_to_moire() -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    for transform in (build_augmentation(SIDE_ON, 64, is_rgb=False), CenterCrop(SIDE_ON, 64)):
        shown = transform(checks, 4)
        assert abs(shown.mean() - 127.5) < 2 and shown.std() < 4


# Light


def test_light_stays_near_and_never_lifts_black() -> None:
    transform = build_augmentation(SIDE_ON, 32, is_rgb=True)
    grey = np.full((32, 32, 3), 120, dtype=np.uint8)
    levels = [int(transform(grey, seed).mean()) for seed in range(300)]
    assert 95 <= min(levels) < 99 and 141 < max(levels) <= 145
    assert abs(np.mean(levels) - 120) < 3
    black = np.zeros((32, 32, 3), dtype=np.uint8)
    assert all(transform(black, seed).max() == 0 for seed in range(50))


def test_light_changes_no_colour_into_another() -> None:
    only_light = replace(STILL, max_lighting=0.2)
    transform = build_augmentation(only_light, 32, is_rgb=True)
    grey = photograph(32, 32)[..., :1].repeat(3, axis=2)
    for seed in range(50):
        shown = transform(grey, seed)
        assert (shown == shown[..., :1]).all()


def test_contrast_grows_and_shrinks() -> None:
    transform = build_augmentation(replace(STILL, max_lighting=0.2), 64, is_rgb=True)
    image = (photograph(64, 64) // 2 + 60).astype(np.uint8)
    spreads = [transform(image, seed).std() / image.std() for seed in range(200)]
    assert 0.6 < min(spreads) < 0.8 and 1.2 < max(spreads) < 1.45


def test_measurements_are_not_light_whatever_the_preset() -> None:
    bright = replace(RADAR, max_lighting=0.5)
    image = np.random.default_rng(0).normal(-20, 5, (30, 30, 2)).astype(np.float32)
    shown = build_augmentation(bright, 30, is_rgb=False)(image, 1)
    assert set(shown.ravel()) <= set(image.ravel())


# Radar


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**63), size=st.sampled_from([20, 33, 64, 75, 100, 150]))
def test_radar_never_makes_a_value_that_was_not_measured(seed: int, size: int) -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    pixels = {tuple(pixel) for pixel in image.reshape(-1, 2)}
    for transform in (build_augmentation(RADAR, size, is_rgb=False), CenterCrop(RADAR, size)):
        shown = transform(image, seed)
        # Whole pixels: both bands of a place go together.
        assert {tuple(pixel) for pixel in shown.reshape(-1, 2)} <= pixels


def test_radar_keeps_the_statistics_of_speckle_at_every_size() -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    for size in (48, 75, 150):
        shown = build_augmentation(RADAR, size, is_rgb=False)(image, 2)
        assert abs(shown.std() / image.std() - 1) < 0.05


def test_radar_shifts_by_every_whole_pixel_up_to_the_most_both_ways() -> None:
    most = round(RADAR.max_shift * 75)
    assert most == 6
    transform = build_augmentation(replace(RADAR, symmetry=Symmetry.NONE), 75, is_rgb=False)
    image = coordinates(75, 75)
    shifts = Counter(tuple((transform(image, seed) - image)[37, 37].tolist()) for seed in range(600))
    for axis in (0, 1):
        assert {shift[axis] for shift in shifts} == set(range(-most, most + 1))


def test_radar_at_its_own_size_is_seen_plainly_as_it_is() -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    assert (CenterCrop(RADAR, 75)(image) == image).all()


# Plain views


def test_the_plain_view_is_the_centre_square_scaled() -> None:
    across = coordinates(60, 100)
    shown = CenterCrop(SIDE_ON, 30)(across)
    assert np.abs(shown[0, :, 0] - (20 + 1 + 2 * np.arange(30))).max() < 0.01
    assert np.abs(shown[:, 0, 1] - (1 + 2 * np.arange(30))).max() < 0.01
    assert (CenterCrop(SIDE_ON, 30)(across, 1) == CenterCrop(SIDE_ON, 30)(across, 2)).all()


def test_a_panorama_costs_no_more_than_its_square() -> None:
    strip = np.zeros((3, 30_000, 3), dtype=np.uint8)
    assert CenterCrop(SIDE_ON, 224)(strip).shape == (224, 224, 3)
    assert build_augmentation(SIDE_ON, 224, is_rgb=True)(strip, 1).shape == (224, 224, 3)


# Importing


def test_importing_the_transforms_asks_nothing_of_the_network() -> None:
    code = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') and event not in ('socket.__new__', 'socket.gethostname'):\n"
        "        print(event, arguments); sys.stdout.flush()\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        raise OSError('the network was asked')\n"
        "sys.addaudithook(watch)\n"
        "import runner.images.augment\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_opencv_starts_no_threads_beside_the_workers() -> None:
    assert cv2.getNumThreads() == 1
