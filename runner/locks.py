"""Locks between processes: a file has one writer at a time, and who is refused is told who that is.

A lock is the system's own (flock) on a small file that names its holder. The system releases it when the holder ends,
however it ends: a killed process leaves nothing to clean up. A disk without such locks is told of once; there the
file itself is the lock, and that of a dead process of this machine is taken over.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.console import log
from runner.errors import InUseError

try:
    import fcntl
except ImportError:  # Windows: the file itself is the lock
    fcntl = None  # type: ignore[assignment]

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
_POLL_SECONDS = 0.05
_SILENT_SECONDS = 2.0  # a wait longer than that is told
_WRITING_SECONDS = 10.0  # after so long a lock file without a holder is nobody's


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    process: int
    host: str
    since: str
    command: str

    @classmethod
    def current(cls, command: str) -> Holder:
        """This process, from now on."""
        return cls(os.getpid(), host_name(), time.strftime("%Y-%m-%d %H:%M:%S"), command)

    def __str__(self) -> str:
        return f"{self.command or 'another command'} (process {self.process} on {self.host}, since {self.since})"

    @property
    def may_live(self) -> bool:
        """False if it was a process of this machine that has ended."""
        return self.host != host_name() or may_live(self.process)


def may_live(process: int) -> bool:
    """False if there is no process of that number on this machine."""
    if os.name == "nt":  # there the call would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@dataclass
class _Held:
    file: int
    shared: bool


_held: dict[tuple[Path, int], _Held] = {}  # by path and thread
_told: set[str] = set()  # warnings that were given


@contextmanager
def hold(path: Path, command: str, *, what: str, fix: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock for the block, or raise an InUseError that says who has it: it is for long work.

    A shared lock has any number of holders, and excludes the others. A block inside a block that holds the same lock
    goes on at once.
    """
    if _is_held(path, shared):
        yield
        return
    file = _acquire(path, command, shared)
    if file is None:
        holder = read_holder(path)
        by = str(holder) if holder else "another command"
        stop = f", or end it with `kill {holder.process}`" if holder and holder.host == host_name() else ""
        raise InUseError(f"{what} is in use by {by}", where=path, fix=f"wait until it has ended{stop}; {fix}")
    with _kept(path, file, shared):
        yield


@contextmanager
def wait_for(path: Path, command: str = "") -> Iterator[None]:
    """Hold a lock for the block, after whoever has it now: for work that two want done, and only once."""
    if _is_held(path, shared=False):
        yield
        return
    told, silent_until = False, time.monotonic() + _SILENT_SECONDS
    while (file := _acquire(path, command, shared=False)) is None:
        if not told and time.monotonic() > silent_until:
            told = True
            log.info(f"waiting for {read_holder(path) or 'another command'}")
        time.sleep(_POLL_SECONDS)
    with _kept(path, file, shared=False):
        yield


def read_holder(path: Path) -> Holder | None:
    """Who has the lock, as the lock file names it; None if that cannot be told."""
    import json  # here: `--help` needs none of it

    try:
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    holders = []
    for line in lines:
        with suppress(ValueError, TypeError, RecursionError):
            holders.append(Holder(**json.loads(line)))
    living = [holder for holder in holders if holder.may_live]
    others = [holder for holder in living if (holder.process, holder.host) != (os.getpid(), host_name())]
    chosen = others or living or holders
    return chosen[-1] if chosen else None


def host_name() -> str:
    """The name of this machine."""
    import socket  # here: `--help` needs no lock

    return socket.gethostname()


def _is_held(path: Path, shared: bool) -> bool:
    held = _held.get((path, threading.get_ident()))
    return held is not None and (shared or not held.shared)


@contextmanager
def _kept(path: Path, file: int, shared: bool) -> Iterator[None]:
    key = path, threading.get_ident()
    _held[key] = _Held(file, shared)
    try:
        yield
    finally:
        if _held.pop(key, None):  # not in a forked child that leaves the block
            _release(path, file, shared)


def _acquire(path: Path, command: str, shared: bool) -> int | None:
    """The lock's open file; None if another has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _lock_by_name(path) if fcntl is None else _lock(path, shared)
    if file is not None:
        _write_holder(file, command, keep_others=shared)
    return file


def _lock(path: Path, shared: bool) -> int | None:
    while True:
        created = _create(path)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666) if created is None else created
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except OSError as error:
            if error.errno in _UNSUPPORTED and created is not None:
                return created
            os.close(file)
            if error.errno in _UNSUPPORTED:
                return _lock_by_name(path)
            raise
        if _is_still_there(path, file):
            return file
        os.close(file)  # its last holder removed it in this moment


def _lock_by_name(path: Path) -> int | None:
    """The lock of a disk without locks: whoever makes the file has it."""
    _warn_once(f"the disk of {path.parent} has no file locks: commands of other machines are noticed by files alone")
    with suppress(FileNotFoundError):
        holder, age = read_holder(path), time.time() - path.stat().st_mtime
        if (holder is None and age > _WRITING_SECONDS) or (holder is not None and not holder.may_live):
            path.unlink(missing_ok=True)
    return _create(path)


def _create(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None


def _write_holder(file: int, command: str, *, keep_others: bool) -> None:
    import json

    line = json.dumps(asdict(Holder.current(command))) + "\n"
    with suppress(OSError):  # on a full disk the lock counts without a name
        if keep_others:
            os.lseek(file, 0, os.SEEK_END)
        else:
            os.ftruncate(file, 0)
        os.write(file, line.encode())


def _release(path: Path, file: int, shared: bool) -> None:
    if os.name == "nt":  # Windows removes no file that is open
        os.close(file)
        path.unlink(missing_ok=True)
        return
    try:
        if shared:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if there are other holders
        if _is_still_there(path, file):
            path.unlink()
    except OSError:
        pass  # the lock is released by closing it; the file may stay
    finally:
        os.close(file)


def _is_still_there(path: Path, file: int) -> bool:
    """Whether the path still names this open file."""
    try:
        found, own = path.stat(), os.fstat(file)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)


def _warn_once(text: str) -> None:
    if text not in _told:
        _told.add(text)
        log.warning(text)


def _forget_in_child() -> None:
    # A forked data-loading worker must not keep the lock of a parent that was killed.
    for held in _held.values():
        with suppress(OSError):
            os.close(held.file)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
