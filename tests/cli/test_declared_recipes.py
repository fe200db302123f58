"""The recipe that each shipped competition declares, on its practice data, at a reduced scale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from competitions import load
from runner.practice.build import build_practice
from runner.session import Session
from runner.training.log import read_log
from runner.workspace import Workspace
from tests.cli.conftest import Runner

SIZES = {"dog-breed": "32,40", "planet": "24,32,40", "iceberg": "75"}


@pytest.mark.parametrize(
    "name", ["dog-breed", *(pytest.param(name, marks=pytest.mark.slow) for name in ("iceberg", "planet"))]
)
def test_a_declared_recipe_runs_every_stage_and_is_scored(name: str, cli: Runner, workspace_folder: Path) -> None:
    competition = load(name)
    build_practice(Session(competition, Workspace(workspace_folder).for_host("practice")), scale=0.05)
    flags = (
        "--backbone",
        "test_resnet",
        "--no-pretrained",
        "--size",
        SIZES[name],
        "--epochs-scale",
        "0.1",
        "--workers",
        "0",
    )
    result = cli("--host", "practice", name, "run", "--run", "declared", *flags)
    assert result.code == 0, result.err
    assert "on the private leaderboard" in result.out
    run = workspace_folder / "practice" / "runs" / name / "declared"
    lines = read_log(run / "log.jsonl")
    declared = competition.recipe.stages
    assert [line["mode"] for line in lines if line["ends_cycle"]] == [
        stage.mode.value for stage in declared for _ in range(stage.cycles)
    ]
    assert sorted({line["size"] for line in lines}) == sorted(map(int, SIZES[name].split(",")))
    assert len(list((run / "fold-0").glob("snapshot-*.safetensors"))) == sum(stage.cycles for stage in declared)
    shown = json.loads(cli("--host", "practice", name, "standings", "--json").out)
    assert [one["status"] for one in shown["submissions"]] == ["complete"]
