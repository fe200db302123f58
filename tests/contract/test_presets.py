"""Presets: symmetry and strength of the augmentation."""

from __future__ import annotations

import dataclasses

import pytest

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Padding, Preset, Symmetry

ALL = (SIDE_ON, TOP_DOWN, RADAR, NO_FLIP)


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_a_preset_is_frozen_and_augments_mildly(preset: Preset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.max_zoom = 2  # type: ignore[misc]
    assert 1 <= preset.max_zoom <= 1.2
    assert 0 <= preset.max_rotate <= 15
    assert 0 <= preset.max_shift <= 0.1
    assert 0 <= preset.max_lighting <= 0.3


def test_side_on_images_are_only_mirrored() -> None:
    assert SIDE_ON.symmetry is Symmetry.HFLIP
    assert SIDE_ON.max_zoom == 1.1


def test_top_down_images_have_eight_symmetries_and_reflected_edges() -> None:
    assert TOP_DOWN.symmetry is Symmetry.D4
    assert TOP_DOWN.padding is Padding.REFLECT
    assert TOP_DOWN.max_lighting > 0


def test_radar_pixels_are_neither_interpolated_nor_rescaled() -> None:
    assert RADAR.symmetry is Symmetry.D4
    assert (RADAR.max_rotate, RADAR.max_zoom, RADAR.max_lighting) == (0, 1, 0)
    assert RADAR.max_shift > 0
    assert RADAR.geometric_only and not SIDE_ON.geometric_only


def test_letters_are_never_flipped() -> None:
    assert NO_FLIP.symmetry is Symmetry.NONE
    assert NO_FLIP.max_rotate < SIDE_ON.max_rotate


def test_a_preset_has_the_name_of_its_constant() -> None:
    import runner.contract as contract

    assert all(getattr(contract, preset.name) is preset for preset in ALL)
