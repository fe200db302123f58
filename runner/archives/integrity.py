"""Whether an archive is whole, as far as its own checksums tell and without unpacking it to the disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

_CHUNK = 1 << 20
_MAGIC_7Z = b"7z\xbc\xaf\x27\x1c"


def test_archive(path: Path, name: str) -> str | None:
    """What is wrong with the archive; an empty text where nothing is; None where `name` is no archive's."""
    suffix = "." + name.lower().rpartition(".")[2]
    test = _TESTS.get(suffix)
    return test(path) if test else None


def _flaw_of_zip(path: Path) -> str:
    try:
        with ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.flag_bits & 1:  # encrypted: what is inside cannot be read
                    with archive.open(member) as file:
                        _drain(file)
    except (BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError) as error:
        return _words(error)
    return ""


def _flaw_of_7z(path: Path) -> str:
    """Only its frame, which a cut or a spoilt end breaks; the images in it are tested as they are unpacked."""
    with path.open("rb") as file:
        begin = file.read(32)
        if len(begin) < 32 or not begin.startswith(_MAGIC_7Z):
            return "it does not begin as a 7z archive does"
        (told,) = struct.unpack("<I", begin[8:12])
        if zlib.crc32(begin[12:32]) != told:
            return "its first header is spoilt"
        offset, size, checksum = struct.unpack("<QQI", begin[12:32])
        if 32 + offset + size != path.stat().st_size:
            return "its end is not where its beginning says"
        file.seek(offset, 1)
        return "" if zlib.crc32(file.read(size)) == checksum else "its table of contents is spoilt"


def _flaw_of_stream(opened: Callable[[Path], Any]) -> Callable[[Path], str]:
    def test(path: Path) -> str:
        try:
            with opened(path) as file:
                _drain(file)
        except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
            return _words(error)
        return ""

    return test


def _drain(file: Any) -> None:
    while file.read(_CHUNK):
        pass


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


_TESTS: dict[str, Callable[[Path], str]] = {
    ".zip": _flaw_of_zip,
    ".7z": _flaw_of_7z,
    ".gz": _flaw_of_stream(gzip.open),
    ".tgz": _flaw_of_stream(gzip.open),
    ".bz2": _flaw_of_stream(bz2.open),
    ".tbz2": _flaw_of_stream(bz2.open),
    ".xz": _flaw_of_stream(lzma.open),
    ".txz": _flaw_of_stream(lzma.open),
}
