"""One contract, both hosts: the practice host itself, and Kaggle's wire in front of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runner.errors import HostError
from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Host, Status
from tests.hosts.kaggle.conftest import GOOD, SLUG, TEAMS, build_dogs
from tests.kaggle_server import KaggleServer


@pytest.fixture(params=["practice", "kaggle"])
def host(request: pytest.FixtureRequest, practice: PracticeHost, kaggle: KaggleHost) -> Host:
    return practice if request.param == "practice" else kaggle


def test_the_same_files_with_the_same_sizes(host: Host, practice: PracticeHost, tmp_path: Path) -> None:
    files = [file for file in host.list_files(SLUG) if not file.bundle]
    assert tuple(files) == practice.list_files(SLUG)
    for file in files:
        path = tmp_path / "got" / file.name
        host.download_file(SLUG, file, path, lambda _: None)
        assert path.read_bytes() == (practice.folder / "files" / file.name).read_bytes()


def test_a_submission_is_taken_scored_and_told(host: Host, submission: Path) -> None:
    before = host.fetch_limits(SLUG)
    ref = host.submit_file(SLUG, submission, "first try")
    told = host.fetch_submission(SLUG, ref)
    assert told == host.fetch_submissions(SLUG)[0]
    assert (told.ref, told.file_name, told.message, told.status) == (
        ref,
        "submission.csv",
        "first try",
        Status.COMPLETE,
    )
    assert told.public == pytest.approx(0.22314, abs=1e-5)
    assert told.private == pytest.approx(0.30809, abs=1e-5)
    assert abs((told.submitted - datetime.now(UTC)).total_seconds()) < 60
    after = host.fetch_limits(SLUG)
    assert (after.per_day, after.left_today) == (before.per_day, before.left_today - 1)
    assert after.resets_at > datetime.now(UTC)
    assert (after.resets_at.hour, after.resets_at.minute, after.resets_at.utcoffset()) == (0, 0, UTC.utcoffset(None))


def test_a_malformed_submission_turns_to_an_error_with_the_reason(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace("a2", "zz"))
    told = host.fetch_submission(SLUG, host.submit_file(SLUG, path, ""))
    assert told.status is Status.ERROR
    assert "zz" in str(told.error)


def test_submissions_come_newest_first(host: Host, submission: Path) -> None:
    refs = [host.submit_file(SLUG, submission, f"try {number}") for number in range(3)]
    assert [one.ref for one in host.fetch_submissions(SLUG)] == refs[::-1]


@pytest.mark.parametrize("private", [False, True])
def test_the_boards_are_whole_and_best_first(host: Host, private: bool) -> None:
    board = host.fetch_leaderboard(SLUG, private=private)
    assert board.private is private
    assert len(board.rows) == TEAMS
    assert [row.score for row in board.rows] == sorted(row.score for row in board.rows)
    best = board.rows[0]
    assert best.team == (f"team {TEAMS}" if private else "team 1")


def test_what_is_not_there_is_refused_with_a_cure(host: Host, submission: Path) -> None:
    with pytest.raises(HostError) as caught:
        host.fetch_submission(SLUG, "999")
    assert caught.value.fix
    with pytest.raises(HostError):
        host.list_files("no-such-competition")


def test_the_competition_is_told(host: Host) -> None:
    about = host.fetch_info(SLUG)
    assert (about.slug, about.title) == (SLUG, "Dog Breed Identification")
    assert about.rules_accepted
    assert not about.submissions_disabled
    assert about.is_over(host.now())


def test_the_used_up_limit_is_told(host: Host, server: KaggleServer, submission: Path, tmp_path: Path) -> None:
    small = build_dogs(tmp_path / "small", daily_limit=1)
    server.competitions[SLUG].host = small
    chosen: Host = small if isinstance(host, PracticeHost) else host
    chosen.submit_file(SLUG, submission, "")
    assert chosen.fetch_limits(SLUG).left_today == 0
    with pytest.raises(HostError, match="used up"):
        chosen.submit_file(SLUG, submission, "")
