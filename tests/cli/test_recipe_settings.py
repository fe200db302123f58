"""A recipe from a file, from runner.toml, and field by field; what would be trained, without training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import EnsembleRecipe, Recipe
from runner.contract.recipe import TrainMode
from runner.errors import UsageError
from runner.session import Session
from runner.training.recipe_file import read_recipe_file, with_fields
from runner.workspace import Workspace, write_json
from tests.builders import start_run
from tests.cli.conftest import Result, Runner
from tests.competitions import SHAPES


@pytest.fixture
def workspace_dir(shapes: Path, shapes_folder: Path) -> Path:
    """The workspace with its data."""
    data = shapes / "data" / "shapes"
    shutil.copytree(shapes_folder, data)
    (data / ".complete").touch()
    return shapes


def _planned(cli: Runner, *words: object) -> Recipe:
    """The recipe that a command would train, found without training."""
    import click

    from runner.cli.global_options import GlobalOptions
    from runner.cli.options import read_recipe, recipe_options

    found: list[Recipe] = []

    @click.command()
    @recipe_options
    def command(**flags: object) -> None:
        options = GlobalOptions(competition_name="shapes")
        found.append(read_recipe(options.session(), dict(flags)))

    command.main(list(map(str, words)), standalone_mode=False)
    return found[0]


def _config(workspace: Path, text: str) -> Path:
    path = workspace / "runner.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --set


def test_set_reaches_any_field_after_the_other_flags() -> None:
    recipe = with_fields(SHAPES.recipe, ["stages[0].size=64", "seed = 3", "backbone_args.pad=same", "group_lrs=1,2,3"])
    assert (recipe.stages[0].size, recipe.seed) == (64, 3)
    assert recipe.backbone_args == {"pad": "same"}
    assert recipe.group_lrs == (1.0, 2.0, 3.0)
    assert with_fields(recipe, ["stages[*].mode=frozen"]).stages[0].mode is TrainMode.FROZEN


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("drop_out=0.1", "there is no field 'drop_out'", "... --set seed=1 --set dropout=0.1"),
        ("cycles=3", "there is no field 'cycles'", "... --set seed=1 --set 'stages[0].cycles=3'"),
        ("dropout=lots", "dropout is 'lots', not a number", "as in dropout=0.0"),
        ("dropout=2", "Recipe.dropout: 2.0 is not a number from 0 to 1", "give a value that it takes"),
        ("dropout", "it has not the form FIELD=VALUE", "... --set seed=1 --set seed=7"),
        ("=3", "it has not the form FIELD=VALUE", None),
        ("stages[5].size=64", "there is no field 'stages[5].size'", "stages[0].size=64"),
        ("stages[0].mode=melted", "not one of: features, frozen, unfrozen", "give a value"),
        ("all_data=true", "all_data cannot be set", "--all-data"),
    ],
)
def test_what_cannot_be_set_is_told_with_the_nearest(text: str, message: str, fix: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        with_fields(SHAPES.recipe, ["seed=1", text])
    assert message in caught.value.message
    assert fix is None or fix in (caught.value.fix or "")


def test_a_typo_in_set_is_corrected_in_the_fix(workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", "train", "--set", "seed=1", "--set", "drop_out=0.1", "--dry-run")
    assert result.code == 2
    assert "fix: runner shapes train --dry-run --set seed=1 --set dropout=0.1" in result.err


# --recipe


def test_a_runs_recipe_is_read_from_its_file(shapes: Path) -> None:
    session = Session(SHAPES, Workspace.at(shapes))
    recipe = replace(SHAPES.recipe, seed=9, group_lrs=(0.1, 0.2, 0.3))
    run = start_run(session.workspace, "shapes", recipe, "first")
    assert read_recipe_file(run.recipe_file) == recipe


def test_a_recipe_may_be_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"backbone": "resnet18", "stages": [{"size": 64, "mode": "frozen"}], "lr": 0.1}', encoding="utf-8")
    assert read_recipe_file(path).summary == "resnet18: 64px frozen x1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "the recipe file is no JSON"),
        ("[1]", "it is no object"),
        ('{"format": 1, "cv": {}}', "kind: None is neither 'recipe' nor 'ensemble'"),
        ('{"format": 7, "kind": "recipe"}', "this version of the runner reads format 1"),
        ('{"backbone": "a", "stages": [], "lr": 1}', "at least one stage is needed"),
        ('{"backbone": "a", "stages": [{"size": 64, "mode": "frozen"}], "lr": "1"}', "lr is '1', not a number"),
        ('{"backbone": "a", "stages": [{"size": 64, "mode": "frozen"}], "lr": 1, "sed": 3}', "has no field sed"),
    ],
)
def test_a_file_that_is_no_recipe_is_told(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_recipe_file(path)
    assert message in caught.value.message
    assert caught.value.fix


def test_an_edited_recipe_is_refused_until_its_checksum_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    write_json(path, SHAPES.recipe.to_dict(), format=1)
    text = path.read_text(encoding="utf-8").replace('"seed": 42', '"seed": 43')
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="checksum"):
        read_recipe_file(path)
    plain = json.loads(text)
    del plain["checksum"]
    path.write_text(json.dumps(plain), encoding="utf-8")
    assert read_recipe_file(path).seed == 43


def test_a_folder_a_missing_file_and_an_ensemble_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a folder is no recipe"):
        read_recipe_file(tmp_path)
    with pytest.raises(UsageError, match="there is no such recipe file"):
        read_recipe_file(tmp_path / "gone.json")
    write_json(tmp_path / "recipe.json", EnsembleRecipe(("a", "b")).to_dict(), format=1)
    with pytest.raises(UsageError, match="the recipe of an ensemble of a, b"):
        read_recipe_file(tmp_path / "recipe.json")


def test_a_recipe_file_trains_the_same_again_bit_for_bit(workspace_dir: Path, cli: Runner) -> None:
    assert cli("shapes", "train", "--run", "first", "--epochs", 1, "--set", "warmup=0.5", "--workers", 0).code == 0
    first = workspace_dir / "runs" / "shapes" / "first"
    again = cli("shapes", "train", "--run", "second", "--recipe", first / "recipe.json", "--workers", 0)
    assert again.code == 0, again.err
    weights = [first.with_name(name) / "fold-0" / "snapshot-0.safetensors" for name in ("first", "second")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    found = cli("shapes", "train", "--recipe", first / "recipe.json")
    assert found.out.strip() in ("first", "second")  # the same command again trains nothing
    assert "is trained already" in found.err


# runner.toml


@pytest.mark.usefixtures("cli")
def test_the_workspaces_recipe_is_changed_for_all_and_for_one_and_flags_win(shapes: Path, cli: Runner) -> None:
    _config(
        shapes,
        """
        [recipe]
        seed = 7
        dropout = 0.1
        epochs = 6

        [shapes.recipe]
        size = [24, 48]
        dropout = 0.2
        batch-size = 8
        warmup = 0.25
        backbone_arg = { act_layer = "silu" }
        "stages[1].lr_scale" = 0.5

        [planet.recipe]
        seed = 99
        """,
    )
    recipe = _planned(cli)
    assert (recipe.seed, recipe.dropout, recipe.batch_size, recipe.warmup) == (7, 0.2, 8, 0.25)
    assert [(stage.size, stage.lr_scale) for stage in recipe.stages] == [(24, 1.0), (48, 0.5)]
    assert recipe.backbone_args == {"act_layer": "silu"}
    flagged = _planned(cli, "--dropout", 0, "--seed", 1, "--epochs-scale", 2, "--set", "warmup=0")
    assert (flagged.dropout, flagged.seed, flagged.warmup, flagged.epochs) == (0, 1, 0, 2 * recipe.epochs)


@pytest.mark.usefixtures("cli")
def test_fields_may_be_tables_and_switches(shapes: Path, cli: Runner) -> None:
    _config(
        shapes, '[recipe]\nlinear_probe = true\nsolver = "sgdr"\nlr = "find"\n[recipe.backbone_args]\npad = "same"\n'
    )
    recipe = _planned(cli)
    assert [stage.mode for stage in recipe.stages] == [TrainMode.FEATURES]
    assert recipe.find_lr
    assert recipe.backbone_args == {"pad": "same"}


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        (
            "[recipe]\nseed = 1\ndrop_out = 0.1\n",
            3,
            "'drop_out' is neither a flag nor a field",
            "did you mean 'dropout'?",
        ),
        ("\n[shape.recipe]\nseed = 1\n", 2, "'shape' is neither recipe nor a competition", "did you mean 'shapes'?"),
        ("[shapes.recipes]\nseed = 1\n", 1, "'recipes' is not recipe", "did you mean 'recipe'?"),
        ("[recipe]\nseed = \n", 2, "runner.toml is no TOML", "correct that line"),
        ("[recipe]\nbackbone = resnet34\n", 2, "runner.toml is no TOML", "texts stand in quotes"),
        ('[recipe]\nseed = "x"\n', 2, "seed: 'x' is not a valid integer", "correct seed"),
        ("[recipe]\n# a comment\nsize = 3\n", 3, "sizes must be between 16 and 2048", "correct size"),
        ("[recipe]\nquick = 1\n", 2, "quick: 1 is not true or false", "quick = true"),
        ("[recipe]\nwarmup = 3\n", 2, "Recipe.warmup: 3 is not a number from 0 to 1", "correct warmup"),
        ("seed = 7\n", 1, "seed = 7 stands in no table", "[recipe]"),
        ("[recipe]\ndevice = 'cpu'\n", 2, "device: it is no part of a recipe", "--device is a flag of the command"),
        ("[recipe]\nepochs = 3\nepochs_scale = 2\n", 3, "epochs excludes epochs_scale", "leave one of the two out"),
        ("[recipe]\nstages = [{size = 64, mod = 'frozen'}]\n", 2, "has no field mod", "correct stages"),
        ("[recipe]\ndropout = [1, 2]\n", 2, "dropout:", "correct dropout"),
        ("[recipe]\nseed = 2020-01-01\n", 2, "is no value of it", "correct seed"),
    ],
)
def test_an_error_in_the_config_file_names_its_line(
    text: str, line: int, message: str, fix: str, shapes: Path, cli: Runner
) -> None:
    path = _config(shapes, text)
    result: Result = cli("shapes", "runs")
    assert result.code == 2, result.out
    assert message in result.err
    assert f"where: {path}:{line}\n" in result.err
    assert fix in result.err


def test_a_general_flag_without_effect_for_one_competition_stops_nothing(shapes: Path, cli: Runner) -> None:
    _config(shapes, '[recipe]\nsolver = "sgdr"\nlr = 0.5\nfreeze_to = 1\n')  # shapes has no features stage
    assert cli("shapes", "runs").code == 0


# --dry-run


def test_a_dry_run_tells_and_keeps_nothing(workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", "train", "--dry-run", "--folds", 3, "--epochs", 2, "--workers", 0, "--json")
    assert result.code == 0, result.err
    plan = json.loads(result.out)
    assert plan["recipe"]["folds"] == 3
    assert (plan["folds"], plan["epochs"], plan["train_rows"], plan["valid_rows"]) == (3, 6, 40, 20)
    assert plan["minutes"] >= 0
    assert plan["memory_bytes"] > 10**7
    assert plan["run"] is None
    assert not (workspace_dir / "runs").exists()
    text = cli("shapes", "train", "--dry-run", "--workers", 0).out
    assert text.startswith("test_resnet: 32px unfrozen x3\n")
    assert "minutes: about" in text
    assert "memory:" in text


def test_a_dry_run_names_the_run_that_would_go_on(workspace_dir: Path, cli: Runner) -> None:
    assert cli("shapes", "train", "--epochs", 1, "--workers", 0).code == 0
    result = cli("shapes", "train", "--epochs", 1, "--dry-run", "--workers", 0)
    assert "test-resnet-1 has been asked for the same, and is trained; --new trains another" in result.err
    assert (
        json.loads(cli("shapes", "train", "--epochs", 1, "--dry-run", "--workers", 0, "--new", "--json").out)["run"]
        is None
    )
    assert cli("shapes", "train", "--dry-run", "--resume").code == 2
