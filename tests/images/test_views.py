"""Test-time views: symmetries are inverses, and every view shows its own part of the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Preset
from runner.errors import UsageError
from runner.images.center_crop import CenterCrop
from runner.images.views import PLAIN, MultiView, View, all_views, choose_views, default_views, symmetries

PRESETS = [SIDE_ON, TOP_DOWN, RADAR, NO_FLIP]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@given(rot90=st.integers(0, 3), hflip=st.booleans(), seed=st.integers(0, 99))
@settings(deadline=None)
def test_invert_undoes_apply(rot90: int, hflip: bool, seed: int) -> None:
    view, square = View("any", rot90, hflip), noise(9, 9, seed)
    assert np.array_equal(view.invert(view.apply(square)), square)
    assert np.array_equal(view.apply(view.invert(square)), square)


def test_a_rotation_is_that_of_numpy_and_comes_before_the_flip() -> None:
    square = noise(9, 9)
    for rot90 in range(4):
        rotated = np.rot90(square, rot90)
        assert np.array_equal(View("any", rot90).apply(square), rotated)
        assert np.array_equal(View("any", rot90, hflip=True).apply(square), rotated[:, ::-1])


def test_d4_has_eight_different_views() -> None:
    square = noise(8, 8)
    assert len({view.apply(square).tobytes() for view in symmetries(TOP_DOWN)}) == 8


def test_views_are_named_after_what_they_do() -> None:
    assert [view.name for view in default_views(SIDE_ON)] == ["plain", "zoom hflip"]
    assert [view.name for view in default_views(TOP_DOWN)] == [
        *("plain", "hflip", "rot90", "rot90 hflip", "rot180", "rot180 hflip", "rot270", "rot270 hflip")
    ]
    assert [view.name for view in all_views(SIDE_ON)] == [
        *("plain", "hflip", "zoom", "zoom hflip"),
        *("top left", "top right", "bottom left", "bottom right", "padded", "padded hflip"),
    ]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_view_names_are_unique_and_the_plain_view_comes_first(preset: Preset) -> None:
    for views in (default_views(preset), all_views(preset)):
        assert views[0] == PLAIN
        assert len({view.name for view in views}) == len(views)


def test_side_on_is_never_rotated_and_no_flip_never_flipped() -> None:
    assert all(view.rot90 == 0 for view in all_views(SIDE_ON))
    assert not any(view.rot90 or view.hflip for view in all_views(NO_FLIP))


def test_radar_views_change_no_value() -> None:
    assert all_views(RADAR) == default_views(RADAR) == symmetries(RADAR)
    decibels = np.random.default_rng(1).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    for image in MultiView(RADAR, all_views(RADAR), 75)(decibels):
        assert np.array_equal(np.sort(image, axis=None), np.sort(decibels, axis=None))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@given(height=st.integers(20, 90), width=st.integers(20, 90))
@settings(deadline=None, max_examples=30)
def test_the_plain_view_equals_the_center_crop(preset: Preset, height: int, width: int) -> None:
    image = noise(height, width)
    views = MultiView(preset, all_views(preset), 48)(image)
    assert views.shape == (len(all_views(preset)), 48, 48, 3)
    assert np.array_equal(views[0], CenterCrop(preset, 48)(image))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_views_keep_any_number_of_channels(channels: int) -> None:
    image = np.random.default_rng(0).normal(size=(40, 56, channels)).astype(np.float32)
    for preset in PRESETS:
        views = MultiView(preset, (*all_views(preset), *choose_views(preset, "random:2")), 24)(image)
        assert views.shape[1:] == (24, 24, channels) and views.dtype == np.float32


def test_a_padded_view_shows_what_the_center_crop_leaves_out() -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, :10] = 255
    plain, padded = MultiView(SIDE_ON, (PLAIN, View("padded", pad_to_square=True)), 40)(wide)
    assert plain.max() == 0
    assert padded.max() == 255


def test_a_corner_view_shows_its_corner() -> None:
    marked = np.zeros((100, 100, 3), dtype=np.uint8)
    marked[:5, -5:] = 255
    showing = {view.name for view in all_views(SIDE_ON) if view.zoom > 1 and view.crop(marked).any()}
    assert showing == {"top right"}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_random_views_depend_on_seed_and_number_alone(preset: Preset) -> None:
    views = choose_views(preset, "random:4")
    assert [view.name for view in views] == ["plain", "random 1", "random 2", "random 3", "random 4"]
    image = noise(40, 56)
    shown = MultiView(preset, views, 24)(image, 5)
    assert np.array_equal(shown[0], CenterCrop(preset, 24)(image))
    assert len({view.tobytes() for view in shown}) == 5
    assert np.array_equal(shown[3:], MultiView(preset, views[3:], 24)(image, 5))
    assert not np.array_equal(shown[1:], MultiView(preset, views, 24)(image, 6)[1:])


def test_tta_none_is_the_plain_view() -> None:
    assert choose_views(SIDE_ON, "none") == (PLAIN,)


@pytest.mark.parametrize("choice", ["some", "random", "random:", "random:0", "random:65", "random:x", "4"])
def test_an_unknown_tta_choice_is_refused(choice: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose_views(SIDE_ON, choice)
    assert caught.value.message == f"--tta {choice}: must be none, default, all or random:N with N from 1 to 64"
    assert caught.value.fix == "... --tta default"
