"""Messages and progress bars on stderr; results go to stdout."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from runner.commands import Complete, complete_commands, wrap
from runner.notebook import is_notebook, output_area

Advance = Callable[..., None]  # (amount) or (amount, note): the note is shown after the bar
Item = TypeVar("Item")


def is_first_process() -> bool:
    """Whether this is the first of the processes that a launcher started, or the only one; the others print nothing."""
    return int(os.environ.get("RANK", "0")) == 0


class _StderrHandler(logging.Handler):
    """Writes each message as one line to the current `sys.stderr`, in the first process only."""

    def emit(self, record: logging.LogRecord) -> None:
        if is_first_process():
            label = "warning: " if record.levelno == logging.WARNING else ""
            text = f"{label}{complete_commands(record.getMessage(), _completion[-1])}"
            sys.stderr.write(f"{wrap(text, _width[-1])}\n")
            sys.stderr.flush()


# How commands in messages are completed: the command line knows the workspace, the host and the typed flags.
_completion: list[Complete] = [str]
_ANY_WIDTH = 1 << 30
_width = [_ANY_WIDTH]


def complete_commands_by(complete: Complete) -> Complete:
    """From now on show the commands of messages as `complete` returns them; what did it before."""
    before, _completion[-1] = _completion[-1], complete
    return before


def wrap_messages(width: int | None) -> None:
    """From now on break messages into lines of this many columns; None: never, as programs read them."""
    _width[-1] = width or _ANY_WIDTH


# A program that imports the runner can silence or redirect its messages as those of any logger.
log = logging.getLogger("runner")
log.propagate = False
log.addHandler(_StderrHandler())
_is_chosen = log.level != logging.NOTSET  # whether a program or a command has said what is printed
if not _is_chosen:
    log.setLevel(logging.INFO)


def set_verbosity(*, quiet: bool = False, verbose: bool = False) -> None:
    """Choose which messages go to stderr."""
    global _is_chosen
    _is_chosen = True
    log.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)


def print_warnings_only() -> None:
    """Print no other messages unless somebody asked for them: a program that calls the runner asked for nothing."""
    if not _is_chosen and log.level == logging.INFO:
        log.setLevel(logging.WARNING)


def shows_progress() -> bool:
    """Whether progress bars are shown: at a terminal or in a notebook, and not with --quiet."""
    return log.isEnabledFor(logging.WARNING) and is_first_process() and (sys.stderr.isatty() or is_notebook())


@contextmanager
def progress(title: str, total: float | None, unit: str = "") -> Iterator[Advance]:
    """Show a progress bar with the time left during the block; `unit` "B" counts bytes. Nothing is shown in a pipe."""
    if not shows_progress():
        yield lambda _amount, _note="": None
        return
    if is_notebook():
        with _notebook_bar(title, total, unit) as advance:
            yield advance
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if unit == "B" else MofNCompleteColumn()
    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn(), note)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, note="")
        yield lambda amount, note="": bar.update(task, advance=amount, note=note)


@contextmanager
def _notebook_bar(title: str, total: float | None, unit: str) -> Iterator[Advance]:
    with output_area() as area, area.bar(title, total, unit) as bar:

        def advance(amount: float, note: str = "") -> None:
            bar.done += amount
            bar.note = note
            area.refresh()

        yield advance


def track(title: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, with a bar that moves as they are taken."""
    with progress(title, total) as advance:
        for item in items:
            yield item
            advance(1)


def sparkline(values: Sequence[float], width: int = 60, *, top: float | None = None) -> str:
    """A one-line block chart; values above `top` (default: twice the first value) are clipped."""
    if not values:
        return ""
    picked = [values[place * len(values) // min(width, len(values))] for place in range(min(width, len(values)))]
    top, low = 2 * picked[0] if top is None else top, min(picked)
    blocks = "▁▂▃▄▅▆▇█"
    heights = [(min(value, top) - low) / ((top - low) or 1) for value in picked]
    return "".join(blocks[min(int(height * len(blocks)), len(blocks) - 1)] for height in heights)
