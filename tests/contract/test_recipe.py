"""A recipe is a frozen value that survives being written down."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import competitions
from runner.contract import Recipe, Stage, TrainMode

stages = st.builds(
    Stage,
    size=st.integers(8, 512),
    mode=st.sampled_from(TrainMode),
    cycles=st.integers(1, 4),
    cycle_len=st.integers(1, 3),
    cycle_mult=st.integers(1, 3),
)
recipes = st.builds(
    Recipe,
    backbone=st.text(min_size=1),
    stages=st.lists(stages, min_size=1, max_size=4).map(tuple),
    lr=st.floats(1e-6, 1),
    seed=st.integers(0, 2**32),
    folds=st.none() | st.integers(2, 10),
    pretrained=st.booleans(),
)


@settings(deadline=None, max_examples=50)
@given(recipe=recipes)
def test_a_recipe_comes_back_from_its_json_as_it_was(recipe: Recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_three_cycles_that_double_are_seven_epochs():
    stage = Stage(64, TrainMode.FROZEN, cycles=3, cycle_len=1, cycle_mult=2)
    assert stage.cycle_epochs == (1, 2, 4)
    assert stage.epochs == 7


def test_a_recipe_has_the_epochs_of_all_its_stages():
    recipe = Recipe(
        "any", (Stage(64, TrainMode.FEATURES, cycles=2), Stage(64, TrainMode.UNFROZEN, cycle_len=5)), lr=0.1
    )
    assert recipe.epochs == 2 + 5


@pytest.mark.parametrize("name", ["dog-breed", "iceberg", "planet"])
def test_the_recipe_of_a_shipped_competition_survives_being_written_down(name: str):
    recipe = competitions.load(name).recipe
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_a_recipe_cannot_be_changed_in_place():
    recipe = Recipe("any", (Stage(64, TrainMode.FEATURES),), lr=0.1)
    with pytest.raises(FrozenInstanceError):
        recipe.lr = 0.2  # type: ignore[misc]
    assert replace(recipe, lr=0.2) != recipe
