"""One reader for each kind of archive: what is in it, and all of it poured out as a stream."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from runner.archives.names import name_inside

if TYPE_CHECKING:
    from py7zr.py7zr import ArchiveFile


class Kind(Enum):
    """What an archive is by its content. The last three are one compressed file, mostly a tar."""

    ZIP = "zip"
    SEVEN_ZIP = "7z"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"


_MAGIC = {
    b"PK\x03\x04": Kind.ZIP,
    b"PK\x05\x06": Kind.ZIP,  # an empty one
    b"7z\xbc\xaf\x27\x1c": Kind.SEVEN_ZIP,
    b"\x1f\x8b": Kind.GZIP,
    b"BZh": Kind.BZIP2,
    b"\xfd7zXZ\x00": Kind.XZ,
}
TAR_BLOCK = 512
_CHUNK = 2**20


class CorruptArchiveError(Exception):
    """The archive is cut off, or its bytes are wrong."""


class EncryptedArchiveError(Exception):
    """The archive wants a password."""


@dataclass(frozen=True)
class Member:
    """One thing in an archive, before it is trusted."""

    name: str
    size: int | None = 0  # None where only unpacking tells
    is_folder: bool = False
    special: str | None = None  # what it is, where neither file nor folder


class Output(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes) -> int: ...

    def close(self) -> None: ...


OpenOutput = Callable[[str], Output]


class Reader(ABC):
    """An open archive."""

    members: Sequence[Member]

    @abstractmethod
    def extract(self, open_sink: OpenOutput, folder: Path) -> None:
        """Write each file into the sink of its name. `folder` is where the sinks lie."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the archive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def kind_of(path: Path) -> Kind | None:
    """The kind of archive that a file's content says it is; None for any other file."""
    with path.open("rb") as handle:
        head = handle.read(TAR_BLOCK)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return Kind.TAR if _begins_a_tar(head) else None


def open_archive(path: Path, kind: Kind) -> Reader:
    """The archive's reader. Errors are of any type: the libraries below raise what they like."""
    return _READERS[kind](path)


def _begins_a_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")  # true to its checksum, or an error
    except tarfile.HeaderError:
        return False
    return True


class _Zip(Reader):
    def __init__(self, path: Path):
        self._archive = zipfile.ZipFile(path)
        infos = self._archive.infolist()
        # Not `filename`: that one has been cut at a NUL, so it is not what the archive says.
        self.members = [Member(info.orig_filename, info.file_size, info.is_dir(), _oddity(info)) for info in infos]
        if any(info.flag_bits & 1 for info in infos):
            self.close()
            raise EncryptedArchiveError

    def extract(self, open_sink: OpenOutput, _folder: Path) -> None:
        for info in self._archive.infolist():
            if not info.is_dir():
                with self._archive.open(info) as source:
                    _pour(source, open_sink(info.orig_filename))

    def close(self) -> None:
        self._archive.close()


def _oddity(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16  # 0 in zips from Windows
    if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return None
    return "a link" if stat.S_ISLNK(mode) else "a device"


class _SevenZip(Reader):
    def __init__(self, path: Path):
        import py7zr
        import py7zr.exceptions

        # An open file, because given a path py7zr unpacks with a thread a block.
        self._handle = path.open("rb")
        try:
            self._archive = py7zr.SevenZipFile(self._handle)
            if self._archive.needs_password():
                raise EncryptedArchiveError
            self.members = [_seven_zip_member(file) for file in self._archive.files]
        except py7zr.exceptions.PasswordRequired as error:
            self._handle.close()
            raise EncryptedArchiveError from error
        except BaseException:
            self._handle.close()
            raise

    def extract(self, open_sink: OpenOutput, folder: Path) -> None:
        # py7zr completes the names with the folder, and writes nothing there itself.
        factory: Any = _Factory(folder.absolute(), open_sink)
        self._archive.extractall(folder.absolute(), factory=factory)

    def close(self) -> None:
        self._archive.close()
        self._handle.close()


def _seven_zip_member(file: ArchiveFile) -> Member:
    if file.is_symlink or file.is_junction or file.is_socket:
        return Member(file.filename, special="a link")
    if not (file.is_file or file.is_directory):
        return Member(file.filename, special="a device")
    return Member(file.filename, file.uncompressed, file.is_directory)


class _Factory:
    """py7zr asks here for something to write to, by the path that it would have chosen."""

    def __init__(self, folder: Path, open_sink: OpenOutput):
        self._folder, self._open_sink = folder.as_posix(), open_sink

    def create(self, filename: str) -> _Forward:
        return _Forward(self._open_sink(str(PurePosixPath(filename).relative_to(self._folder))))


class _Forward:
    """A sink with the manners that py7zr expects of a file."""

    def __init__(self, sink: Output):
        self.write, self.close = sink.write, sink.close

    def seekable(self) -> bool:
        return False  # or py7zr rewinds it before it closes it


class _Tar(Reader):
    def __init__(self, path: Path):
        self._handle = path.open("rb")
        try:
            self._archive = tarfile.open(fileobj=self._handle, mode="r:")  # noqa: SIM115
            self.members = [_tar_member(info) for info in self._archive.getmembers()]
            self._check_end()
        except BaseException:
            self._handle.close()
            raise

    def _check_end(self) -> None:
        # tarfile takes any block that it cannot read for the end, and would unpack half without a word.
        self._handle.seek(self._archive.offset)
        block = self._handle.read(TAR_BLOCK)
        if len(block) < TAR_BLOCK or block.strip(b"\0"):
            raise CorruptArchiveError("it breaks off before its end mark")

    def extract(self, open_sink: OpenOutput, _folder: Path) -> None:
        for info in self._archive.getmembers():
            source = self._archive.extractfile(info) if info.isreg() else None
            if source is not None:
                with source:
                    _pour(source, open_sink(info.name))

    def close(self) -> None:
        self._archive.close()
        self._handle.close()


def _tar_member(info: tarfile.TarInfo) -> Member:
    if info.isreg() or info.isdir():
        return Member(info.name, info.size, info.isdir())
    is_link = info.islnk() or info.issym()
    return Member(info.name, special=f"a link to {info.linkname!r}" if is_link else "a device")


class _Compressed(Reader):
    """One file and nothing else; the checksum at the end of its stream is read too."""

    def __init__(self, path: Path, open_stream: Callable[[Path], BufferedIOBase]):
        self.members = [Member(name_inside(path.name), size=None)]
        self._stream = open_stream(path)

    def extract(self, open_sink: OpenOutput, _folder: Path) -> None:
        _pour(self._stream, open_sink(self.members[0].name))

    def close(self) -> None:
        self._stream.close()


def _pour(source: IO[bytes] | BufferedIOBase, sink: Output) -> None:
    while chunk := source.read(_CHUNK):
        sink.write(chunk)
    sink.close()


_READERS: dict[Kind, Callable[[Path], Reader]] = {
    Kind.ZIP: _Zip,
    Kind.SEVEN_ZIP: _SevenZip,
    Kind.TAR: _Tar,
    Kind.GZIP: lambda path: _Compressed(path, gzip.GzipFile),
    Kind.BZIP2: lambda path: _Compressed(path, bz2.BZ2File),
    Kind.XZ: lambda path: _Compressed(path, lzma.LZMAFile),
}
