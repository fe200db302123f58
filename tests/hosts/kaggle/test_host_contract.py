"""Both hosts behave alike: the practice host, and Kaggle in front of it."""

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
    """Each host in turn."""
    return practice if request.param == "practice" else kaggle


def test_the_files_have_the_same_names_sizes_and_contents(host: Host, practice: PracticeHost, tmp_path: Path) -> None:
    files = [file for file in host.list_files(SLUG) if not file.bundle]
    assert tuple(files) == practice.list_files(SLUG)
    for file in files:
        path = tmp_path / "downloaded" / file.name
        host.download_file(SLUG, file, path, lambda _: None)
        assert path.read_bytes() == (practice.folder / "files" / file.name).read_bytes()


def test_a_submission_is_scored_and_listed(host: Host, submission: Path) -> None:
    before = host.fetch_limits(SLUG)
    ref = host.submit_file(SLUG, submission, "first try")
    scored = host.fetch_submission(SLUG, ref)
    assert scored == host.fetch_submissions(SLUG)[0]
    assert (scored.ref, scored.file_name, scored.message, scored.status) == (
        ref,
        "submission.csv",
        "first try",
        Status.COMPLETE,
    )
    assert scored.public == pytest.approx(0.22314, abs=1e-5)
    assert scored.private == pytest.approx(0.30809, abs=1e-5)
    assert abs((scored.submitted - datetime.now(UTC)).total_seconds()) < 60
    after = host.fetch_limits(SLUG)
    assert (after.per_day, after.left_today) == (before.per_day, before.left_today - 1)
    assert after.resets_at > datetime.now(UTC)
    assert (after.resets_at.hour, after.resets_at.minute, after.resets_at.utcoffset()) == (0, 0, UTC.utcoffset(None))


def test_a_malformed_submission_becomes_an_error_with_the_reason(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace("a2", "zz"))
    rejected = host.fetch_submission(SLUG, host.submit_file(SLUG, path, ""))
    assert rejected.status is Status.ERROR
    assert "zz" in str(rejected.error)


def test_submissions_are_listed_newest_first(host: Host, submission: Path) -> None:
    refs = [host.submit_file(SLUG, submission, f"try {number}") for number in range(3)]
    assert [submission.ref for submission in host.fetch_submissions(SLUG)] == refs[::-1]


@pytest.mark.parametrize("private", [False, True])
def test_the_leaderboards_are_complete_and_sorted(host: Host, private: bool) -> None:
    leaderboard = host.fetch_leaderboard(SLUG, private=private)
    assert leaderboard.private is private
    assert len(leaderboard.rows) == TEAMS
    scores = [row.score for row in leaderboard.rows]
    assert scores == sorted(scores)
    assert leaderboard.rows[0].team == (f"team {TEAMS}" if private else "team 1")


def test_an_unknown_submission_or_slug_is_an_error_with_a_fix(host: Host, submission: Path) -> None:
    with pytest.raises(HostError) as caught:
        host.fetch_submission(SLUG, "999")
    assert caught.value.fix
    with pytest.raises(HostError) as caught:
        host.list_files("no-such-competition")
    assert caught.value.fix


def test_the_info_has_title_rules_and_deadline(host: Host) -> None:
    info = host.fetch_info(SLUG)
    assert (info.slug, info.title) == (SLUG, "Dog Breed Identification")
    assert info.rules_accepted
    assert not info.submissions_disabled
    assert info.is_over(host.now())


def test_a_used_up_limit_is_an_error(host: Host, server: KaggleServer, submission: Path, tmp_path: Path) -> None:
    small = build_dogs(tmp_path / "small", daily_limit=1)
    server.competitions[SLUG].host = small
    limited: Host = small if isinstance(host, PracticeHost) else host
    limited.submit_file(SLUG, submission, "")
    assert limited.fetch_limits(SLUG).left_today == 0
    with pytest.raises(HostError, match="used up"):
        limited.submit_file(SLUG, submission, "")
