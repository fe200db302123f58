"""Archives, the same bytes every time: the clock, the account and the file mode stay out of them."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from runner.practice.synthetic_data import Archive, Packing
from runner.workspace import atomic_path

_WHEN = 1_510_000_000  # seconds; late in 2017, when all three competitions ran
_ZIP_WHEN = (2017, 11, 6, 20, 26, 40)
_MODE = 0o644


def pack(archive: Archive, folder: Path) -> Path:
    """Write one archive into `folder`."""
    path = folder / archive.name
    with atomic_path(path) as part:
        _PACKERS[archive.packing](part, archive)
    return path


def _pack_zip(path: Path, archive: Archive) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in archive.members.items():
            # A JPEG is as small as it gets already.
            kind = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
            info = zipfile.ZipInfo(name, _ZIP_WHEN)
            info.external_attr = _MODE << 16
            info.create_system = 3
            packed.writestr(info, content, kind)


def _pack_seven(path: Path, archive: Archive) -> None:
    _write_seven(path, archive.members)


def _pack_tar_seven(path: Path, archive: Archive) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as packed:
        for name, content in archive.members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(content), _WHEN, _MODE
            packed.addfile(info, io.BytesIO(content))
    _write_seven(path, {archive.name.removesuffix(".7z"): stream.getvalue()})


def _write_seven(path: Path, members: Mapping[str, bytes]) -> None:
    import py7zr

    # The fastest preset: hardly larger, and several times quicker, on numbers as on JPEGs.
    filters = [{"id": py7zr.FILTER_LZMA2, "preset": 0}]
    with tempfile.TemporaryDirectory() as scratch, py7zr.SevenZipFile(path, "w", filters=filters) as packed:
        for place, (name, content) in enumerate(members.items()):
            # From a file, because what is packed from memory bears the time of day.
            member = Path(scratch) / str(place)
            member.write_bytes(content)
            member.chmod(_MODE)
            os.utime(member, (_WHEN, _WHEN))
            packed.write(member, name)


_PACKERS: dict[Packing, Callable[[Path, Archive], None]] = {
    Packing.ZIP: _pack_zip,
    Packing.SEVEN: _pack_seven,
    Packing.TAR_SEVEN: _pack_tar_seven,
}
