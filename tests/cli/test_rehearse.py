"""`runner COMPETITION rehearse`: both scores, and no trace of the hidden rows before they are scored."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import Competition, Multiclass
from runner.data.index import Index, build_index
from runner.images.readers import open_images
from runner.options import Compute, PredictOptions, RehearsalOptions
from runner.practice import rehearsal as rehearsal_module
from runner.practice.build import build_practice, practice_names
from runner.practice.rehearsal import choose_hidden_rows, rehearsal_workspace
from runner.practice.rehearsal_result import RehearsalResult
from runner.session import Session
from runner.workflow import RunOptions, rehearse
from runner.workspace import Workspace
from tests.builders import BREEDS
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin
from tests.epoch_log import without_times

HIDDEN = ("--hidden", 0.25, "--workers", 0)
TINY = ("--backbone", "test_resnet", "--no-pretrained", "--size", 32, "--epochs-scale", 0.01, "--tta", "none")
FOLDERS = replace(SHAPES, name="folders", slug="folders", labels=Multiclass(), train_images="train/{label}/{id}.jpg")


@pytest.fixture
def workspace(shapes: Path, cli: Runner, shapes_folder: Path) -> Path:
    """The workspace of the shapes competition, with its data."""
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    return shapes


@pytest.fixture
def folders_workspace(shapes: Path, cli: Runner, shapes_folder: Path, tmp_path: Path) -> Path:
    """A workspace of a competition whose labels are in its folders and its image names."""
    write_plugin(shapes, FOLDERS)
    source = tmp_path / "source"
    lines = (shapes_folder / "labels.csv").read_text().splitlines()[1:]
    for id, breed in (line.split(",") for line in lines):
        target = source / "train" / breed / f"{breed}_{id}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shapes_folder / "train" / f"{id}.jpg", target)
    shutil.copytree(shapes_folder / "test", source / "test")
    shutil.copyfile(shapes_folder / "sample_submission.csv", source / "sample_submission.csv")
    assert cli("folders", "download", "--from", source).code == 0
    return shapes


def rehearsal_in(workspace: Path) -> Path:
    (folder,) = [path for path in (workspace / "rehearsal").iterdir() if path.is_dir()]
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_rehearse_prints_both_scores_and_leaves_the_workspace_alone(
    workspace: Path, cli: Runner, tmp_path: Path
) -> None:
    before = contents(workspace)
    leaderboard = tmp_path / "leaderboard.csv"
    leaderboard.write_text("TeamId,TeamName,SubmissionDate,Score\n1,a,2018-01-01,0.0001\n2,b,2018-01-01,9.5\n")
    result = cli("shapes", "rehearse", *HIDDEN, "--leaderboard", leaderboard)
    assert result.code == 0, result.err
    cv, hidden, gap, standing = result.out.splitlines()[-4:]
    assert [line.split()[0] for line in (cv, hidden, gap, standing)] == ["CV", "hidden", "gap", "standing"]
    assert "2 of 2" in standing
    assert "submission 1: complete" in result.out
    (file,) = rehearsal_in(workspace).glob("runs/shapes/*/rehearsal.json")
    saved = json.loads(file.read_text())
    assert saved["format"] == 1
    assert saved["cv"]["rows"] + saved["hidden"]["rows"] < 60
    assert saved["hidden"]["rows"] == 15
    assert saved["gap"] == saved["hidden"]["value"] - saved["cv"]["value"]
    errors = np.hypot(saved["hidden"]["error"], saved["cv"]["error"])
    assert saved["gap_in_standard_errors"] == pytest.approx(saved["gap"] / errors)
    assert {name: content for name, content in contents(workspace).items() if name in before} == before
    assert not (workspace / "runs").exists()


def test_the_same_rehearsal_again_gives_the_same_run_and_result(workspace: Path, cli: Runner) -> None:
    first, again = (cli("shapes", "rehearse", *HIDDEN, *TINY) for _ in range(2))
    assert again.code == 0, again.err
    assert again.out.splitlines()[-3:] == first.out.splitlines()[-3:]
    assert len(list(rehearsal_in(workspace).glob("runs/shapes/*/rehearsal.json"))) == 1


def test_labels_in_folder_names_do_not_reach_the_hidden_images(folders_workspace: Path, cli: Runner) -> None:
    result = cli("folders", "rehearse", *HIDDEN, *TINY)
    assert result.code == 0, result.err
    data = rehearsal_in(folders_workspace) / "data" / "folders"
    hidden = [path.name for path in data.glob("test/*")]
    assert len(hidden) == 15
    assert not any(breed in name for name in hidden for breed in BREEDS)
    assert len(list(data.glob("train/*/*"))) == 45


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "planet" else pytest.mark.slow) for name in practice_names()]
)
def test_every_shipped_competition_can_be_rehearsed(name: str, workspace_folder: Path, cli: Runner) -> None:
    practice = Workspace.at(workspace_folder).for_host("practice")
    build_practice(Session(load(name), practice), scale=0.05)
    host = ("--host", "practice")
    assert cli(name, "download", *host).code == 0
    result = cli(name, "rehearse", *host, *HIDDEN, *TINY)
    assert result.code == 0, result.err
    assert "standard errors" in result.out
    folder = next((practice.root / "rehearsal").glob(f"{name}-*"))
    assert_hidden_rows_left_no_trace(load(name), practice, Workspace(folder))


def assert_hidden_rows_left_no_trace(competition: Competition, workspace: Workspace, rehearsal: Workspace) -> None:
    """No file but the host's has an id of a hidden row, and no hidden image is a training image."""
    original = build_index(competition, workspace.data_dir(competition.name))
    rehearsed = build_index(competition, rehearsal.data_dir(competition.name))
    hidden = set(original.train["id"]) - set(rehearsed.train["id"])
    assert len(hidden) == len(rehearsed.test) > 9
    files = {
        name: content for name, content in contents(rehearsal.root).items() if not name.startswith("practice-host/")
    }
    texts = b"\0".join(name.encode() + content for name, content in files.items() if not name.endswith(".safetensors"))
    words = set(texts.replace(b",", b" ").replace(b"/", b" ").replace(b".", b" ").split())
    assert not {id.encode() for id in hidden} & words
    assert not image_digests(rehearsed, "train") & image_digests(rehearsed, "test")
    assert image_digests(rehearsed, "train") | image_digests(rehearsed, "test") == image_digests(original, "train")


def image_digests(index: Index, subset: str) -> set[bytes]:
    table = index.train if subset == "train" else index.test
    reader = open_images(index.data_dir, table["path"].tolist())
    return {reader.digest(row) for row in range(len(reader))}


def test_no_byte_of_a_run_depends_on_the_hidden_labels(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(load("shapes", workspace / "competitions"), Workspace(workspace), compute=Compute("cpu", 0))
    files, result = rehearse_and_read(session)
    # Other labels would hide other rows: so the same rows are hidden, with wrong labels.
    hidden = choose_hidden_rows(session.index, RehearsalOptions(0.25))
    labels_file = workspace / "data" / "shapes" / "labels.csv"
    header, *lines = labels_file.read_text().splitlines()
    wrong = dict(zip(BREEDS, (*BREEDS[1:], BREEDS[0]), strict=True))
    changed = [
        f"{id},{wrong[breed] if is_hidden else breed}"
        for (id, breed), is_hidden in zip((line.split(",") for line in lines), hidden, strict=True)
    ]
    labels_file.write_text("\n".join([header, *changed]) + "\n")
    monkeypatch.setattr(rehearsal_module, "choose_hidden_rows", lambda *_: hidden)
    changed_files, changed_result = rehearse_and_read(replace(session))
    assert changed_files == files
    assert {"fold-0/snapshot-0.safetensors", "score.json", "postprocess.json"} <= {
        name.split("/", 3)[-1] for name in files
    }
    assert changed_result.cv == result.cv
    assert changed_result.hidden.value != result.hidden.value


def rehearse_and_read(session: Session) -> tuple[dict[str, object], RehearsalResult]:
    """The result, and all files of the rehearsal but those that have times or that the host graded."""
    options = RehearsalOptions(0.25)
    _, result = rehearse(session, session.competition.recipe, options, RunOptions(predict=PredictOptions("none")))
    graded = ("practice-host/", "submissions/ledger.csv", "leaderboards/")
    # The caches know files by their size, times and inode.
    timed = ("rehearsal.json", "/headers.bin", "/readable-labelled.txt", "/readable-test.txt")
    files = {
        name: comparable(name, content)
        for name, content in contents(rehearsal_workspace(session, options).root).items()
        if not name.startswith(graded) and not name.endswith(timed)
    }
    return files, result


def comparable(name: str, content: bytes) -> object:
    return without_times(content) if name.endswith("log.jsonl") else hashlib.sha256(content).digest()


def test_a_run_outside_the_rehearsal_is_no_start_for_it(workspace: Path, cli: Runner) -> None:
    assert cli("shapes", "train", "--run", "outside", "--workers", 0, "--epochs-scale", 0.1).code == 0
    result = cli("shapes", "rehearse", *HIDDEN, "--from-run", "outside")
    assert result.code == 1
    assert "there is no run" in result.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--hidden", "0.02"), "--hidden 0.2"),
        (("--hidden", "1.5"), "must be above 0 and below 1"),
        (("--leaderboard", "none.csv"), "there is no such leaderboard file"),
        (("--hidden", "0.3", "--tta", "some"), "is not none, default, all or random:N"),
    ],
)
def test_wrong_flags_are_refused_with_code_2(
    flags: tuple[str, ...], message: str, workspace: Path, cli: Runner
) -> None:
    result = cli("shapes", "rehearse", *flags)
    assert result.code == 2
    assert message in result.err
