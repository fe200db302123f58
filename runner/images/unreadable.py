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
from typing import TypeVar

from runner.console import progress
from runner.data.image_names import files_of, is_array_path
from runner.errors import DataError
from runner.images.decode import stamp_of
from runner.images.readers import open_encoded, open_images
from runner.workspace import write_text

Result = TypeVar("Result")

_TITLE = "checking images"
_CHUNK = 128  # images a thread checks before the bar moves
_MAX_THREADS = 8


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
    images = open_encoded(data_dir, chosen)
    readable, unreadable = read_all(_TITLE, chosen, images.check, workers)
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
