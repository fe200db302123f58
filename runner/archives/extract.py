"""Safe extraction: every member is checked before anything is written, and what is written is counted."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from rich.filesize import decimal

from runner.archives.content import HEAD, title_of
from runner.archives.disk_space import free_bytes, require_free
from runner.archives.names import check_collisions, is_junk, join_fix, safe_path, whole_name
from runner.archives.readers import (
    ArchiveKind,
    CorruptArchiveError,
    DiscardOutput,
    EncryptedArchiveError,
    Member,
    Output,
    Reader,
    kind_of,
    open_archive,
)
from runner.commands import TYPED
from runner.console import Advance, progress
from runner.errors import ArchiveError, RunnerError
from runner.full_disk import telling_full_disk

# Bytes below which nothing counts as a bomb. A sample submission packs 400 to 1, and has a few megabytes.
_HARMLESS = 256 * 2**20
_MAX_RATIO = 200
_MAX_MEMBERS = 2_000_000
_RETRY = TYPED

_UNSUPPORTED = {
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"PK\x07\x08": "one part of a zip in several parts",
}


class UnsafeArchiveError(Exception):
    """The archive would write outside its folder, or fill the disk."""


@dataclass
class ExtractionLimit:
    """The bytes and files that may still be extracted: shared by an archive and all archives in it."""

    size: int
    members: int = _MAX_MEMBERS

    @classmethod
    def of(cls, packed_size: int) -> ExtractionLimit:
        """Ample for real archives of `packed_size` bytes in all, and soon used up by a zip bomb."""
        return cls(size=max(_HARMLESS, packed_size * _MAX_RATIO))

    def charge(self, size: int, members: int = 0) -> None:
        """Subtract what is extracted; UnsafeArchiveError if it is too much."""
        if size > self.size or members > self.members:
            raise UnsafeArchiveError(f"its content is {decimal(size)}, more than is allowed: probably a zip bomb")
        self.size -= size
        self.members -= members


def declared_size(archive: Path, *, retry_command: str = _RETRY) -> int:
    """The extracted size of an archive in bytes by its headers; for a single compressed file a guess."""
    with _opened(archive, retry_command) as reader:
        sizes = [member.size for member in reader.members]
    return sum(4 * archive.stat().st_size if size is None else size for size in sizes)


def list_archive(archive: Path, *, retry_command: str = _RETRY) -> tuple[str, ...]:
    """The names of the files in an archive; an ArchiveError if it is not safe to extract."""
    with _opened(archive, retry_command) as reader:
        members = [member for member in reader.members if not is_junk(member.name)]
        _check(members)
        return tuple(member.name for member in members if not member.is_folder)


def extract_archive(
    archive: Path,
    target: Path,
    *,
    names: Collection[str] | None = None,
    limit: ExtractionLimit | None = None,
    retry_command: str = _RETRY,
) -> None:
    """Extract an archive, or the files of these names, into a new folder: all of them, or nothing.

    Archives in it stay as they are. `retry_command` is the command that a fix ends with.
    """
    if limit is None:
        limit = ExtractionLimit.of(archive.stat().st_size)
    with _opened(archive, retry_command) as reader:
        members = [member for member in reader.members if not is_junk(member.name)]
        _check(members)
        if names is not None:
            members = [member for member in members if member.name in names]
        size = sum(member.size or 0 for member in members)
        limit.charge(size, len(members))
        require_free(target, size, f"extract {archive.name}", retry_command)
        target.mkdir(parents=True)
        try:
            _write(reader, members, target, limit, names)
        except BaseException:
            shutil.rmtree(target)
            raise


def _check(members: Sequence[Member]) -> None:
    """Raise an UnsafeArchiveError with the first reason not to trust the archive, if there is one."""
    for member in members:
        if member.special:
            raise UnsafeArchiveError(f"{member.name!r} in it is {member.special}")
    try:
        check_collisions((safe_path(member.name), member.is_folder) for member in members)
    except ValueError as error:
        raise UnsafeArchiveError(f"in it, {error}") from error


def _write(
    reader: Reader, members: Sequence[Member], target: Path, limit: ExtractionLimit, names: Collection[str] | None
) -> None:
    extraction = _Extraction(target, members, limit)
    total = None if extraction.has_unknown_sizes else sum(member.size or 0 for member in members)
    with progress(f"extracting {target.name}", total, "B") as advance:
        extraction.advance = advance
        try:
            reader.extract(extraction.open, target, names)
        finally:
            extraction.close()
    if extraction.has_unknown_sizes:
        limit.charge(extraction.written)


class _Extraction:
    """The target folder, with a folder made for each member, and the number of bytes written."""

    def __init__(self, target: Path, members: Sequence[Member], limit: ExtractionLimit):
        self._target = target
        self._sizes = {safe_path(member.name): member.size for member in members if not member.is_folder}
        self._max_unknown_size = min(limit.size, free_bytes(target))
        self._file: _File | None = None
        self.has_unknown_sizes = None in self._sizes.values()
        self.written = 0
        self.advance: Advance = lambda _amount: None
        folders = [safe_path(member.name) for member in members if member.is_folder]
        for folder in {*folders, *(path.parent for path in self._sizes)}:
            (target / folder).mkdir(parents=True, exist_ok=True)

    def open(self, name: str) -> Output:
        if is_junk(name):
            return DiscardOutput()
        path = PurePosixPath(name)
        self._file = _File(self._target / path, self._sizes[path], self)
        return self._file

    def max_size(self, size: int | None) -> int:
        return self._max_unknown_size if size is None else size

    def count(self, amount: int) -> None:
        self.written += amount
        self.advance(amount)

    def close(self) -> None:
        if self._file:
            with suppress(OSError):  # what a full disk did not take; that was told already
                self._file.handle.close()


@dataclass
class _File:
    """A file being extracted. Its bytes are counted, whatever the header declared."""

    path: Path
    size: int | None
    extraction: _Extraction
    written: int = 0
    handle: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.handle = self.path.open("xb")  # x: never over an existing file, nor through a link

    def write(self, data: bytes) -> int:
        self.written += len(data)
        max_size = self.extraction.max_size(self.size)
        if self.written > max_size:
            raise UnsafeArchiveError(f"{self.path.name!r} in it is larger than {decimal(max_size)}")
        self.extraction.count(len(data))
        with telling_full_disk(self.path, size=self.size):
            return self.handle.write(data)

    def close(self) -> None:
        with telling_full_disk(self.path, size=self.size):
            self.handle.close()
        if self.size is not None and self.written != self.size:
            raise CorruptArchiveError(f"{self.path.name!r} in it has {self.written} of {self.size} bytes")


# --- errors -------------------------------------------------------------------------------------


@contextmanager
def _opened(archive: Path, retry_command: str) -> Iterator[Reader]:
    """The archive's reader; whatever it raises becomes a RunnerError with a fix."""
    if whole := whole_name(archive.name):
        fix = join_fix(str(archive.with_name(whole)), retry_command)
        raise ArchiveError(f"{archive.name} is one part of an archive", where=archive, fix=fix)
    kind = kind_of(archive)
    if kind is None:
        raise _not_an_archive(archive, retry_command)
    try:
        with open_archive(archive, kind) as reader:
            yield reader
    except RunnerError:
        raise
    except Exception as error:  # the libraries raise anything at all on unexpected bytes
        raise _explained(archive, kind, error, retry_command) from error


def _explained(archive: Path, kind: ArchiveKind, error: Exception, retry_command: str) -> RunnerError:
    name, by_hand = archive.name, f"and put the files in its place, then: `{retry_command}`"
    if isinstance(error, UnsafeArchiveError):
        fix = f"take the archive from the competition's own page, then: `{retry_command}`"
        return ArchiveError(f"{name} is not safe to extract: {error}", where=archive, fix=fix)
    if isinstance(error, EncryptedArchiveError):
        return ArchiveError(f"{name} needs a password", where=archive, fix=f"extract it with its password, {by_hand}")
    if isinstance(error, OSError) and error.errno:
        fix = f"correct that, then: `{retry_command}`"
        return ArchiveError(f"{name} cannot be extracted: {error.strerror}", where=error.filename, fix=fix)
    if "Unsupported" in type(error).__name__ or isinstance(error, NotImplementedError):
        message = f"{name} is a {kind.value} with an unsupported compression: {error}"
        return ArchiveError(message, where=archive, fix=f"extract it with another program, {by_hand}")
    message = f"{name} is a {kind.value}, incomplete or damaged: {str(error) or type(error).__name__}"
    return ArchiveError(message, where=archive, fix=f"get a new copy of it, then: `{retry_command}`")


def _not_an_archive(path: Path, retry_command: str) -> ArchiveError:
    with path.open("rb") as handle:
        head = handle.read(HEAD)
    for magic, title in _UNSUPPORTED.items():
        if head.startswith(magic):
            fix = f"extract it with another program, and put the files in its place, then: `{retry_command}`"
            return ArchiveError(f"{path.name} is {title}, which is not supported", where=path, fix=fix)
    return ArchiveError(
        f"{path.name} is not an archive but {title_of(head)}",
        where=path,
        fix=f"get a new copy of it, then: `{retry_command}`",
    )
