"""Small images remembered in one memory-mapped file a size, shared by all runs, folds and worker processes.

Each image has a slot of its own, and a mark that says which file it was made of (size, times and inode, as git
tells changed files), its shape, and a checksum of all of it. A slot is read only if its mark fits the file as it
is now and the checksum holds. So nothing that is read is stale or torn, whoever else writes, was killed, or lost
its power; two writers of one slot write the same bytes. Slots are holes in the file until they are written.
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

from runner.images.cache_budget import CacheBudget, evict_unused
from runner.images.decode import FileStamp

# Of a file its size, times and inode; of the image its height and width; the checksum of these and the pixels.
_MARK = struct.Struct("<QqqQHH")
_SUM = struct.Struct("<I")
_STEP = _MARK.size + _SUM.size

# Raised when what a slot holds, or how it is made, changes.
_LAYOUT = 1


@dataclass(frozen=True)
class CacheOptions:
    """Where small images are kept, and how many bytes of the disk they may take in all."""

    folder: Path
    limit: int


def open_cache(keeping: CacheOptions | None, paths: Sequence[str], made: str, longest: int) -> ImageCache | None:
    """The cache of these images, made in this way, each of at most `longest` pixels; None where there can be none."""
    if keeping is None or keeping.limit <= 0 or not hasattr(os, "pwrite"):
        return None
    content = hashlib.sha256("\0".join((made, *paths)).encode("utf-8", "surrogatepass"))
    content.update(f"{_LAYOUT} {longest} {PIL.__version__} {cv2.__version__}".encode())
    # A slot begins where a page does, so that one slot's writing touches no page of another's.
    slot = -(-3 * longest // mmap.PAGESIZE) * mmap.PAGESIZE
    folder = keeping.folder / content.hexdigest()[:32]
    try:
        room = evict_unused(folder, keeping.limit, wanted=len(paths) * slot // 2)
        return ImageCache(folder, len(paths), slot, room)
    except OSError:
        return None  # a disk that is full or read-only is no reason not to train


class ImageCache:
    """Images by number: (height, width, 3) of uint8, read straight from the map."""

    def __init__(self, folder: Path, rows: int, slot: int, room: CacheBudget) -> None:
        self._folder, self._rows, self._slot, self._room = folder, rows, slot, room
        self._open()

    def get(self, number: int, stamp: FileStamp) -> NDArray[np.uint8] | None:
        """The image, if it is there and was made of the file as it is now. It cannot be written to."""
        place = number * _STEP
        mark = self._marks[place : place + _STEP]
        *known, height, width = _MARK.unpack_from(mark)
        if tuple(known) != stamp:
            return None
        start = number * self._slot
        pixels = memoryview(self._pixels)[start : start + height * width * 3]
        if _SUM.unpack_from(mark, _MARK.size)[0] != crc32(pixels, crc32(mark[: _MARK.size])):
            return None
        return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width, 3)

    def put(self, number: int, stamp: FileStamp, image: NDArray[np.uint8]) -> None:
        """Remember an image, if there is room."""
        height, width = image.shape[:2]
        # Disks give room by the page, and the mark may take one of its own.
        if image.nbytes > self._slot or not self._room.has(image.nbytes + 2 * mmap.PAGESIZE):
            return
        pixels = np.ascontiguousarray(image).data.cast("B")
        mark = _MARK.pack(*stamp, height, width)
        try:
            os.pwrite(self._pixels_file, pixels, number * self._slot)
            # Last, so that whoever meets the mark meets the pixels too.
            os.pwrite(self._marks_file, mark + _SUM.pack(crc32(pixels, crc32(mark))), number * _STEP)
        except OSError:
            self._room.close()  # the disk is full: what is there stays, nothing is added

    def _open(self) -> None:
        self._pixels_file, self._pixels = _map(self._folder / "pixels", self._rows * self._slot)
        self._marks_file, self._marks = _map(self._folder / "marks", self._rows * _STEP)
        weakref.finalize(self, _close, self._pixels_file, self._marks_file)

    def __getstate__(self) -> dict[str, Any]:
        # Files and maps belong to a process: one that is started anew opens its own.
        own = ("_pixels", "_pixels_file", "_marks", "_marks_file")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def _map(path: Path, length: int) -> tuple[int, mmap.mmap]:
    """A file of that length and its map for reading. Writing is done by calls: into a map, a full disk would kill."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if os.fstat(file).st_size != length:
            os.ftruncate(file, length)
            _require_holes(file, length)
        return file, mmap.mmap(file, length, prot=mmap.PROT_READ)
    except OSError:
        os.close(file)
        raise


def _require_holes(file: int, length: int) -> None:
    """Refuse a disk that fills holes with zeros: it would give all the room to images that are not there yet."""
    if os.fstat(file).st_blocks * 512 > length // 2 + mmap.PAGESIZE:
        os.ftruncate(file, 0)
        raise OSError("this disk has no sparse files")


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
