"""The command line: every command calls one function, and a fault becomes a message and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import click

from runner.cli.groups import Root
from runner.console import is_first_process, set_verbosity
from runner.errors import RunnerError
from runner.workspace import Workspace

INTERRUPTED = 130

# Seconds that the first of several processes has to tell a fault before another does.
_FIRST_WORD = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code: 0 done, 1 a fault, 2 wrong usage, 130 interrupted."""
    # Python looks for rings of garbage after every 700 objects, and now and then through all that there are. Importing
    # torch, timm and what we add makes half a million that stay: a quarter of its time was this search.
    gc.set_threshold(100_000, 20, 10)
    _leave(run_command(arguments))


def _leave(code: int) -> NoReturn:
    """End the process: whoever asked to be told is told, and what was said is written; then nothing more is done.

    Python would take down half a million objects of torch's one by one, which takes most of a second.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except OSError as error:
            # What was to be written was not; unless its reader has seen enough.
            code = code if isinstance(error, BrokenPipeError) else code or 1
    os._exit(code)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command; what went wrong is told on stderr, never as a traceback (`-v` shows it on purpose)."""
    set_verbosity()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not is_first_process():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # results are told once
    stdout = sys.stdout
    try:
        code = int(Root(name="runner").main(words, prog_name="runner", standalone_mode=False) or 0)
        _leave_processes()
        return code
    except RunnerError as error:
        return _tell(str(error), error, error.exit_code, words)
    except click.ClickException as error:
        if is_first_process():
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        if is_first_process():
            click.echo("\ninterrupted: what was finished is kept, and the same command goes on from there", err=True)
        return INTERRUPTED
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return 0  # click has put the stream away: its reader has seen enough, as in `runner list | head -1`
    except OSError as error:
        return _tell(_explain(error), error, 1, words)
    except Exception as error:  # the last resort: a bug of ours, told as one
        return _tell(f"a bug in the runner: {type(error).__name__}: {error}\n  fix: -v shows where", error, 1, words)


def _leave_processes() -> None:
    """Where a launcher started several processes, and the command used them, they part."""
    if processes := sys.modules.get("runner.training.distributed"):
        processes.leave()


def _tell(message: str, error: Exception, code: int, words: Sequence[str]) -> int:
    if not is_first_process():
        # What all processes met, the first tells, and the launcher then ends this one; what this one met alone,
        # it tells when nobody has ended it.
        time.sleep(_FIRST_WORD)
    click.echo(f"{click.style('error:', fg='red')} {_for_the_same_host(message, words)}", err=True)
    if "-v" in words or "--verbose" in words:
        import traceback

        traceback.print_exception(error)
    return code


def _for_the_same_host(message: str, words: Sequence[str]) -> str:
    """What a fix says to type, with the host that was typed: the commands are about what lies with that host."""
    host = next((after for word, after in pairwise(words) if word == "--host"), None)
    host = next((word.partition("=")[2] for word in words if word.startswith("--host=")), host)
    typed = Workspace(Path()).for_host(host or "").command_line()
    names = "|".join(re.escape(word) for word in words if not word.startswith("-"))
    return re.sub(rf"\brunner (?=(?:{names})\b)(?![^\n]*--host)", f"{typed} ", message)


def _explain(error: OSError) -> str:
    where = f"\n  where: {error.filename}" if error.filename else ""
    fixes = {
        28: "free some space, then type the same command again",
        13: "give yourself the right to that path",
    }
    fix = f"\n  fix: {fixes[error.errno]}" if error.errno in fixes else ""
    return f"the system said: {error.strerror or error}{where}{fix}"
