"""Write archives that are the same bytes every time: without the current time, owner or file mode."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from runner.practice.synthetic_data import Archive, ArchiveType
from runner.workspace import atomic_path

_MODIFIED = 1_510_000_000  # seconds since 1970: November 2017, when all three competitions ran
_ZIP_MODIFIED = (2017, 11, 6, 20, 26, 40)
_MODE = 0o644


def write_archive(archive: Archive, folder: Path) -> Path:
    """Write the archive into `folder` under its own name; return its path."""
    path = folder / archive.name
    with atomic_path(path) as temporary:
        _WRITERS[archive.type](temporary, archive)
    return path


def _write_zip(path: Path, archive: Archive) -> None:
    with zipfile.ZipFile(path, "w") as zip_file:
        for name, content in archive.files.items():
            # A JPEG does not get smaller.
            method = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
            info = zipfile.ZipInfo(name, _ZIP_MODIFIED)
            info.external_attr = _MODE << 16
            info.create_system = 3
            zip_file.writestr(info, content, method)


def _write_seven_zip(path: Path, archive: Archive) -> None:
    _compress(path, archive.files)


def _write_tar_seven_zip(path: Path, archive: Archive) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in archive.files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), _MODIFIED, _MODE
            tar.addfile(info, io.BytesIO(content))
    _compress(path, {archive.name.removesuffix(".7z"): stream.getvalue()})


def _compress(path: Path, files: Mapping[str, bytes]) -> None:
    import py7zr

    # The fastest preset: hardly larger, and several times quicker, for numbers and for JPEGs.
    filters = [{"id": py7zr.FILTER_LZMA2, "preset": 0}]
    with tempfile.TemporaryDirectory() as temporary, py7zr.SevenZipFile(path, "w", filters=filters) as seven_zip:
        for number, (name, content) in enumerate(files.items()):
            # From a file: py7zr gives content from memory the current time.
            file = Path(temporary) / str(number)
            file.write_bytes(content)
            file.chmod(_MODE)
            os.utime(file, (_MODIFIED, _MODIFIED))
            seven_zip.write(file, name)


_WRITERS: dict[ArchiveType, Callable[[Path, Archive], None]] = {
    ArchiveType.ZIP: _write_zip,
    ArchiveType.SEVEN_ZIP: _write_seven_zip,
    ArchiveType.TAR_SEVEN_ZIP: _write_tar_seven_zip,
}
