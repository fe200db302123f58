"""Whether an image file is complete, by its header and its end, without decoding it.

Most files of a competition are JPEGs and PNGs; for them a quick look takes a tenth of the time in which a decoder reads
a header.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zlib import crc32

from PIL import Image

from runner.images.decode import MAX_PIXELS, MAX_SIDE, open_header

_HEAD, _TAIL = 4096, 16  # bytes
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# TIFF tags: where the strips or tiles of the image begin, and how long each is.
_TIFF_BLOCKS = ((273, 279), (324, 325))
_LONG_TAIL = 512  # bytes
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive: the common ones


def is_plainly_complete(path: Path) -> bool:
    """Whether header and end prove a complete JPEG or PNG of a possible size; False if more has to be read."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return False
    try:
        head = os.read(file, _HEAD)
        end = os.lseek(file, -min(_TAIL, len(head)), os.SEEK_END)
        tail = os.read(file, _TAIL) if end >= 0 else b""
    except OSError:
        return False
    finally:
        os.close(file)
    if head.startswith(_JPEG_START):
        return tail.endswith(_JPEG_END) and _is_possible(_jpeg_size(head))
    if head.startswith(_PNG_START):
        return tail.endswith(_PNG_END) and _is_possible(_png_size(head))
    return False


def _is_possible(size: tuple[int, int]) -> bool:
    width, height = size
    return 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS


def _png_size(head: bytes) -> tuple[int, int]:
    """(width, height); zeros if the header's checksum is wrong."""
    if crc32(head[12:29]) != int.from_bytes(head[29:33], "big"):
        return 0, 0
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """(width, height); zeros if the frame is not in these bytes, or is of a rare kind."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAMES:
            bits_and_channels_are_usual = head[at + 4] == 8 and head[at + 9 : at + 10] in (b"\1", b"\3")
            height, width = int.from_bytes(head[at + 5 : at + 7], "big"), int.from_bytes(head[at + 7 : at + 9], "big")
            return (width, height) if bits_and_channels_are_usual else (0, 0)
        if not 0xC4 <= marker <= 0xFE or marker == 0xDA:
            return 0, 0  # not a segment with a length, or the image's data before its frame
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return 0, 0


def is_complete(path: Path, content: bytes | None = None) -> bool:
    """Whether header and end are those of a complete image; False also if only decoding can tell.

    DataError if the file is no image, or ends in zeros.
    """
    if content is None and is_plainly_complete(path):
        return True
    with open_header(path, content) as image:
        with path.open("rb") if content is None else BytesIO(content) as file:
            head, tail, size = _ends_of(file)
        if image.format in ("JPEG", "PNG", "WEBP") and not any(tail):
            # Decoders may return a grey area for the zeros, without an error.
            raise ValueError("it ends in zero bytes, as an interrupted download does")
        return _has_end(image, head, tail, size)


def _ends_of(file: IO[bytes]) -> tuple[bytes, bytes, int]:
    """The file's first bytes, its last bytes and its size."""
    head = file.read(8)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONG_TAIL))
    return head, file.read(), size


def _has_end(image: Image.Image, head: bytes, tail: bytes, size: int) -> bool:
    match image.format:
        case "JPEG":
            return tail.endswith(_JPEG_END)
        case "PNG":
            return tail.endswith(_PNG_END)
        case "WEBP":
            return size >= 8 + int.from_bytes(head[4:8], "little")
        case "TIFF":
            return image.mode not in ("I", "F") and 0 < _tiff_end(image) <= size
        case _:
            return False


def _tiff_end(image: Any) -> int:
    """The last byte of the last strip or tile; 0 if the header does not give it."""
    for starts, lengths in _TIFF_BLOCKS:
        if starts in image.tag_v2 and lengths in image.tag_v2:
            pairs = zip(image.tag_v2[starts], image.tag_v2[lengths], strict=True)
            return max(int(start + length) for start, length in pairs)
    return 0
