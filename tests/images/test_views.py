"""Views: symmetries are inverses, and every view shows what it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Preset
from runner.errors import UsageError
from runner.images.center_crop import CenterCrop
from runner.images.views import PLAIN, MultiView, View, all_views, choose_views, default_views, symmetries

PRESETS = [SIDE_ON, TOP_DOWN, RADAR, NO_FLIP]


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@given(rot90=st.integers(0, 3), hflip=st.booleans(), seed=st.integers(0, 99))
@settings(deadline=None)
def test_moving_back_undoes_moving(rot90: int, hflip: bool, seed: int) -> None:
    view, square = View("any", rot90, hflip), image(9, 9, seed)
    assert np.array_equal(view.invert(view.move(square)), square)
    assert np.array_equal(view.move(view.invert(square)), square)


def test_the_eight_symmetries_are_eight_different_images() -> None:
    square = image(8, 8)
    assert len({view.move(square).tobytes() for view in symmetries(TOP_DOWN)}) == 8


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_names_are_unique_and_the_plain_view_comes_first(preset: Preset) -> None:
    for views in (default_views(preset), all_views(preset)):
        assert views[0] == PLAIN
        assert len({view.name for view in views}) == len(views)


def test_what_stands_upright_is_never_turned_and_letters_never_mirrored() -> None:
    assert all(view.rot90 == 0 for view in all_views(SIDE_ON))
    assert not any(view.rot90 or view.hflip for view in all_views(NO_FLIP))


def test_radar_is_seen_by_its_symmetries_alone() -> None:
    assert all_views(RADAR) == default_views(RADAR) == symmetries(RADAR)
    decibels = np.random.default_rng(1).normal(-20, 5, (75, 75, 2)).astype(np.float32)
    for look in MultiView(RADAR, all_views(RADAR), 75)(decibels):
        assert np.array_equal(np.sort(look, axis=None), np.sort(decibels, axis=None))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@given(height=st.integers(20, 90), width=st.integers(20, 90))
@settings(deadline=None, max_examples=30)
def test_the_plain_view_is_the_one_that_validation_uses(preset: Preset, height: int, width: int) -> None:
    shown = image(height, width)
    looks = MultiView(preset, all_views(preset), 48)(shown)
    assert looks.shape == (len(all_views(preset)), 48, 48, 3)
    assert np.array_equal(looks[0], CenterCrop(preset, 48)(shown))


def test_a_whole_view_keeps_what_the_centre_cuts_off() -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:, :10] = 255
    plain, whole = MultiView(SIDE_ON, (PLAIN, View("whole", whole=True)), 40)(wide)
    assert plain.max() == 0
    assert whole.max() == 255


def test_a_corner_lies_in_its_corner() -> None:
    marked = np.zeros((100, 100, 3), dtype=np.uint8)
    marked[:5, -5:] = 255
    seen = {view.name for view in all_views(SIDE_ON) if view.zoom > 1 and view.cut(marked).any()}
    assert seen == {"top right"}


def test_unknown_views_are_answered_with_the_known() -> None:
    assert choose_views(SIDE_ON, "none") == (PLAIN,)
    with pytest.raises(UsageError, match=r"none\|default\|all"):
        choose_views(SIDE_ON, "some")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_random_views_are_drawn_by_image_and_number_and_never_anew(preset: Preset) -> None:
    views = choose_views(preset, "random:4")
    assert [view.name for view in views] == ["plain", "random 1", "random 2", "random 3", "random 4"]
    whole = image(40, 56)
    looks = MultiView(preset, views, 24)(whole, 5)
    assert np.array_equal(looks[0], CenterCrop(preset, 24)(whole))
    assert len({look.tobytes() for look in looks}) == 5
    assert np.array_equal(looks[3:], MultiView(preset, views[3:], 24)(whole, 5))
    assert not np.array_equal(looks[1:], MultiView(preset, views, 24)(whole, 6)[1:])


@pytest.mark.parametrize("choice", ["random", "random:", "random:0", "random:65", "random:x", "4"])
def test_a_slip_in_the_choice_is_answered(choice: str) -> None:
    with pytest.raises(UsageError, match="no views named"):
        choose_views(SIDE_ON, choice)
