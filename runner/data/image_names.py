"""How an index names an image.

A file (`train/a.jpg`), several files of one image (`train/a_red.png + train/a_green.png`) or a row of an array
(`train.npy#17`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from runner.errors import DataError

# Of the formats that Pillow reads; a directory of an outside file may have any other as well.
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
)
ARRAY_SUFFIXES = frozenset((".npy", ".npz"))

_ARRAY_ROW = re.compile(r"(?P<array>.+\.npy)#(?P<row>\d+)")
_PLUS = " + "


def is_image(path: str) -> bool:
    """Whether the path has the suffix of an image."""
    suffix = PurePosixPath(path).suffix.lower()
    return suffix in IMAGE_SUFFIXES or suffix in ARRAY_SUFFIXES


def array_path(array: str, row: int) -> str:
    """The name of row `row` of an array: `train.npy#17`."""
    return f"{array}#{row}"


def is_array_path(name: str) -> bool:
    """Whether a name is that of a row of an array, not of a file."""
    return bool(_ARRAY_ROW.fullmatch(name))


def parse_array_path(name: str) -> tuple[str, int]:
    """(array, row) of a name such as `train.npy#17`."""
    match = _ARRAY_ROW.fullmatch(name)
    if not match:
        raise DataError(f"{name!r} does not name a row of an array", fix="build the index again")
    return match["array"], int(match["row"])


def stack_name(paths: Sequence[str]) -> str:
    """The name of an image of several files."""
    return _PLUS.join(paths)


def parts_of(name: str) -> tuple[str, ...]:
    """The files of an image, if its name is that of several; the name alone if not."""
    parts = name.split(_PLUS)
    # A file may be named `cat + dog.jpg`.
    return tuple(parts) if all(map(is_image, parts)) else (name,)


def is_stack(name: str) -> bool:
    """Whether a name is that of several files."""
    return _PLUS in name and len(parts_of(name)) > 1


def files_of(name: str) -> tuple[str, ...]:
    """The files that an image is in."""
    return (parse_array_path(name)[0],) if is_array_path(name) else parts_of(name)


def size_on_disk(data_dir: Path, name: str) -> int:
    """The bytes of the image's files; OSError if one is missing."""
    return sum((data_dir / file).stat().st_size for file in files_of(name))
