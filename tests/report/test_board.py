"""board.html: every run and submission, in a real browser."""

from __future__ import annotations

from typing import Any

from competitions._parse import PluginSummary
from runner.cli import run_command
from runner.contract import LOG_LOSS
from runner.hosts.ledger import COLUMNS, Entry, record_entry
from runner.report.board import CompetitionHistory, read_history, runs_table, write_board
from runner.report.run.page import write_report
from runner.session import Session

ENTRY = {
    **dict.fromkeys(COLUMNS, ""),
    "competition": "shapes",
    "host": "kaggle",
    "cv": "0.9",
    "cv_error": "0.05",
    "private": "0.93",
    "status": "complete",
}


def history(session: Session) -> CompetitionHistory:
    plugin = PluginSummary("shapes", session.workspace.plugins_dir / "shapes.py", "shapes", "Shapes", LOG_LOSS)
    return read_history(plugin, session.workspace, session.host_name)


def record(session: Session, number: int, run: str) -> None:
    changed = {
        "submitted": f"2026-01-0{number}T00:00:00Z",
        "run": run,
        "ref": str(number),
        "rank": f"{number}/9",
    }
    record_entry(session.workspace.ledger_file, Entry(**{**ENTRY, **changed}))


def test_the_board_lists_links_and_draws(browser: Any, make_run: Any, session: Session) -> None:
    report = write_report(session, make_run("first")).path
    make_run("second")
    for number, run in enumerate(("first", "second", "<b>hand</b>"), start=1):
        record(session, number, run)
    assert run_command(["--workspace", str(session.workspace.root), "board"]) == 0
    page = session.workspace.root / "board.html"
    for width in (1280, 360):
        browser.open(page, width=width, dark=width == 360)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
    links = browser.run("return [...document.querySelectorAll('#runs td a')].map((a) => [a.textContent, a.href])")
    assert links == [["first", report.as_uri()]]
    assert "<b>hand</b>" in browser.run("return document.querySelector('#submissions tbody').textContent")
    assert browser.run("return document.querySelectorAll('#figure-cv-0, #figure-ranks').length") == 2


def test_an_empty_workspace_has_a_board(session: Session) -> None:
    page = session.workspace.root / "board.html"
    write_board([history(session)], page)
    assert "There is no run yet" in page.read_text(encoding="utf-8")


def test_runs_are_sorted_by_cv_and_unscored_ones_last(make_run: Any, session: Session) -> None:
    for name, value in (("middling", 0.7), ("unscored", None), ("best", 0.6), ("worst", 0.8)):
        run = make_run(name)
        score = run.read_score()
        score["cv"]["value"] = value
        run.score_file.unlink() if value is None else run.write_score(score)
    rows = runs_table([history(session)], session.workspace.root / "board.html").rows
    assert [row[2] for row in rows] == ["best", "middling", "worst", "unscored"]


def test_ranks_are_drawn_from_two_submission_times_on(session: Session) -> None:
    page = session.workspace.root / "board.html"
    record(session, 1, "first")
    assert "figure-ranks" not in write_board([history(session)], page).read_text(encoding="utf-8")
    record(session, 2, "first")
    assert "figure-ranks" in write_board([history(session)], page).read_text(encoding="utf-8")
