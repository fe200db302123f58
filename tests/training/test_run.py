"""recipe.json: read as a recipe or an ensemble, and refused with a fix if it is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.contract import EnsembleRecipe, Recipe
from runner.errors import RunnerError, UsageError
from runner.workspace import Workspace, read_json, write_json, write_text
from tests.builders import start_run


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_a_run_has_the_recipe_that_it_was_started_with(workspace: Workspace, tiny_recipe: Recipe) -> None:
    run = start_run(workspace, "shapes", tiny_recipe)
    assert run.read_recipe() == tiny_recipe
    assert run.read_members() == ()
    assert run.summary == tiny_recipe.summary


def test_an_ensemble_has_members_and_nothing_to_train(workspace: Workspace) -> None:
    run = start_run(workspace, "shapes", EnsembleRecipe(("one", "two")))
    assert run.name == "ensemble-1"
    assert run.read_members() == ("one", "two")
    with pytest.raises(UsageError) as caught:
        run.read_recipe()
    assert caught.value.message == "ensemble-1 is an ensemble of one, two: it has nothing to train"
    assert caught.value.fix == "runner shapes train --run one --resume"


def test_an_unknown_field_in_recipe_json_is_a_runner_error(workspace: Workspace, tiny_recipe: Recipe) -> None:
    run = start_run(workspace, "shapes", tiny_recipe, "one")
    write_json(run.recipe_file, {**read_json(run.recipe_file, format=1), "lr_divisor": 10}, format=1)
    with pytest.raises(RunnerError) as caught:
        run.read_recipe()
    assert caught.value.message == "the recipe is damaged: Recipe has no field lr_divisor"
    assert caught.value.where == str(run.recipe_file)
    assert caught.value.fix == "train it again, as a new run: `runner shapes train`"


@pytest.mark.parametrize("text", ['{"format": 2, "kind": "recipe"}', '{"kind": "recipe"}', "[]", "{", '{"format": 1}'])
def test_a_recipe_json_of_another_format_is_a_runner_error(
    workspace: Workspace, tiny_recipe: Recipe, text: str
) -> None:
    run = start_run(workspace, "shapes", tiny_recipe, "one")
    write_text(run.recipe_file, text)
    with pytest.raises(RunnerError) as caught:
        run.read_members()
    assert caught.value.where == str(run.recipe_file) and caught.value.fix
