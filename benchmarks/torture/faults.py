"""Sequences of faults between here and the host, while data is downloaded, a file submitted, standings fetched.

However it goes: no wrong byte is taken for data, no file is submitted twice, no submission is lost, nothing is waited
for, read or written without a bound, and once the faults are over the same command ends well.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from benchmarks.torture import clock
from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.hostile import BOARD, REFUSALS, SERVICE, STORE
from benchmarks.torture.process import Bounds, Ended
from benchmarks.torture.worlds import COMPETITION, NAME, copy_world, create_world
from runner.hosts.practice import PracticeHost
from tests.kaggle_server import KaggleServer, environment_for
from tests.kaggle_server.server import Fault
from tests.kaggle_server.state import Call, Reply

_SPEED = 30.0  # of the clock
_PATIENT_SPEED = 2.0  # once the faults are over: on a busy machine an honest server is not 30 times as quick
_MOST_FAULTS = 7
_MOST_CALLS = 10  # of a command, until the faults are over
_LONGEST = 75 * 60.0  # seconds of the fast clock: the wait for a score ends after an hour
_MOST_MEMORY = 1200.0  # MB of a process whose imports take half of them
_MOST_BYTES = 30e6  # of a workspace that holds half a megabyte
_BOUNDS = Bounds(_LONGEST / _SPEED, _MOST_MEMORY)

SERVED = "practice/practice-host"
_METHODS = {
    "download": ("ListDataFiles", "DownloadDataFile", "store", "store", "store"),
    "submit": (
        "GetCompetition",
        "ListSubmissions",
        "ListSubmissions",
        "GetSubmissionLimits",
        "StartSubmissionUpload",
        "upload",
        "CreateSubmission",
        "CreateSubmission",
        "GetSubmission",
        "DownloadLeaderboard",
        "GetLeaderboard",
    ),
    "standings": ("GetCompetition", "ListSubmissions", "DownloadLeaderboard", "GetLeaderboard"),
}


@dataclass(frozen=True)
class Order:
    """A fault for the next calls of a method."""

    method: str
    name: str
    fault: Fault
    times: int

    def __str__(self) -> str:
        return f"{self.method} {self.name} x{self.times}"


class _FaultyServer(KaggleServer):
    """Kaggle, with faults by the names of methods: each for its next calls, then the method is well again."""

    def __init__(self, host: PracticeHost, ordered: Sequence[Order]):
        super().__init__({NAME: host})
        self.refusals = [order.fault for order in ordered if order.name in REFUSALS]
        for order in ordered:
            self.fail_next(order.method, *[order.fault] * order.times)

    def respond(self, call: Call) -> Reply:
        """The correct response; a call that will be refused has no effect, as with the real host."""
        fault = next((fault for name, fault in self.faults if name == call.name), None)
        return Reply(429) if fault in self.refusals else super().respond(call)

    def send(self, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        """Send the response or the fault; one that does not fit this response is left out."""
        try:
            super().send(handler, call, reply)
        except (AssertionError, ValueError, TypeError, StopIteration):
            super().send(handler, call, reply)


@contextmanager
def serving(folder: Path, ordered: Sequence[Order]) -> Iterator[str]:
    """The address of a server in a process of its own, so that this one has no threads and can be forked."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            os.close(reading)
            with _FaultyServer(PracticeHost(COMPETITION, folder / NAME), ordered) as server:
                os.write(writing, server.address.encode())
                os.close(writing)
                threading.Event().wait()
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        address = pipe.read()
    try:
        yield address
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def prepare(folder: Path, _small: bool) -> None:
    """A workspace that has downloaded its data from an honest server."""
    create_world(folder / "fresh")
    ready = Trial("faults", 0, 0, folder / "ready", folder)
    copy_world(folder / "fresh", ready.folder)
    (ready.folder / "submission.csv").write_bytes(_submission(ready.folder / SERVED / NAME / "sample_submission.csv"))
    with serving(ready.folder / SERVED, []) as address:
        ended = ready.runner(NAME, "download", before=pointed_at(address, _PATIENT_SPEED))
    if ended.code:
        raise RuntimeError(ended.describe())


def _submission(sample: Path) -> bytes:
    """Not the sample itself: the first class is likely in every row."""
    return sample.read_bytes().replace(b"0.333333,0.333333,0.333333", b"0.8,0.1,0.1", 1)


def pointed_at(address: str, speed: float = _SPEED) -> Callable[[], None]:
    """What a child does first: use that server, an account of its own, and a fast clock."""

    def point() -> None:
        for name in ("NO_PROXY", "no_proxy", "KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_USERNAME", "KAGGLE_KEY"):
            os.environ.pop(name, None)
        os.environ.update({name: value.replace("ADDRESS", address) for name, value in _ENVIRONMENT.items()})
        clock.run_fast(speed)

    return point


class _Address:
    address = "ADDRESS"


_ENVIRONMENT = environment_for(_Address())  # type: ignore[arg-type]


def run(trial: Trial) -> None:
    """One of the three commands, under a few faults or under one that stays."""
    kind = trial.random.choice(sorted(_METHODS))
    ordered = _order(trial.random, kind)
    trial.outcome.title = f"{kind}: {', '.join(map(str, ordered))}"
    copy_world(trial.prepared / ("fresh" if kind == "download" else "ready"), trial.folder)
    if kind == "standings":
        _submit_before(trial)
    with serving(trial.folder / SERVED, ordered) as address:
        _call_under_faults(trial, kind, address)
    with serving(trial.folder / SERVED, []) as address:
        trial.require_done(_call(trial, kind, address, _PATIENT_SPEED), "the faults are over")
    _CHECKS[kind](trial)
    size = sum(path.lstat().st_size for path in trial.folder.rglob("*"))
    trial.must(size < _MOST_BYTES, Harm.BOUNDS, f"{size:,} bytes in the workspace")


def _order(chance: random.Random, kind: str) -> list[Order]:
    """A few faults for calls of the command."""
    ordered = []
    for _ in range(chance.randint(1, _MOST_FAULTS)):
        method = chance.choice(_METHODS[kind])
        known = {"store": STORE, "DownloadLeaderboard": {**BOARD, **SERVICE}}.get(method, SERVICE)
        name = chance.choice(sorted(known))
        ordered.append(Order(method, name, known[name](chance), chance.choice((1, 1, 1, 3, 8, 300))))
    return ordered


def _call(trial: Trial, kind: str, address: str, speed: float = _SPEED) -> Ended:
    words = {
        "download": (NAME, "download"),
        "submit": (NAME, "submit", "submission.csv", "-m", "hostile"),
        "standings": (NAME, "standings", "--refresh"),
    }[kind]
    ended = trial.runner(*words, before=pointed_at(address, speed), bounds=_BOUNDS)
    trial.must(ended.clock_seconds < _LONGEST, Harm.BOUNDS, f"{ended.clock_seconds:.0f} s: {ended.describe()}")
    return ended


def _call_under_faults(trial: Trial, kind: str, address: str) -> None:
    for _ in range(_MOST_CALLS):
        ended = _call(trial, kind, address)
        if ended.code == 0:
            return
        trial.outcome.hit = True
        trial.require_explained(ended)
        if trial.outcome.harms:
            return


def _submit_before(trial: Trial) -> None:
    with serving(trial.folder / SERVED, []) as address:
        trial.require_done(_call(trial, "submit", address, _PATIENT_SPEED), "the submission before the faults")


def _check_download(trial: Trial) -> None:
    expected, found = trial.prepared / "ready" / "data" / NAME, trial.folder / "data" / NAME
    for path in (path for path in expected.rglob("*") if path.is_file() and path.name != "manifest.json"):
        copy = found / path.relative_to(expected)
        same = copy.is_file() and copy.read_bytes() == path.read_bytes()
        trial.must(same, Harm.CHANGED if copy.is_file() else Harm.LOST, f"{copy.relative_to(trial.folder)}")


def check_submission(trial: Trial) -> None:
    sent = len(list((trial.folder / SERVED / NAME / "submissions").glob("*.json")))
    trial.must(sent <= 1, Harm.DOUBLED, f"submitted {sent} times")
    trial.must(sent >= 1, Harm.LOST, "never submitted")
    ledger = trial.folder / "submissions" / "ledger.csv"
    lines = ledger.read_text().splitlines()[1:] if ledger.exists() else []
    trial.must(len(lines) <= 1, Harm.DOUBLED, f"{len(lines)} lines in the ledger: {lines}")
    trial.must(len(lines) == 1 and ",complete,1," in lines[0], Harm.LOST, f"the ledger: {lines}")


_CHECKS = {"download": _check_download, "submit": check_submission, "standings": check_submission}

ATTACK = Attack("faults", 300, run, prepare)
