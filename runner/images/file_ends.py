"""A quick look at an image file: whether its header and its end are those of a complete JPEG or PNG.

Most files of a competition are, and for them this takes a tenth of the time in which a decoder reads a header.
"""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from runner.images.decode import MAX_PIXELS, MAX_SIDE

_HEAD, _TAIL = 4096, 16  # bytes
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
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
