"""What a notebook shows while a call works: bars with the time left in one place, and what stays when it is over."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from runner import notebook
from runner.console import progress
from runner.notebook import Bar, clock, output_area


class Handle:
    """One output of a cell."""

    def __init__(self, content: Any):
        self.contents = [content]

    def update(self, content: Any) -> None:
        self.contents.append(content)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """The outputs of a cell, as a kernel would make them; every update comes through."""
    handles: list[Handle] = []

    def display(content: Any, display_id: bool) -> Handle:
        handles.append(Handle(content))
        return handles[-1]

    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    monkeypatch.setattr(notebook, "_SECONDS", 0)
    monkeypatch.setattr(notebook, "_FIRST", 0)
    return handles


def test_a_bar_tells_what_is_done_and_what_time_is_left(monkeypatch):
    monkeypatch.setattr(notebook.time, "monotonic", lambda: 40.0)
    bar = Bar("epoch 1/2 <b>", 8, done=2, note="loss 0.5", started=20.0)
    assert bar.seconds_left == 60
    assert "2/8&ensp;1:00 left&ensp;loss 0.5" in bar.html() and "&lt;b&gt;" in bar.html()
    assert "1.5 of 3.0 MB" in Bar("download", 3e6, "B", done=1.5e6).html()
    assert "left" not in Bar("files", None, done=3).html()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (61.4, "1:01"), (3600, "1:00:00")])
def test_seconds_are_told_as_a_clock(seconds, text):
    assert clock(seconds) == text


def test_bars_of_one_call_share_a_place_and_leave_what_is_kept(shown):
    with output_area() as area:
        with progress("training", 2) as advance:
            advance(1, "loss 1.0")
            area.keep("<table></table>")
        with progress("validating", 2) as advance:
            advance(1)
    (place,) = shown
    assert "training" in place.contents[0] and "loss 1.0" in place.contents[0]
    assert "<table></table>" in place.contents[2] and "validating" in place.contents[2]
    assert place.contents[-1] == "<table></table>"


def test_a_call_that_is_over_at_once_shows_nothing(shown):
    with output_area():
        pass
    assert shown == []
