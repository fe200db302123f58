"""board.html: every run and submission, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.cli import run_command
from runner.hosts.ledger import COLUMNS, Entry, record_entry

ENTRY = {
    **dict.fromkeys(COLUMNS, ""),
    "competition": "shapes",
    "host": "kaggle",
    "cv": "0.9",
    "cv_error": "0.05",
    "private": "0.93",
    "status": "complete",
}


def _board(workspace: Path) -> int:
    return run_command(["--workspace", str(workspace), "board"])


def test_the_board_lists_links_and_draws(browser: Any, make_run: Any, shapes: Path) -> None:
    make_run("one")
    make_run("two")
    for number, run in enumerate(("one", "two", "<b>hand</b>")):
        told = {"submitted": f"2026-01-0{number + 1}T00:00:00Z", "run": run, "ref": str(number)}
        record_entry(shapes / "submissions" / "ledger.csv", Entry(**{**ENTRY, **told, "standing": f"{number + 1}/9"}))
    assert run_command(["--workspace", str(shapes), "shapes", "report", "one"]) == 0
    assert _board(shapes) == 0
    for width in (1280, 360):
        browser.open(shapes / "board.html", width=width, dark=width == 360)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith("data:")] == [(shapes / "board.html").as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
    links = browser.run("return [...document.querySelectorAll('#runs td a')].map((one) => [one.textContent, one.href])")
    assert links == [["one", (shapes / "runs" / "shapes" / "one" / "report.html").as_uri()]]
    assert "<b>hand</b>" in browser.run("return document.querySelector('#submissions tbody').textContent")
    assert browser.run("return document.querySelectorAll('#figure-cv-0, #figure-ranks').length") == 2


def test_an_empty_workspace_has_a_board_that_says_so(shapes: Path) -> None:
    assert _board(shapes) == 0
    assert "There is no run yet" in (shapes / "board.html").read_text(encoding="utf-8")
