"""A recipe is a frozen value that checks its fields and comes back equal from its JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import competitions
from runner.contract import EnsembleRecipe, Recipe, Solver, Stage, TrainMode
from runner.contract.backbone_args import Argument, parse_argument, write_argument
from runner.contract.recipe import (
    linear_probe,
    recipe_from_dict,
    scale_epochs,
    short_recipe,
    with_epochs,
    with_freeze_to,
    with_sizes,
)

stages = st.builds(
    Stage,
    size=st.integers(16, 512),
    mode=st.sampled_from(TrainMode),
    cycles=st.integers(1, 4),
    cycle_len=st.integers(1, 3),
    cycle_mult=st.integers(1, 3),
    solver=st.sampled_from(Solver),
    min_steps=st.integers(0, 500),
)
recipes = st.builds(
    Recipe,
    backbone=st.text(min_size=1),
    stages=st.lists(stages, min_size=1, max_size=4).map(tuple),
    lr=st.floats(1e-6, 1),
    layer_decay=st.floats(1e-3, 1),
    group_lrs=st.none() | st.tuples(*[st.floats(1e-6, 1)] * 3),
    warmup=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    folds=st.none() | st.integers(2, 10),
    pretrained=st.booleans(),
    backbone_args=st.dictionaries(
        st.sampled_from(["pad_type", "drop_path_rate", "img_size"]),
        st.booleans() | st.integers(-9, 512) | st.floats(0, 1) | st.text(max_size=5) | st.none(),
    ),
)


def recipe(*stages: Stage, **changes: Any) -> Recipe:
    return replace(Recipe("any", stages or (Stage(64, TrainMode.UNFROZEN),), lr=0.1), **changes)


@pytest.mark.parametrize("arguments", [{"num_classes": 3}, {"checkpoint_path": "x"}, {"layers": [1, 2]}])
def test_arguments_that_the_runner_sets_or_that_are_no_plain_values_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Recipe.backbone_args: {next(iter(arguments))}"):
        recipe(backbone_args=arguments)


@given(value=st.booleans() | st.integers() | st.floats(allow_nan=False) | st.none() | st.sampled_from(["same", "a=b"]))
def test_an_argument_is_read_as_it_was_written(value: Argument) -> None:
    assert repr(parse_argument(write_argument("name", value))) == repr(("name", value))


@pytest.mark.parametrize("text", ["pad_type", "=same", "pad type=same", "1=2"])
def test_an_argument_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_argument(text)


def through_json(value: Recipe | EnsembleRecipe) -> Recipe | EnsembleRecipe:
    return recipe_from_dict(json.loads(json.dumps(value.to_dict())))


@settings(deadline=None, max_examples=50)
@given(recipe=recipes)
def test_a_recipe_comes_back_equal_from_its_json(recipe: Recipe):
    assert through_json(recipe) == recipe


@pytest.mark.parametrize("name", ["dog-breed", "iceberg", "planet"])
def test_a_shipped_recipe_comes_back_equal_from_its_json(name: str):
    declared = competitions.load(name).recipe
    assert through_json(declared) == declared


def test_an_ensemble_comes_back_equal_from_its_json():
    ensemble = EnsembleRecipe(("one", "two"))
    assert through_json(ensemble) == ensemble
    assert ensemble.summary == "ensemble of one, two"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_divisor": 10}, "Recipe has no field lr_divisor"),
        ({"backbone": None, "kind": "model"}, "kind: 'model' is neither 'recipe' nor 'ensemble'"),
        ({"stages": [{"size": 64, "mode": "frozen", "state": 1}]}, "Recipe.stages[0] has no field state"),
        ({"stages": [{"size": 64}]}, "Recipe.stages[0] needs the field mode"),
        (
            {"stages": [{"size": 64, "mode": "head"}]},
            "Recipe.stages[0].mode is 'head', not one of: features, frozen, unfrozen",
        ),
        ({"lr": -1}, "Recipe.lr: -1 is not a number above 0"),
    ],
)
def test_a_recipe_json_with_unexpected_fields_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError) as caught:
        recipe_from_dict({**recipe().to_dict(), **changes})
    assert str(caught.value) == message


def test_a_recipe_json_without_a_field_is_refused():
    plain = recipe().to_dict()
    del plain["backbone"]
    with pytest.raises(ValueError, match=r"^Recipe needs the field backbone$"):
        recipe_from_dict(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": -5}, "Stage.size: -5 is not a whole number from 16 to 2048"),
        ({"size": 2049}, "Stage.size: 2049 is not a whole number from 16 to 2048"),
        ({"size": 64.0}, "Stage.size: 64.0 is not a whole number from 16 to 2048"),
        ({"mode": "frozen"}, "Stage.mode: 'frozen' is not a TrainMode"),
        ({"cycles": 0}, "Stage.cycles: 0 is not a whole number of at least 1"),
        ({"cycle_len": 0}, "Stage.cycle_len: 0 is not a whole number of at least 1"),
        ({"cycle_mult": 0}, "Stage.cycle_mult: 0 is not a whole number of at least 1"),
        ({"lr_scale": 0}, "Stage.lr_scale: 0 is not a number above 0"),
        ({"freeze_to": 3}, "Stage.freeze_to: 3 is not a whole number from 0 to 2"),
    ],
)
def test_a_stage_refuses_values_outside_their_limits(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError) as caught:
        replace(Stage(64, TrainMode.UNFROZEN), **changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "Recipe.stages: at least one stage is needed"),
        ({"lr": -1}, "Recipe.lr: -1 is not a number above 0"),
        ({"lr": float("nan")}, "Recipe.lr: nan is not a number above 0"),
        ({"lr": "0.1"}, "Recipe.lr: '0.1' is not a number above 0"),
        ({"layer_decay": 10}, "Recipe.layer_decay: 10 is not a number above 0, at most 1"),
        ({"layer_decay": 0}, "Recipe.layer_decay: 0 is not a number above 0, at most 1"),
        ({"group_lrs": (0.1, 0.1)}, "Recipe.group_lrs: (0.1, 0.1) is not one lr each for early, late and head"),
        ({"group_lrs": (0.1, 0.0, 0.1)}, "Recipe.group_lrs: 0.0 is not a number above 0"),
        ({"warmup": 1.5}, "Recipe.warmup: 1.5 is not a number from 0 to 1"),
        ({"batch_size": 0}, "Recipe.batch_size: 0 is not a whole number from 1 to 4096"),
        ({"oversample": 0.5}, "Recipe.oversample: 0.5 is not a number from 1 to 100"),
        ({"weight_decay": -0.1}, "Recipe.weight_decay: -0.1 is not a number of at least 0"),
        ({"dropout": 2}, "Recipe.dropout: 2 is not a number from 0 to 1"),
        ({"folds": 1}, "Recipe.folds: 1 is not a whole number of at least 2"),
    ],
)
def test_a_recipe_refuses_values_outside_their_limits(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError) as caught:
        recipe(**changes)
    assert str(caught.value) == message


def test_an_ensemble_of_no_runs_is_refused():
    with pytest.raises(ValueError, match="at least one run"):
        EnsembleRecipe(())


def test_three_cycles_that_double_are_seven_epochs():
    stage = Stage(64, TrainMode.FROZEN, cycles=3, cycle_len=1, cycle_mult=2)
    assert stage.cycle_epochs == (1, 2, 4)
    assert stage.epochs == 7


def test_a_recipe_has_the_epochs_of_all_its_stages():
    features, unfrozen = (
        Stage(64, TrainMode.FEATURES, cycles=2, solver=Solver.SGDR),
        Stage(64, TrainMode.UNFROZEN, cycle_len=5),
    )
    assert recipe(features, unfrozen).epochs == 2 + 5


def test_a_regression_is_one_epoch_whatever_its_cycles():
    stage = Stage(64, TrainMode.FEATURES, cycles=3, cycle_len=2)
    assert (stage.is_regression, stage.epochs) == (True, 1)
    assert scale_epochs(recipe(stage), 3).stages == (stage,)
    both = recipe(stage, Stage(64, TrainMode.UNFROZEN, cycle_len=5))
    assert [each.epochs for each in with_epochs(both, 3).stages] == [1, 2]
    assert with_epochs(recipe(stage), 4).epochs == 1


def test_stages_of_an_earlier_version_are_trained_as_they_were():
    plain = recipe(Stage(64, TrainMode.FEATURES, cycles=2)).to_dict()
    for stage in plain["stages"]:
        del stage["solver"], stage["min_steps"]
    (earlier,) = recipe_from_dict(plain).stages
    assert (earlier.solver, earlier.min_steps, earlier.epochs) == (Solver.SGDR, 0, 2)


def test_a_recipe_is_frozen():
    with pytest.raises(FrozenInstanceError):
        recipe().lr = 0.2  # type: ignore[misc]
    assert recipe(lr=0.2) != recipe()


def test_new_sizes_replace_the_declared_ones_in_order():
    small, large = Stage(64, TrainMode.FROZEN), Stage(128, TrainMode.UNFROZEN)
    sizes = [stage.size for stage in with_sizes(recipe(small, large), (32, 48, 96)).stages]
    assert sizes == [32, 48, 96]
    assert with_sizes(recipe(small, large), (32,)).stages == (replace(small, size=32),)


def test_scaled_cycles_have_at_least_one_epoch():
    stages = (Stage(64, TrainMode.FROZEN), Stage(64, TrainMode.UNFROZEN, cycle_len=4))
    assert [stage.cycle_len for stage in scale_epochs(recipe(*stages), 0.5).stages] == [1, 2]


def test_a_quick_recipe_has_one_frozen_epoch_and_three_unfrozen_cycles():
    quick = short_recipe(recipe(Stage(64, TrainMode.UNFROZEN, lr_scale=0.3), Stage(128, TrainMode.UNFROZEN)))
    assert quick.find_lr and quick.epochs == 1 + 7
    assert [(stage.size, stage.mode, stage.lr_scale) for stage in quick.stages] == [
        (64, TrainMode.FROZEN, 1.0),
        (64, TrainMode.UNFROZEN, 0.3),
    ]


def test_a_linear_probe_trains_on_features_alone():
    features = Stage(64, TrainMode.FEATURES)
    assert linear_probe(recipe(features, Stage(64, TrainMode.UNFROZEN))).stages == (features,)
    assert [stage.mode for stage in linear_probe(recipe()).stages] == [TrainMode.FEATURES]


def test_freeze_to_changes_only_unfrozen_stages():
    stages = with_freeze_to(recipe(Stage(64, TrainMode.FROZEN), Stage(64, TrainMode.UNFROZEN)), 1).stages
    assert [stage.freeze_to for stage in stages] == [0, 1]


SHIPPED_RECIPES = tuple(dict.fromkeys(competitions.load(name).recipe for name in competitions.names()))


@pytest.mark.parametrize("recipe", SHIPPED_RECIPES, ids=lambda recipe: recipe.backbone)
@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 11, 30, 97])
def test_with_epochs_has_exactly_that_many(recipe, epochs):
    changed = with_epochs(recipe, epochs)
    assert changed.epochs == epochs
    kept = recipe.stages[: len(changed.stages)]
    assert [(stage.size, stage.mode) for stage in changed.stages] == [(stage.size, stage.mode) for stage in kept]


def test_with_epochs_of_its_own_number_changes_nothing():
    for recipe in SHIPPED_RECIPES:
        assert with_epochs(recipe, recipe.epochs) == recipe


def test_with_epochs_keeps_the_cycles_that_divide():
    recipe = Recipe("resnet18", (Stage(64, TrainMode.UNFROZEN, cycles=3, cycle_mult=2),), lr=1e-3)
    lengths = {epochs: with_epochs(recipe, epochs).stages[0].cycle_epochs for epochs in (14, 9, 8, 11)}
    assert lengths == {14: (2, 4, 8), 9: (3, 3, 3), 8: (4, 4), 11: (11,)}
