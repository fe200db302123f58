"""A `runner` command in a forked child: everything is imported already, so it costs no more than its work.

The parent imports torch and computes nothing, so that no child inherits threads.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.torture import clock
from runner.cli import run_command

_OUTPUT = ".output.txt"

# Events of Python's audit hooks that change what is on the disk.
_WRITES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "shutil.copyfile")
_MOST_ADDED_BYTES = 4 << 30
_MOST_SLOWNESS = 4.0
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Bounds:
    """What a command may take: beyond it, it is killed or reported."""

    seconds: float = 300.0
    memory_mb: float = 2500.0  # of the process, the imports included


@dataclass(frozen=True)
class Interruption:
    """A signal at a moment: after so many seconds, or before the n-th change of the disk."""

    signal: signal.Signals = signal.SIGKILL
    seconds: float | None = None
    change: int | None = None

    def __str__(self) -> str:
        moment = f"after {self.seconds:.3f} s" if self.seconds is not None else f"before change {self.change}"
        return f"{self.signal.name} {moment}"


@dataclass(frozen=True)
class Ended:
    """A command that ended: its exit code (negative: the signal), its output, and what it took."""

    words: tuple[str, ...]
    code: int
    output: str
    seconds: float
    memory_mb: float
    changes: int = 0  # of the disk, if it was counted
    clock_seconds: float = 0.0  # of the clock, if it was made to run fast
    out_of_bounds: str = ""

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.output

    @property
    def is_bug(self) -> bool:
        """Reported as a bug, or dead by a fault of its own."""
        crashed = self.code in (-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGFPE)
        return "a bug in the runner" in self.output or crashed

    def describe(self) -> str:
        """The command, its code and the end of its output."""
        return f"`runner {' '.join(self.words)}` ended with {self.code}: {self.output[-1500:].strip()}"


def fork_runner(
    workspace: Path,
    words: Sequence[object],
    *,
    interruption: Interruption | None = None,
    before: Callable[[], None] | None = None,
    bounds: Bounds = Bounds(),
    count_changes: bool = False,
) -> Ended:
    """Run a command in the workspace, to its end, to the interruption, or to the bounds."""
    started = start_runner(workspace, words, interruption=interruption, before=before, count_changes=count_changes)
    return started.wait(bounds)


def fork_work(folder: Path, title: str, work: Callable[[], int], *, bounds: Bounds = Bounds()) -> Ended:
    """Do work that is no command in a child in the folder, to its end or to the bounds."""
    return start_runner(folder, (title,), work=work).wait(bounds)


@dataclass(frozen=True)
class Started:
    """A command that is running in a child."""

    words: tuple[str, ...]
    child: int
    output: Path
    counts: int  # the pipe on which the child tells its changes of the disk
    began: float
    interruption: Interruption | None

    def wait(self, bounds: Bounds = Bounds()) -> Ended:
        """Wait for its end, interrupt it in time, and kill it at the bounds."""
        if self.interruption and self.interruption.seconds is not None:
            self._wait_until(self.began + self.interruption.seconds)
            _kill(self.child, self.interruption.signal)
        in_time = self._wait_until(self.began + bounds.seconds * _slowness())
        if not in_time:
            _kill(self.child, signal.SIGKILL)
        _, status, used = os.wait4(self.child, 0)
        _kill_group(self.child)
        with os.fdopen(self.counts, "rb") as pipe:
            counted = pipe.read()
        memory = used.ru_maxrss * 1024 / 1e6
        over = "" if in_time else f"more than {bounds.seconds:.0f} s"
        if memory > bounds.memory_mb:
            over = f"{memory:.0f} MB of memory"
        output = self.output.read_text(encoding="utf-8", errors="replace")
        code = os.waitstatus_to_exitcode(status)
        told = json.loads(counted or "{}")
        return Ended(self.words, code, output, time.monotonic() - self.began, memory, **told, out_of_bounds=over)

    def has_ended(self) -> bool:
        """Whether it has ended; `wait` tells how."""
        return self._wait_until(0.0)

    def _wait_until(self, moment: float) -> bool:
        """Wait for the child's end, at most until the moment; whether it has ended."""
        ended = os.pidfd_open(self.child)  # not the pipe: a data-loading process may outlive the child and hold it
        try:
            return bool(select.select([ended], [], [], max(moment - time.monotonic(), 0.0))[0])
        finally:
            os.close(ended)


def start_runner(
    workspace: Path,
    words: Sequence[object],
    *,
    interruption: Interruption | None = None,
    before: Callable[[], None] | None = None,
    count_changes: bool = False,
    output_name: str = _OUTPUT,
    work: Callable[[], int] | None = None,
) -> Started:
    """Start a command in the workspace, in a child that leads a process group of its own; or other work instead."""
    texts = tuple(str(word) for word in words)
    workspace.mkdir(parents=True, exist_ok=True)
    output = workspace / output_name
    output.write_bytes(b"")  # a child that is killed at once has not opened it
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes before the command has begun waits for it, instead of ending what prepares it.
    before_fork = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    child = os.fork()
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before_fork)
    else:
        code = 70
        try:
            os.setpgid(0, 0)  # no session of its own: that would lose the priority of this one
            os.close(reading)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _redirect(output)
            os.chdir(workspace)
            work = work or (lambda: run_command(["--workspace", str(workspace), *texts]))
            work = _unblocked(work, before_fork)
            code = _run(work, interruption, before, writing, count_changes)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    return Started(texts, child, output, reading, time.monotonic(), interruption)


def _unblocked(work: Callable[[], int], mask: set[int] | set[signal.Signals]) -> Callable[[], int]:
    """The work, which a signal that has waited for it ends as Ctrl-C ends a command: with 130."""

    def unblocked() -> int:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return work()
        except KeyboardInterrupt:
            return 130

    return unblocked


def _run(
    work: Callable[[], int],
    interruption: Interruption | None,
    before: Callable[[], None] | None,
    writing: int,
    count_changes: bool,
) -> int:
    changes = _Changes(interruption)
    if count_changes or changes.deadly is not None:
        sys.addaudithook(changes)
    if before:
        before()
    changes.counting = True
    code = work()
    changes.counting = False
    told = {"changes": changes.count, "clock_seconds": clock.elapsed()}
    os.write(writing, json.dumps(told).encode())
    return code


class _Changes:
    """Counts the changes of the disk, and sends its own process the signal before one of them."""

    def __init__(self, interruption: Interruption | None) -> None:
        self.count = 0
        self.counting = False
        self.deadly = interruption.change if interruption else None
        self.signal = interruption.signal if interruption else signal.SIGKILL

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.counting:
            return
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITE_FLAGS
        if writes or event in _WRITES:
            self.count += 1
            if self.count == self.deadly:
                os.kill(os.getpid(), self.signal)


def _slowness() -> float:
    """How much longer everything takes on a machine that others use, too."""
    return min(max(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0), _MOST_SLOWNESS)


def _redirect(output: Path) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Far beyond any bound: what grows without end must not take the machine with it.
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MOST_ADDED_BYTES, taken + _MOST_ADDED_BYTES))


def _kill(child: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, number)


def _kill_group(leader: int) -> None:
    """End what the command started and left: a data-loading process, a server."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
