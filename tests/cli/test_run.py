"""`run`: all steps in order, from wherever the data is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import Stage, TrainMode
from runner.contract.recipe import linear_probe
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin

FAST = ("--workers", 0, "--batch-size", 32)


@pytest.fixture
def workspace_dir(workspace_folder: Path) -> Path:
    """A competition whose recipe has a feature stage, then an unfrozen one."""
    stages = (Stage(24, TrainMode.FEATURES, cycle_len=2), Stage(24, TrainMode.UNFROZEN))
    write_plugin(workspace_folder, replace(SHAPES, recipe=replace(SHAPES.recipe, stages=stages)))
    return workspace_folder


def test_run_from_a_folder_needs_no_account(workspace_dir: Path, cli: Runner, shapes_folder: Path) -> None:
    result = cli("shapes", "run", "--from", shapes_folder, "--no-submit", "--run", "one", *FAST)
    assert result.code == 0, result.err
    path = workspace_dir / "submissions" / "shapes" / "one.csv"
    assert f"{path}\nto submit it: runner shapes submit one" in result.out
    assert cli("shapes", "check", path).code == 0
    assert not (workspace_dir / "submissions" / "ledger.csv").exists()
    again = cli("shapes", "run", "--no-submit", "--run", "one", *FAST)
    assert again.code == 0, "the data is downloaded: neither a folder nor an account is needed"


def test_linear_probe_keeps_the_backbone(workspace_dir: Path, cli: Runner, shapes_folder: Path) -> None:
    result = cli("shapes", "run", "--from", shapes_folder, "--no-submit", "--linear-probe", "--run", "one", *FAST)
    assert result.code == 0, result.err
    assert "24 px, features" in result.err
    assert "unfrozen" not in result.err


def test_linear_probe_adds_a_feature_stage_if_none_is_declared() -> None:
    recipe = replace(SHAPES.recipe, stages=(Stage(24, TrainMode.FROZEN), Stage(32, TrainMode.UNFROZEN)))
    (stage,) = linear_probe(recipe).stages
    assert (stage.size, stage.mode) == (24, TrainMode.FEATURES)


def test_quick_and_linear_probe_exclude_each_other(workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", "run", "--quick", "--linear-probe")
    assert result.code == 2
    assert "choose" in result.err


def test_run_without_data_names_where_it_looked(workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", "run", "--no-submit", "--from", workspace_dir / "nowhere", *FAST)
    assert result.code == 1
    assert str(workspace_dir / "nowhere") in result.err
