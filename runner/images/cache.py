"""Reduced images in one memory-mapped file per size, shared by all runs, folds and worker processes.

Each image has a fixed slot and a header: the stamp of its file (size, times and inode, as git detects changed
files), its shape, and a checksum of both and the pixels. A slot is used only if the stamp fits the file as it is
now and the checksum holds, so no stale or half-written image is ever returned, whichever process writes, is killed
or loses power. Two writers of one slot write the same bytes. Unwritten slots are holes in the file.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray

from runner.images.cache_budget import RESERVE_BYTES, CacheBudget, evict_unused
from runner.images.decode import FileStamp
from runner.images.layout import RGB, Layout

# The file's size, modification time, change time and inode; the image's height and width. Then the checksum.
_HEADER = struct.Struct("<QqqQHH")
_CHECKSUM = struct.Struct("<I")
_HEADER_BYTES = _HEADER.size + _CHECKSUM.size

# Raised whenever the content of a slot changes, or how images are reduced.
_FORMAT = 2


@dataclass(frozen=True)
class CacheOptions:
    """Folder of the image cache and the disk space it may take."""

    folder: Path
    max_bytes: int
    reserve_bytes: int = RESERVE_BYTES  # of the disk, left free whatever `max_bytes` allows


def open_cache(
    options: CacheOptions | None, paths: Sequence[str], recipe: str, max_pixels: int, layout: Layout = RGB
) -> ImageCache | None:
    """The cache of these images, reduced as `recipe` describes, of at most `max_pixels` each; None if it is off."""
    if options is None or options.max_bytes <= 0 or not hasattr(os, "pwrite"):
        return None
    key = hashlib.sha256("\0".join((recipe, *paths)).encode("utf-8", "surrogatepass"))
    key.update(f"{_FORMAT} {max_pixels} {PIL.__version__} {cv2.__version__}".encode())
    if not layout.is_rgb:
        key.update(str(layout).encode())
    # A slot begins at a page's start, so that writing it touches no page of another slot.
    slot_bytes = -(-_bytes_per_pixel(layout) * max_pixels // mmap.PAGESIZE) * mmap.PAGESIZE
    folder = options.folder / key.hexdigest()[:32]
    try:
        budget = CacheBudget(folder, options.max_bytes, options.reserve_bytes)
        evict_unused(folder, options.max_bytes, expected=len(paths) * slot_bytes // 2)
        return ImageCache(folder, len(paths), slot_bytes, budget, layout)
    except OSError:
        return None  # training goes on without a cache if the disk is full or read-only


def _bytes_per_pixel(layout: Layout) -> int:
    return layout.channels * layout.dtype.itemsize


class ImageCache:
    """Images (height, width, channels) by row, read from the memory map without a copy."""

    def __init__(self, folder: Path, rows: int, slot_bytes: int, budget: CacheBudget, layout: Layout = RGB) -> None:
        self._folder, self._rows, self._slot_bytes, self._budget = folder, rows, slot_bytes, budget
        self._layout = layout
        self._open()

    def get(self, row: int, stamp: FileStamp) -> NDArray[Any] | None:
        """The image, read-only; None if it is not cached or its file has changed."""
        header = os.pread(self._headers_fd, _HEADER_BYTES, row * _HEADER_BYTES)
        *cached_stamp, height, width = _HEADER.unpack_from(header)
        length = height * width * _bytes_per_pixel(self._layout)
        if tuple(cached_stamp) != stamp or length > self._slot_bytes:
            return None
        start = row * self._slot_bytes
        pixels = memoryview(self._pixels)[start : start + length]
        if _CHECKSUM.unpack_from(header, _HEADER.size)[0] != crc32(pixels, crc32(header[: _HEADER.size])):
            return None
        return np.frombuffer(pixels, dtype=self._layout.dtype).reshape(height, width, self._layout.channels)

    def put(self, row: int, stamp: FileStamp, image: NDArray[Any]) -> None:
        """Cache an image if it fits into its slot and into the budget."""
        height, width = image.shape[:2]
        # Disks allocate pages, and the header may take one of its own.
        if image.nbytes > self._slot_bytes or not self._budget.take(image.nbytes + 2 * mmap.PAGESIZE):
            return
        pixels = np.ascontiguousarray(image).data.cast("B")
        header = _HEADER.pack(*stamp, height, width)
        try:
            os.pwrite(self._pixels_fd, pixels, row * self._slot_bytes)
            # The header is written last: a reader that finds it finds the pixels too.
            header += _CHECKSUM.pack(crc32(pixels, crc32(header)))
            os.pwrite(self._headers_fd, header, row * _HEADER_BYTES)
        except OSError:
            self._budget.close()  # the disk is full

    def _open(self) -> None:
        self._pixels_fd, self._pixels = _map(self._folder / "pixels.bin", self._rows * self._slot_bytes)
        # Not mapped: headers are read before they are written, and on some disks (tmpfs) to read a hole through a map
        # takes space, and kills the process if there is none.
        self._headers_fd = _open(self._folder / "headers.bin", self._rows * _HEADER_BYTES)
        weakref.finalize(self, _close, self._pixels_fd, self._headers_fd)

    def __getstate__(self) -> dict[str, Any]:
        # Descriptors and maps belong to a process: a spawned one opens its own.
        own = ("_pixels", "_pixels_fd", "_headers_fd")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _map(path: Path, length: int) -> tuple[int, mmap.mmap]:
    """A file of that length and its map for reading. Writes are calls: into a map, a full disk would be a SIGBUS."""
    file = _open(path, length)
    try:
        return file, mmap.mmap(file, length, prot=mmap.PROT_READ)
    except OSError:
        os.close(file)
        raise


def _open(path: Path, length: int) -> int:
    """A sparse file of that length."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if os.fstat(file).st_size != length:
            os.ftruncate(file, length)
            _require_sparse(file, length)
        return file
    except OSError:
        os.close(file)
        raise


def _require_sparse(file: int, length: int) -> None:
    """Raise OSError on a disk that fills holes with zeros: unwritten slots would take all the space."""
    if os.fstat(file).st_blocks * 512 > length // 2 + mmap.PAGESIZE:
        os.ftruncate(file, 0)
        raise OSError("this disk has no sparse files")


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
