"""Kaggle's leaderboards, downloaded or page by page; and the standings that a refresh saves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError
from runner.hosts.kaggle import KaggleHost
from runner.hosts.leaderboards import latest_leaderboards
from runner.hosts.ledger import RunInfo, read_ledger
from runner.hosts.standings import find_current_standings
from runner.hosts.submit import Submitter
from runner.options import SubmitOptions
from tests.hosts.kaggle.conftest import DOGS, SLUG, TEAMS
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import edits, gateway_page, refuses, responds
from tests.kaggle_server.server import Fault
from tests.kaggle_server.store import redirect


def test_the_public_leaderboard_is_downloaded(kaggle: KaggleHost, server: KaggleServer) -> None:
    assert len(kaggle.fetch_leaderboard(SLUG).rows) == TEAMS
    assert (server.count("DownloadLeaderboard"), server.count("GetLeaderboard")) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [refuses(404), responds(200, b"no zip", Content_Type="application/zip"), gateway_page(200), refuses(500)],
    ids=["404", "no zip", "page", "500"],
)
def test_if_the_download_fails_the_pages_are_fetched(fault: Fault, kaggle: KaggleHost, server: KaggleServer) -> None:
    downloaded = kaggle.fetch_leaderboard(SLUG)
    server.page_limit = 20
    server.fail_next("DownloadLeaderboard", *[fault] * 7)
    assert kaggle.fetch_leaderboard(SLUG) == downloaded
    assert server.count("GetLeaderboard") == 3


def test_the_leaderboard_may_be_behind_a_signed_url(kaggle: KaggleHost, server: KaggleServer) -> None:
    def redirects(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        path = server.competitions[SLUG].host.folder / "files" / "leaderboard.zip"
        path.write_bytes(reply.content)
        return redirect(server, f"competitions/{SLUG}/leaderboard.zip")

    server.fail_next("DownloadLeaderboard", redirects)
    assert len(kaggle.fetch_leaderboard(SLUG).rows) == TEAMS
    assert server.count("store") == 1


def test_null_rows_and_teams_without_a_score_are_left_out(kaggle: KaggleHost, server: KaggleServer) -> None:
    rows = [{"teamName": "A", "score": "0.1", "submissionDate": None}, {"teamName": "B", "score": None}, None]
    payload = json.dumps({"submissions": rows}).encode()
    server.fail_next("DownloadLeaderboard", refuses(404))
    server.fail_next("GetLeaderboard", responds(200, payload, Content_Type="application/json"))
    assert [row.team for row in kaggle.fetch_leaderboard(SLUG).rows] == ["A"]


def test_the_private_leaderboard_of_a_running_competition_is_an_error(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.competitions[SLUG].deadline = datetime.now(UTC) + timedelta(days=3)
    with pytest.raises(HostError, match="private leaderboard is published on"):
        kaggle.fetch_leaderboard(SLUG, private=True)


def test_a_score_without_a_leaderboard_has_no_standing(
    kaggle: KaggleHost, server: KaggleServer, submission: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail_always("DownloadLeaderboard", refuses(500))
    server.fail_always("GetLeaderboard", refuses(400))
    submitter = Submitter(kaggle, DOGS, tmp_path / "ledger.csv")
    result = submitter.submit(submission, RunInfo(), SubmitOptions())
    assert result.submission.public is not None
    assert result.standings == ()
    assert "no public leaderboard: " in capsys.readouterr().err


def test_a_refresh_saves_the_leaderboards_and_the_next_finds_the_change(
    kaggle: KaggleHost, server: KaggleServer, submission: Path, tmp_path: Path
) -> None:
    ledger, folder = tmp_path / "ledger.csv", tmp_path / "leaderboards"
    submitter = Submitter(kaggle, DOGS, ledger, folder)
    kaggle.submit_file(SLUG, submission, "")
    submitter.refresh()
    assert [len(latest_leaderboards(folder, private=private)) for private in (False, True)] == [1, 1]
    public, private = find_current_standings(DOGS, read_ledger(ledger), folder)
    assert (public.standing.rank, public.standing.teams, public.rank_change) == (5, TEAMS, None)
    assert public.standing.late

    rows = [{"teamName": f"new {n}", "score": f"0.0{n}", "submissionDate": "2026-03-09T00:00:00Z"} for n in range(1, 4)]
    more_teams = edits(lambda payload: {"submissions": rows + payload["submissions"], "nextPageToken": ""})
    server.fail_next("DownloadLeaderboard", refuses(404))
    server.fail_next("GetLeaderboard", more_teams)
    server.clock_offset = timedelta(hours=1)
    submitter.refresh()
    changed, unchanged = find_current_standings(DOGS, read_ledger(ledger), folder)
    assert (changed.standing.rank, changed.rank_change) == (8, -3)
    assert unchanged.standing.rank == private.standing.rank
