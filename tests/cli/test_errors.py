"""Errors as a person meets them: one style, commands that can be pasted, and JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from runner.cli import run_command
from runner.cli.command_groups import RootGroup
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


def completed(line: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Tab offers at the end of a command line."""
    monkeypatch.setenv("RUNNER_WORKSPACE", str(workspace))
    *words, incomplete = line.split(" ")
    complete = ShellComplete(RootGroup("runner"), {}, "runner", "_RUNNER_COMPLETE")
    return [item.value for item in complete.get_completions(words, incomplete)]


def test_tab_offers_competitions_and_runs_and_executes_nothing(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shapes / "competitions" / "shop.py").write_text("import os; os._exit(9)")
    (shapes / "runs" / "shapes" / "first").mkdir(parents=True)
    (shapes / "runs" / "shapes" / "first" / "recipe.json").write_text("{}")
    assert completed("sh", shapes, monkeypatch) == ["shapes", "shop"]
    assert completed("doctor sh", shapes, monkeypatch) == ["shapes", "shop"]
    assert completed("shapes predict --run f", shapes, monkeypatch) == ["first"]
    assert completed("shapes check f", shapes, monkeypatch) == ["first"]
    assert "--epochs" in completed("shapes train --ep", shapes, monkeypatch)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("dog-breed split --folds 1", "--folds: 1: must be at least 2"),
        ("dog-breed split --folds two", "'two' is not a whole number"),
        ("dog-breed train --time-budget 10min", "'10min' is not a number, such as 0.2 (without a unit)"),
        ("dog-breed find-lr --figure x.gif", "a figure is an SVG or a PNG, not .gif"),
        ("demo --all planet", "leave out planet, or --all"),
        ("--workspace nowhere/at/all list", "there is no such workspace"),
    ],
)
def test_wrong_values_are_told_in_plain_words(typed: str, told: str, cli: Runner) -> None:
    result = cli(*typed.split())
    assert (result.code, told in result.err) == (2, True), result.err


def test_check_takes_a_run_or_a_file_and_tells_what_is_missing(shapes: Path, cli: Runner, shapes_folder: Path) -> None:
    cli("shapes", "download", "--from", shapes_folder)
    assert cli("shapes", "check", shapes_folder / "sample_submission.csv").code == 0
    for word, told in (("nofile.csv", "no such submission file"), (shapes, "a folder is no"), ("one", "no run")):
        result = cli("shapes", "check", word)
        assert result.code in (1, 2)
        assert told in result.err
