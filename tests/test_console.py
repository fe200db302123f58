"""Messages go through a logger to stderr; progress bars are shown at terminals and in notebooks."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from runner.console import log, progress, set_verbosity, shows_progress


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({}, "information\nwarning: careful\n"),
        ({"verbose": True}, "detail\ninformation\nwarning: careful\n"),
        ({"quiet": True}, ""),
    ],
)
def test_verbosity_chooses_the_messages(options, printed, capsys):
    set_verbosity(**options)
    log.debug("detail")
    log.info("information")
    log.warning("careful")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", printed)


def test_other_processes_print_nothing(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    log.info("information")
    assert capsys.readouterr().err == ""


def test_a_program_can_silence_the_messages(capsys):
    logging.getLogger("runner").setLevel(logging.CRITICAL)
    log.warning("careful")
    assert capsys.readouterr().err == ""


def test_progress_is_silent_in_a_pipe(capsys):
    assert not shows_progress()
    with progress("images", 2) as advance:
        advance(1)
    assert capsys.readouterr().err == ""


def test_progress_is_shown_in_a_notebook(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert shows_progress()
    set_verbosity(quiet=True)
    assert not shows_progress()


def test_progress_is_not_shown_in_a_script_that_imports_ipython(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not shows_progress()
