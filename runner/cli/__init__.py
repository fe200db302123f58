"""The command line: every command calls one function; an error becomes a message and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from runner.cli.command_groups import RootGroup
from runner.cli.global_options import GlobalOptions
from runner.cli.invocation import Invocation
from runner.commands import WIDTH
from runner.console import complete_commands_by, is_first_process, set_verbosity, wrap_messages
from runner.errors import Interrupted, RunnerError

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt
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
    """Run a command and return its exit code. Errors go to stderr, with --json to stdout; no traceback without -v."""
    try:
        return _run_command(arguments)
    except KeyboardInterrupt:  # before the command was called, or while its error was shown
        click.echo("\ninterrupted", err=True)
        return INTERRUPTED


def _run_command(arguments: Sequence[str] | None) -> int:
    set_verbosity()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not is_first_process():
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # results are printed once
    stdout = sys.stdout
    root, options = RootGroup(name="runner"), GlobalOptions()
    invocation = Invocation(root, words, options)
    complete_commands_by(invocation.complete)
    wrap_messages(WIDTH)
    try:
        _check_words(invocation)
        code = int(root.main(words, prog_name="runner", standalone_mode=False, obj=options) or 0)
        _leave_process_group()
        return code
    except click.exceptions.NoArgsIsHelpError as error:
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
    except (RunnerError, click.ClickException) as error:
        return _print_error(error, error.exit_code, invocation)
    except Exception as error:
        return _print_error(_of_lost_process(error), 1, invocation)


def _check_words(invocation: Invocation) -> None:
    """Refuse dashes and quotes that a text program has changed."""
    from runner.cli.typography import check_typography, has_typography  # here and below: `--help` needs none of it

    if has_typography(invocation.words):
        check_typography(invocation.words, invocation.options)


def _leave_process_group() -> None:
    """End torch's process group, if the command has used one."""
    if distributed := sys.modules.get("runner.training.distributed"):
        distributed.shutdown()


def _of_lost_process(error: Exception) -> Exception:
    """The error, or if the end of another process caused it, one that says so."""
    distributed = sys.modules.get("runner.training.distributed")
    lost: Exception | None = distributed.lost_process_error(error) if distributed else None
    return lost or error


def _print_error(error: Exception, code: int, invocation: Invocation) -> int:
    from runner.cli.show_error import explain

    if not is_first_process():
        # An error that all processes share is printed by the first, and the launcher then ends this one; an error
        # of this process alone is printed here.
        time.sleep(_FIRST_PROCESS_SECONDS)
    shown = explain(error, invocation)
    if invocation.wants_json:
        click.echo(shown.as_json(invocation))
    else:
        click.echo(shown.as_text(invocation, click.style("error:", fg="red")), err=True)
    if invocation.wants_traceback:
        import traceback

        traceback.print_exception(error)
    return code


def _describe_interrupt(error: BaseException, words: Sequence[str]) -> str:
    """What is kept, and the command that goes on from there: the same one, which finds its run."""
    kept = str(error) if isinstance(error, Interrupted) else "finished work is kept"
    # With --new it would not go on with the run that this one began.
    has_run = isinstance(error, Interrupted) and error.is_kept
    command = shlex.join(["runner", *(word for word in words if not (has_run and word == "--new"))])
    return f"\ninterrupted: {kept}\n  to go on: {command}"
