"""One image in a .npy or .npz file: its values as (height, width, bands)."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.errors import DataError

# Of one image: some hundred bands of a large photograph's size.
MAX_VALUES = 1_000_000_000
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def read_numpy(path: Path, content: bytes | None = None) -> NDArray[Any]:
    """The values, (height, width, bands): uint8, uint16 or float32. DataError if it is no image."""
    with _opened(path, content) as file:
        _header(file, path)
        values: NDArray[Any] = npy.read_array(_from_start(file), allow_pickle=False)
    return bands_last(values, path)


def numpy_size(path: Path) -> tuple[int, int]:
    """(width, height), from the header alone."""
    with _opened(path, None) as file:
        shape, _, _ = _header(file, path)
    height, width = [side for axis, side in enumerate(shape) if axis != _band_axis(shape)]
    return width, height


def check_numpy(path: Path) -> None:
    """Raise DataError if the file is no image, or shorter than its header says."""
    with _opened(path, None) as file:
        shape, _, dtype = _header(file, path)
        if path.suffix.lower() == ".npy":
            start = file.tell()
            if path.stat().st_size < start + math.prod(shape) * dtype.itemsize:
                raise ValueError("the file is cut off: it has fewer values than its header says")
            return
    read_numpy(path)  # a zip's own checksum is compared


@contextmanager
def _opened(path: Path, content: bytes | None) -> Iterator[IO[bytes]]:
    """The array in the file, at its start; any failure in the block becomes a DataError."""
    try:
        with path.open("rb") if content is None else BytesIO(content) as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                yield file
                return
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
                if len(names) != 1:
                    raise ValueError(f"it has {len(names)} arrays ({', '.join(names[:3])}), not one")
                with archive.open(names[0]) as member:
                    yield member
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("the image is missing", where=path, fix=fix_of_file(path)) from error
    except Exception as error:  # numpy and zipfile raise errors of many types for damaged files
        raise DataError(f"the array cannot be read: {error}", where=path, fix=fix_of_file(path)) from error


def _header(file: IO[bytes], path: Path) -> Header:
    """Shape, order and type of the values, which can be those of an image."""
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"it is of the format {version[0]}.{version[1]}, which holds no image")
    shape, is_fortran, dtype = _HEADERS[version](file)
    _require_image(shape, dtype, path)
    return shape, is_fortran, dtype


def _require_image(shape: tuple[int, ...], dtype: np.dtype[Any], path: Path) -> None:
    if not 2 <= len(shape) <= 3 or 0 in shape:
        raise _not_an_image(f"an image has two axes or three; this array has the shape {shape}", path)
    if math.prod(shape) > MAX_VALUES:
        raise _not_an_image(f"the image is too large: its header gives the shape {shape}", path)
    if dtype.kind not in "buif":
        raise _not_an_image(f"its values are {dtype}, not numbers", path)


def _not_an_image(message: str, path: Path) -> DataError:
    return DataError(message, where=path, fix="write images of (height, width, bands) in the competition's `prepare`")


def _from_start(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def stored_type(dtype: np.dtype[Any]) -> type[Any]:
    """The type in which values are kept: uint8, uint16 or float32."""
    return {("u", 1): np.uint8, ("u", 2): np.uint16, ("b", 1): np.uint8}.get((dtype.kind, dtype.itemsize), np.float32)


def _band_axis(shape: tuple[int, ...]) -> int:
    """The shorter of the first and the last axis; there are fewer bands than pixels a side."""
    if len(shape) == 2:
        return 2
    return 0 if shape[0] <= shape[2] else 2


def bands_last(values: NDArray[Any], path: Path) -> NDArray[Any]:
    """An array as an image (height, width, bands) of uint8, uint16 or float32; DataError if it is none."""
    _require_image(values.shape, values.dtype, path)
    values = values[..., None] if values.ndim == 2 else values
    values = values.transpose(1, 2, 0) if _band_axis(values.shape) == 0 else values
    return np.ascontiguousarray(values, dtype=stored_type(values.dtype))
