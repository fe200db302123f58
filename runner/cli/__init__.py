"""The command line: every command calls one function; an error becomes a message and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shlex
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import click

from runner.cli.command_groups import RootGroup
from runner.console import is_first_process, set_verbosity
from runner.errors import Interrupted, RunnerError
from runner.full_disk import full_disk_error, full_disk_reason
from runner.workspace import Workspace

INTERRUPTED = 130

# Seconds that the first of several processes has to print an error that they share.
_FIRST_PROCESS_SECONDS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its code: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""
    # Importing torch and timm makes half a million objects that stay; with Python's default threshold a quarter
    # of the time to import them is spent on searching these for cycles.
    gc.set_threshold(100_000, 20, 10)
    _exit(run_command(arguments))


def _exit(code: int) -> NoReturn:
    """Call the exit handlers, flush, and end the process without tearing down torch, which takes most of a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if not stream.closed:
                stream.flush()
        except OSError as error:
            # The output could not be written; a reader that closed the pipe early is no error.
            code = code if isinstance(error, BrokenPipeError) else code or 1
    os._exit(code)


def run_command(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. Errors go to stderr, without a traceback unless `-v` was given."""
    set_verbosity()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not is_first_process():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # results are printed once
    stdout = sys.stdout
    try:
        code = int(RootGroup(name="runner").main(words, prog_name="runner", standalone_mode=False) or 0)
        _leave_process_group()
        return code
    except RunnerError as error:
        return _print_error(str(error), error, error.exit_code, words)
    except click.ClickException as error:
        if is_first_process():
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        if is_first_process():
            click.echo(_describe_interrupt(error.__cause__ or error, words), err=True)  # click wraps it
        return INTERRUPTED
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return 0  # click replaced stdout: its reader closed the pipe early, as in `runner list | head -1`
    except OSError as error:
        return _print_error(_explain(error), error, 1, words)
    except Exception as error:
        message = f"a bug in the runner: {type(error).__name__}: {error}\n  fix: -v shows the traceback; report it"
        return _print_error(message, error, 1, words)


def _leave_process_group() -> None:
    """End torch's process group, if the command has used one."""
    if distributed := sys.modules.get("runner.training.distributed"):
        distributed.shutdown()


def _print_error(message: str, error: Exception, code: int, words: Sequence[str]) -> int:
    if not is_first_process():
        # An error that all processes share is printed by the first, and the launcher then ends this one; an error
        # of this process alone is printed here.
        time.sleep(_FIRST_PROCESS_SECONDS)
    click.echo(f"{click.style('error:', fg='red')} {_with_host(message, words)}", err=True)
    if "-v" in words or "--verbose" in words:
        import traceback  # slow to import, and for -v only

        traceback.print_exception(error)
    return code


def _describe_interrupt(error: BaseException, words: Sequence[str]) -> str:
    """What is kept, and the command that goes on from there: the same one, which finds its run."""
    kept = str(error) if isinstance(error, Interrupted) else "finished work is kept"
    # With --new it would not go on with the run that this one began.
    has_run = isinstance(error, Interrupted) and error.is_kept
    command = shlex.join(["runner", *(word for word in words if not (has_run and word == "--new"))])
    return f"\ninterrupted: {kept}\n  to go on: {command}"


def _with_host(message: str, words: Sequence[str]) -> str:
    """The message with the `--host` that was given added to the commands of its fix."""
    host = next((after for word, after in pairwise(words) if word == "--host"), None)
    host = next((word.partition("=")[2] for word in words if word.startswith("--host=")), host)
    command = Workspace(Path()).for_host(host or "").command_line()
    names = "|".join(re.escape(word) for word in words if not word.startswith("-"))
    return re.sub(rf"\brunner (?=(?:{names})\b)(?![^\n]*--host)", f"{command} ", message)


def _explain(error: OSError) -> str:
    if reason := full_disk_reason(error):
        return str(full_disk_error(reason, error.filename))
    where = f"\n  where: {error.filename}" if error.filename else ""
    fixes = {13: "change the permissions of that path"}
    fix = f"\n  fix: {fixes[error.errno]}" if error.errno in fixes else ""
    return f"the operating system reports: {error.strerror or error}{where}{fix}"
