"""The report and `standings` give one submission one rank."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from competitions import load
from runner.cli import run_command
from runner.hosts.leaderboards import LeaderboardContext, save_leaderboard, write_context
from runner.hosts.ledger import COLUMNS, Entry, record_entry
from runner.hosts.protocol import Leaderboard, LeaderboardRow
from runner.hosts.standings import find_current_standings

SUBMITTED = datetime(2026, 3, 2, tzinfo=UTC)


def test_report_and_standings_agree_on_a_rank(make_run: Any, shapes: Path) -> None:
    """Submitted in time, tied, and with the leaderboard saved after the deadline: rank 3, not "would have been" 4."""
    make_run("one")
    entry = Entry(
        **dict.fromkeys(COLUMNS, "")
        | {"competition": "shapes", "host": "kaggle", "run": "one", "ref": "1"}
        | {"public": "0.3", "status": "complete", "submitted": f"{SUBMITTED:%Y-%m-%dT%H:%M:%SZ}"}
    )
    record_entry(shapes / "submissions" / "ledger.csv", entry)
    hours = {0.1: -3, 0.2: -2, 0.3: 1, 0.4: -1}
    rows = tuple(LeaderboardRow(f"team {score}", score, SUBMITTED + timedelta(hours=n)) for score, n in hours.items())
    folder = shapes / "leaderboards" / "shapes"
    write_context(folder, LeaderboardContext(deadline=SUBMITTED + timedelta(days=1)))
    save_leaderboard(folder, Leaderboard(rows, private=False), SUBMITTED + timedelta(days=9))
    (current,) = find_current_standings(load("shapes", shapes / "competitions"), [entry], folder)
    assert (current.standing.rank, current.standing.late) == (3, False)
    assert run_command(["--workspace", str(shapes), "shapes", "report", "one"]) == 0
    page = (shapes / "runs" / "shapes" / "one" / "report.html").read_text(encoding="utf-8")
    assert str(current.standing) in html.unescape(page)
