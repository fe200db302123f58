"""Reading an image right whatever it is, and never being hurt by one."""

from __future__ import annotations

import hashlib
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from runner.errors import DataError

# Pillow reads them all, with every mode that they have. What it could also open is left out on purpose:
# an EPS named .jpg would start Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
)

# More than any camera takes in one frame (the largest are near 100 million); as RGB 360 MB. A file of a few
# kilobytes can claim a thousand times that.
MAX_PIXELS = 120_000_000
# OpenCV warps nothing that is longer.
MAX_SIDE = 32_766

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)  # orientations that swap width and height

# The filters of `warnings` are the whole process's: two threads must not change them at once.
_quiet_lock = threading.Lock()


# Of a file: its size, its times of writing and of any change, its inode.
FileStamp = tuple[int, int, int, int]


class ImageReader(Protocol):
    """Images by number, each (height, width, channels)."""

    @property
    def channels(self) -> int:
        """How many values a pixel has."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> NDArray[Any]: ...

    def digest(self, number: int) -> bytes:
        """A fingerprint of the image's content."""


def read_image(path: Path, *, min_side: int | None = None) -> NDArray[np.uint8]:
    """The image as people see it: (height, width, 3) RGB, upright.

    With `min_side` a JPEG is decoded at the smallest of its scales (1, 1/2, 1/4, 1/8) whose short side
    still has that many pixels: several times faster where a small image is wanted of a large file.
    """
    with _opened(path) as (image, orientation):
        if min_side:
            image.draft(None, (min_side, min_side))  # only a JPEG can; the others are read whole
        _decode(image)
        upright = image if orientation == 1 else image.transpose(_TURNS[orientation])
        return np.array(_as_rgb(upright), dtype=np.uint8)


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) as displayed, from the header alone."""
    with _opened(path) as (image, orientation):
        width, height = image.size
        return (height, width) if orientation in _LYING else (width, height)


def open_images(raw: Path, paths: Sequence[str], *, min_side: int | None = None) -> ImageReader:
    """A reader of the index's paths: uint8 RGB for files, float32 for rows of an array."""
    if paths and all(map(is_band_path, paths)):
        return ImageArrays(raw, paths)
    return ImageFiles(raw, paths, min_side)


class ImageFiles:
    """Images that are files."""

    channels = 3

    def __init__(self, raw: Path, paths: Sequence[str], min_side: int | None = None) -> None:
        self._raw, self._paths, self._at_least = raw, tuple(paths), min_side

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        return read_image(self._raw / self._paths[number], min_side=self._at_least)

    def digest(self, number: int) -> bytes:
        """A fingerprint of the file's content. Read once a process, as long as the file stays as it is."""
        path = self._raw / self._paths[number]
        return _digest(path, stamp_of(path))


def stamp_of(path: Path) -> FileStamp | None:
    """What changes whenever the file does; None where there is no file."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino


@cache
def _digest(path: Path, _stamp: FileStamp | None) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


_BAND_ROW = re.compile(r"(?P<array>.+\.npy)#(?P<row>\d+)")


def is_band_path(path: str) -> bool:
    """Whether an index's path names a row of an array, and not a file."""
    return bool(_BAND_ROW.fullmatch(path))


def band_path(array: str, row: int) -> str:
    """How the index names row `row` of an array: `train.npy#17`."""
    return f"{array}#{row}"


class ImageArrays:
    """Images that are rows of .npy arrays (rows, bands, height, width), read by memory map."""

    def __init__(self, raw: Path, paths: Sequence[str]) -> None:
        self._raw = raw
        self._rows = [_band_row(path) for path in paths]
        self._arrays: dict[str, NDArray[Any]] = {}

    @property
    def channels(self) -> int:
        """How many bands the first image's array has."""
        return int(self._array(self._rows[0][0]).shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> NDArray[np.float32]:
        name, row = self._rows[number]
        array = self._array(name)
        if row >= len(array):
            raise DataError(
                f"there is no image {row} among the {len(array)}",
                where=self._raw / name,
                fix="delete that file and download again with --force",
            )
        return np.ascontiguousarray(array[row].transpose(1, 2, 0), dtype=np.float32)

    def digest(self, number: int) -> bytes:
        """A fingerprint of the row's values."""
        return hashlib.sha256(self[number].tobytes()).digest()

    def __getstate__(self) -> dict[str, Any]:
        # A pickled map is the whole array: each worker opens its own.
        return {**self.__dict__, "_arrays": {}}

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = open_array(self._raw / name)
        return self._arrays[name]


def open_array(path: Path) -> NDArray[Any]:
    """An array of images (rows, bands, height, width) as a memory map."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"the array of images cannot be read: {error}",
            where=path,
            fix="delete that file and download again with --force",
        ) from error
    if array.ndim != 4:
        raise DataError(
            f"an array of images has 4 dimensions (rows, bands, height, width), this one {array.shape}",
            where=path,
            fix="let the competition's `prepare` write it so",
        )
    return array


def _band_row(path: str) -> tuple[str, int]:
    match = _BAND_ROW.fullmatch(path)
    if not match:
        raise DataError(f"{path!r} does not name a row of an array", fix="build the index again")
    return match["array"], int(match["row"])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, int]]:
    """The image with its header read and judged; whatever goes wrong in the block names the file."""
    try:
        with _header(path) as image:
            _refuse_absurd(image, path)
            yield image, _orientation(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _absurd(str(error), path) from error
    except Exception as error:  # a damaged file makes a decoder fail in any way that there is
        raise _unreadable(path, error) from error


def _header(path: Path) -> Image.Image:
    with _no_warnings():
        return Image.open(path, formats=_FORMATS)


def _decode(image: Image.Image) -> None:
    if image.format != "TIFF":
        image.load()  # without the lock, so that threads decode side by side
        return
    with _no_warnings():  # a TIFF goes on reading metadata while it is decoded
        image.load()


@contextmanager
def _no_warnings() -> Iterator[None]:
    # Pillow warns of large images and of odd metadata: neither is news to a person training a network.
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refuse_absurd(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _absurd(f"the header says {width} x {height} pixels", path)


def _absurd(found: str, path: Path) -> DataError:
    return DataError(
        f"the image is too large to be read: {found}",
        where=path,
        fix=f"make it smaller ({MAX_SIDE:,} a side and {MAX_PIXELS:,} pixels at most), or take its row out",
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        _what_is_wrong(path, error),
        where=path,
        fix="download the data again with --force, or take the image's row out of the table",
    )


def _what_is_wrong(path: Path, error: Exception) -> str:
    if not path.exists():
        return "the image is not there"
    if path.is_dir():
        return "the image is a folder"
    if path.stat().st_size == 0:
        return "the image is empty: 0 bytes"
    if isinstance(error, UnidentifiedImageError):
        return "the file is not an image, or of a kind that is not read here"
    return f"the image is broken: {error or type(error).__name__}"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none."""
    if image.format == "TIFF":
        return 1  # Pillow turns a TIFF itself, and its size is the turned one
    try:
        with _no_warnings():
            # A PNG's own getexif decodes the whole image to look behind it; what its header says is enough.
            value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # broken metadata is no reason to lose the image
        return 1
    return value if value in _TURNS else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise ValueError("its values are floating-point numbers of no known range; keep such data as .npy")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """0..65535 becomes 0..255: scaled, where a plain conversion would cut everything above 255 to white."""
    if values.size and (values.min() < 0 or values.max() > 65_535):
        raise ValueError("its values need more than 16 bits and have no known range; keep such data as .npy")
    return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    """What a page shows to the people who label: transparent parts white, not the colour hidden beneath."""
    alpha = image.getchannel("A")
    if alpha.getextrema() == (0, 0):
        return image.convert("RGB")  # nothing would be left: this channel cannot be meant as transparency
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=alpha)
    return canvas
