"""Archives unpacked safely: checked whole before anything is written, and counted while it is."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from runner.archives.disk_space import format_bytes, free_bytes, require_free
from runner.archives.names import check_collisions, is_junk, safe_path
from runner.archives.readers import (
    CorruptArchiveError,
    EncryptedArchiveError,
    Kind,
    Member,
    Output,
    Reader,
    kind_of,
    open_archive,
)
from runner.console import Advance, progress
from runner.errors import ArchiveError, DataError, RunnerError

# Up to here nothing counts as a bomb. A sample submission packs 400 to 1, and is a few megabytes.
_HARMLESS = 256 * 2**20
_MAX_RATIO = 200
_MAX_MEMBERS = 2_000_000
_AGAIN = "run the same command again"

_NOT_UNPACKED_HERE = {
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"PK\x07\x08": "one part of a zip in several parts",
}


class UnsafeArchiveError(Exception):
    """The archive would do what no honest one does."""


@dataclass
class ExtractionLimit:
    """What may still be unpacked: shared by an archive and all that lie within it."""

    size: int
    members: int = _MAX_MEMBERS

    @classmethod
    def of(cls, packed: int) -> ExtractionLimit:
        """Ample for honest archives of `packed` bytes in all, and soon used up by a bomb."""
        return cls(size=max(_HARMLESS, packed * _MAX_RATIO))

    def charge(self, size: int, members: int = 0) -> None:
        """Take this much off."""
        if size > self.size or members > self.members:
            raise UnsafeArchiveError(f"it unpacks to {format_bytes(size)} in {members} files, as only a bomb does")
        self.size -= size
        self.members -= members


def declared_size(archive: Path, *, again: str = _AGAIN) -> int:
    """The bytes that an archive says it unpacks to; for a single compressed file no more than a guess."""
    with _opened(archive, again) as reader:
        sizes = [member.size for member in reader.members]
    return sum(4 * archive.stat().st_size if size is None else size for size in sizes)


def unpack(archive: Path, target: Path, *, allowance: ExtractionLimit | None = None, again: str = _AGAIN) -> None:
    """Unpack one archive into a new folder: everything in it, or nothing.

    Archives within it are left as they are. `again` is the command that a fix ends in.
    """
    if allowance is None:
        allowance = ExtractionLimit.of(archive.stat().st_size)
    with _opened(archive, again) as reader:
        members = [member for member in reader.members if not is_junk(member.name)]
        _check(members)
        size = sum(member.size or 0 for member in members)
        allowance.charge(size, len(members))
        require_free(target, size, f"unpack {archive.name}", again)
        target.mkdir(parents=True)
        try:
            _write(reader, members, target, allowance)
        except BaseException:
            shutil.rmtree(target)
            raise


def _check(members: Sequence[Member]) -> None:
    """The first reason why an archive cannot be honest, if there is one."""
    for member in members:
        if member.special:
            raise UnsafeArchiveError(f"{member.name!r} in it is {member.special}")
    try:
        check_collisions((safe_path(member.name), member.is_folder) for member in members)
    except ValueError as reason:
        raise UnsafeArchiveError(f"in it, {reason}") from reason


def _write(reader: Reader, members: Sequence[Member], target: Path, allowance: ExtractionLimit) -> None:
    landing = _Extraction(target, members, allowance)
    total = None if landing.unknown else sum(member.size or 0 for member in members)
    with progress(f"unpacking {target.name}", total, "B") as advance:
        landing.advance = advance
        try:
            reader.extract(landing.open, target)
        finally:
            landing.release()
    if landing.unknown:
        allowance.charge(landing.written)


class _Extraction:
    """The folder that an archive lands in, made ready for each of its members."""

    def __init__(self, target: Path, members: Sequence[Member], allowance: ExtractionLimit):
        self._target = target
        self._sizes = {safe_path(member.name): member.size for member in members if not member.is_folder}
        self._most = min(allowance.size, free_bytes(target))
        self._open: _File | None = None
        self.unknown = None in self._sizes.values()
        self.written = 0
        self.advance: Advance = lambda _amount: None
        folders = [safe_path(member.name) for member in members if member.is_folder]
        for folder in {*folders, *(place.parent for place in self._sizes)}:
            (target / folder).mkdir(parents=True, exist_ok=True)

    def open(self, name: str) -> Output:
        if is_junk(name):
            return _Discard()
        place = PurePosixPath(name)
        self._open = _File(self._target / place, self._sizes[place], self)
        return self._open

    def limit_of(self, size: int | None) -> int:
        return self._most if size is None else size

    def count(self, amount: int) -> None:
        self.written += amount
        self.advance(amount)

    def release(self) -> None:
        if self._open:
            self._open.handle.close()


class _Discard:
    """Takes in what nobody wants."""

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


@dataclass
class _File:
    """A file being unpacked. What really arrives is counted, whatever the header said."""

    path: Path
    size: int | None
    landing: _Extraction
    written: int = 0
    handle: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.handle = self.path.open("xb")  # x: never over what is there, nor through a link

    def write(self, data: bytes) -> int:
        self.written += len(data)
        limit = self.landing.limit_of(self.size)
        if self.written > limit:
            raise UnsafeArchiveError(f"{self.path.name!r} in it goes on after the {format_bytes(limit)} it may have")
        self.landing.count(len(data))
        return self.handle.write(data)

    def close(self) -> None:
        self.handle.close()
        if self.size is not None and self.written != self.size:
            raise CorruptArchiveError(f"{self.path.name!r} in it has {self.written} of {self.size} bytes")


@contextmanager
def _opened(archive: Path, again: str) -> Iterator[Reader]:
    """The archive's reader; every way in which it can fail is told with its fix."""
    kind = kind_of(archive)
    if kind is None:
        raise _not_an_archive(archive, again)
    try:
        with open_archive(archive, kind) as reader:
            yield reader
    except RunnerError:
        raise
    except Exception as error:  # the libraries raise anything at all on bytes that they do not expect
        raise _explained(archive, kind, error, again) from error


def _explained(archive: Path, kind: Kind, error: Exception, again: str) -> RunnerError:
    name, fresh = archive.name, f"get a fresh copy of it, then: {again}"
    if isinstance(error, UnsafeArchiveError):
        fix = f"do not trust it; take the one from the competition's own page, then: {again}"
        return ArchiveError(f"{name} is refused: {error}", where=archive, fix=fix)
    if isinstance(error, EncryptedArchiveError):
        fix = f"unpack it with its password, put what was in it in its place, then: {again}"
        return ArchiveError(f"{name} wants a password", where=archive, fix=fix)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DataError(f"the disk filled up while {name} was unpacked", fix=f"make room, then: {again}")
    if isinstance(error, OSError) and error.errno:
        fix = f"mend that, then: {again}"
        return ArchiveError(f"{name} cannot be unpacked: {error.strerror}", where=error.filename, fix=fix)
    if "Unsupported" in type(error).__name__ or isinstance(error, NotImplementedError):
        fix = f"unpack it with another program, put what was in it in its place, then: {again}"
        return ArchiveError(f"{name} is a {kind.value} packed in a way unknown here: {error}", where=archive, fix=fix)
    detail = str(error) or type(error).__name__
    return ArchiveError(f"{name} is a {kind.value} cut off or damaged: {detail}", where=archive, fix=fresh)


def _not_an_archive(path: Path, again: str) -> ArchiveError:
    with path.open("rb") as handle:
        head = handle.read(512)
    for magic, title in _NOT_UNPACKED_HERE.items():
        if head.startswith(magic):
            fix = f"unpack it with another program, put what was in it in its place, then: {again}"
            return ArchiveError(f"{path.name} is {title}: not unpacked here", where=path, fix=fix)
    return ArchiveError(
        f"{path.name} is not an archive but {_title_of(head)}",
        where=path,
        fix=f"get a fresh copy of it, then: {again}",
    )


def _title_of(head: bytes) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "an empty file"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "an HTML page, as a sign-in or error page saved under its name"
    if not start.strip(b"\0"):
        return "a file of zeros, as a broken-off download leaves"
    return "a text" if b"\0" not in head and head.isascii() else "a file of another kind"
