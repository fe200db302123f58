"""The flags that change a recipe, each by its effect on a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from runner.contract import Recipe, TrainMode
from runner.training.log import read_log
from runner.training.run import Run
from tests.cli.conftest import Result, Runner


@pytest.fixture
def workspace_dir(shapes: Path, cli: Runner, shapes_folder: Path) -> Path:
    """The workspace with its data."""
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    return shapes


def recipe_of(workspace: Path, run: str) -> Recipe:
    return Run("shapes", run, workspace / "runs" / "shapes" / run).read_recipe()


def lines_of(workspace: Path, run: str) -> list[dict[str, object]]:
    return read_log(workspace / "runs" / "shapes" / run / "log.jsonl")


def train(cli: Runner, *flags: object) -> Result:
    result = cli("shapes", "train", "--workers", 0, *flags)
    assert result.code == 0, result.err
    return result


def test_recipe_flags_change_the_recipe(workspace_dir: Path, cli: Runner) -> None:
    flags = ("--size", "24,32", "--epochs-scale", "0.3", "--batch-size", 7, "--lr", "1e-4,1e-3,1e-2", "--seed", 5)
    train(cli, "--run", "a", *flags, "--backbone-arg", "act_layer=silu", "--backbone-arg", "zero_init_last=false")
    recipe = recipe_of(workspace_dir, "a")
    assert [(stage.size, stage.epochs) for stage in recipe.stages] == [(24, 1), (32, 1)]
    assert recipe.backbone_args == {"act_layer": "silu", "zero_init_last": False}
    assert (recipe.batch_size, recipe.group_lrs, recipe.seed) == (7, (1e-4, 1e-3, 1e-2), 5)
    assert [line["lrs"][0] for line in lines_of(workspace_dir, "a")] == [0.01, 0.01]  # type: ignore[index]


def test_an_unknown_argument_of_the_backbone_is_told_before_training(workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", "train", "--run", "x", "--backbone-arg", "act_lay=silu")
    assert result.code == 2
    assert "unexpected keyword argument 'act_lay'" in result.err
    assert "--backbone-arg act_layer=" in result.err
    assert not (workspace_dir / "runs" / "shapes" / "x").exists()


def test_another_backbone_is_trained_and_names_the_run(workspace_dir: Path, cli: Runner) -> None:
    assert train(cli, "--backbone", "test_vit", "--no-pretrained", "--epochs-scale", "0.1").out.strip() == "test-vit-1"
    assert cli("shapes", "predict").code == 0


@pytest.mark.usefixtures("short_sweep")
def test_quick_is_lr_finder_frozen_epoch_three_cycles(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--quick", "--run", "quick")
    lines = lines_of(workspace_dir, "quick")
    assert [(line["mode"], line["ends_cycle"]) for line in lines] == [
        ("frozen", True),
        ("unfrozen", True),
        *(("unfrozen", False), ("unfrozen", True)),
        *(("unfrozen", False), ("unfrozen", False), ("unfrozen", False), ("unfrozen", True)),
    ]
    assert recipe_of(workspace_dir, "quick").find_lr


@pytest.mark.slow
def test_a_time_budget_shortens_the_recipe(workspace_dir: Path, cli: Runner) -> None:
    result = train(cli, "--time-budget", 0.2, "--run", "short")
    assert "plan for 0.2 minutes" in result.err
    assert all(stage.epochs >= 1 for stage in recipe_of(workspace_dir, "short").stages)


@pytest.mark.slow
def test_freeze_to_keeps_the_early_weights(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--freeze-to", 1, "--run", "late", "--epochs-scale", 0.7)
    train(cli, "--freeze-to", 1, "--run", "later", "--epochs-scale", 1)
    first, second = (
        load_file(workspace_dir / "runs" / "shapes" / run / "fold-0" / "snapshot-0.safetensors")
        for run in ("late", "later")
    )
    unchanged = {name for name in first if torch.equal(first[name], second[name]) and name.endswith("weight")}
    assert "backbone.layer1.0.conv1.weight" in unchanged
    assert "backbone.layer4.0.conv1.weight" not in unchanged


def test_a_weights_file_is_identified_by_content(workspace_dir: Path, cli: Runner, tmp_path: Path) -> None:
    import timm

    path = tmp_path / "tiny.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), path)
    train(cli, "--weights", path, "--run", "from-file", "--epochs-scale", 0.1)
    written = recipe_of(workspace_dir, "from-file").weights
    assert written is not None
    assert written.startswith("tiny.safetensors sha256:")
    assert str(tmp_path) not in (workspace_dir / "runs" / "shapes" / "from-file" / "recipe.json").read_text()
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), other)
    refused = cli("shapes", "train", "--resume", "--run", "from-file", "--weights", other)
    assert refused.code == 2
    assert "other weights" in refused.err


@pytest.mark.slow
def test_from_run_starts_from_a_snapshot(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "first")
    train(cli, "--run", "second", "--from-run", "first", "--lr", "1e-12")
    first, second = (
        load_file(workspace_dir / "runs" / "shapes" / run / "fold-0" / "snapshot-0.safetensors")
        for run in ("first", "second")
    )
    assert torch.allclose(first["head.linear.weight"], second["head.linear.weight"], atol=1e-6)
    assert recipe_of(workspace_dir, "second").from_run == "first:snapshot-0"


def test_a_missing_run_or_snapshot_is_named(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "first", "--epochs-scale", 0.1)
    for start, text in (("nothing", "no run 'nothing'"), ("first:snapshot-9", "--from-run first:snapshot-0")):
        result = cli("shapes", "train", "--from-run", start)
        assert result.code != 0
        assert text in result.err


@pytest.mark.slow
def test_a_snapshot_that_saw_validation_rows_is_refused(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "first")
    assert cli("shapes", "split", "--seed", 1, "--force").code == 0
    result = cli("shapes", "train", "--from-run", "first")
    assert result.code == 2
    assert "the score would be too good" in result.err
    cli("shapes", "predict", "--run", "first")
    train(cli, "--all-data", "--run", "first")
    result = cli("shapes", "train", "--from-run", "first-all")
    assert "the score would be too good" in result.err


@pytest.mark.usefixtures("short_sweep")
def test_all_data_refits_a_run_and_keeps_its_score(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "split", "--lr", "find")
    assert cli("shapes", "predict").code == 0
    assert train(cli, "--all-data").out.strip() == "split-all"
    predicted = cli("shapes", "predict", "--run", "split-all")
    assert predicted.code == 0, predicted.err
    score = [
        json.loads((workspace_dir / "runs" / "shapes" / run / "score.json").read_text())
        for run in ("split", "split-all")
    ]
    checksums = [each.pop("checksum") for each in score]
    assert score[1] == {**score[0], "refit_of": "split"}
    assert checksums[0] != checksums[1]
    lines = [lines_of(workspace_dir, run) for run in ("split", "split-all")]
    assert [line["lrs"][0] for line in lines[0]] == [line["lrs"][0] for line in lines[1]]  # type: ignore[index]
    assert {line["valid_loss"] for line in lines[1]} == {None}
    assert (workspace_dir / "submissions" / "shapes" / "split-all.csv").exists()


def test_a_refit_keeps_the_strength_that_its_original_found(workspace_dir: Path, cli: Runner) -> None:
    assert train(cli, "--run", "probe", "--linear-probe", "--folds", "2").code == 0
    found = sorted(float(line["strength"]) for line in lines_of(workspace_dir, "probe"))
    assert train(cli, "--all-data", "--run", "probe").code == 0
    (line,) = lines_of(workspace_dir, "probe-all")
    assert (line["strength"], line["inner_loss"]) == (found[0], None)


def test_every_fold_is_trained_or_only_one(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--folds", 3, "--only-fold", 1, "--run", "three", "--epochs-scale", 0.1)
    folder = workspace_dir / "runs" / "shapes" / "three"
    assert [path.name for path in sorted(folder.glob("fold-*"))] == ["fold-1"]
    train(cli, "--resume", "--run", "three")
    assert [path.name for path in sorted(folder.glob("fold-?"))] == ["fold-0", "fold-1", "fold-2"]
    cli("shapes", "predict", "--run", "three")
    assert json.loads((folder / "score.json").read_text())["cv"]["rows"] == 60


def test_resume_uses_the_recipe_of_the_run(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "own", "--seed", 3)
    assert train(cli, "--resume").out.strip() == "own"
    result = cli("shapes", "train", "--resume", "--lr", "0.1")
    assert result.code == 2
    assert "--resume excludes --lr" in result.err
    assert cli("shapes", "train", "--resume", "--all-data").code == 2


@pytest.mark.slow
def test_find_lr_suggests_for_each_stage_and_keeps_nothing(workspace_dir: Path, cli: Runner, tmp_path: Path) -> None:
    figure = tmp_path / "curve.png"
    result = cli("shapes", "find-lr", "--json", "--figure", figure)
    assert result.code == 0, result.err
    stages = json.loads(result.out)
    assert [(stage["size"], stage["mode"]) for stage in stages] == [(32, TrainMode.UNFROZEN.value)]
    assert len(stages[0]["curve"]["lrs"]) == len(stages[0]["curve"]["losses"]) > 10
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert not list((workspace_dir / "runs" / "shapes").glob("*/recipe.json"))
    plain = cli("shapes", "find-lr")
    assert "32 px, unfrozen" in plain.out
    assert (workspace_dir / "runs" / "shapes" / "find-lr.svg").read_text().lstrip().startswith("<?xml")


def test_oversample_is_in_recipe_and_epoch(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--oversample", 4, "--run", "over", "--epochs-scale", 0.1)
    assert recipe_of(workspace_dir, "over").oversample == 4


def test_an_automatic_batch_size_is_remembered(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--batch-size", "auto", "--run", "auto", "--epochs-scale", 0.1)
    assert recipe_of(workspace_dir, "auto").auto_batch
    assert json.loads((workspace_dir / "cache" / "shapes" / "batch_size.json").read_text())
