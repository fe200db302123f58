"""Writers of real archives, for tests."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import py7zr

Files = Mapping[str, bytes]


def write_zip(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_7z(path: Path, files: Files) -> Path:
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(content, name)
    return path


def write_tar(path: Path, files: Files) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


WRITERS: dict[str, Callable[[Path, Files], Path]] = {"zip": write_zip, "7z": write_7z, "tar": write_tar}


def pack(path: Path, files: Files) -> Path:
    """Write an archive of the kind of its suffix; `.tar.7z` is a tar in a 7z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".tar.7z"):
        return write_7z(path, {path.name.removesuffix(".7z"): packed(path.name.removesuffix(".7z"), files)})
    if path.name.endswith(".tar.gz"):
        path.write_bytes(gzip.compress(packed(path.name.removesuffix(".gz"), files)))
        return path
    return WRITERS[path.suffix.removeprefix(".")](path, files)


def packed(name: str, files: Files) -> bytes:
    """The bytes of such an archive."""
    with tempfile.TemporaryDirectory() as folder:
        return pack(Path(folder) / name, files).read_bytes()


def write_files(folder: Path, files: Files) -> Path:
    """Write the files below the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of every file below the folder, by its path."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
