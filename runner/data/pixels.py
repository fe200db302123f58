"""Images in the cells of a table, written once as an array: a table of numbers would be parsed at every command."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from runner.console import log
from runner.contract.competition import Competition
from runner.contract.images import ImageArray, Pixels
from runner.contract.labels import aliases
from runner.csv_file import CsvError, TableFile, write_csv
from runner.data.checksums import changed_files
from runner.data.tables import iterate_parquet, read_table
from runner.errors import DataError, WrongDataError
from runner.problems import ProblemList
from runner.workspace import atomic_path

# The first that holds every value.
_TYPES = (np.uint8, np.uint16, np.float32)
_ROWS_AT_ONCE = 256
_ID = "id"

Block = tuple[list[str], NDArray[Any]]  # ids, and values (rows, values an image)


class _TooNarrowError(Exception):
    """A value that the type does not hold."""


def as_array(images: Pixels) -> ImageArray:
    """The array that a table's pixels are written to, and the table of its ids."""
    name = _name(images).replace("*", "all")
    return ImageArray(f"{name}.pixels.npy", f"{name}.pixels.csv", _ID)


def tables_of(images: Pixels, folder: Path) -> list[str]:
    """The files of a table; several if its name has a `*`, in order."""
    name = _name(images)
    return sorted(path.relative_to(folder).as_posix() for path in folder.glob(name)) if "*" in name else [name]


def extract_pixels(competition: Competition, folder: Path) -> None:
    """Write the pixels of every table that has some as an array; a DataError if they are no images."""
    for images in _sources(competition):
        _extract(images, folder)


def extract_test_pixels(competition: Competition, folder: Path) -> None:
    """Write the pixels of the test images alone as an array."""
    if isinstance(competition.test_images, Pixels):
        _extract(competition.test_images, folder)


def extract_changed_pixels(competition: Competition, folder: Path) -> None:
    """Write the pixels of the tables again that are not as they arrived."""
    for images in _sources(competition):
        if changed_files(folder, tables_of(images, folder)):
            _extract(images, folder)


def pixels_are_old(images: Pixels, folder: Path) -> bool:
    """Whether a table has changed after its pixels were read."""
    array = folder / as_array(images).array
    # Hashed only if its time says that it may have changed: a table may have some gigabytes.
    newer = [name for name in tables_of(images, folder) if _time(folder / name) > _time(array)]
    return bool(changed_files(folder, newer))


def _sources(competition: Competition) -> list[Pixels]:
    both = (competition.train_images, competition.test_images)
    return list(dict.fromkeys(images for images in both if isinstance(images, Pixels)))


def _name(images: Pixels) -> str:
    return aliases(images.table)[0]


def _time(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0


def _extract(images: Pixels, folder: Path) -> None:
    array = as_array(images)
    log.info(f"reading the pixels in {_name(images)}")
    for dtype in _TYPES:
        try:
            with atomic_path(folder / array.array) as part, part.open("wb") as file:
                ids = _write(images, folder, file, np.dtype(dtype))
            break
        except _TooNarrowError:
            continue
    write_csv(folder / array.table, (_ID,), ((id,) for id in ids))


def _write(images: Pixels, folder: Path, file: IO[bytes], dtype: np.dtype[Any]) -> list[str]:
    """Write the array; the id of each of its images."""
    shape = images.shape if len(images.shape) == 3 else (1, *images.shape)
    ids: list[str] = []
    file.write(_header(dtype, (0, *shape)))
    problems = ProblemList()
    for name in tables_of(images, folder):
        for block_ids, values in _blocks(images, folder / name, name, problems):
            if not _holds(dtype, values):
                raise _TooNarrowError
            ids += block_ids or [str(number) for number in range(len(ids) + 1, len(ids) + len(values) + 1)]
            file.write(np.ascontiguousarray(values, dtype=dtype).data)
    problems.raise_if_errors(f"the pixels in {_name(images)}", folder)
    file.seek(0)
    file.write(_header(dtype, (len(ids), *shape)))
    return ids


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)  # as long for any number of rows
    return stream.getvalue()


def _holds(dtype: np.dtype[Any], values: NDArray[Any]) -> bool:
    if dtype.kind == "f" or not values.size:
        return True
    limits = np.iinfo(dtype)
    is_whole = values.dtype.kind in "ui" or bool((values == np.floor(values)).all())
    return is_whole and bool(values.min() >= limits.min and values.max() <= limits.max)


def _blocks(images: Pixels, path: Path, name: str, problems: ProblemList) -> Iterator[Block]:
    """The ids and values of some rows at a time; without an id column no ids."""
    if path.suffix.lower() == ".parquet" and images.columns.endswith("*"):
        yield from _parquet_blocks(images, path, name)
        return
    try:
        file = read_table(path, images.table, name)
        yield from _text_blocks(images, file, problems)
    except CsvError as error:
        raise WrongDataError(f"the table of pixels cannot be read: {error.problem}", where=path) from error


def pixel_columns(images: Pixels, header: Sequence[str], path: str) -> list[str]:
    """The columns of the values, in their order; WrongDataError if the table has not as many as an image has pixels."""
    prefix, count = images.columns.removesuffix("*"), math.prod(images.shape)
    if images.id is not None and images.id not in header:
        raise WrongDataError(f"no column is named {images.id!r}", where=path)
    if prefix == images.columns:
        if prefix not in header:
            raise WrongDataError(f"no column is named {prefix!r}", where=path)
        return [prefix]
    names = [name for name in header if name.startswith(prefix) and name != images.id]
    if len(names) != count:
        shape = " x ".join(map(str, images.shape))
        message = f"{len(names):,} columns are named {images.columns!r}; images of {shape} have {count:,} values"
        raise WrongDataError(message, where=path)
    return names


def _text_blocks(images: Pixels, file: TableFile, problems: ProblemList) -> Iterator[Block]:
    names = pixel_columns(images, file.header, file.name)
    first, last = file.header.index(names[0]), file.header.index(names[-1]) + 1
    columns = None if last - first == len(names) else [file.header.index(name) for name in names]
    id = None if images.id is None else file.header.index(images.id)
    count = math.prod(images.shape)
    ids: list[str] = []
    rows: list[NDArray[np.float64]] = []
    for line, row in file:
        cells = row[first:last] if columns is None else [row[column] for column in columns if column < len(row)]
        values = _numbers(" ".join(cells))
        if len(values) != count or not np.isfinite(values).all():
            found = "a value that is NaN" if len(values) == count else f"{len(values):,} numbers"
            message = f"the row has {found}; an image has {count:,} numbers"
            problems.error("not an image", message, file=file.name, line=line, fix="correct the row, or delete it")
            continue
        rows.append(values)
        ids += [] if id is None else [row[id].strip()]
        if len(rows) == _ROWS_AT_ONCE:
            yield ids, np.stack(rows)
            ids, rows = [], []
    if rows:
        yield ids, np.stack(rows)


def _numbers(text: str) -> NDArray[np.float64]:
    """The numbers between blanks or commas, up to the first that is none."""
    plain = text.replace(",", " ").replace("[", " ").replace("]", " ") if "," in text or "[" in text else text
    with warnings.catch_warnings():  # of what is no number: the caller counts
        warnings.simplefilter("ignore")
        try:
            return np.fromstring(plain, dtype=np.float64, sep=" ")
        except ValueError:
            return np.zeros(0)


def _parquet_blocks(images: Pixels, path: Path, name: str) -> Iterator[Block]:
    try:
        for header, block in iterate_parquet(path, _ROWS_AT_ONCE):
            names = pixel_columns(images, header, name)
            values = np.stack([block[column] for column in names], axis=1)
            if values.dtype.kind not in "uif" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
                raise DataError(f"its columns {images.columns!r} are not numbers throughout", where=path)
            yield [] if images.id is None else list(map(str, block[images.id])), values
    except CsvError as error:
        raise WrongDataError(
            f"the table of pixels cannot be read: {error.problem}", where=path, fix=error.problem.fix
        ) from error
