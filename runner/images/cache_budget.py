"""How much of the disk small images may take: held to a bound; what was unused longest goes first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# Of the disk this much is left to everything else, whatever the bound.
_SPARE = 2 * 10**9
# With less left than this, it is measured before every image: several processes write.
_LITTLE = 64 * 10**6
_MEASURE_EVERY = 64


class CacheBudget:
    """What one process may still write into one folder of images. The folder is in use as long as this lives."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._limit = folder, limit
        self._in_use = _InUse(folder)
        self._left, self._asked, self._open = 0, 0, True

    def has(self, count: int) -> bool:
        """Whether so many bytes more may be written."""
        if self._open and (self._left < _LITTLE or self._asked % _MEASURE_EVERY == 0):
            free = shutil.disk_usage(self._folder).free
            self._left = min(self._limit - used_by(self._folder.parent), free - _SPARE)
        self._asked += 1
        self._left -= count
        self._open = self._open and self._left >= 0
        return self._open

    def close(self) -> None:
        """Nothing more is written."""
        self._open = False


class _InUse:
    """A mark on a folder that it is in use; the system takes it away when the last process that has it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock()

    def __getstate__(self) -> Path:
        return self._folder

    def __setstate__(self, folder: Path) -> None:
        self._folder = folder
        self._lock()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _lock(self) -> None:
        import fcntl

        self._file = os.open(_sign(self._folder), os.O_RDWR | os.O_CREAT, 0o666)
        os.utime(_sign(self._folder))
        fcntl.flock(self._file, fcntl.LOCK_SH)


def evict_unused(folder: Path, limit: int, wanted: int) -> CacheBudget:
    """Room for a folder that wants so many bytes: other folders that are not in use go, the longest unused first."""
    room = CacheBudget(folder, limit)
    others = [path for path in folder.parent.iterdir() if path != folder and path.is_dir()]
    for other in sorted(others, key=_last_use):
        if used_by(folder.parent) - _used(folder) + min(max(wanted, _used(folder)), limit) <= limit:
            break
        _remove_unused(other)
    return room


def used_by(folder: Path) -> int:
    """Bytes that all images below a folder take on the disk; holes take none."""
    return sum(_used(path) for path in folder.iterdir())


def _used(folder: Path) -> int:
    try:
        return sum(entry.stat().st_blocks * 512 for entry in os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _sign(folder: Path) -> Path:
    return folder / "in-use"


def _last_use(folder: Path) -> float:
    return _sign(folder).stat().st_mtime if _sign(folder).exists() else 0.0


def _remove_unused(folder: Path) -> None:
    import fcntl

    file = os.open(_sign(folder), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # another training reads from it
    finally:
        os.close(file)
