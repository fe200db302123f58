"""Ledger entries and leaderboards that tests of several modules build."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from runner.hosts.ledger import COLUMNS, Entry
from runner.hosts.protocol import Leaderboard, LeaderboardRow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make_entry(**fields: str) -> Entry:
    """An entry of the ledger, empty except for these fields."""
    defaults = {"submitted": "2026-03-01T12:00:00Z", "competition": "dogs", "host": "kaggle"}
    defaults |= {"status": "pending", "ref": "1"}
    return Entry(**(dict.fromkeys(COLUMNS, "") | defaults | fields))


def hourly_leaderboard(*scores: float, private: bool = False, team: str = "team {}") -> Leaderboard:
    """A leaderboard with these scores in this order, the n-th submitted n hours after START; n counts from 0."""
    rows = (LeaderboardRow(team.format(n), score, START + timedelta(hours=n)) for n, score in enumerate(scores))
    return Leaderboard(tuple(rows), private)
