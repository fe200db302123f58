"""TIFF files that Pillow cannot read: several sizes of one image, and bands of any number and depth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.data.packages import import_extra
from runner.errors import DataError
from runner.images.decode import no_warnings, require_possible_size
from runner.images.numpy_file import MAX_VALUES, stored_type

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(path: Path, content: bytes | None = None) -> bool:
    """Whether the content begins as a TIFF does."""
    try:
        with path.open("rb") if content is None else BytesIO(content) as file:
            return file.read(4) in _STARTS
    except OSError:
        return False


def read_tiff(path: Path, content: bytes | None = None, level: int = 0) -> NDArray[Any]:
    """The values of one of the sizes, 0 the largest: (height, width, bands) of uint8, uint16 or float32."""
    with _opened(path, content, level) as page:
        values = np.asarray(page.asarray())
        if page.keyframe.photometric.name == "MINISWHITE":
            values = np.iinfo(values.dtype).max - values if values.dtype.kind == "u" else -values
        rows, columns, bands = _axes(page)
        values = values[..., None] if bands is None else np.moveaxis(values, bands, -1)
        values = values if rows < columns else values.swapaxes(0, 1)
        return np.ascontiguousarray(values, dtype=stored_type(values.dtype))


def tiff_size(path: Path, level: int = 0) -> tuple[int, int]:
    """(width, height) of one of the sizes, from the header alone."""
    with _opened(path, None, level) as page:
        return _size(page)


def check_tiff(path: Path, level: int) -> None:
    """Raise DataError if the file has no such size, or is shorter than its header says."""
    with _opened(path, None, level) as page:
        parts = zip(page.keyframe.dataoffsets, page.keyframe.databytecounts, strict=True)
        if max(start + length for start, length in parts) > path.stat().st_size:
            raise ValueError("the file is cut off: it is shorter than its header says")


@contextmanager
def _opened(path: Path, content: bytes | None, level: int) -> Iterator[Any]:
    """One of the sizes, which is possible for an image; any failure in the block becomes a DataError."""
    tifffile = import_extra("tiff")
    try:
        with no_warnings(), tifffile.TiffFile(path if content is None else BytesIO(content)) as file:
            page = _level(file, level)
            require_possible_size(*_size(page), path)
            if math.prod(page.shape) > MAX_VALUES:
                raise ValueError(f"its header gives the shape {page.shape}")
            yield page
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("the image is missing", where=path, fix=fix_of_file(path)) from error
    except Exception as error:  # tifffile and its codecs raise errors of any type for damaged files
        raise DataError(f"the TIFF file cannot be read: {error}", where=path, fix=fix_of_file(path)) from error


def _level(file: Any, level: int) -> Any:
    """One of the sizes, the largest first: levels of a pyramid, or pages of other sizes."""
    sizes = [size for series in file.series for size in series.levels]
    sizes.sort(key=lambda page: -math.prod(_size(page)))
    if level >= len(sizes):
        listed = ", ".join("{} x {}".format(*_size(page)) for page in sizes[:6])
        raise ValueError(f"there is no level {level}; its sizes are {listed}")
    return sizes[level]


def _axes(page: Any) -> tuple[int, int, int | None]:
    """Which axes are rows, columns and bands."""
    names = page.axes
    others = [axis for axis, name in enumerate(names) if name not in "YX"]
    if "Y" not in names or "X" not in names or len(others) > 1:
        raise ValueError(f"it has the axes {names}, and is not one image")
    return names.index("Y"), names.index("X"), others[0] if others else None


def _size(page: Any) -> tuple[int, int]:
    rows, columns, _ = _axes(page)
    return int(page.shape[columns]), int(page.shape[rows])
