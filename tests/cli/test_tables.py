"""Tables: drawn at a terminal, plain text in a pipe."""

from __future__ import annotations

import io
import re

import pytest

from runner.cli.tables import print_table

HEADER = ["run", "cv", "rows", "recipe"]
ROWS = [["one", "0.58025", 1200, "resnext50_32x4d: 224px head x14, 224px unfrozen x2"], ["two [b]", None, 60, "a"]]


class Terminal(io.StringIO):
    """Where someone looks."""

    def isatty(self) -> bool:
        return True


def _narrow(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal that knows colours, of 48 columns."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "48")
    seen = Terminal()
    monkeypatch.setattr("sys.stdout", seen)
    return seen


def test_a_table_in_a_pipe_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADER, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == HEADER
    assert lines[2].startswith("one      0.58025  1,200  resnext50")
    assert lines[3] == "two [b]  -           60  a"
    assert not any("\x1b" in line for line in lines)


def test_a_table_in_a_pipe_fits_80_columns_and_breaks_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(["unfrozen"] * 30)
    print_table(["run", "recipe", "where"], [["one", words, "a/" * 15], ["two", "short", "-"]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).count("unfrozen") == 30
    assert lines[2].startswith("one  unfrozen") and lines[3].startswith("     unfrozen")
    assert lines[-1].split() == ["two", "short", "-"]


def test_a_column_without_a_value_is_left_out_if_it_is_optional(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["run", "public", "private"], [["one", None, None], ["two", 1.5, None]], optional=["public", "private"])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[::2]] == [["run", "public"], ["one", "-"]]


def test_a_table_at_a_terminal_fits_and_aligns_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _narrow(monkeypatch)
    print_table(HEADER, ROWS)
    result = terminal.getvalue()
    assert "\x1b[1m" in result  # a bold head
    lines = re.sub(r"\x1b\[[0-9;]*m", "", result).splitlines()
    assert max(map(len, lines)) <= 48
    two = next(line for line in lines if "two [b]" in line)
    assert two.index("60") + 2 == next(line for line in lines if "1,200" in line).index("1,200") + 5
