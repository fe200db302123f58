"""How much room is left on the disk, asked before anything large is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from runner.errors import DataError

# A disk filled to the last byte takes the rest of the machine down with it.
RESERVE = 64 * 2**20


def free_bytes(folder: Path) -> int:
    """What may still be written in this folder, or in the one it will be made in."""
    while not folder.exists():
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - RESERVE)


def require_free(folder: Path, needed: int, purpose: str, again: str) -> None:
    """Stop unless the disk has room for `needed` bytes."""
    free = free_bytes(folder)
    if needed > free:
        raise DataError(
            f"the disk is too full to {purpose}: {format_bytes(needed)} needed, {format_bytes(free)} free",
            where=folder,
            fix=f"make room, or choose another disk with --workspace DIR, then: {again}",
        )


def format_bytes(size: int) -> str:
    """A number of bytes as a person says it."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
