"""Making the practice hosts: whole or anew, with baselines that were really fitted."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import Competition
from runner.contract.labels import targets_of
from runner.data.download import download
from runner.data.index import build_index
from runner.errors import HostError
from runner.hosts.grading import Usage, read_answers
from runner.hosts.practice import PracticeHost, read_origin
from runner.hosts.protocol import Status
from runner.practice.baselines import BOTS, fit_logistic, fit_neighbours, fit_prior
from runner.practice.build import build_practice, practice_names
from runner.workspace import Workspace

DOGS = load("dog-breed")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file with its bytes and the time it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def content(folder: Path) -> dict[str, bytes]:
    return {name: value for name, (value, _) in snapshot(folder).items()}


@pytest.fixture(scope="module")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of its own with dogs only, for tests that break it."""
    workspace = Workspace.at(tmp_path_factory.mktemp("dogs"))
    build_practice(DOGS, workspace, scale=0.01)
    return workspace


# --- whole, once --------------------------------------------------------------------------------


def test_a_second_call_touches_nothing(dogs: Workspace) -> None:
    before = snapshot(dogs.practice("dog-breed"))
    build_practice(DOGS, dogs, scale=0.01)
    assert snapshot(dogs.practice("dog-breed")) == before


def test_what_a_kill_left_is_made_anew_and_ends_the_same(dogs: Workspace) -> None:
    folder = dogs.practice("dog-breed")
    whole = content(folder)
    (folder / "competition.json").unlink()
    (folder / "answers.csv").unlink()
    (folder / "files" / "train.zip").write_bytes(b"half of it")
    (folder / "files" / "stray.part").write_bytes(b"")
    build_practice(DOGS, dogs, scale=0.01)
    assert content(folder) == whole


def test_another_seed_is_another_host(dogs: Workspace, tmp_path: Path) -> None:
    workspace = Workspace.at(tmp_path)
    build_practice(DOGS, workspace, scale=0.01, seed=1)
    first = content(workspace.practice_host_dir("dog-breed"))
    assert first["board.csv"] != content(dogs.practice("dog-breed"))["board.csv"]
    build_practice(DOGS, workspace, scale=0.01, seed=2)
    second = content(workspace.practice_host_dir("dog-breed"))
    assert second["answers.csv"] != first["answers.csv"]
    assert read_origin(workspace.practice_host_dir("dog-breed")) == {"seed": 2, "scale": 0.01}


def test_a_competition_without_a_painter_names_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        build_practice(replace(DOGS, name="whales"), Workspace.at(tmp_path))
    assert "dog-breed, iceberg, planet" in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_the_list_of_painted_names_costs_no_heavy_import() -> None:
    script = (
        "import sys; from runner.practice.build import practice_names; print(*practice_names());"
        "print(*{'cv2', 'sklearn', 'torch', 'pandas', 'py7zr', 'PIL'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.split() == list(practice_names())
    assert done.stderr.strip() == ""


# --- the baselines -----------------------------------------------------------------------------------


def test_every_bot_is_on_both_boards(practice_host: PracticeHost) -> None:
    slug = practice_host.competition.slug
    boards = [practice_host.fetch_leaderboard(slug, private=private) for private in (False, True)]
    assert [len(board.rows) for board in boards] == [len(BOTS) + 1] * 2
    assert {row.team for row in boards[0].rows} == {row.team for row in boards[1].rows}
    assert all("{" not in row.team for row in boards[0].rows)


def test_the_priors_score_is_what_the_training_rows_and_the_answers_make_it(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files["dog-breed"] / "labels.csv.zip") as packed:
        rows = list(csv.DictReader(io.StringIO(packed.read("labels.csv").decode())))
    classes = sorted({row["breed"] for row in rows})
    prior = targets_of(DOGS.labels, classes, [row["breed"] for row in rows]).astype(float).mean(axis=0)
    host = PracticeHost(DOGS, files["dog-breed"].parent)
    answers = read_answers(host.folder / "answers.csv")
    for usage, private in ((Usage.PUBLIC, False), (Usage.PRIVATE, True)):
        truth = targets_of(DOGS.labels, classes, [one.label for one in answers if one.usage is usage])
        expected = DOGS.metric.score(truth, np.tile(prior, (len(truth), 1)))
        board = host.fetch_leaderboard(DOGS.slug, private=private)
        (score,) = (row.score for row in board.rows if row.team == "The prior")
        assert score == pytest.approx(expected)


def test_a_submission_of_the_sample_scores_what_the_bot_that_sends_it_scored(practice_host: PracticeHost) -> None:
    slug = practice_host.competition.slug
    practice_host.submit_file(slug, practice_host.folder / "sample_submission.csv", "")
    told = practice_host.fetch_submissions(slug)[0]
    assert told.status is Status.COMPLETE
    for score, private in ((told.public, False), (told.private, True)):
        board = practice_host.fetch_leaderboard(slug, private=private)
        assert [row.score for row in board.rows if row.team == "The sample, untouched"] == [score]


def test_the_prior_is_the_share_of_each_class() -> None:
    targets = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert (
        fit_prior(np.zeros((4, 1), np.float32), targets, True)(np.zeros((2, 1), np.float32)).tolist()
        == [[0.75, 0.25]] * 2
    )


def test_logistic_bots_learn_what_can_be_learnt_from_a_number() -> None:
    features = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    tags = np.stack([features[:, 0] > 0, np.ones(40)], axis=1).astype(float)
    predicted = fit_logistic(features, tags, False)(np.array([[-1.0], [1.0]], np.float32))
    assert predicted[0, 0] < 0.2 < 0.8 < predicted[1, 0]
    assert predicted[:, 1].tolist() == [1, 1]  # a tag that every row bears


def test_a_class_without_training_rows_gets_a_column_too() -> None:
    features = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    targets = np.zeros((20, 3))
    targets[:10, 0], targets[10:, 2] = 1, 1
    assert fit_logistic(features, targets, True)(features)[:, 1].tolist() == [0] * 20


def test_neighbours_are_the_nearest() -> None:
    features = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    targets = np.array([[1.0], [1.0], [0.0], [0.0]])
    assert fit_neighbours(features, targets, False, count=2)(np.array([[0.4], [10.4]], np.float32)).tolist() == [
        [1.0],
        [0.0],
    ]


# --- the line that begins here ------------------------------------------------------------------


@pytest.mark.parametrize("name", practice_names())
def test_practice_data_downloads_into_an_index_without_complaints(name: str, practice_workspace: Workspace) -> None:
    competition: Competition = load(name)
    host = PracticeHost(competition, practice_workspace.practice_host_dir(name))
    index = build_index(competition, download(competition, practice_workspace, host))
    assert [str(problem) for problem in index.problems] == []
    answers = read_answers(host.folder / "answers.csv")
    assert index.test["id"].tolist() == [answer.id for answer in answers]
    assert set(index.classes) >= {tag for answer in answers for tag in answer.label.split()} - {"0", "1"}
