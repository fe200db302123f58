"""The whole board, downloaded or paged; and where one stands on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from runner.hosts.current_standing import find_current_standings
from runner.hosts.entries import RunInfo

from runner.errors import HostError
from runner.hosts.kaggle import KaggleHost
from runner.hosts.leaderboards import latest_leaderboards
from runner.hosts.ledger import read_ledger
from runner.hosts.submit import SubmitOptions, refresh_ledger, submit_and_record
from tests.hosts.kaggle.conftest import DOGS, SLUG, TEAMS
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import edits, gateway_page, refuses, responds
from tests.kaggle_server.server import Fault
from tests.kaggle_server.store import redirect


def test_the_public_board_is_downloaded_whole(kaggle: KaggleHost, server: KaggleServer) -> None:
    assert len(kaggle.fetch_leaderboard(SLUG).rows) == TEAMS
    assert (server.count("DownloadLeaderboard"), server.count("GetLeaderboard")) == (1, 0)


@pytest.mark.parametrize(
    "fault",
    [refuses(404), responds(200, b"no zip", Content_Type="application/zip"), gateway_page(200), refuses(500)],
    ids=["404", "no zip", "page", "500"],
)
def test_where_the_download_fails_the_board_is_paged(fault: Fault, kaggle: KaggleHost, server: KaggleServer) -> None:
    whole = kaggle.fetch_leaderboard(SLUG)
    server.page_limit = 20
    server.fail_next("DownloadLeaderboard", *[fault] * 7)
    assert kaggle.fetch_leaderboard(SLUG) == whole
    assert server.count("GetLeaderboard") == 3


def test_the_board_may_lie_at_a_signed_address(kaggle: KaggleHost, server: KaggleServer) -> None:
    def elsewhere(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        path = server.competitions[SLUG].host.folder / "files" / "board.zip"
        path.write_bytes(reply.content)
        return redirect(server, f"competitions/{SLUG}/board.zip")

    server.fail_next("DownloadLeaderboard", elsewhere)
    assert len(kaggle.fetch_leaderboard(SLUG).rows) == TEAMS
    assert server.count("store") == 1


def test_null_rows_and_teams_without_a_score_are_left_out(kaggle: KaggleHost, server: KaggleServer) -> None:
    rows = [{"teamName": "A", "score": "0.1", "submissionDate": None}, {"teamName": "B", "score": None}, None]
    told = json.dumps({"submissions": rows}).encode()
    server.fail_next("DownloadLeaderboard", refuses(404))
    server.fail_next("GetLeaderboard", responds(200, told, Content_Type="application/json"))
    assert [row.team for row in kaggle.fetch_leaderboard(SLUG).rows] == ["A"]


def test_the_private_board_of_a_running_competition_is_not_open(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.competitions[SLUG].deadline = datetime.now(UTC) + timedelta(days=3)
    with pytest.raises(HostError, match="private board opens on"):
        kaggle.fetch_leaderboard(SLUG, private=True)


def test_a_score_without_a_board_is_told_without_a_place(
    kaggle: KaggleHost, server: KaggleServer, submission: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fail_always("DownloadLeaderboard", refuses(500))
    server.fail_always("GetLeaderboard", refuses(400))
    outcome = submit_and_record(kaggle, DOGS, submission, tmp_path / "ledger.csv", RunInfo(), SubmitOptions())
    assert outcome.submission.public is not None and outcome.standings == ()
    assert "no public board" in capsys.readouterr().err


def test_a_refresh_keeps_the_boards_and_the_next_tells_the_movement(
    kaggle: KaggleHost, server: KaggleServer, submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, boards = tmp_path / "ledger.csv", tmp_path / "boards"
    kaggle.submit_file(SLUG, submission, "")
    refresh_ledger(kaggle, DOGS, ledger, boards=boards)
    assert [len(latest_leaderboards(boards, private=private)) for private in (False, True)] == [1, 1]
    public, private = find_current_standings(DOGS, read_ledger(ledger), boards)
    assert (public.standing.rank, public.standing.teams, public.moved) == (5, TEAMS, None)
    assert "would have been place 5 of 57" in str(public)

    rows = [{"teamName": f"new {n}", "score": f"0.0{n}", "submissionDate": "2026-03-09T00:00:00Z"} for n in range(1, 4)]
    server.fail_next("DownloadLeaderboard", refuses(404))
    server.fail_next(
        "GetLeaderboard", edits(lambda told: {"submissions": rows + told["submissions"], "nextPageToken": ""})
    )
    monkeypatch.setattr(KaggleHost, "now", lambda _: datetime.now(UTC) + timedelta(hours=1))
    refresh_ledger(kaggle, DOGS, ledger, boards=boards)
    moved, still = find_current_standings(DOGS, read_ledger(ledger), boards)
    assert (moved.standing.rank, moved.moved) == (8, -3)
    assert "3 places down since 20" in str(moved)
    assert still.standing.rank == private.standing.rank
