"""A rehearsal promises what the hidden rows then say, and nothing of those rows is anywhere before that."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import Multiclass
from runner.data.index import Index, build_index
from runner.hosts.protocol import BoardRow, Leaderboard
from runner.options import Compute, PredictOptions
from runner.options import RehearsalOptions as Options
from runner.practice import rehearsal as rehearsal_module
from runner.practice.build import build_practice, practice_names
from runner.practice.rehearsal import RehearsalOptions, build_rehearsal, choose_hidden_rows, rehearsal_workspace
from runner.practice.rehearsal_result import RehearsalResult, find_board
from runner.prediction.score import Score
from runner.session import Session
from runner.workflow import RunOptions, rehearse
from runner.workspace import Workspace
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin

HIDDEN = ("--hidden", 0.25, "--workers", 0)
TINY = ("--backbone", "test_resnet", "--no-pretrained", "--size", 32, "--epochs-scale", 0.01, "--tta", "none")
FOLDERS = replace(SHAPES, name="folders", slug="folders", labels=Multiclass(), train_images="train/{label}/{id}.jpg")


@pytest.fixture
def here(shapes: Path, cli: Runner, shapes_folder: Path) -> Path:
    """The workspace with its data."""
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    return shapes


@pytest.fixture
def folders(shapes: Path, cli: Runner, shapes_folder: Path, tmp_path: Path) -> Path:
    """A competition whose folders are the labels, and whose images' names tell them too."""
    write_plugin(shapes, FOLDERS)
    lines = (shapes_folder / "labels.csv").read_text().splitlines()[1:]
    for id, breed in (line.split(",") for line in lines):
        target = tmp_path / "raw" / "train" / breed / f"{breed}_{id}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(shapes_folder / "train" / f"{id}.jpg", target)
    shutil.copytree(shapes_folder / "test", tmp_path / "raw" / "test")
    shutil.copyfile(shapes_folder / "sample_submission.csv", tmp_path / "raw" / "sample_submission.csv")
    assert cli("folders", "download", "--from", tmp_path / "raw").code == 0
    return shapes


def ground_in(workspace: Path) -> Path:
    (ground,) = [path for path in (workspace / "rehearsal").iterdir() if path.is_dir()]
    return ground


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_whole_line_is_rehearsed_and_both_scores_are_told(here: Path, cli: Runner, tmp_path: Path) -> None:
    before = content_of(here)
    board = tmp_path / "board.csv"
    board.write_text("TeamId,TeamName,SubmissionDate,Score\n1,a,2018-01-01,0.0001\n2,b,2018-01-01,9.5\n")
    result = cli("shapes", "rehearse", *HIDDEN, "--leaderboard", board)
    assert result.code == 0, result.err
    for told in ("out of fold", "hidden", "standard errors of both", "place 2 of 2", "submission 1: complete"):
        assert told in result.out
    ground = ground_in(here)
    (verdict,) = [json.loads(path.read_text()) for path in ground.glob("runs/shapes/*/rehearsal.json")]
    assert verdict["promised"]["rows"] + verdict["hidden"]["rows"] < 60
    assert verdict["hidden"]["rows"] == 15
    difference = verdict["hidden"]["value"] - verdict["promised"]["value"]
    errors = np.hypot(verdict["hidden"]["error"], verdict["promised"]["error"])
    assert verdict["standard_errors"] == pytest.approx(difference / errors)
    # What is the user's own is as it was.
    assert {name: content for name, content in content_of(here).items() if name in before} == before
    assert not (here / "runs").exists()
    again = cli("shapes", "rehearse", *HIDDEN, "--leaderboard", board)
    assert again.code == 0, again.err
    assert again.out.splitlines()[-5:] == result.out.splitlines()[-5:]
    assert len(list(ground.glob("runs/shapes/*/rehearsal.json"))) == 1


def test_images_are_linked_and_not_copied(here: Path) -> None:
    workspace = Workspace(here)
    competition = load("shapes", here / "competitions")
    index = build_index(competition, workspace.data_dir("shapes"))
    ground = rehearsal_workspace(workspace, competition, RehearsalOptions())
    build_rehearsal(competition, index, ground, RehearsalOptions(0.25))
    inodes = {path.stat().st_ino for path in (here / "data/shapes/train").iterdir()}
    linked = [*ground.data_dir("shapes").glob("train/*"), *ground.data_dir("shapes").glob("test/*")]
    assert {path.stat().st_ino for path in linked} == inodes


def test_folders_that_are_labels_are_rehearsed_and_hidden_names_tell_nothing(folders: Path, cli: Runner) -> None:
    result = cli("folders", "rehearse", *HIDDEN, *TINY)
    assert result.code == 0, result.err
    data = ground_in(folders) / "data" / "folders"
    hidden = [path.name for path in data.glob("test/*")]
    assert len(hidden) == 15
    assert not any(breed in name for name in hidden for breed in ("akita", "beagle", "collie"))
    assert len(list(data.glob("train/*/*"))) == 45


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace.at(tmp_path_factory.mktemp("painted"))
    for name in practice_names():
        build_practice(load(name), workspace.for_host("practice"), scale=0.05)
    return workspace.root


@pytest.mark.parametrize("name", practice_names())
def test_every_shipped_competition_is_rehearsed(name: str, practice: Path, cli: Runner) -> None:
    host = ("--workspace", practice, "--host", "practice")
    assert cli(name, "download", *host).code == 0
    result = cli(name, "rehearse", *host, *HIDDEN, *TINY)
    assert result.code == 0, result.err
    assert "standard errors of both" in result.out
    ground = next((practice / "practice" / "rehearsal").glob(f"{name}-*"))
    assert_nothing_of_the_hidden_rows_is_there(load(name), Workspace(practice / "practice"), Workspace(ground))


def assert_nothing_of_the_hidden_rows_is_there(competition, workspace: Workspace, ground: Workspace) -> None:
    """No id of them is in anything that the line reads or wrote, and none of their images is a training image."""
    whole = build_index(competition, workspace.data_dir(competition.name))
    seen = build_index(competition, ground.data_dir(competition.name))
    hidden = set(whole.train["id"]) - set(seen.train["id"])
    assert len(hidden) == len(seen.test) > 9
    read = {name: content for name, content in content_of(ground.root).items() if not name.startswith("practice-host/")}
    texts = b"\0".join(name.encode() + content for name, content in read.items() if not name.endswith(".safetensors"))
    words = set(texts.replace(b",", b" ").replace(b"/", b" ").replace(b".", b" ").split())
    assert not {id.encode() for id in hidden} & words
    assert not images_of(seen, "train") & images_of(seen, "test")
    assert images_of(seen, "train") | images_of(seen, "test") == images_of(whole, "train")


def images_of(index: Index, part: str) -> set[bytes]:
    from runner.images.decode import open_images

    table = index.train if part == "train" else index.test
    reader = open_images(index.data_dir, table["path"].tolist())
    return {reader.digest(row) for row in range(len(reader))}


def test_scenes_are_hidden_whole_and_their_labels_are_in_no_table(practice: Path, cli: Runner) -> None:
    assert cli("iceberg", "download", "--workspace", practice, "--host", "practice").code == 0
    workspace, competition = Workspace(practice).for_host("practice"), load("iceberg")
    index = build_index(competition, workspace.data_dir("iceberg"))
    hidden = choose_hidden_rows(index, RehearsalOptions(0.25))
    groups = index.train["group"]
    assert not set(groups[hidden]) & set(groups[~hidden])
    ground = Workspace(practice / "other")
    build_rehearsal(competition, index, ground, RehearsalOptions(0.25))
    data = ground.data_dir("iceberg")
    assert "is_iceberg" not in (data / "test.csv").read_text().splitlines()[0]
    assert len((data / "train.csv").read_text().splitlines()) == 1 + (~hidden).sum()
    assert np.load(data / "test.npy", mmap_mode="r").shape[0] == hidden.sum()


def test_no_byte_of_a_run_depends_on_the_hidden_labels(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = load("shapes", here / "competitions")
    honest = rehearsed(here, competition)
    # Other labels would hide other rows: the same ones are hidden here, and lied about.
    whole = build_index(competition, here / "data" / "shapes")
    hidden = choose_hidden_rows(whole, RehearsalOptions(0.25))
    table = (here / "data/shapes/labels.csv").read_text().splitlines()
    other = {"akita": "beagle", "beagle": "collie", "collie": "akita"}
    lied = [
        f"{id},{other[breed] if hide else breed}"
        for (id, breed), hide in zip((line.split(",") for line in table[1:]), hidden, strict=True)
    ]
    (here / "data/shapes/labels.csv").write_text("\n".join([table[0], *lied]) + "\n")
    monkeypatch.setattr(rehearsal_module, "choose_hidden_rows", lambda *_: hidden)
    planted = rehearsed(here, competition)
    assert honest[0] == planted[0]
    assert {"fold-0/snapshot-0.safetensors", "score.json", "postprocess.json"} <= {
        name.split("/", 3)[-1] for name in honest[0]
    }
    assert honest[1].promised == planted[1].promised
    assert honest[1].hidden.value != planted[1].hidden.value


def rehearsed(here: Path, competition) -> tuple[dict[str, bytes], RehearsalResult]:
    """Every byte that the line read or wrote, but for times (of the images' files too) and grades."""
    workspace = Workspace(here)
    _, verdict = rehearse(
        Session(competition, workspace, compute=Compute(device="cpu", workers=0)),
        competition.recipe,
        Options(0.25),
        RunOptions(predict=PredictOptions("none")),
    )
    ground = rehearsal_workspace(workspace, competition, RehearsalOptions(0.25))
    graded = ("practice-host/", "submissions/ledger.csv", "leaderboards/")
    timed = ("rehearsal.json", "/marks")
    kept = {
        name: untimed(name, content)
        for name, content in content_of(ground.root).items()
        if not name.startswith(graded) and not name.endswith(timed)
    }
    return kept, verdict


def untimed(name: str, content: bytes) -> bytes:
    if not name.endswith("log.jsonl"):
        return hashlib.sha256(content).digest()
    lines = [json.loads(line) for line in content.splitlines()]
    kept = [{key: value for key, value in line.items() if "second" not in key} for line in lines]
    return json.dumps(kept).encode()


def test_a_run_that_saw_the_hidden_rows_is_no_start_for_a_rehearsal(here: Path, cli: Runner) -> None:
    assert cli("shapes", "train", "--run", "knows", "--workers", 0, "--epochs-scale", 0.1).code == 0
    result = cli("shapes", "rehearse", *HIDDEN, "--from-run", "knows")
    assert result.code == 1
    assert "there is no run" in result.err


def test_changed_labels_make_a_new_ground(here: Path) -> None:
    workspace, competition = Workspace(here), load("shapes", here / "competitions")
    ground = rehearsal_workspace(workspace, competition, RehearsalOptions(0.25))

    def build() -> str:
        index = build_index(competition, workspace.data_dir("shapes"))
        build_rehearsal(competition, index, ground, RehearsalOptions(0.25))
        return (ground.data_dir("shapes") / "labels.csv").read_text()

    first = build()
    (ground.root / "old").write_text("a run on the old labels")
    assert build() == first
    assert (ground.root / "old").exists()
    labels = here / "data/shapes/labels.csv"
    labels.write_text(labels.read_text().replace("train000,akita", "train000,collie"))
    build()
    assert not (ground.root / "old").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--hidden", "0.02"), "--hidden 0.2"),
        (("--hidden", "1.5"), "0<x<1"),
        (("--leaderboard", "none.csv"), "leaderboard cannot be read"),
        (("--hidden", "0.3", "--tta", "some"), "no views named"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_is_asked_wrongly_is_answered(flags: tuple[str, ...], told: str, here: Path, cli: Runner) -> None:
    result = cli("shapes", "rehearse", *flags)
    assert result.code == 2
    assert told in result.err


def test_the_difference_is_told_in_standard_errors_of_both_whichever_way_the_metric_goes() -> None:
    promised, hidden = Score("any", 0.5, 0.03, 400), Score("any", 0.6, 0.04, 100)
    assert RehearsalResult(promised, hidden, 0.1, None).standard_errors == pytest.approx(2)
    assert "0.10000 worse: 2.0 standard errors" in str(RehearsalResult(promised, hidden, 0.1, None))
    assert "0.10000 better: 2.0 standard errors" in str(RehearsalResult(promised, hidden, -0.1, None))


def test_the_board_is_the_one_that_was_downloaded_and_stands_best_first(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from runner.hosts.leaderboards import keep_snapshot

    now = datetime(2020, 1, 1, tzinfo=UTC)
    rows = (BoardRow("b", 0.9, now), BoardRow("a", 0.1, now))
    keep_snapshot(tmp_path, Leaderboard(rows, private=True), now)
    board = find_board(load("dog-breed"), None, tmp_path)
    assert board is not None
    assert [row.team for row in board.rows] == ["a", "b"]
    best = find_board(replace(load("planet")), None, tmp_path)
    assert best is not None
    assert [row.team for row in best.rows] == ["b", "a"]
    assert find_board(load("dog-breed"), None, tmp_path / "nothing") is None
