"""manifest.json and the marker of a complete data folder."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from runner.data.checksums import CHECKSUMS, write_checksums
from runner.data.skipped_images import SKIPPED
from runner.data.source import SOURCE, redownload_command
from runner.errors import RunnerError
from runner.workspace import read_json, write_json, write_text

MARKER = ".complete"
MANIFEST = "manifest.json"
# What the runner writes beside the data.
_OWN_FILES = (MANIFEST, MARKER, SOURCE, SKIPPED, CHECKSUMS)
_FORMAT = 1


def is_complete(folder: Path) -> bool:
    """Whether the data folder has its marker, which is written last."""
    return (folder / MARKER).is_file()


def write_manifest(folder: Path, slug: str, source: str, sources: list[dict[str, Any]]) -> None:
    """Write manifest.json (where the data is from, the files per folder), the checksums, and the marker last."""
    write_checksums(folder, data_files(folder))
    manifest = {"competition": slug, "source": source, "sources": sources, "files": _count_files(folder)}
    write_json(folder / MANIFEST, manifest, format=_FORMAT)
    if hasattr(os, "sync"):
        os.sync()  # a power cut must not leave the marker beside images that never reached the disk
    write_text(folder / MARKER, "")


def verify_manifest(folder: Path) -> dict[str, int]:
    """Folders whose file count differs from the manifest, with the difference; RunnerError without a manifest."""
    expected = Counter(_read(folder)["files"])
    expected.subtract(_count_files(folder))
    return {name: -missing for name, missing in expected.items() if missing}


def fix_of_file(path: Path) -> str:
    """What to do about a damaged file of the data: the command that replaces its folder, from where it came."""
    folder = next((folder for folder in path.absolute().parents if is_complete(folder)), None)
    return f"replace the file, or all of the data: `{redownload_command(folder)}`" if folder else "replace the file"


def _read(folder: Path) -> Any:
    try:
        return read_json(folder / MANIFEST, format=_FORMAT)
    except FileNotFoundError as error:
        raise RunnerError("the data folder has no manifest", where=folder / MANIFEST) from error


def _count_files(folder: Path) -> dict[str, int]:
    """The number of files in each folder, by its path, without the runner's own."""
    counts = Counter(f"{name.rpartition('/')[0] or '.'}/" for name in data_files(folder))
    return dict(sorted(counts.items()))


def data_files(folder: Path) -> list[str]:
    """The path of every file in the data folder, without the runner's own."""
    files = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in files if name not in _OWN_FILES]
