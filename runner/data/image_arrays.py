"""How an index names an image: a file with an image's suffix, or a row of a .npy array (`train.npy#17`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
)

_ARRAY_ROW = re.compile(r"(?P<array>.+\.npy)#(?P<row>\d+)")


def array_path(array: str, row: int) -> str:
    """The path of row `row` of an array: `train.npy#17`."""
    return f"{array}#{row}"


def is_array_path(path: str) -> bool:
    """Whether a path names a row of an array, not a file."""
    return bool(_ARRAY_ROW.fullmatch(path))


def parse_array_path(path: str) -> tuple[str, int]:
    """(array, row) of a path such as `train.npy#17`."""
    match = _ARRAY_ROW.fullmatch(path)
    if not match:
        raise DataError(f"{path!r} does not name a row of an array", fix="build the index again")
    return match["array"], int(match["row"])


def open_array(path: Path) -> NDArray[Any]:
    """An array of images (rows, bands, height, width) as a memory map."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"the array of images cannot be read: {error}",
            where=path,
            fix=fix_of_file(path),
        ) from error
    if array.ndim != 4:
        raise DataError(
            f"an array of images must be (rows, bands, height, width); this one has the shape {array.shape}",
            where=path,
            fix="write it in that shape in the competition's `prepare`",
        )
    return array
