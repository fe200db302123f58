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
    ("help", "runner --help"),
    ("help train", "runner dog-breed train --help"),
    ("help dog-breed predict", "runner dog-breed predict --help"),
    ("help board", "runner board --help"),
    ("dog-breed help predict", "runner dog-breed predict --help"),
    ("dog-breed train --hlep", "runner dog-breed train --help"),
    ("dog-breed predict first", "runner dog-breed predict --run first"),
    ("dog-breed train 224", "runner dog-breed train --size 224"),
    ("dog-breed train resnet34 --quick", "runner dog-breed train --quick --backbone resnet34"),
    ("dog-breed train quick epochs 3", "runner dog-breed train --quick --epochs 3"),
    ("dog-breed train --seed 3 3", "runner dog-breed train --seed 3 --epochs 3"),
    ("dog-breed split 5", "runner dog-breed split --folds 5"),
    ("dog-breed split 0.2", "runner dog-breed split --holdout 0.2"),
    ("dog-breed download nowhere.zip", "runner dog-breed download --from nowhere.zip"),
    ("dog-breed rehearse lb.csv", "runner dog-breed rehearse --leaderboard lb.csv"),
    ("dog-breed check a b", "runner dog-breed check a"),
    ("dog-breed runs first", "runner dog-breed runs"),
    ("dog-breed train -lr 0.1", "runner dog-breed train --lr 0.1"),
    ("dog-breed train --learning-rate=0.1", "runner dog-breed train --lr=0.1"),
    ("dog-breed train --batch_size 8", "runner dog-breed train --batch-size 8"),
    ("dog-breed train --quick=yes", "runner dog-breed train --quick"),
    ("dog-breed find-lr --epochs 3 --track wandb --seed 1", "runner dog-breed find-lr --seed 1"),
    ("dog-breed train --size 224px", "runner dog-breed train --size 224"),
    ("dog-breed train --size 224x224", "runner dog-breed train --size 224"),
    ("dog-breed train --size 128-224", "runner dog-breed train --size 128,224"),
    ("dog-breed train --lr 1e-3s", "runner dog-breed train --lr 1e-3"),
    ("dog-breed train --lr 0,001", "runner dog-breed train --lr 0.001"),
    (
        "dog-breed train --model resnet18 --model=resnet34 --epochs 3x",
        "runner dog-breed train --model resnet18 \
--model=resnet34 --epochs 3",
    ),
    ("dog-breed train --epochs '10 epochs'", "runner dog-breed train --epochs 10"),
    ("dog-breed train --batch-size 32.0", "runner dog-breed train --batch-size 32"),
    ("dog-breed train --time-budget 1/2", "runner dog-breed train --time-budget 0.5"),
    ("dog-breed split --holdout 20%", "runner dog-breed split --holdout 0.2"),
    ("dog-breed split --holdout 20", "runner dog-breed split --holdout 0.2"),
    ("dog-breed train --time-budget 1h", "runner dog-breed train --time-budget 60"),
    ("dog-breed train --cache-gb 500MB", "runner dog-breed train --cache-gb 0.5"),
    ("dog-breed train --epochs 1e3", "runner dog-breed train --epochs 1000"),
    ("dog-breed train --size '[64, 128]'", "runner dog-breed train --size 64,128"),
    ("dog-breed train --lr finder", "runner dog-breed train --lr find"),
    ("dog-breed train --batch-size AUTO", "runner dog-breed train --batch-size auto"),
    (
        "dog-breed train --backbone-arg a=1 --backbone-arg b=2 224",
        "runner dog-breed train --backbone-arg a=1 \
--backbone-arg b=2 --size 224",
    ),
    ("dog-breed predict --tta 5", "runner dog-breed predict --tta random:5"),
    ("dog-breed train --no-quick", "runner dog-breed train"),
    ("dog-breed train --pretrained", "runner dog-breed train"),
    ("dog-breed evaluate --run a", "runner dog-breed predict --run a"),
    ("dog-breed blend a b", "runner dog-breed ensemble a b"),
    ("planets list", "runner list"),
    ("dog-breed ensemble", "runner dog-breed runs"),
    ("dog-breed train --device rocm", "runner dog-breed train --device cuda"),
    ("dog-breed train --device cuda:1", "runner dog-breed train --device cuda"),
]


# Two ways out.
EITHER = [
    ("dog-breed split --folds 3 --holdout 0.2", ("dog-breed split --folds 3", "dog-breed split --holdout 0.2")),
    ("dog-breed submit --best 3 first", ("dog-breed submit --best 3", "dog-breed submit first")),
    ("demo --all planet iceberg", ("demo --all", "demo planet iceberg")),
    (
        "dog-breed train --run a --weights a --no-pretrained",
        ("dog-breed train --run a --weights a", "dog-breed train --run a --no-pretrained"),
    ),
]


@pytest.mark.parametrize(("typed", "meant"), MEANT)
def test_the_fix_is_the_command_that_was_meant(typed: str, meant: str, cli: Runner) -> None:
    result = cli(*shlex.split(typed))
    assert result.code == 2
    assert f"\n  fix: {meant}\n" in result.err


@pytest.mark.parametrize(("typed", "meant"), EITHER)
def test_of_contradicting_flags_either_can_go(typed: str, meant: tuple[str, str], cli: Runner) -> None:
    result = cli(*shlex.split(typed))
    assert result.code == 2
    assert f"\n  fix: runner {meant[0]} or: runner {meant[1]}\n" in result.err


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["dog-breed", "predict", "--run", ""], "runner dog-breed predict"),
        (["dog-breed", "download", "--from="], "runner dog-breed download"),
        (["--workspace", " ", "list"], "runner list"),
        (["dog-breed", "check", ""], "runner dog-breed check"),
    ],
)
def test_an_empty_value_is_an_error(words: list[str], left: str, cli: Runner) -> None:
    result = cli(*words)
    assert result.code == 2
    assert "the value is empty" in result.err and f"leave it out: {left}\n" in result.err


def test_a_note_may_be_empty(shapes: Path, cli: Runner) -> None:
    assert "the value is empty" not in cli("shapes", "submit", "-m", "").err


def test_the_next_flag_is_no_value(cli: Runner) -> None:
    assert "--epochs needs a value" in cli("dog-breed", "train", "--epochs", "--quick").err


def test_a_split_must_leave_rows_to_train_on_and_to_validate_with(
    shapes: Path, cli: Runner, shapes_folder: Path
) -> None:
    cli("shapes", "download", "--from", shapes_folder)
    for fraction, left in (("0.001", "no validation row"), ("0.999", "no row to train on")):
        result = cli("shapes", "split", "--holdout", fraction)
        assert (result.code, f"of 60 rows leaves {left}" in result.err) == (2, True), result.err
        assert "fix: runner shapes split --holdout 0.2\n" in result.err
    assert not (shapes / "runs" / "shapes" / "folds.csv").exists()


def test_a_misspelt_run_is_told_with_the_one_that_was_meant(shapes: Path, cli: Runner) -> None:
    (shapes / "runs" / "shapes" / "first").mkdir(parents=True)
    (shapes / "runs" / "shapes" / "first" / "recipe.json").write_text("{}")
    assert "there is no run 'frist'; did you mean 'first'?" in cli("shapes", "report", "frist").err


def test_a_word_that_is_a_run_is_taken_for_one(shapes: Path, cli: Runner) -> None:
    (shapes / "runs" / "shapes" / "first").mkdir(parents=True)
    (shapes / "runs" / "shapes" / "first" / "recipe.json").write_text("{}")
    assert "fix: runner shapes train --run first\n" in cli("shapes", "train", "first").err


@pytest.mark.parametrize(
    ("typed", "next_command"),
    [
        ("shapes runs", "runner shapes download"),
        ("shapes standings", "runner shapes submit"),
        ("list", "runner demo"),
        ("board", "runner demo"),
    ],
)
def test_an_empty_table_tells_what_is_next(typed: str, next_command: str, shapes: Path, cli: Runner) -> None:
    result = cli(*typed.split())
    assert (result.code, f"`{next_command}`" in result.err) == (0, True), result.err
    assert next_command not in result.out


@pytest.mark.parametrize("typed", ["--optimizer sgd", "--bogus", "-e 3", "--device tpu", "--dropout -1"])
def test_nothing_is_suggested_that_is_not_near(typed: str, cli: Runner) -> None:
    assert "fix: runner dog-breed train --help\n" in cli("dog-breed", "train", *typed.split()).err


def test_h_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-h"], ["dog-breed", "-h"], ["dog-breed", "train", "-h"]):
        assert run_command(words) == 0
        assert capsys.readouterr().out.startswith("Usage: runner")


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
        ("dog-breed train --dropout nan", "'nan' is not a number"),
        ("dog-breed train --time-budget inf", "'inf' is not a number"),
        ("dog-breed train --cache-gb nan", "'nan' is not a number"),
        ("dog-breed train --dropout 1", "must be at least 0 and below 1"),
        ("dog-breed split --holdout 1", "must be above 0 and below 1"),
        ("dog-breed download --from https://x.y/z.zip", "is an address: download it"),
        ("dog-breed train --tta all", "has no flag --tta: it is one of predict, run, rehearse"),
        ("dog-breed rehearse --leaderboard nofile.csv", "there is no such leaderboard file"),
        ("dog-breed report --figures /etc/hosts", "'/etc/hosts' is a file, not a folder"),
        ("demo dogbred", "no competition is named 'dogbred'"),
        ("demo --all planet", "--all excludes COMPETITION"),
        ("--workspace nowhere/at/all list", "there is no such workspace"),
        ("--workspace nowhere/at/all dog-breed runs", "there is no such workspace"),
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
