"""Messages go through a logger to stderr; progress bars are shown at terminals and in notebooks."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

from runner.console import log, progress, set_verbosity, shows_progress, wrap_messages


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


def test_a_long_message_is_broken_but_for_paths_and_commands(capsys):
    wrap_messages(80)
    command, path = f"runner planet train --run {'a' * 70} --size 64", "/folder" * 15
    log.warning(f"{'word ' * 20}and {path}, then: `{command}`\n  fix: {command}")
    err = capsys.readouterr().err
    long = [line for line in err.splitlines() if len(line) > 80]
    assert long == [f"    {path},", f"    `{command}`", f"  fix: {command}"]
    assert err.startswith("warning: word ") and err.count("word") == 20


def test_a_command_behind_a_colon_is_not_broken(capsys):
    wrap_messages(80)
    report, submit = (f"runner --host practice dog-breed {verb} {'x' * 20}" for verb in ("report", "submit"))
    log.info(f"next: {report}; to submit it: {submit}")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1 and all(any(command in line for line in lines) for command in (report, submit))


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
