"""Locks between processes: who is refused, what it is told, and what a killed holder leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner import locks
from runner.errors import InUseError
from runner.locks import Holder, hold, read_holder, wait_for

_HOLDER = """
import sys, pathlib
from runner.locks import hold
with hold(pathlib.Path(sys.argv[1]), "runner planet train", what="it", fix="", shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""
# Holds the lock, forks a child that outlives it, and is killed.
_FORKING = """
import os, signal, sys, time, pathlib
from runner.locks import hold
with hold(pathlib.Path(sys.argv[1]), "", what="it", fix=""):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, b"started")
        os.read(0, 1)
        os._exit(0)
    os.read(reading, 1)
    os.kill(os.getpid(), signal.SIGKILL)
"""

StartHolder = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / ".run.lock"


@pytest.fixture
def start_holder(lock: Path) -> Iterator[StartHolder]:
    """Start a process that holds the lock until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(*, shared: bool = False) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", _HOLDER, str(lock), "shared" if shared else ""]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def hold_it(lock: Path, *, shared: bool = False) -> None:
    with hold(lock, "runner planet predict", what="run a", fix="another name", shared=shared):
        pass


def test_the_second_is_told_who_holds_the_lock_and_what_to_do(lock: Path, start_holder: StartHolder) -> None:
    holder = start_holder()
    with pytest.raises(InUseError) as caught:
        hold_it(lock)
    found = read_holder(lock)
    assert found is not None and found.process == holder.pid
    assert caught.value.message == (
        f"run a is in use by runner planet train (process {holder.pid} on {found.host}, since {found.since})"
    )
    assert caught.value.fix == f"wait until it has ended, or end it with `kill {holder.pid}`; another name"


def test_a_lock_is_free_and_its_file_gone_when_the_holder_ends(lock: Path, start_holder: StartHolder) -> None:
    start_holder().communicate()
    assert not lock.exists()
    hold_it(lock)
    assert not lock.exists()


def test_the_lock_of_a_killed_holder_is_taken_over(lock: Path, start_holder: StartHolder) -> None:
    holder = start_holder()
    holder.kill()
    holder.wait()
    assert lock.exists()
    hold_it(lock)


def test_a_forked_child_of_a_killed_holder_does_not_keep_the_lock(lock: Path) -> None:
    lock.parent.mkdir()
    with subprocess.Popen([sys.executable, "-c", _FORKING, str(lock)], stdin=subprocess.PIPE) as forking:
        assert forking.wait() == -signal.SIGKILL
        hold_it(lock)  # while the child lives, which ends with its input


def test_readers_share_a_lock_and_keep_a_writer_out(lock: Path, start_holder: StartHolder) -> None:
    first = start_holder(shared=True)
    second = start_holder(shared=True)
    hold_it(lock, shared=True)
    first.communicate()
    with pytest.raises(InUseError, match=f"process {second.pid} "):
        hold_it(lock)
    second.communicate()
    hold_it(lock)
    assert not lock.exists()


def test_a_block_inside_a_block_goes_on_and_keeps_the_lock(lock: Path) -> None:
    with hold(lock, "", what="run a", fix=""):
        hold_it(lock)
        hold_it(lock, shared=True)
        with wait_for(lock):
            pass
        refused: list[bool] = []

        def other_thread() -> None:
            with pytest.raises(InUseError):
                hold_it(lock)
            refused.append(True)

        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        assert refused


def test_waiting_ends_when_the_holder_does(lock: Path, start_holder: StartHolder) -> None:
    holder, ending = start_holder(), threading.Event()
    timer = threading.Timer(0.2, lambda: (ending.set(), holder.communicate()))
    timer.start()
    with wait_for(lock):
        assert ending.is_set()
    timer.join()


def test_a_long_wait_is_told(
    lock: Path, start_holder: StartHolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = start_holder()
    monkeypatch.setattr(locks, "_SILENT_SECONDS", 0.0)
    timer = threading.Timer(0.3, holder.communicate)
    timer.start()
    with wait_for(lock):
        pass
    timer.join()
    assert f"waiting for runner planet train (process {holder.pid} " in capsys.readouterr().err


@pytest.mark.parametrize("junk", [b"", b"\xff\x00", b"{", b"[" * 100_000, b'{"process": 1}\n', b"null\n"])
def test_a_lock_file_with_junk_is_no_obstacle(lock: Path, junk: bytes) -> None:
    lock.parent.mkdir()
    lock.write_bytes(junk)
    assert read_holder(lock) is None
    hold_it(lock)


class TestDiskWithoutLocks:
    """The file itself is the lock."""

    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_file: int, _operation: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(locks.fcntl, "flock", refuse)
        monkeypatch.setattr(locks, "_told", set())

    def write_holder(self, lock: Path, process: int, host: str | None = None) -> None:
        here = Holder.current("")
        lock.parent.mkdir()
        text = f'{{"process": {process}, "host": "{host or here.host}", "since": "then", "command": "x"}}\n'
        lock.write_text(text)

    def test_it_is_held_and_released(self, lock: Path) -> None:
        with hold(lock, "", what="run a", fix=""):
            assert lock.exists()
        assert not lock.exists()

    def test_a_living_holder_keeps_others_out_and_the_user_is_warned_once(
        self, lock: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.write_holder(lock, os.getppid())
        for _ in range(2):
            with pytest.raises(InUseError, match=f"process {os.getppid()} "):
                hold_it(lock)
        assert capsys.readouterr().err.count("has no file locks") == 1

    def test_a_dead_holder_is_taken_over(self, lock: Path) -> None:
        ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        self.write_holder(lock, int(ended.stdout))
        hold_it(lock)

    def test_the_holder_of_another_machine_is_believed(self, lock: Path) -> None:
        self.write_holder(lock, 1, host="elsewhere")
        with pytest.raises(InUseError, match="on elsewhere"):
            hold_it(lock)

    def test_a_file_that_its_writer_never_filled_is_nobodys_after_a_while(self, lock: Path) -> None:
        lock.parent.mkdir()
        lock.write_bytes(b"")
        with pytest.raises(InUseError):
            hold_it(lock)
        os.utime(lock, (0, 0))
        hold_it(lock)
