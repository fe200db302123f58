"""A write that fails for want of space: one error for all of its causes, with the path and how much is missing."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.commands import TYPED
from runner.errors import RunnerError

_SPACE_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this disk, or a limit such as `ulimit -f`, allows",
}
# Below this, a short write that comes without a reason is one of a full disk.
_NEARLY_FULL = 2**16
_RETRY = TYPED


class DiskFullError(RunnerError):
    """A file could not be written for want of space."""


@contextmanager
def telling_full_disk(
    path: Path, *, size: int | None = None, part: Path | None = None, retry_command: str = _RETRY
) -> Iterator[None]:
    """Errors of a full disk in the block as a DiskFullError about `path`.

    `size` is that of the whole file, as far as it is known; `part` is the file that is written, if not `path` itself.
    """
    try:
        yield
    except RunnerError:
        raise
    except Exception as error:  # numpy and safetensors have errors of their own for it
        reason = full_disk_reason(error, path)
        if reason is None:
            raise
        raise full_disk_error(reason, path, size=size, part=part, retry_command=retry_command) from error


def full_disk_reason(error: Exception, path: Path | None = None) -> str | None:
    """Why nothing more could be written; None if the error is of another kind."""
    number = error.errno if isinstance(error, OSError) else _errno_in(str(error))
    if number is None and isinstance(error, OSError) and path is not None and _free_bytes(path) < _NEARLY_FULL:
        number = errno.ENOSPC  # numpy tells a short write without its reason
    return _SPACE_ERRORS.get(number or 0)


def full_disk_error(
    reason: str,
    path: str | Path | None,
    *,
    size: int | None = None,
    part: Path | None = None,
    retry_command: str = _RETRY,
) -> DiskFullError:
    """The error, with how much is missing: exactly if the size is known, else by what could be written."""
    from rich.filesize import decimal  # here: `--help` needs none of it

    message = reason
    if path is not None:
        file = part or Path(path)
        written, free = file.stat().st_size if file.is_file() else 0, _free_bytes(Path(path))
        missing = None if size is None else max(size - written - free, 0)
        amount = f"{decimal(missing)} of {decimal(size or 0)} are missing" if missing else f"{decimal(free)} are free"
        if written and not missing:
            amount = f"it could not be written beyond {decimal(written)}; {amount}"
        message = f"{reason}: {Path(path).name}: {amount}"
    fix = f"free some space, or choose another disk with --workspace DIR, then: `{retry_command}`"
    return DiskFullError(message, where=path, fix=fix)


def _errno_in(text: str) -> int | None:
    """The error number in a message of a library written in Rust or C++."""
    found = re.search(r"os error (\d+)|No space left on device", text)
    if not found:
        return None
    return int(found[1]) if found[1] else errno.ENOSPC


def _free_bytes(path: Path) -> int:
    folder = path
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
