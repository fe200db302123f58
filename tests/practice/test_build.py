"""Building the practice hosts: complete, repeatable, with baselines that are fitted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from competitions import load
from runner.data.download import download
from runner.data.index import build_index
from runner.errors import DamagedFileError, HostError
from runner.hosts.grading import read_solution
from runner.hosts.practice import PracticeHost, read_origin
from runner.hosts.protocol import Status
from runner.practice.build import build_practice, practice_names
from runner.practice.leaderboard import SAMPLE_TEAM
from runner.practice.recipes import practice_recipe
from runner.session import Session
from runner.workspace import Workspace
from tests.practice.conftest import host_of

DOG_BREED = load("dog-breed")
SOLUTION, LEADERBOARD = "solution.csv", "leaderboard.csv"


def contents_and_times(folder: Path) -> dict[str, tuple[bytes, int]]:
    """The content and the modification time of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {name: content for name, (content, _) in contents_and_times(folder).items()}


@pytest.fixture(scope="module")
def dog_breed(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Dog-breed's practice host in a workspace of its own, for tests that damage it."""
    session = Session(DOG_BREED, Workspace.at(tmp_path_factory.mktemp("dogs")), "practice")
    build_practice(session, scale=0.01)
    return session


# --- complete and repeatable --------------------------------------------------------------------


def test_a_complete_host_is_not_built_again(dog_breed: Session) -> None:
    folder = host_of(dog_breed).folder
    before = contents_and_times(folder)
    build_practice(dog_breed, scale=0.01)
    assert contents_and_times(folder) == before


def test_a_host_left_incomplete_is_built_again_with_the_same_bytes(dog_breed: Session) -> None:
    folder = host_of(dog_breed).folder
    before = contents(folder)
    (folder / "competition.json").unlink()
    (folder / SOLUTION).unlink()
    (folder / "files" / "train.zip").write_bytes(b"half of it")
    (folder / "files" / "stray.part").write_bytes(b"")
    build_practice(dog_breed, scale=0.01)
    assert contents(folder) == before


def test_a_damaged_host_is_told_and_not_replaced_with_its_submissions(dog_breed: Session, tmp_path: Path) -> None:
    session = Session(DOG_BREED, Workspace.at(tmp_path))
    folder = session.workspace.practice_host_dir("dog-breed")
    shutil.copytree(host_of(dog_breed).folder, folder)
    marker = folder / "competition.json"
    marker.write_text(marker.read_text().replace("2017", "2018"))
    before = contents(folder)
    with pytest.raises(DamagedFileError) as caught:
        build_practice(session, scale=0.01)
    assert caught.value.where == str(marker)
    assert caught.value.fix == f"remove {folder}, then: `runner demo dog-breed`"
    assert contents(folder) == before


@pytest.mark.slow
def test_another_seed_replaces_the_host(dog_breed: Session, tmp_path: Path) -> None:
    session = Session(DOG_BREED, Workspace.at(tmp_path))
    build_practice(session, scale=0.01, seed=1)
    first = contents(host_of(session).folder)
    assert first[LEADERBOARD] != contents(host_of(dog_breed).folder)[LEADERBOARD]
    build_practice(session, scale=0.01, seed=2)
    assert contents(host_of(session).folder)[SOLUTION] != first[SOLUTION]
    origin = read_origin(host_of(session).folder, fix="")
    assert origin is not None and (origin["seed"], origin["scale"]) == (2, 0.01)


@pytest.mark.slow
def test_a_host_with_an_earlier_leaderboard_is_built_again(dog_breed: Session) -> None:
    folder = host_of(dog_breed).folder
    before = contents(folder)
    marker = json.loads((folder / "competition.json").read_text())
    del marker["checksum"]
    marker["origin"] = {"seed": 2017, "scale": 0.01}  # as written before leaderboards had a version
    (folder / "competition.json").write_text(json.dumps(marker))
    (folder / LEADERBOARD).write_text("team,public,private,submitted\n")
    build_practice(dog_breed, scale=0.01)
    assert contents(folder) == before


def test_a_competition_without_practice_data_is_refused(tmp_path: Path) -> None:
    whales = replace(DOG_BREED, name="whales")
    with pytest.raises(HostError) as caught:
        build_practice(Session(whales, Workspace.at(tmp_path)))
    assert (caught.value.message, caught.value.where, caught.value.fix) == (
        "no practice data for whales",
        "competitions with practice data: dog-breed, iceberg, planet",
        "runner demo dog-breed",
    )
    assert not any(tmp_path.iterdir())
    with pytest.raises(HostError, match="no practice data for whales"):
        practice_recipe(whales)


@pytest.mark.parametrize("name", practice_names())
def test_every_practice_competition_has_a_recipe_from_scratch(name: str) -> None:
    assert not practice_recipe(load(name)).pretrained


def test_listing_practice_names_imports_nothing_heavy() -> None:
    script = (
        "import sys; from runner.practice.build import practice_names; print(*practice_names());"
        "print(*{'cv2', 'sklearn', 'torch', 'pandas', 'py7zr', 'PIL'} & set(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ)
    assert run.stdout.split() == list(practice_names())
    assert run.stderr.strip() == ""


# --- baselines ----------------------------------------------------------------------------------


def test_every_team_is_on_both_leaderboards(practice_host: PracticeHost) -> None:
    slug = practice_host.competition.slug
    public, private = (practice_host.fetch_leaderboard(slug, private=private) for private in (False, True))
    teams = {row.team for row in public.rows}
    assert teams == {row.team for row in private.rows}
    assert len(teams) == len(public.rows) == len(private.rows)
    assert {SAMPLE_TEAM, "Class frequencies"} < teams
    assert all("{" not in team for team in teams)


def test_submitting_the_sample_scores_as_its_baseline_did(practice_host: PracticeHost) -> None:
    slug = practice_host.competition.slug
    practice_host.submit_file(slug, practice_host.folder / "sample_submission.csv", "")
    submission = practice_host.fetch_submissions(slug)[0]
    assert submission.status is Status.COMPLETE
    for score, private in ((submission.public, False), (submission.private, True)):
        leaderboard = practice_host.fetch_leaderboard(slug, private=private)
        assert [row.score for row in leaderboard.rows if row.team == SAMPLE_TEAM] == [score]


# --- what a user does next ----------------------------------------------------------------------


@pytest.mark.parametrize("name", practice_names())
def test_practice_data_downloads_into_an_index_without_problems(
    name: str, practice_sessions: dict[str, Session]
) -> None:
    session = practice_sessions[name]
    host = host_of(session)
    index = build_index(session.competition, download(session.competition, session.workspace, host))
    assert index.problems == ()
    solution = read_solution(host.folder / SOLUTION)
    assert index.test["id"].tolist() == [row.id for row in solution]
    assert set(index.classes) >= {label for row in solution for label in row.label.split()} - {"0", "1"}
