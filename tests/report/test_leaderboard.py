"""A run's rank on saved leaderboards, the same as `standings` gives, and the histograms of their scores."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.hosts.leaderboards import LeaderboardContext, save_leaderboard, write_context
from runner.hosts.ledger import COLUMNS, Entry, record_entry
from runner.hosts.protocol import Leaderboard, LeaderboardRow
from runner.hosts.standings import find_current_standings
from runner.report.run.data import read_run_data
from runner.report.run.leaderboard import leaderboard_figures
from runner.report.run.page import write_report
from runner.session import Session

SUBMITTED = datetime(2026, 3, 2, tzinfo=UTC)
TIED = 0.3


def record_submission(session: Session, **fields: str) -> Entry:
    """A submission of the run "first" in the ledger."""
    known = {"competition": "shapes", "host": "kaggle", "run": "first", "ref": "1", "status": "complete"}
    submitted = {"submitted": f"{SUBMITTED:%Y-%m-%dT%H:%M:%SZ}"}
    entry = Entry(**dict.fromkeys(COLUMNS, "") | known | submitted | fields)
    record_entry(session.workspace.ledger_file, entry)
    return entry


def save(
    session: Session, *, deadline: timedelta, saved: timedelta, private: bool = False, scores: Sequence[float] = ()
) -> None:
    """Save a leaderboard; deadline and time of saving are counted from the submission."""
    hours = dict.fromkeys(scores, 0) or {0.1: -3, 0.2: -2, TIED: 1, 0.4: -1}
    rows = [LeaderboardRow(f"team {score}", score, SUBMITTED + timedelta(hours=hour)) for score, hour in hours.items()]
    write_context(session.leaderboards_dir, LeaderboardContext(deadline=SUBMITTED + deadline))
    save_leaderboard(session.leaderboards_dir, Leaderboard(tuple(rows), private), SUBMITTED + saved)


def test_report_and_standings_agree_on_a_rank(make_run: Any, session: Session) -> None:
    """Submitted in time, tied, and with the leaderboard saved after the deadline: rank 3, not "would have been" 4."""
    run = make_run()
    entry = record_submission(session, public=str(TIED))
    save(session, deadline=timedelta(days=1), saved=timedelta(days=9))
    (current,) = find_current_standings(session.competition, [entry], session.leaderboards_dir)
    assert (current.standing.rank, current.standing.late) == (3, False)
    page = write_report(session, run).path.read_text(encoding="utf-8")
    assert str(current.standing) in html.unescape(page)


def test_a_late_submission_is_marked_even_if_the_leaderboard_is_older(make_run: Any, session: Session) -> None:
    run = make_run()
    record_submission(session, private=str(TIED))
    save(session, deadline=-timedelta(days=1), saved=-timedelta(days=9), private=True)
    report = write_report(session, run)
    assert ("Rank, private leaderboard", "3 of 4", "score 0.30000; submitted after the deadline") in (
        report.terminal.key_figures
    )
    assert "would have been" in report.path.read_text(encoding="utf-8")


def test_a_histogram_has_the_submission_the_cv_and_its_hidden_teams(make_run: Any, session: Session) -> None:
    run = make_run()
    record_submission(session, public="0.5")
    good = [0.4 + number / 1000 for number in range(97)]
    save(session, deadline=timedelta(days=1), saved=timedelta(), scores=[*good, 10.0, 20.0, 30.0])
    (figure,) = leaderboard_figures(read_run_data(session, run))
    assert figure.name == "leaderboard-public" and figure.title == "Public leaderboard, 100 teams"
    assert figure.note == "3 teams with worse scores are not shown."
    cv = run.read_score()["cv"]
    labels = figure.figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["submitted: 0.5000", f"CV: {cv['value']:.4f} ± {cv['error']:.4f}"]
    assert figure.numbers is not None and figure.numbers.rows[0][1] == 100


def test_a_leaderboard_is_drawn_for_a_run_without_submission_too(make_run: Any, session: Session) -> None:
    run = make_run()
    save(session, deadline=timedelta(days=1), saved=timedelta())
    report = write_report(session, run)
    assert "leaderboard-public" in {figure.name for figure in report.figures}
    assert "This run was not submitted" in report.path.read_text(encoding="utf-8")
