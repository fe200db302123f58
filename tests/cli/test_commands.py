"""The commands, cli rightly and wrongly."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from competitions import names
from runner.cli import run_command
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """A workspace after download and train."""
    folder = tmp_path_factory.mktemp("trained")
    write_plugin(folder, SHAPES)
    for words in (["download", "--from", str(shapes_folder)], ["train"]):
        assert run_command(["--workspace", str(folder), "shapes", *words]) == 0
    return folder


@pytest.fixture
def trained(trained_once: Path, workspace_folder: Path) -> Path:
    """A copy of that workspace."""
    shutil.copytree(trained_once, workspace_folder, dirs_exist_ok=True)
    return workspace_folder


def test_download_train_predict_check_work_in_order(trained: Path, cli: Runner) -> None:
    predicted = cli("shapes", "predict")
    assert predicted.code == 0
    assert "CV log loss" in predicted.out
    path = trained / "submissions" / "shapes" / "test-resnet-1.csv"
    assert str(path) in predicted.out
    assert cli("shapes", "check", path).code == 0
    run = trained / "runs" / "shapes" / "test-resnet-1"
    assert {"recipe.json", "environment.json", "folds.csv", "log.jsonl", "fold-0", "score.json"} <= {
        item.name for item in run.iterdir()
    }
    listed = json.loads(cli("shapes", "runs", "--json").out)
    assert [item["run"] for item in listed] == ["test-resnet-1"]
    assert listed[0]["cv"] == json.loads((run / "score.json").read_text())["cv"]["value"]


def test_a_second_train_is_a_new_run_on_the_same_folds(trained: Path, cli: Runner) -> None:
    assert cli("shapes", "train", "--seed", 7).code == 0
    runs = trained / "runs" / "shapes"
    assert (runs / "test-resnet-1" / "folds.csv").read_bytes() == (runs / "test-resnet-2" / "folds.csv").read_bytes()


def test_list_shows_which_data_is_downloaded(shapes: Path, cli: Runner, shapes_folder: Path) -> None:
    before = {item["name"]: item for item in json.loads(cli("list", "--all", "--json").out)}
    assert set(before) == {"shapes", *names()}
    assert {item["data"] for item in before.values()} == {"not here"}
    cli("shapes", "download", "--from", shapes_folder)
    after = {item["name"]: item["data"] for item in json.loads(cli("list", "--all", "--json").out)}
    assert after == {**dict.fromkeys(names(), "not here"), "shapes": "downloaded"}
    assert "shapes" in cli("list").out


@pytest.mark.parametrize("words", [("list",), ("--help",)])
def test_list_and_help_show_what_is_used_here_and_count_the_others(
    shapes: Path, cli: Runner, words: tuple[str]
) -> None:
    (shapes / "runs" / "leaf").mkdir(parents=True)
    (shapes / "practice" / "data" / "iceberg").mkdir(parents=True)
    said = cli(*words)
    assert [name for name in ("iceberg", "leaf", "planet", "shapes") if re.search(rf"^ *{name} ", said.out, re.M)] == [
        "iceberg",
        "leaf",
        "shapes",
    ]
    assert re.search(rf"{len(names()) - 2} more.*: `?runner list --all", said.out + said.err)


def test_list_in_an_empty_workspace_says_how_to_see_the_shipped_ones(workspace_folder: Path, cli: Runner) -> None:
    said = cli("list")
    assert (said.code, said.out) == (0, "")
    assert f"{len(names())} competitions are known" in said.err and "runner list --all" in said.err


@pytest.mark.parametrize("words", [("doctor", "leaf", "--json"), ("leaf", "standings")])
def test_a_saturated_leaderboard_is_told(cli: Runner, words: tuple[str, ...]) -> None:
    said = cli(*words)
    assert "the leaderboard is saturated: the best scores are 0.0" in said.out + said.err
    assert "saturated" not in cli("--host", "practice", *words).err


def test_list_names_a_broken_plugin_and_lists_the_others(shapes: Path, cli: Runner) -> None:
    (shapes / "competitions" / "broken.py").write_text("x = 1\ny = (\n")
    (shapes / "competitions" / "gone.py").symlink_to("nowhere.py")
    (shapes / "competitions" / "board.py").write_text("COMPETITION = 1\n")
    result = cli("list")
    assert result.code == 0
    for text in ("broken.py:2", "gone.py", "named like the command `runner board`"):
        assert text in result.err
    assert "shapes" in result.out
    assert cli("--help").code == cli("board").code == 0


@pytest.mark.parametrize("words", [("list",), ("board",), ("doctor",), ("--help",), ("shapes-are-few", "--help")])
def test_no_competition_file_is_executed_but_by_its_own_command(
    shapes: Path, cli: Runner, words: tuple[str, ...]
) -> None:
    for line in ("raise KeyboardInterrupt", "import os; os._exit(9)"):
        (shapes / "competitions" / "hostile.py").write_text(f"COMPETITION = 1\n{line}\n")
        assert cli(*words).code in (0, 1, 2)


def test_global_flags_may_stand_behind_the_command(shapes: Path, shapes_folder: Path) -> None:
    assert run_command(["dog-breed", "download", "--from", str(shapes_folder), "--workspace", str(shapes)]) == 0
    assert (shapes / "data" / "dog-breed" / ".complete").exists()


def test_split_counts_every_class_and_is_repeatable(trained: Path, cli: Runner) -> None:
    result = cli("shapes", "split", "--folds", 4, "--force", "--json")
    text = json.loads(result.out)
    assert {item["name"]: sum(item["valid_per_fold"]) for item in text["classes"]} == {
        "akita": 20,
        "beagle": 20,
        "collie": 20,
    }
    first = Path(text["path"]).read_bytes()
    cli("shapes", "split", "--folds", 4)
    assert Path(text["path"]).read_bytes() == first


def test_clean_deletes_only_the_cache(trained: Path, cli: Runner) -> None:
    cache = trained / "cache" / "shapes" / "old.npy"
    cache.parent.mkdir(parents=True, exist_ok=True)
    with cache.open("wb") as hole:
        hole.truncate(10**9)
    kept = {path for path in trained.rglob("*") if "cache" not in path.parts}
    result = cli("shapes", "clean")
    assert result.code == 0
    assert float(result.out.split()[0]) < 100, "a hole takes no room, so none is freed"
    assert {path for path in trained.rglob("*") if "cache" not in path.parts} == kept
    assert not cache.exists()


@pytest.mark.parametrize("host", [("--host", "practice"), ("--host=practice",)])
def test_a_fix_names_the_host_that_was_given(cli: Runner, shapes: Path, host: tuple[str, ...]) -> None:
    assert "fix: runner --host practice shapes train" in cli(*host, "shapes", "predict").err
    assert "fix: runner shapes train" in cli("shapes", "predict").err


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "--workspace", str(tmp_path), "list", "--all", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


WRONG = [
    (("dogbreed", "train"), 2, "dog-breed"),
    (("shapes", "trian"), 2, "runner shapes train"),
    (("shapes", "train", "--size", "big"), 2, "128,224"),
    (("shapes", "train", "--size", "4"), 2, "between 16 and 2048"),
    (("shapes", "train", "--batch-size", "0"), 2, "1 to 4096, or auto"),
    (("shapes", "train", "--lr", "-1"), 2, "must be above 0"),
    (("shapes", "split", "--folds", "3", "--holdout", "0.2"), 2, "--folds excludes --holdout"),
    (("--host", "kagle", "list"), 2, "practice"),
    (("shapes", "split"), 1, "runner shapes download"),
    (("shapes", "train"), 1, "runner shapes download"),
    (("shapes", "predict"), 1, "runner shapes train"),
    (("shapes", "predict", "--run", "none"), 1, "runner shapes train"),
    (("shapes", "submit"), 1, "runner shapes train"),
    (("shapes", "download", "--from", "nowhere"), 1, "no such file"),
    (("shapes", "download"), 1, "no Kaggle credentials"),
    (("--host", "practice", "shapes", "download"), 1, "runner demo"),
    (("demo", "shapes"), 1, "dog-breed"),
    (("demo", "nothing"), 2, "runner list"),
]


@pytest.mark.parametrize(
    ("words", "code", "text"), WRONG, ids=lambda item: " ".join(item) if isinstance(item, tuple) else ""
)
def test_wrong_usage_exits_with_a_message(
    words: tuple[str, ...], code: int, text: str, shapes: Path, cli: Runner
) -> None:
    result = cli(*words)
    assert (result.code, text in result.err) == (code, True), result.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("train", "--backbone", "resnet_34"), "resnet34"),
        (("train", "--weights", "none.safetensors"), "the weights file is missing"),
        (("train", "--run", "../up"), "cannot name a run"),
        (("check", "none.csv"), "there is no such submission file"),
        (("split", "--holdout", "3"), "must be above 0 and below 1"),
        (("split", "--folds", "61"), "61 folds cannot be made"),
        (("train", "--resume", "--run", "other"), "no run 'other'"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else "",
)
def test_wrong_input_beside_data_exits_with_a_message(
    words: tuple[str, ...], text: str, shapes: Path, cli: Runner, shapes_folder: Path
) -> None:
    cli("shapes", "download", "--from", shapes_folder)
    result = cli("shapes", *words)
    assert result.code in (1, 2)
    assert text in result.err
    assert not list((shapes / "runs" / "shapes").glob("*/recipe.json"))


def test_training_refuses_a_split_of_other_data(
    trained: Path, cli: Runner, shapes_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(shapes_folder, other)
    lines = (other / "labels.csv").read_text().splitlines()
    (other / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    cli("shapes", "download", "--from", other, "--force")
    result = cli("shapes", "train")
    assert result.code == 1
    assert "runner shapes split" in result.err


def test_all_problems_of_the_data_are_listed_at_once(
    shapes: Path, cli: Runner, shapes_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(shapes_folder, broken)
    labels = (broken / "labels.csv").read_text().replace("train003,akita", "train003,akitta").replace("collie", "", 1)
    (broken / "labels.csv").write_text(labels)
    (broken / "train" / "train010.jpg").unlink()
    result = cli("shapes", "download", "--from", broken)
    assert result.code == 1
    for text in ("akitta", "train010", "empty", f"correct them there, then: runner shapes download --from {broken}"):
        assert text in result.err


def test_an_interrupt_exits_with_130_and_no_traceback(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        # Raised, not sent: a shell that starts the tests in the background has them ignore the signal.
        raise KeyboardInterrupt

    monkeypatch.setattr("competitions.summaries", interrupted)
    result = cli("list")
    assert result.code == 130
    assert "interrupted" in result.err


def test_an_interrupt_before_the_command_is_called_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.cli.RootGroup", interrupted)
    assert run_command(["list"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"


def test_a_full_disk_is_an_error_with_a_fix(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr("competitions.summaries", full)
    result = cli("list")
    assert result.code == 1
    assert "free some space, or choose another disk" in result.err


def test_a_bug_shows_its_traceback_only_with_v(
    workspace_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("competitions.summaries", lambda *_: 1 / 0)
    assert run_command(["--workspace", str(workspace_folder), "list"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run_command(["--workspace", str(workspace_folder), "list", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err
