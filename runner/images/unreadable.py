"""Which images cannot be read, before an epoch is spent on the others.

A check reads each file's header and its last bytes. What these do not prove to be complete, the decoder's own reading
of the header judges, and then the decoder. Damage in the middle of a file is met by the decoder alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from runner.console import progress
from runner.data.image_names import files_of, is_array_path
from runner.errors import DataError
from runner.images.decode import open_header, stamp_of
from runner.images.file_ends import is_plainly_complete
from runner.images.numpy_file import check_numpy
from runner.images.read_file import is_array_file
from runner.images.readers import ImageFiles, open_files, open_images
from runner.workspace import write_text

Result = TypeVar("Result")

_TITLE = "checking images"
_CHUNK = 128  # images a thread checks before the bar moves
_MAX_THREADS = 8
_HEAD, _TAIL = 8, 512  # bytes
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"
# TIFF tags: where the strips or tiles of the image begin, and how long each is.
_TIFF_BLOCKS = ((273, 279), (324, 325))


@dataclass(frozen=True)
class UnreadableImage:
    """An image that cannot be read: its row in the list of paths, its path and the reason."""

    row: int
    path: str
    reason: str


def find_unreadable(
    data_dir: Path, paths: Sequence[str], *, workers: int, readable_file: Path | None = None
) -> tuple[UnreadableImage, ...]:
    """Every image that is missing, truncated or no image, in the order of `paths`.

    `readable_file` remembers the readable files: the next check reads only those that are new or have changed.
    """
    if paths and all(map(is_array_path, paths)):
        return read_all(_TITLE, paths, open_images(data_dir, paths).__getitem__, workers)[1]
    known = _known_keys(readable_file)
    keys = [_key(data_dir, path) for path in paths] if readable_file else list(paths)
    rows = [row for row, key in enumerate(keys) if key not in known]
    chosen = [paths[row] for row in rows]
    images = open_files(data_dir, chosen)
    readable, unreadable = read_all(_TITLE, chosen, lambda row: check_image(images, row), workers)
    if readable_file and readable:
        write_text(readable_file, "\n".join(sorted(known | {keys[rows[row]] for row, _ in readable})))
    return tuple(replace(image, row=rows[image.row]) for image in unreadable)


def read_all(
    title: str, paths: Sequence[str], read: Callable[[int], Result], workers: int | None = None
) -> tuple[list[tuple[int, Result]], tuple[UnreadableImage, ...]]:
    """`read(row)` for every row, by threads: the results as (row, result) in order, and the rows with a DataError."""
    results: list[tuple[int, Result]] = []
    unreadable: list[UnreadableImage] = []
    with progress(title, len(paths)) as advance:
        for chunk in _in_threads(len(paths), lambda rows: [(row, _attempt(read, row)) for row in rows], workers):
            for row, result in chunk:
                if isinstance(result, DataError):
                    unreadable.append(UnreadableImage(row, paths[row], result.message))
                else:
                    results.append((row, result))
            advance(len(chunk))
    return results, tuple(unreadable)


def check_image(images: ImageFiles, row: int) -> None:
    """Raise DataError if a file of the row is no image, has no end or cannot be decoded."""
    for path in images.paths(row):
        if is_array_file(path):
            check_numpy(path)
        elif not is_plainly_complete(path) and not _is_complete(path):
            images.read(row)


def _is_complete(path: Path) -> bool:
    """Whether header and end are those of a complete image; False also if only decoding can tell."""
    with open_header(path) as image:
        head, tail, size = _ends_of(path)
        if image.format in ("JPEG", "PNG", "WEBP") and not any(tail):
            # Decoders may return a grey area for the zeros, without an error.
            raise ValueError("it ends in zero bytes, as an interrupted download does")
        return _has_end(image, head, tail, size)


def _attempt(read: Callable[[int], Result], row: int) -> Result | DataError:
    try:
        return read(row)
    except DataError as error:
        return error


def _in_threads(count: int, work: Callable[[range], Result], workers: int | None) -> Iterator[Result]:
    """The results of `work` for each chunk of rows, in order; at most two chunks a thread are in memory."""
    chunks = (range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK))
    threads = max(1, min(_MAX_THREADS, os.cpu_count() or 1 if workers is None else workers))
    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[Result]] = [pool.submit(work, chunk) for chunk in islice(chunks, 2 * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, chunk) for chunk in islice(chunks, 1)]


def _ends_of(path: Path) -> tuple[bytes, bytes, int]:
    """The file's first bytes, its last bytes and its size."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
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


def _known_keys(readable_file: Path | None) -> set[str]:
    try:
        return set(readable_file.read_text(encoding="ascii", errors="replace").split()) if readable_file else set()
    except FileNotFoundError:
        return set()


def _key(data_dir: Path, path: str) -> str:
    """A digest of the path and of the file's size, times and inode."""
    files = files_of(path)
    stamps = [stamp_of(data_dir / file) for file in files]
    stamp = repr((path, stamps[0] if len(files) == 1 else stamps))
    return hashlib.sha256(stamp.encode("utf-8", "surrogatepass")).hexdigest()[:16]
