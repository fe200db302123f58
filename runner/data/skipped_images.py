"""The choice to go on without images that cannot be read: remembered beside the data, for every run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from runner.workspace import read_record, write_json

SKIPPED = "skipped_images.json"
_FORMAT = 1


class _Skipped(TypedDict):
    paths: list[str]


def write_skipped_images(data_dir: Path, paths: Iterable[str]) -> None:
    """Remember that the images at these paths, relative to the data folder, are left out."""
    write_json(data_dir / SKIPPED, {"paths": sorted(set(paths))}, format=_FORMAT)


def read_skipped_images(data_dir: Path) -> frozenset[str]:
    """The paths of the images that are left out; none if nothing was chosen."""
    path = data_dir / SKIPPED
    if not path.exists():
        return frozenset()
    fix = f"delete that file, and choose again: `runner {data_dir.name} download --skip-unreadable`"
    return frozenset(read_record(path, _Skipped, format=_FORMAT, fix=fix, name="the list")["paths"])
