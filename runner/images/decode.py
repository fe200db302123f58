"""Decode images to RGB, upright, and refuse files that are broken, absurdly large or no image."""

from __future__ import annotations

import hashlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from runner.archives.content import HEAD, title_of
from runner.data.checksums import Digests, expected_digests, file_digest, require_same
from runner.data.image_arrays import is_array_path, open_array, parse_array_path
from runner.data.manifest import fix_of_file
from runner.errors import DataError

# Pillow's formats of RGB photographs, with all their modes. What it could also open is left out on purpose:
# an EPS named .jpg would start Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")

# More than any camera takes in one frame (the largest are near 100 million); as RGB 360 MB. A file of a few
# kilobytes can claim a thousand times that.
MAX_PIXELS = 120_000_000
# OpenCV warps nothing that is longer.
MAX_SIDE = 32_766

_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)

# The filters of `warnings` belong to the process: two threads must not change them at once.
_warnings_lock = threading.Lock()

# A file's size, modification time, change time and inode.
FileStamp = tuple[int, int, int, int]


class ImageReader(Protocol):
    """Images by row, each (height, width, channels)."""

    @property
    def channels(self) -> int:
        """Values per pixel."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> NDArray[Any]: ...

    def digest(self, row: int) -> bytes:
        """SHA-256 of the image's content."""


def open_images(data_dir: Path, paths: Sequence[str], *, min_side: int | None = None) -> ImageReader:
    """A reader of the index's paths: uint8 RGB for files, float32 for rows of an array."""
    if paths and all(map(is_array_path, paths)):
        return ImageArrays(data_dir, paths)
    return ImageFiles(data_dir, paths, min_side)


def read_image(path: Path, *, min_side: int | None = None, content: bytes | None = None) -> NDArray[np.uint8]:
    """Decode a file, or its content, to (height, width, 3) RGB, upright; DataError if it is broken or truncated.

    With `min_side` a JPEG is decoded at the smallest of its scales (1, 1/2, 1/4, 1/8) whose short side
    still has that many pixels: several times faster if a small image is made of a large file.
    """
    with open_header(path, content) as image:
        orientation = _orientation(image)
        if min_side:
            image.draft(None, (min_side, min_side))  # has an effect on JPEG only
        _decode(image)
        upright = image if orientation == 1 else image.transpose(_TRANSPOSE[orientation])
        return np.array(_as_rgb(upright), dtype=np.uint8)


def read_size(path: Path) -> tuple[int, int]:
    """(width, height) as displayed, from the header alone."""
    with open_header(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in _SWAPS_SIDES else (width, height)


@contextmanager
def open_header(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """The image with its header read and its size checked; any failure in the block becomes a DataError."""
    try:
        with _no_warnings():
            opened = Image.open(path if content is None else BytesIO(content), formats=_FORMATS)
        with opened as image:
            _require_possible_size(image, path)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(str(error), path) from error
    except Exception as error:  # a damaged file makes a decoder raise errors of any type
        raise _unreadable(path, error) from error


def stamp_of(path: Path) -> FileStamp | None:
    """Size, times and inode, which change whenever the file does; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class ImageFiles:
    """Images that are files."""

    channels = 3

    def __init__(self, data_dir: Path, paths: Sequence[str], min_side: int | None = None) -> None:
        self._data_dir, self._paths, self._min_side = data_dir, tuple(paths), min_side
        self._expected: Digests | None = expected_digests(data_dir, paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> NDArray[np.uint8]:
        return read_image(self.path(row), min_side=self._min_side, content=self._verified_content(row))

    def _verified_content(self, row: int) -> bytes | None:
        """The file's content, if there is a checksum to compare it with; DataError if it has another one."""
        if self._expected is None:
            return None
        path = self.path(row)
        try:
            content = path.read_bytes()
        except OSError:
            return None  # the decoder says what is wrong
        require_same(path, hashlib.sha256(content).digest(), self._expected[row].tobytes(), self._data_dir)
        return content

    def path(self, row: int) -> Path:
        """The file of a row."""
        return self._data_dir / self._paths[row]

    def digest(self, row: int) -> bytes:
        """SHA-256 of the file; computed once a process while the file does not change."""
        path = self.path(row)
        digest = _digest(path, stamp_of(path))
        if self._expected is not None:
            require_same(path, digest, self._expected[row].tobytes(), self._data_dir)
        return digest


@cache
def _digest(path: Path, _stamp: FileStamp | None) -> bytes:
    return file_digest(path)


class ImageArrays:
    """Images that are rows of .npy arrays (rows, bands, height, width), read by memory map."""

    def __init__(self, data_dir: Path, paths: Sequence[str]) -> None:
        self._data_dir = data_dir
        self._rows = [parse_array_path(path) for path in paths]
        self._arrays: dict[str, NDArray[Any]] = {}

    @property
    def channels(self) -> int:
        """Bands of the first image's array."""
        return int(self._array(self._rows[0][0]).shape[1])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        name, number = self._rows[row]
        array = self._array(name)
        if number >= len(array):
            raise DataError(
                f"the array has {len(array):,} images, and no image {number}",
                where=self._data_dir / name,
                fix=fix_of_file(self._data_dir / name),
            )
        return np.ascontiguousarray(array[number].transpose(1, 2, 0), dtype=np.float32)

    def digest(self, row: int) -> bytes:
        """SHA-256 of the row's values."""
        return hashlib.sha256(self[row].tobytes()).digest()

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map is a copy of the array: each worker opens its own.
        return {**self.__dict__, "_arrays": {}}

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            path = self._data_dir / name
            expected = expected_digests(self._data_dir, [name])
            self._arrays[name] = open_array(path)
            if expected is not None:
                require_same(path, _digest(path, stamp_of(path)), expected[0].tobytes(), self._data_dir)
        return self._arrays[name]


def _decode(image: Image.Image) -> None:
    if image.format != "TIFF":
        image.load()  # without the lock, so that threads decode at the same time
        return
    with _no_warnings():  # metadata of a TIFF is read while it is decoded
        image.load()


@contextmanager
def _no_warnings() -> Iterator[None]:
    # Pillow warns of large images and of unusual metadata: nothing that the user could act on.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _require_possible_size(image: Image.Image, path: Path) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_large(f"its header gives {width} x {height} pixels", path)


def _too_large(reason: str, path: Path) -> DataError:
    return DataError(
        f"the image is too large: {reason}",
        where=path,
        fix=f"make it smaller (at most {MAX_SIDE:,} pixels a side, {MAX_PIXELS:,} in all), or remove its row",
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        _reason(path, error),
        where=path,
        fix=fix_of_file(path),
    )


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "the image is missing"
    if path.is_dir():
        return "the image is a folder"
    if path.stat().st_size == 0:
        return "the image is empty: 0 bytes"
    if isinstance(error, UnidentifiedImageError):
        with path.open("rb") as file:
            title = title_of(file.read(HEAD))
        if title != "a file of another kind":
            return f"the file is not an image but {title}"
        return "the file is not an image, or of an unsupported format"
    return f"the image is broken: {error or type(error).__name__}"


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 if there is none."""
    if image.format == "TIFF":
        return 1  # Pillow rotates a TIFF itself, and reports the rotated size
    try:
        with _no_warnings():
            # A PNG's own getexif decodes the image to read the metadata after it; those in the header are enough.
            value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # broken metadata is no reason to lose the image
        return 1
    return value if value in _TRANSPOSE else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise ValueError("its values are floating-point numbers of no known range; keep such data as .npy")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 0..65535 to 0..255; Pillow's conversion would clip everything above 255 to white."""
    if values.size and (values.min() < 0 or values.max() > 65_535):
        raise ValueError("its values need more than 16 bits and have no known range; keep such data as .npy")
    return ((values.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    """Transparent pixels white, as a browser shows them to the people who label, not the colour stored in them."""
    alpha = image.getchannel("A")
    if alpha.getextrema() == (0, 0):
        return image.convert("RGB")  # transparent everywhere: this channel cannot be meant as transparency
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=alpha)
    return canvas
