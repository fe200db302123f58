"""Decode images to RGB, upright, and refuse files that are broken, absurdly large or no image."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from runner.archives.content import HEAD, title_of
from runner.data.manifest import fix_of_file
from runner.errors import DataError
from runner.images.layout import with_channel_axis

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

# It logs what it does not know of a TIFF, and then raises it.
logging.getLogger("PIL.TiffImagePlugin").setLevel(logging.CRITICAL)

# The filters of `warnings` belong to the process: two threads must not change them at once.
_warnings_lock = threading.Lock()

# A file's size, modification time, change time and inode.
FileStamp = tuple[int, int, int, int]


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


def read_bands(path: Path, content: bytes | None = None) -> NDArray[Any]:
    """The values of a file as they are, (height, width, bands), upright: uint8, uint16 or float32."""
    with open_header(path, content) as image:
        orientation = _orientation(image)
        _decode(image)
        upright = image if orientation == 1 else image.transpose(_TRANSPOSE[orientation])
        return with_channel_axis(_bands_of(upright))


def is_rgb_file(path: Path) -> bool:
    """Whether an image's values are colours or greys of 8 bits, by its header."""
    with open_header(path) as image:
        return not _is_deep(image)


def read_size(path: Path, content: bytes | None = None) -> tuple[int, int]:
    """(width, height) as displayed, from the header alone."""
    with open_header(path, content) as image:
        width, height = image.size
        return (height, width) if _orientation(image) in _SWAPS_SIDES else (width, height)


@contextmanager
def open_header(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """The image with its header read and its size checked; any failure in the block becomes a DataError."""
    try:
        with no_warnings():
            opened = Image.open(path if content is None else BytesIO(content), formats=_FORMATS)
        with opened as image:
            require_possible_size(*image.size, path)
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


def _decode(image: Image.Image) -> None:
    if image.format != "TIFF":
        image.load()  # without the lock, so that threads decode at the same time
        return
    with no_warnings():  # metadata of a TIFF is read while it is decoded
        image.load()


@contextmanager
def no_warnings() -> Iterator[None]:
    """Silence what decoders warn of, one thread at a time."""
    # Decoders warn of large images and of unusual metadata: nothing that the user could act on.
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def require_possible_size(width: int, height: int, path: Path) -> None:
    """Raise a DataError if no camera makes images of this size."""
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
        with no_warnings():
            # A PNG's own getexif decodes the image to read the metadata after it; those in the header are enough.
            value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # broken metadata is no reason to lose the image
        return 1
    return value if value in _TRANSPOSE else 1


def _is_deep(image: Image.Image) -> bool:
    """Whether a pixel is more than a colour or a grey of 8 bits: 16 or more bits, a decimal, or four bands."""
    return image.mode.startswith("I") or image.mode in ("F", "RGBX")


def _bands_of(image: Image.Image) -> NDArray[Any]:
    if image.mode == "F":
        return np.array(image, dtype=np.float32)
    if image.mode.startswith("I"):
        values = np.asarray(image)
        is_16_bit = not values.size or (values.min() >= 0 and values.max() <= 65_535)
        return values.astype(np.uint16 if is_16_bit else np.float32)
    if image.mode == "P" and not image.has_transparency_data and _has_grey_palette(image):
        image = image.convert("L")
    return np.array(image.convert("L") if image.mode == "1" else _as_colours(image), dtype=np.uint8)


def _as_colours(image: Image.Image) -> Image.Image:
    return image if image.mode in ("L", "RGBX") else _as_rgb(image)


def _has_grey_palette(image: Image.Image) -> bool:
    colours = np.array(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


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
