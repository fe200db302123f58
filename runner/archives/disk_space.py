"""Free disk space, checked before anything large is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.filesize import decimal

from runner.errors import DataError

# A disk filled to the last byte stops everything else on the computer.
RESERVE = 64 * 2**20


def free_bytes(folder: Path) -> int:
    """The bytes that may still be written to this folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - RESERVE)


def require_free(folder: Path, needed: int, purpose: str, retry_command: str) -> None:
    """Raise a DataError unless the disk has room for `needed` bytes."""
    free = free_bytes(folder)
    if needed > free:
        raise DataError(
            f"the disk is too full to {purpose}: {decimal(needed)} needed, {decimal(free)} free",
            where=folder,
            fix=f"free some space, or choose another disk with --workspace DIR, then: `{retry_command}`",
        )
