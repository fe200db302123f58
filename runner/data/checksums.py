"""The SHA-256 of every file of the data, as it arrived: what a network learns from is compared with it when it is read.

`checksums.txt` has the form that `sha256sum --check` reads. Data that came before there was such a file is read without
a comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.commands import command
from runner.console import progress
from runner.data.source import is_rehearsal, redownload_command
from runner.errors import DataError
from runner.workspace import write_text

CHECKSUMS = "checksums.txt"
# Threads wait for the disk; the hashing itself leaves the interpreter's lock.
_THREADS = 8
_CHUNK_BYTES = 1 << 20
_LINE_START = 66  # 64 digits and two blanks

Digests = NDArray[np.void]


def write_checksums(folder: Path, paths: Iterable[str]) -> None:
    """Write the checksums of these files, paths relative to the folder."""
    names = sorted(paths)
    with progress("computing checksums", len(names)) as advance, ThreadPoolExecutor(_THREADS) as threads:
        lines = []
        for name, digest in zip(names, threads.map(lambda name: file_digest(folder / name), names), strict=True):
            lines.append(f"{digest.hex()}  {_escaped(name)}\n")
            advance(1)
    write_text(folder / CHECKSUMS, "".join(lines))
    _read.cache_clear()


def file_digest(path: Path) -> bytes:
    """The SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def expected_digests(folder: Path, paths: Sequence[str]) -> Digests | None:
    """The checksum of each path, zeros where it is not known; None if no checksum is known."""
    known = read_checksums(folder)
    if not known:
        return None
    missing = bytes(32)
    return np.frombuffer(b"".join(known.get(path, missing) for path in paths), dtype="V32")


def read_checksums(folder: Path) -> dict[str, bytes]:
    """The checksum of each file by its path; none if the data has no list. DataError if the list is damaged."""
    path = folder / CHECKSUMS
    try:
        status = path.stat()
    except OSError:
        return {}
    return _read(path, status.st_size, status.st_mtime_ns)


@cache
def _read(path: Path, _size: int, _changed: int) -> dict[str, bytes]:
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        return {_unescaped(line[_LINE_START:]): bytes.fromhex(line[:64]) for line in lines}
    except ValueError as error:
        raise DataError(
            "the list of checksums is damaged", where=path, fix=f"`{redownload_command(path.parent)}`"
        ) from error


def require_same(path: Path, digest: bytes, expected: bytes, folder: Path) -> None:
    """Raise a DataError if the file has another checksum than when it arrived; zeros are not compared."""
    if digest == expected or not any(expected):
        return
    accept = command(folder.name, "download", "--accept-changes")
    choice = "" if is_rehearsal(folder) else f"; if the change is wanted: `{accept}`"
    raise DataError(
        f"the file is not the one in {CHECKSUMS}: it has changed since it was downloaded",
        where=path,
        fix=f"to get it again: `{redownload_command(folder)}`{choice}",
    )


def changed_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of these files that have another checksum than when they arrived."""
    known = read_checksums(folder)
    return [
        name
        for name in names
        if name in known and (folder / name).is_file() and file_digest(folder / name) != known[name]
    ]


def replaced_files(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of these files that were written after the list of checksums, and differ from it: cheap for the rest."""
    try:
        listed = (folder / CHECKSUMS).stat().st_ctime_ns
    except OSError:
        return []
    return changed_files(folder, (name for name in names if _changed_at(folder / name) > listed))


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0


def digest_of_files(folder: Path, names: Sequence[str]) -> str:
    """One digest of the checksums of these files; empty if they are not known."""
    expected = expected_digests(folder, names)
    return "" if expected is None else hashlib.sha256(expected.tobytes()).hexdigest()[:32]


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescaped(name: str) -> str:
    return name.replace("\\r", "\r").replace("\\n", "\n").replace("\\\\", "\\") if "\\" in name else name
