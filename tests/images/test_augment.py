"""Augmentation presets: what they do to an image, and what they never do."""

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

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Padding, Preset, Resize, Symmetry
from runner.images.augment import _reduced, build_augmentation
from runner.images.center_crop import CenterCrop, Transform
from runner.images.views import PLAIN, MultiView, all_views

ALL = (SIDE_ON, TOP_DOWN, RADAR, NO_FLIP)
STILL = Preset("STILL", Symmetry.NONE)


def photograph(height: int = 90, width: int = 120, seed: int = 0) -> NDArray[np.uint8]:
    """Blurred noise: smooth, and without any symmetry."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    blurred: NDArray[np.uint8] = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    return blurred


def coordinates(height: int, width: int) -> NDArray[np.float32]:
    """An image whose values are the x and y of its pixels, so that every output pixel shows its source."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    return np.stack([x, y], axis=2)


class Crop(NamedTuple):
    """The geometry of an augmentation, measured on an image of coordinates."""

    scale: float  # source pixels per output pixel
    degrees: float
    hflip: bool
    x: float  # of the centre, in source pixels
    y: float


def crop_of(output: NDArray[np.float32]) -> Crop:
    # Measured in the middle, which no padding reaches.
    size = len(output)
    low, high = size // 4, size * 3 // 4
    middle = output[low:high, low:high].astype(float)
    right = (middle[:, -1] - middle[:, 0]).mean(axis=0) / (high - low - 1)
    below = (middle[-1] - middle[0]).mean(axis=0) / (high - low - 1)
    flipped = right[0] * below[1] - right[1] * below[0] < 0
    x, y = middle.mean(axis=(0, 1))
    # Measured on the downward axis, which a horizontal flip does not change.
    degrees = math.degrees(math.atan2(-below[0], below[1]))
    return Crop(float(np.hypot(*right)), degrees, bool(flipped), float(x), float(y))


def crops(preset: Preset, height: int, width: int, size: int, count: int = 300) -> list[Crop]:
    transform = build_augmentation(preset, size, is_rgb=False)
    image = coordinates(height, width)
    return [crop_of(transform(image, seed)) for seed in range(count)]


def d4_images(image: NDArray[Any]) -> list[NDArray[Any]]:
    rotated = [np.rot90(image, quarter) for quarter in range(4)]
    return [*rotated, *(np.flip(quarter, axis=1) for quarter in rotated)]


# Randomness


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_the_result_depends_on_image_and_seed_alone(preset: Preset) -> None:
    image = photograph()
    transform = build_augmentation(preset, 48, is_rgb=True)
    first = [transform(image, seed) for seed in range(12)]
    pickled = pickle.loads(pickle.dumps(transform))  # as a worker gets it
    for seed in reversed(range(12)):
        assert (pickled(image, seed) == first[seed]).all()
    assert len({result.tobytes() for result in first}) > 8
    assert (transform(image, np.int64(3)) == first[3]).all()


def test_another_process_gives_the_same_result() -> None:
    code = (
        "import numpy as np, hashlib\n"
        "from runner.contract import SIDE_ON\n"
        "from runner.images.augment import build_augmentation\n"
        "image = np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3)\n"
        "augmented = build_augmentation(SIDE_ON, 32, is_rgb=True)(image, 7)\n"
        "print(hashlib.sha256(augmented.tobytes()).hexdigest())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    namespace: dict[str, Any] = {}
    exec(code.replace("print(", "digest = ("), namespace)
    assert done.stdout.strip() == namespace["digest"]


def test_flip_zoom_rotation_and_shift_are_independent() -> None:
    # With a generator a step, equally seeded, a flip would always come with the same zoom.
    sampled = crops(SIDE_ON, 90, 120, 64, count=400)
    columns = np.array([(crop.hflip, crop.scale, crop.degrees, crop.y) for crop in sampled], dtype=float).T
    correlation = np.corrcoef(columns) - np.eye(4)
    assert np.abs(correlation).max() < 0.15


def test_the_input_image_is_not_changed() -> None:
    for preset in ALL:
        image = photograph(64, 64)
        before = image.copy()
        augmented = build_augmentation(preset, 64, is_rgb=True)(image, 3)
        augmented[:] = 0
        CenterCrop(preset, 32)(image)
        assert (image == before).all(), preset.name


# Shape


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(75, 75), (40, 90), (300, 200)])
def test_any_image_becomes_a_square_of_the_input_size(preset: Preset, channels: int, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(-20, 5, (*shape, channels)).astype(np.float32)
    for transform in (build_augmentation(preset, 64, is_rgb=False), CenterCrop(preset, 64)):
        augmented = transform(image, 5)
        assert augmented.shape == (64, 64, channels) and augmented.dtype == np.float32
        assert augmented.flags.c_contiguous and augmented.flags.writeable


def test_an_rgb_image_stays_uint8() -> None:
    for preset in ALL:
        augmented = build_augmentation(preset, 40, is_rgb=True)(photograph(), 1)
        assert augmented.shape == (40, 40, 3) and augmented.dtype == np.uint8


# Symmetries


def symmetry_alone(symmetry: Symmetry) -> Transform:
    return build_augmentation(replace(STILL, symmetry=symmetry), 16, is_rgb=False)


def test_d4_gives_eight_images_equally_often() -> None:
    image = photograph(16, 16)
    expected = [symmetric.tobytes() for symmetric in d4_images(image)]
    transform = symmetry_alone(Symmetry.D4)
    counts = Counter(transform(image, seed).tobytes() for seed in range(1600))
    assert set(counts) == set(expected) and len(set(expected)) == 8
    # 200 each; three standard deviations are 40.
    assert all(160 <= count <= 240 for count in counts.values())


def test_hflip_flips_half_of_the_time() -> None:
    image = photograph(16, 16)
    transform = symmetry_alone(Symmetry.HFLIP)
    counts = Counter(transform(image, seed).tobytes() for seed in range(1000))
    assert set(counts) == {image.tobytes(), image[:, ::-1].tobytes()}
    assert all(450 <= count <= 550 for count in counts.values())


def test_without_a_symmetry_nothing_changes() -> None:
    image = photograph(16, 16)
    assert all((symmetry_alone(Symmetry.NONE)(image, seed) == image).all() for seed in range(50))


def test_side_on_never_turns_an_image_upside_down() -> None:
    image = np.zeros((90, 120, 3), dtype=np.uint8)
    image[:25] = 255  # the sky
    transform = build_augmentation(SIDE_ON, 64, is_rgb=True)
    for seed in range(300):
        augmented = transform(image, seed).mean(axis=2)
        assert augmented[:8].mean() > augmented[-20:].mean() + 100


def test_side_on_flips_half_of_the_images() -> None:
    flipped = sum(crop.hflip for crop in crops(SIDE_ON, 90, 120, 64))
    assert 120 <= flipped <= 180


def test_no_flip_never_flips_and_rotates_by_its_maximum_at_most() -> None:
    sampled = crops(NO_FLIP, 90, 120, 64)
    assert not any(crop.hflip for crop in sampled)
    assert max(abs(crop.degrees) for crop in sampled) <= NO_FLIP.max_rotate + 0.1


# Crops


@pytest.mark.parametrize("preset", [SIDE_ON, NO_FLIP], ids=lambda preset: preset.name)
def test_zoom_rotation_and_shift_use_the_ranges_of_the_preset(preset: Preset) -> None:
    sampled = crops(preset, 90, 120, 64, count=500)
    zooms = [90 / 64 / crop.scale for crop in sampled]
    assert 0.999 <= min(zooms) < 1.01 and preset.max_zoom - 0.01 < max(zooms) <= preset.max_zoom + 0.001
    degrees = [crop.degrees for crop in sampled]
    assert -preset.max_rotate - 0.1 <= min(degrees) < -0.9 * preset.max_rotate
    assert 0.9 * preset.max_rotate < max(degrees) <= preset.max_rotate + 0.1
    # On the short axis the centre moves by the shift and the zoom's margin; on the long axis over the image.
    free = 90 / 2 * (1 - 1 / preset.max_zoom) + preset.max_shift * 90
    assert 0.7 * free < max(abs(crop.y - 45) for crop in sampled) <= free + 0.1
    centres = [crop.x for crop in sampled]
    assert min(centres) < 45 and max(centres) > 75
    assert abs(np.mean(centres) - 60) < 2


def test_a_crop_of_the_image_size_changes_no_pixel() -> None:
    almost_still = replace(STILL, max_rotate=1e-9)
    image = photograph(64, 64)
    augmented = build_augmentation(almost_still, 64, is_rgb=True)(image, 1)
    assert np.abs(augmented.astype(int) - image).max() <= 1


@pytest.mark.parametrize("side", [100, 128, 300, 1000])
def test_training_without_randomness_equals_the_center_crop(side: int) -> None:
    # Nothing is off by half a pixel at any scale.
    image = coordinates(side, side)
    affine = build_augmentation(replace(STILL, max_rotate=1e-9), 64, is_rgb=False)(image, 1)
    plain = CenterCrop(SIDE_ON, 64)(image)
    inner = slice(2, -2)
    assert np.abs(affine[inner, inner] - plain[inner, inner]).max() < 0.03 * side / 64


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_corners_are_padded_and_not_black(preset: Preset, padding: Padding) -> None:
    white = np.full((50, 70, 3), 255, dtype=np.uint8)
    transform = build_augmentation(replace(preset, padding=padding, max_lighting=0), 40, is_rgb=True)
    assert all(transform(white, seed).min() == 255 for seed in range(60))


def test_padding_reflects_or_repeats_the_edge() -> None:
    image = np.arange(32, dtype=np.float32)[None, :, None].repeat(32, axis=0)
    shifted = replace(STILL, max_shift=0.1)
    reflected = build_augmentation(shifted, 32, is_rgb=False)
    repeated = build_augmentation(replace(shifted, padding=Padding.EDGE), 32, is_rgb=False)
    rows = {tuple(reflected(image, seed)[0, :4, 0]) for seed in range(60)}
    assert rows == {tuple(abs(start + step) for step in range(4)) for start in range(-3, 4)}
    rows = {tuple(repeated(image, seed)[0, :4, 0]) for seed in range(60)}
    assert rows == {tuple(max(start + step, 0) for step in range(4)) for start in range(-3, 4)}


def test_a_fine_pattern_in_a_large_image_becomes_grey_without_moire() -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    for transform in (build_augmentation(SIDE_ON, 64, is_rgb=False), CenterCrop(SIDE_ON, 64)):
        augmented = transform(checks, 4)
        assert abs(augmented.mean() - 127.5) < 2 and augmented.std() < 4


# Oblong images


def oblong() -> Any:
    """A wide image whose columns are numbered."""
    return np.tile(np.arange(0, 96, dtype=np.uint8)[None, :, None], (48, 1, 3))


@pytest.mark.parametrize(
    ("resize", "first", "last"), [(Resize.CROP, 24, 71), (Resize.SQUASH, 0, 95), (Resize.PAD, 0, 95)]
)
def test_an_oblong_image_is_cropped_or_shown_whole(resize: Resize, first: int, last: int) -> None:
    preset = replace(STILL, max_rotate=1e-9, resize=resize)
    plain = CenterCrop(preset, 48)(oblong())
    views = MultiView(preset, (PLAIN,), 48)(oblong())
    augmented = build_augmentation(replace(preset, max_zoom=1 + 1e-9), 48, is_rgb=False)
    assert plain.shape == (48, 48, 3) and (views[0] == plain).all()
    assert abs(int(plain[24, 0, 0]) - first) <= 2 and abs(int(plain[24, -1, 0]) - last) <= 2
    seen = [augmented(oblong(), seed)[24, :, 0] for seed in range(8)]
    if resize is not Resize.CROP:  # a crop may be anywhere
        assert all(abs(int(row[0]) - first) <= 4 and abs(int(row[-1]) - last) <= 4 for row in seen)


def test_a_padded_image_keeps_its_shape_and_a_squashed_one_does_not() -> None:
    image = np.zeros((24, 96, 3), dtype=np.uint8)
    image[12:] = 200
    turned = replace(STILL, max_rotate=1)
    squashed = CenterCrop(replace(turned, resize=Resize.SQUASH), 48)(image)
    assert squashed[:20].max() == 0 and squashed[28:].min() == 200
    padded = CenterCrop(replace(turned, resize=Resize.PAD), 48)(image)
    # Half the size: 12 rows in the middle, and their mirror images above and below.
    bright = padded[:, 24, 0] > 100
    assert bright[25:29].all() and not bright[19:23].any()
    assert bright[31:35].all() and not bright[13:17].any()


def test_every_view_of_a_whole_image_is_a_square() -> None:
    for resize in Resize:
        preset = replace(SIDE_ON, resize=resize)
        assert MultiView(preset, all_views(preset), 32)(oblong()).shape[1:] == (32, 32, 3)


def test_a_preset_that_copies_pixels_refuses_to_squash() -> None:
    with pytest.raises(ValueError, match=r"Preset\.resize"):
        replace(RADAR, resize=Resize.SQUASH)


# Lighting


def test_lighting_uses_the_range_of_the_preset_and_keeps_black() -> None:
    transform = build_augmentation(SIDE_ON, 32, is_rgb=True)
    grey = np.full((32, 32, 3), 120, dtype=np.uint8)
    levels = [int(transform(grey, seed).mean()) for seed in range(300)]
    assert 95 <= min(levels) < 99 and 141 < max(levels) <= 145
    assert abs(np.mean(levels) - 120) < 3
    black = np.zeros((32, 32, 3), dtype=np.uint8)
    assert all(transform(black, seed).max() == 0 for seed in range(50))


def test_lighting_keeps_grey_grey() -> None:
    lighting = replace(STILL, max_lighting=0.2)
    transform = build_augmentation(lighting, 32, is_rgb=True)
    grey = photograph(32, 32)[..., :1].repeat(3, axis=2)
    for seed in range(50):
        augmented = transform(grey, seed)
        assert (augmented == augmented[..., :1]).all()


def test_contrast_grows_and_shrinks_about_the_mean() -> None:
    transform = build_augmentation(replace(STILL, max_lighting=0.2), 64, is_rgb=True)
    image = (photograph(64, 64) // 2 + 60).astype(np.uint8)
    spreads = [transform(image, seed).std() / image.std() for seed in range(200)]
    assert 0.6 < min(spreads) < 0.8 and 1.2 < max(spreads) < 1.45


def test_lighting_never_changes_measurements() -> None:
    bright = replace(RADAR, max_lighting=0.5)
    image = np.random.default_rng(0).normal(-20, 5, (30, 30, 2)).astype(np.float32)
    augmented = build_augmentation(bright, 30, is_rgb=False)(image, 1)
    assert set(augmented.ravel()) <= set(image.ravel())


# Radar


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**63), size=st.sampled_from([20, 33, 64, 75, 100, 150]))
def test_radar_creates_no_new_value(seed: int, size: int) -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    pixels = {tuple(pixel) for pixel in image.reshape(-1, 2)}
    for transform in (build_augmentation(RADAR, size, is_rgb=False), CenterCrop(RADAR, size)):
        augmented = transform(image, seed)
        # The two bands of a pixel stay together.
        assert {tuple(pixel) for pixel in augmented.reshape(-1, 2)} <= pixels


def test_radar_keeps_the_variance_of_speckle_at_every_size() -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    for size in (48, 75, 150):
        augmented = build_augmentation(RADAR, size, is_rgb=False)(image, 2)
        assert abs(augmented.std() / image.std() - 1) < 0.05


def test_radar_shifts_by_every_whole_pixel_up_to_its_maximum() -> None:
    max_shift = round(RADAR.max_shift * 75)
    assert max_shift == 6
    transform = build_augmentation(replace(RADAR, symmetry=Symmetry.NONE), 75, is_rgb=False)
    image = coordinates(75, 75)
    shifts = Counter(tuple((transform(image, seed) - image)[37, 37].tolist()) for seed in range(600))
    for axis in (0, 1):
        assert {shift[axis] for shift in shifts} == set(range(-max_shift, max_shift + 1))


def test_radar_at_its_native_size_is_unchanged_in_validation() -> None:
    image = np.random.default_rng(0).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    assert (CenterCrop(RADAR, 75)(image) == image).all()


# Center crop


def test_the_center_crop_is_the_middle_square_resized() -> None:
    image = coordinates(60, 100)
    augmented = CenterCrop(SIDE_ON, 30)(image)
    assert np.abs(augmented[0, :, 0] - (20 + 1 + 2 * np.arange(30))).max() < 0.01
    assert np.abs(augmented[:, 0, 1] - (1 + 2 * np.arange(30))).max() < 0.01
    assert (CenterCrop(SIDE_ON, 30)(image, 1) == CenterCrop(SIDE_ON, 30)(image, 2)).all()


def test_a_panorama_is_cropped_before_it_is_resized() -> None:
    strip = np.zeros((3, 30_000, 3), dtype=np.uint8)
    assert CenterCrop(SIDE_ON, 224)(strip).shape == (224, 224, 3)
    assert build_augmentation(SIDE_ON, 224, is_rgb=True)(strip, 1).shape == (224, 224, 3)


# Importing


def test_importing_augment_uses_no_network() -> None:
    code = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') and event not in ('socket.__new__', 'socket.gethostname'):\n"
        "        print(event, arguments); sys.stdout.flush()\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        raise OSError('network access')\n"
        "sys.addaudithook(watch)\n"
        "import runner.images.augment\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_opencv_uses_one_thread() -> None:
    assert cv2.getNumThreads() == 1


def test_an_oblong_image_is_reduced_in_its_own_shape() -> None:
    image = np.zeros((120, 300, 3), dtype=np.uint8)
    assert _reduced(image, 4, 4).shape == (30, 75, 3)
    assert _reduced(image, 4, 10).shape == (30, 30, 3)
