"""The disk space of the image cache: bounded; the folders unused longest are evicted first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where there is no image cache either
    fcntl = None  # type: ignore[assignment]

# Of the disk this much stays free, whatever the bound.
RESERVE_BYTES = 2 * 10**9
# The disk is measured before every N-th image, and before each one once less than this is left: several
# processes write.
_MEASURE_EVERY = 64
_LOW_BYTES = 64 * 10**6


class CacheBudget:
    """The bytes that one process may still write into one cache folder; it locks the folder while it lives."""

    def __init__(self, folder: Path, max_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes, self._reserve_bytes = folder, max_bytes, reserve_bytes
        self._lock = _SharedLock(folder)
        self._left, self._taken, self._open = 0, 0, True

    def take(self, count: int) -> bool:
        """Whether `count` more bytes may be written."""
        if self._open and (self._left < _LOW_BYTES or self._taken % _MEASURE_EVERY == 0):
            free = shutil.disk_usage(self._folder).free
            self._left = min(self._max_bytes - disk_usage(self._folder.parent), free - self._reserve_bytes)
        self._taken += 1
        self._left -= count
        self._open = self._open and self._left >= 0
        return self._open

    def close(self) -> None:
        """Allow no more bytes."""
        self._open = False


class _SharedLock:
    """A shared lock on a folder; the system releases it when the last process that holds it ends.

    A killed worker needs no clean-up.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._acquire()

    def __getstate__(self) -> Path:
        return self._folder

    def __setstate__(self, folder: Path) -> None:
        self._folder = folder
        self._acquire()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _acquire(self) -> None:
        self._file = os.open(_lock_file(self._folder), os.O_RDWR | os.O_CREAT, 0o666)
        os.utime(_lock_file(self._folder))
        fcntl.flock(self._file, fcntl.LOCK_SH)


def evict_unused(folder: Path, max_bytes: int, *, expected: int) -> None:
    """Remove unlocked folders beside `folder`, the longest unused first, until its `expected` bytes fit."""
    others = [path for path in folder.parent.iterdir() if path != folder and path.is_dir()]
    for path in sorted(others, key=_last_use):
        if disk_usage(folder.parent) - _used(folder) + min(max(expected, _used(folder)), max_bytes) <= max_bytes:
            break
        _remove_unlocked(path)


def disk_usage(cache_dir: Path) -> int:
    """Bytes that all folders of a cache take on the disk; holes take none."""
    return sum(_used(path) for path in cache_dir.iterdir())


def _used(folder: Path) -> int:
    try:
        return sum(entry.stat().st_blocks * 512 for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _lock_file(folder: Path) -> Path:
    return folder / "lock"


def _last_use(folder: Path) -> float:
    return _lock_file(folder).stat().st_mtime if _lock_file(folder).exists() else 0.0


def _remove_unlocked(folder: Path) -> None:
    file = os.open(_lock_file(folder), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # another training reads from it
    finally:
        os.close(file)
