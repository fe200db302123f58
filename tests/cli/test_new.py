"""`runner new`: a competition file that works at once, what is printed about it, and what stops it."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from competitions import load
from runner.contract import ACCURACY, LOG_LOSS, QWK, SIDE_ON, TOP_DOWN, Multiclass, Ordinal
from tests.cli.conftest import Runner
from tests.kaggle_server import KaggleServer
from tests.layouts import write_layout
from tests.new_competition.layouts import LAYOUTS, write

FILES = {layout.name: layout.files for layout in LAYOUTS}
TINY = ("--backbone", "test_resnet", "--no-pretrained", "--size", 32, "--epochs", 1, "--workers", 0, "--device", "cpu")


@pytest.fixture
def grades(tmp_path: Path) -> Path:
    """The files of a competition of grades."""
    return write(tmp_path / "eyes", FILES["eyes_with_grades"]())


def text_of(workspace_folder: Path, name: str) -> str:
    return (workspace_folder / "competitions" / f"{name}.py").read_text(encoding="utf-8")


# --- what is written and printed ----------------------------------------------------------------


def test_a_competition_file_is_written_with_what_was_inferred_and_the_next_command(
    cli: Runner, grades: Path, workspace_folder: Path
) -> None:
    result = cli("new", "retina-grades", "--from", grades, "--metric", "qwk", "--preset", "top_down")
    assert result.code == 0, result.err
    made = load("retina-grades", workspace_folder / "competitions")
    assert made.labels == Ordinal(csv="train.csv", id="id_code", label="diagnosis", grades=5)
    assert (made.metric, made.preset, made.title) == (QWK, TOP_DOWN, "Retina Grades")
    lines = result.out.splitlines()
    assert lines[0].split(None, 2)[2].startswith("sample_submission.csv: 12 ids in column 'id_code'")
    assert any("12 of 12 ids have an image" in line for line in lines)
    assert "40 training images, 12 test images" in lines[-2]
    assert lines[-1] == f"next: runner retina-grades run --from {grades} --no-submit"
    assert "ASSUMED" not in result.out + text_of(workspace_folder, "retina_grades")


def test_what_is_assumed_is_marked_in_the_file_and_in_what_is_printed(
    cli: Runner, grades: Path, workspace_folder: Path
) -> None:
    result = cli("new", "retina-grades", "--from", grades, "--yes")
    assert result.code == 0, result.err
    text = text_of(workspace_folder, "retina_grades")
    assert "preset=SIDE_ON,  # ASSUMED" in text
    assert "metric=ACCURACY,  # ASSUMED" in text
    assert "ASSUMED: classes, not grades or amounts (--metric)" in text
    assert sum("ASSUMED" in line for line in result.out.splitlines()) == 2


@pytest.mark.parametrize(
    "name", ["whales_with_five_guesses", "catheters_with_independent_columns", "herbarium_in_coco"]
)
def test_the_file_is_formatted_and_short(name: str, cli: Runner, tmp_path: Path, workspace_folder: Path) -> None:
    layout = next(each for each in LAYOUTS if each.name == name)
    result = cli("new", "some", "--from", write(tmp_path / "source", layout.files()), *layout.flags.split(), "--yes")
    assert result.code == 0, result.err
    file = workspace_folder / "competitions" / "some.py"
    ruff = Path(sys.executable).with_name("ruff")
    for check in (["format", "--check"], ["check", "--select", "E,F,W,I"]):
        done = subprocess.run(
            [ruff, *check, "--line-length", "120", "--isolated", file], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + text_of(workspace_folder, "some")
    assert len(file.read_text().splitlines()) <= 30
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_json_has_the_file_and_every_conclusion(cli: Runner, grades: Path, workspace_folder: Path) -> None:
    made = json.loads(cli("new", "eyes", "--from", grades, "--metric", "qwk", "--json").out)
    assert made["path"] == str(workspace_folder / "competitions" / "eyes.py")
    assert {
        "topic": "test images",
        "text": "test_images/{id}.png: 12 of 12 ids have an image",
        "is_assumed": False,
    } in (made["conclusions"])


def test_an_address_is_a_slug_and_the_name_may_be_another(cli: Runner, grades: Path, workspace_folder: Path) -> None:
    address = "https://www.kaggle.com/competitions/eyes-of-2030/overview"
    assert cli("new", address, "--from", grades, "--name", "eyes", "--metric", "qwk", "--yes").code == 0
    assert load("eyes", workspace_folder / "competitions").slug == "eyes-of-2030"


def test_nothing_is_left_but_the_file(cli: Runner, grades: Path, workspace_folder: Path) -> None:
    cli("new", "eyes", "--from", grades, "--yes")
    assert [path.name for path in workspace_folder.rglob("*")] == ["competitions", "eyes.py"]


# --- the whole line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "flags"), [("aptos-blindness", "--metric qwk"), ("plant-seedlings", "--metric f1_micro")]
)
def test_the_new_competition_runs_at_once(
    layout: str, flags: str, cli: Runner, tmp_path: Path, workspace_folder: Path
) -> None:
    write_layout(layout, tmp_path / "files")
    flags = flags.replace("f1_micro", "micro_f1")
    made = cli("new", "unknown-images", "--from", tmp_path / "files", *flags.split(), "--yes")
    assert made.code == 0, made.err
    command = made.out.splitlines()[-1].removeprefix("next: runner ").split()
    result = cli(*command, *TINY, "--run", "one")
    assert result.code == 0, result.err
    assert (workspace_folder / "submissions" / "unknown-images" / "one.csv").is_file()


# --- questions ----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Typed answers."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_asked_only_what_the_files_do_not_say(
    cli: Runner, grades: Path, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("qwk\nside_on\n"))
    result = cli("new", "eyes", "--from", grades)
    assert result.code == 0, result.err
    assert result.err.count("[") == 2, "two questions, each with what is taken by Enter"
    made = load("eyes", workspace_folder / "competitions")
    assert (made.metric, made.preset) == (QWK, SIDE_ON)
    assert "ASSUMED" not in text_of(workspace_folder, "eyes")


def test_a_terminal_is_asked_for_the_label(
    cli: Runner, tmp_path: Path, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source", FILES["two_columns_that_may_be_the_label"]())
    monkeypatch.setattr(sys, "stdin", Terminal("family\n"))
    assert cli("new", "plants", "--from", source, "--metric", "accuracy", "--preset", "side_on").code == 0
    made = load("plants", workspace_folder / "competitions")
    assert (made.labels, made.metric) == (Multiclass(csv="train.csv", label="family"), ACCURACY)


# --- what stops it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "fix"),
    [
        (("Whale Calls",), "is no slug", "runner new whale-calls"),
        (
            ("https://www.kaggle.com/code/ann/whales",),
            "is not the address of a competition",
            "last part of its address",
        ),
        (("whales", "--metric", "quadratic_kapa"), "no metric 'quadratic_kapa'", "--metric qwk"),
        (("whales", "--metric", "f1"), "one of several", "--metric mean_f1"),
        (("whales", "--metric", "weighted_log_loss"), "needs its numbers", "--metric weighted_log_loss:2,1,1"),
        (("whales", "--preset", "side-on"), "'side-on'", "--preset side_on"),
        (("doctor",), "is a command", "--name doctor-1"),
        (("whales", "--name", "a/b"), "no name of a command", "--name a-b"),
        (("dog-breed-identification",), "ships already, as dog-breed", "runner dog-breed run --no-submit"),
        (("my-dogs", "--name", "dog-breed"), "name of a competition that ships", "--name dog-breed-2"),
    ],
)
def test_wrong_words_are_told_before_anything_is_read(
    words: tuple[str, ...], message: str, fix: str, cli: Runner, workspace_folder: Path
) -> None:
    result = cli("new", *words, "--from", "some.zip")
    assert result.code == 2
    assert message in result.err
    assert fix in result.err
    assert list(workspace_folder.iterdir()) == []


def test_a_missing_source_is_an_error(cli: Runner, tmp_path: Path) -> None:
    result = cli("new", "whales", "--from", tmp_path / "nowhere.zip")
    assert result.code == 1
    assert "no such file or folder" in result.err


def test_a_source_that_is_no_archive_is_named_for_what_it_is(cli: Runner, tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_text("<html>sign in</html>")
    result = cli("new", "whales", "--from", tmp_path / "page.zip")
    assert result.code == 1
    assert "an HTML page" in result.err


def test_the_name_of_a_folder_in_the_place_of_the_slug_is_understood(cli: Runner, grades: Path) -> None:
    result = cli("new", grades)
    assert result.code == 2
    assert f"runner new eyes --from {grades}" in result.err


def test_a_file_that_is_there_is_not_replaced_without_force(cli: Runner, grades: Path, workspace_folder: Path) -> None:
    assert cli("new", "eyes", "--from", grades, "--metric", "qwk", "--yes").code == 0
    before = text_of(workspace_folder, "eyes")
    result = cli("new", "eyes", "--from", grades, "--metric", "accuracy", "--yes")
    assert result.code == 2
    assert "has a competition file already" in result.err
    assert text_of(workspace_folder, "eyes") == before
    assert cli("new", "eyes", "--from", grades, "--metric", "accuracy", "--yes", "--force").code == 0
    assert "ACCURACY" in text_of(workspace_folder, "eyes")


def test_with_force_the_workspaces_file_goes_before_one_that_ships(
    cli: Runner, grades: Path, workspace_folder: Path
) -> None:
    words = ("new", "aptos2019-blindness-detection", "--name", "aptos-blindness", "--from", grades, "--yes")
    assert cli(*words).code == 2
    assert cli(*words, "--metric", "accuracy", "--force").code == 0
    assert load("aptos-blindness", workspace_folder / "competitions").metric == ACCURACY


def test_files_that_contradict_the_guess_are_told_and_nothing_is_written(
    cli: Runner, grades: Path, workspace_folder: Path
) -> None:
    (grades / "train_images" / "a0000.png").unlink()
    result = cli("new", "eyes", "--from", grades, "--metric", "qwk", "--yes")
    assert result.code == 1
    assert "'a0000' has no image train_images/a0000.png" in result.err
    assert not (workspace_folder / "competitions").exists()


# --- Kaggle -------------------------------------------------------------------------------------


def test_without_files_kaggle_says_title_metric_and_names(cli: Runner, server: KaggleServer, shapes: Path) -> None:
    (shapes / "competitions" / "shapes.py").unlink()
    result = cli("new", "shapes", "--yes")
    assert result.code == 0, result.err
    made = load("shapes", shapes / "competitions")
    assert (made.metric, made.title, made.labels) == (LOG_LOSS, "Shapes", Multiclass(csv="labels.csv", label="breed"))
    assert "log loss, lower is better: by the competition's page" in result.out
    assert result.out.splitlines()[-1] == "next: runner shapes run --no-submit"
    fetched = server.count("DownloadDataFile")
    assert cli("shapes", "download").code == 0
    assert server.count("DownloadDataFile") == fetched, "what new has fetched is not fetched again"


def test_a_competition_for_notebooks_is_told_as_one(cli: Runner, server: KaggleServer, shapes: Path) -> None:
    (shapes / "competitions" / "shapes.py").unlink()
    server.competitions["shapes"].notebooks_only = True
    assert cli("new", "shapes", "--yes").code == 0
    assert load("shapes", shapes / "competitions").notebooks_only


def test_without_an_account_the_fix_names_both_ways(cli: Runner) -> None:
    result = cli("new", "whales", "--yes")
    assert result.code == 1
    assert "no Kaggle credentials" in result.err
    assert "runner new whales --yes --from DIR" in result.err


def test_a_slug_that_kaggle_does_not_know_is_told_with_a_similar_one(
    cli: Runner, server: KaggleServer, shapes: Path
) -> None:
    result = cli("new", "shape", "--yes")
    assert result.code == 1
    assert "Kaggle has no competition 'shape'; similar ones: shapes" in result.err
    assert "runner new shapes" in result.err
