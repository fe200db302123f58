"""Presets: which images bear which moves, as data."""

from __future__ import annotations

import dataclasses

import pytest

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Padding, Preset, Symmetry

ALL = (SIDE_ON, TOP_DOWN, RADAR, NO_FLIP)


@pytest.mark.parametrize("preset", ALL, ids=lambda preset: preset.name)
def test_a_preset_is_frozen_and_its_strengths_are_small(preset: Preset) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.max_zoom = 2  # type: ignore[misc]
    assert 1 <= preset.max_zoom <= 1.2
    assert 0 <= preset.max_rotate <= 15
    assert 0 <= preset.max_shift <= 0.1
    assert 0 <= preset.max_lighting <= 0.3


def test_things_that_stand_upright_are_mirrored_and_nothing_more() -> None:
    assert SIDE_ON.symmetry is Symmetry.HFLIP
    assert SIDE_ON.max_zoom == 1.1


def test_things_seen_from_above_have_all_eight_symmetries_and_reflected_edges() -> None:
    assert TOP_DOWN.symmetry is Symmetry.D4
    assert TOP_DOWN.padding is Padding.REFLECT
    assert TOP_DOWN.max_lighting > 0


def test_nothing_in_radar_blends_or_changes_decibels() -> None:
    assert RADAR.symmetry is Symmetry.D4
    assert (RADAR.max_rotate, RADAR.max_zoom, RADAR.max_lighting) == (0, 1, 0)
    assert RADAR.max_shift > 0


def test_letters_are_never_mirrored() -> None:
    assert NO_FLIP.symmetry is Symmetry.NONE
    assert NO_FLIP.max_rotate < SIDE_ON.max_rotate


def test_a_preset_is_found_by_the_name_that_it_bears() -> None:
    import runner.contract as contract

    assert all(getattr(contract, preset.name) is preset for preset in ALL)
