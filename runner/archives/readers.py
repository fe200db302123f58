"""One reader for each kind of archive: its members, and their content as streams."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from io import BufferedIOBase
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from runner.archives.names import has_archive_name, name_inside

if TYPE_CHECKING:
    from py7zr.py7zr import ArchiveFile


class ArchiveKind(Enum):
    """The format of an archive. The last three are one compressed file, mostly a tar."""

    ZIP = "zip"
    SEVEN_ZIP = "7z"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"


_MAGIC = {
    b"PK\x03\x04": ArchiveKind.ZIP,
    b"PK\x05\x06": ArchiveKind.ZIP,  # without members
    b"7z\xbc\xaf\x27\x1c": ArchiveKind.SEVEN_ZIP,
    b"\x1f\x8b": ArchiveKind.GZIP,
    b"BZh": ArchiveKind.BZIP2,
    b"\xfd7zXZ\x00": ArchiveKind.XZ,
}
TAR_BLOCK = 512
SEVEN_ZIP_START = 32  # bytes of the first header
_CHUNK = 2**20


class CorruptArchiveError(Exception):
    """The archive is incomplete, or its bytes are wrong."""


class EncryptedArchiveError(Exception):
    """The archive needs a password."""


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive, before its name is checked."""

    name: str
    size: int | None = 0  # None if only extraction shows it
    is_folder: bool = False
    special: str | None = None  # "a link", "a device": neither file nor folder


class Output(Protocol):
    """Takes the bytes of one file."""

    def write(self, data: bytes) -> int: ...

    def close(self) -> None: ...


OpenOutput = Callable[[str], Output]


class DiscardOutput:
    """Drops the bytes of a file."""

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


class Reader(ABC):
    """An open archive."""

    members: Sequence[Member]

    @abstractmethod
    def extract(self, open_output: OpenOutput, folder: Path, names: Collection[str] | None = None) -> None:
        """Write each file, or those of these names, to the output of its name. `folder` is the outputs' folder."""

    def test(self) -> None:
        """Read everything, so that each checksum is verified; any exception if one is wrong."""
        self.extract(lambda _name: DiscardOutput(), Path())

    @abstractmethod
    def close(self) -> None:
        """Close the archive."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def kind_of(path: Path) -> ArchiveKind | None:
    """The kind of archive that a file is by its content; None if it is none."""
    with path.open("rb") as handle:
        head = handle.read(TAR_BLOCK)
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    return ArchiveKind.TAR if _begins_a_tar(head) else None


def open_archive(path: Path, kind: ArchiveKind) -> Reader:
    """The archive's reader. Its errors are of any type: the libraries below raise what they like."""
    return _READERS[kind](path)


def test_archive(path: Path, name: str) -> str | None:
    """What is wrong with an archive of this name, by its own checksums, as `unzip -t` tests them; nothing is written.

    An empty text if nothing is wrong; None if that cannot be known: it is not an archive, or has no checksums.
    """
    if not has_archive_name(name):
        return None
    expected, kind = _KIND_OF_SUFFIX["." + name.lower().rpartition(".")[2]], kind_of(path)
    if kind is not expected:
        return f"it is not a {expected.value} archive"
    try:
        with open_archive(path, kind) as reader:
            reader.test()
    except EncryptedArchiveError:
        return ""  # complete, as far as its headers show
    except Exception as error:  # the libraries raise anything at all on unexpected bytes
        return str(error) or type(error).__name__
    return None if kind is ArchiveKind.TAR else ""


def _begins_a_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")  # raises unless the checksum is right
    except tarfile.HeaderError:
        return False
    return True


class _Zip(Reader):
    def __init__(self, path: Path):
        self._archive = zipfile.ZipFile(path)
        infos = self._archive.infolist()
        # Not `filename`, which was cut at a NUL.
        self.members = [Member(info.orig_filename, info.file_size, info.is_dir(), _special(info)) for info in infos]
        if any(info.flag_bits & 1 for info in infos):
            self.close()
            raise EncryptedArchiveError

    def extract(self, open_output: OpenOutput, _folder: Path, names: Collection[str] | None = None) -> None:
        for info in self._archive.infolist():
            if not info.is_dir() and (names is None or info.orig_filename in names):
                with self._archive.open(info) as source:
                    _copy(source, open_output(info.orig_filename))

    def close(self) -> None:
        self._archive.close()


def _special(info: zipfile.ZipInfo) -> str | None:
    mode = info.external_attr >> 16  # 0 in zips from Windows
    if stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR):
        return None
    return "a link" if stat.S_ISLNK(mode) else "a device"


class _SevenZip(Reader):
    def __init__(self, path: Path):
        import py7zr
        import py7zr.exceptions

        # An open file, because py7zr extracts a path with one thread per block.
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

    def extract(self, open_output: OpenOutput, folder: Path, names: Collection[str] | None = None) -> None:
        # py7zr adds the folder to the names, and writes nothing there itself.
        factory: Any = _Factory(folder.absolute(), open_output)
        if names is None:
            self._archive.extractall(folder.absolute(), factory=factory)
        elif names:
            self._archive.extract(folder.absolute(), targets=set(names), factory=factory)

    def test(self) -> None:
        # Only the two headers, whose checksums py7zr has verified: to test the images takes as long as to extract them.
        header = self._archive.sig_header
        end = SEVEN_ZIP_START + header.nextheaderofs + header.nextheadersize
        if end != self._handle.seek(0, os.SEEK_END):
            raise CorruptArchiveError(f"it has {self._handle.tell()} bytes, and its header says {end}")

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
    """Makes the outputs that py7zr writes to, by the paths that it would have written."""

    def __init__(self, folder: Path, open_output: OpenOutput):
        self._folder, self._open_output = folder.as_posix(), open_output

    def create(self, filename: str) -> _Forward:
        return _Forward(self._open_output(str(PurePosixPath(filename).relative_to(self._folder))))


class _Forward:
    """An output with the methods that py7zr expects of a file."""

    def __init__(self, output: Output):
        self.write, self.close = output.write, output.close

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
        # tarfile takes any block that it cannot read for the end, and would extract half of the archive.
        self._handle.seek(self._archive.offset)
        block = self._handle.read(TAR_BLOCK)
        if len(block) < TAR_BLOCK or block.strip(b"\0"):
            raise CorruptArchiveError("it ends before its end mark")

    def extract(self, open_output: OpenOutput, _folder: Path, names: Collection[str] | None = None) -> None:
        for info in self._archive.getmembers():
            is_wanted = info.isreg() and (names is None or info.name in names)
            source = self._archive.extractfile(info) if is_wanted else None
            if source is not None:
                with source:
                    _copy(source, open_output(info.name))

    def close(self) -> None:
        self._archive.close()
        self._handle.close()


def _tar_member(info: tarfile.TarInfo) -> Member:
    if info.isreg() or info.isdir():
        return Member(info.name, info.size, info.isdir())
    is_link = info.islnk() or info.issym()
    return Member(info.name, special=f"a link to {info.linkname!r}" if is_link else "a device")


class _Compressed(Reader):
    """One compressed file; the checksum at the end of its stream is verified."""

    def __init__(self, path: Path, open_stream: Callable[[Path], BufferedIOBase]):
        self.members = [Member(name_inside(path.name), size=None)]
        self._stream = open_stream(path)

    def extract(self, open_output: OpenOutput, _folder: Path, names: Collection[str] | None = None) -> None:
        if names is None or self.members[0].name in names:
            _copy(self._stream, open_output(self.members[0].name))

    def close(self) -> None:
        self._stream.close()


def _copy(source: IO[bytes] | BufferedIOBase, output: Output) -> None:
    while chunk := source.read(_CHUNK):
        output.write(chunk)
    output.close()


_READERS: dict[ArchiveKind, Callable[[Path], Reader]] = {
    ArchiveKind.ZIP: _Zip,
    ArchiveKind.SEVEN_ZIP: _SevenZip,
    ArchiveKind.TAR: _Tar,
    ArchiveKind.GZIP: lambda path: _Compressed(path, gzip.GzipFile),
    ArchiveKind.BZIP2: lambda path: _Compressed(path, bz2.BZ2File),
    ArchiveKind.XZ: lambda path: _Compressed(path, lzma.LZMAFile),
}
_KIND_OF_SUFFIX = {
    ".zip": ArchiveKind.ZIP,
    ".7z": ArchiveKind.SEVEN_ZIP,
    ".tar": ArchiveKind.TAR,
    **dict.fromkeys((".gz", ".tgz"), ArchiveKind.GZIP),
    **dict.fromkeys((".bz2", ".tbz2"), ArchiveKind.BZIP2),
    **dict.fromkeys((".xz", ".txz"), ArchiveKind.XZ),
}
