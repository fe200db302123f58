"""Errors as a person meets them: one style, commands that can be pasted, and JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from runner.cli import run_command
from tests.cli.conftest import Runner

# What was typed, and the command that was meant.
MEANT = [
    ("train dog-breed --size 64", "runner dog-breed train --size 64"),
    ("trian dog-breed", "runner dog-breed train"),
    ("train dog-bred", "runner dog-breed train"),
    ("dog-bred train --lr 1", "runner dog-breed train --lr 1"),
    ("dog-bred trian --lr 1", "runner dog-breed train --lr 1"),
    ("DOG_BREED/ runs", "runner dog-breed runs"),
    ("competitions/planet.py runs", "runner planet runs"),
    ("dog-breed doctor", "runner doctor dog-breed"),
    ("dog-breed list", "runner list"),
    ("bord", "runner board"),
    ("dog-breed train --epoch 3", "runner dog-breed train --epochs 3"),
    ("dog-breed train --epochs-scal=3", "runner dog-breed train --epochs-scale=3"),
    ("dog-breed train \u2013-lr 3", "runner dog-breed train --lr 3"),
    ("dog-breed train \u2014lr 3", "runner dog-breed train --lr 3"),
    ("dog-breed train --backbone \u201cresnet34\u201d", "runner dog-breed train --backbone resnet34"),
    ("dog-breed train --device gpu", "runner dog-breed train --device cuda"),
    ("dog-breed train --size 160,128 --lr 1", "runner dog-breed train --lr 1 --size 128,160"),
    ("list --host practise", "runner list --host practice"),
]


@pytest.mark.parametrize(("typed", "meant"), MEANT)
def test_the_fix_is_the_command_that_was_meant(typed: str, meant: str, cli: Runner) -> None:
    result = cli(*shlex.split(typed))
    assert result.code == 2
    assert f"\n  fix: {meant}\n" in result.err


def test_a_fix_has_the_workspace_and_host_that_were_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my kaggle"
    folder.mkdir()
    run_command(["--host", "practice", "planet", "predict", "--workspace", str(folder)])
    assert f"\n  fix: runner --workspace '{folder}' --host practice planet train\n" in capsys.readouterr().err


def test_a_fix_downloads_from_where_the_data_came(shapes: Path, cli: Runner, shapes_folder: Path) -> None:
    cli("shapes", "download", "--from", shapes_folder)
    (shapes / "data" / "shapes" / "sample_submission.csv").write_text("")
    assert f"runner shapes download --from {shapes_folder} --force" in cli("shapes", "split").err


@pytest.mark.parametrize(
    "typed", ["dog-breed train --size 3", "dog-bred train", "planet predict", "planet check", "list --host x"]
)
def test_an_error_is_json_where_results_are(typed: str, cli: Runner) -> None:
    result = cli(*typed.split(), "--json")
    assert result.code in (1, 2)
    assert list(json.loads(result.out)) == ["error", "where", "fix"]
    assert "error:" not in result.err


def test_messages_fit_80_columns_but_for_places_and_commands(cli: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["planet", "train", "--epochs", "3", "--time-budget", "5"]
    run_command(typed)
    run_command(["planet", "train", "--size", ",".join(["3"] * 20)])
    run_command(["planet", "download", "--host", "practice"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 6
    assert [line for line in lines if len(line) > 80 and not line.startswith(("  where:", "  fix: runner"))] == []
