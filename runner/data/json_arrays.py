"""A JSON list of images, too large for memory, converted to one array and one CSV file as a stream."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from runner.console import progress
from runner.errors import DataError
from runner.workspace import atomic_path

_BLANK = re.compile(r"[ \t\r\n]*")
_ARRAY = re.compile(r"\[[^\[\]]*\]")
_FIX = "download the file again, or get a new copy"

_decode_numbers = json.JSONDecoder().raw_decode
# Reads 34.0 as "34.0" and 34 as "34": rows are grouped by the text of a number.
_decode_texts = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).raw_decode

_Record = dict[str, Any]


@dataclass(frozen=True)
class _Format:
    """The objects of the list: the fields that are images, their (height, width), the texts for a missing value."""

    bands: tuple[str, ...]
    shape: tuple[int, int]
    missing: frozenset[str]


def extract_json_arrays(
    json_path: Path,
    bands: tuple[str, ...],
    shape: tuple[int, int],
    *,
    missing: Collection[str] = (),
    max_object_size: int = 64 * 2**20,
    chunk_size: int = 2**20,
) -> None:
    """Write `<stem>.npy`, float32 (rows, bands, height, width), and `<stem>.csv`, all other fields.

    A number is written as it is in the JSON, digit for digit; null, NaN and the texts of `missing` become empty
    cells. An object of more than `max_object_size` characters is an error. `chunk_size` characters are read at once.
    """
    format_ = _Format(bands, shape, frozenset(missing) | {"NaN"})
    csv_path, array_path = json_path.with_suffix(".csv"), json_path.with_suffix(".npy")
    # The CSV file gets its name last: if it exists, the array does.
    with (
        atomic_path(csv_path) as csv_part,
        atomic_path(array_path) as array_part,
        csv_part.open("w", encoding="utf-8", newline="") as text,
        array_part.open("wb") as array,
    ):
        array.write(_npy_header((0, len(bands), *shape)))  # replaced once the number of rows is known
        rows = _write_rows(_read_objects(json_path, max_object_size, chunk_size), json_path, text, array, format_)
        array.seek(0)
        array.write(_npy_header((rows, len(bands), *shape)))


def _write_rows(
    objects: Iterator[tuple[_Record, str]], json_path: Path, text: TextIO, array: IO[bytes], format_: _Format
) -> int:
    """Write every object as a row of the CSV file and of the array; the number of rows."""
    writer = csv.writer(text, lineterminator="\n")
    fields: list[str] = []
    row = 0
    for row, (record, source) in enumerate(objects, start=1):
        where = f"{json_path}, row {row}"
        images = [_read_band(record, band, format_.shape, where) for band in format_.bands]
        texts = _texts_of(record, source, format_.bands)
        if row == 1:
            fields = list(texts)
            writer.writerow(fields)
        writer.writerow(_cells(texts, fields, format_.missing, where))
        for image in images:
            array.write(image.tobytes())
    if row == 0:
        raise DataError("the JSON is an empty list", where=json_path, fix=_FIX)
    return row


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of the same length for every number of rows, so that the last can replace the first."""
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{described:<117}\n".encode("ascii")


def _read_band(record: _Record, band: str, shape: tuple[int, int], where: str) -> NDArray[np.float32]:
    """One band as a row of finite numbers; DataError if it is not one."""
    if not isinstance(values := record.get(band), list):
        raise DataError(f"{band} is not a list of numbers", where=where, fix=_FIX)
    height, width = shape
    if len(values) != height * width:
        raise DataError(
            f"{band} has {len(values)} numbers, not {height} x {width} = {height * width}",
            where=where,
            fix=_FIX,
        )
    try:
        with np.errstate(over="ignore"):
            image = np.array(values, dtype="<f4")
    except (TypeError, ValueError, OverflowError):
        image = np.array([math.nan], dtype="<f4")
    if image.shape != (len(values),) or not np.isfinite(image).all():
        raise DataError(f"{band} has a value that is not a number", where=where, fix=_FIX)
    return image


def _texts_of(record: _Record, source: str, bands: tuple[str, ...]) -> _Record:
    """The record's other fields, numbers as their text."""
    # To read 11,250 numbers as text would cost more than all the rest, so the arrays are cut out first.
    # A text that looks like an array is cut out too: then everything is read, slowly and correctly.
    try:
        texts, _ = _decode_texts(_ARRAY.sub("0", source))
    except ValueError:
        texts = {}
    if not _agree(record, texts, bands):
        texts, _ = _decode_texts(source)
    return {field: text for field, text in texts.items() if field not in bands}


def _agree(record: _Record, texts: _Record, bands: tuple[str, ...]) -> bool:
    if list(record) != list(texts):
        return False
    return all(_is_text_of(texts[field], record[field]) for field in record if field not in bands)


def _is_text_of(text: object, value: object) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return text == value
    try:
        return float(str(text)) == value
    except ValueError:
        return False


def _cells(texts: Mapping[str, Any], fields: list[str], missing: frozenset[str], where: str) -> list[str]:
    if list(texts) != fields and set(texts) != set(fields):
        differing = ", ".join(sorted(set(texts) ^ set(fields)))
        raise DataError(f"the fields differ from those of the first row: {differing}", where=where, fix=_FIX)
    return [_cell(texts[field], field, missing, where) for field in fields]


def _cell(text: object, field: str, missing: frozenset[str], where: str) -> str:
    if isinstance(text, bool):
        return str(int(text))
    if text is None:
        return ""
    if not isinstance(text, str):
        raise DataError(f"{field} is a {type(text).__name__}, not a number or a text", where=where, fix=_FIX)
    if any(ord(letter) < 32 for letter in text):
        raise DataError(f"{field} has a line break or another control character", where=where, fix=_FIX)
    return "" if text in missing else text


def _read_objects(json_path: Path, max_object_size: int, chunk_size: int) -> Iterator[tuple[_Record, str]]:
    """Each object of a JSON list, with the text it was read from. Little more than one is in memory."""
    size = json_path.stat().st_size
    with (
        json_path.open(encoding="utf-8-sig", newline="") as handle,
        progress(f"unpacking {json_path.name}", size, "B") as advance,
    ):
        reader = _JsonListReader(handle, json_path, max_object_size, chunk_size)
        reader.expect_list()
        while (found := reader.next_object()) is not None:
            yield found
            advance(len(found[1]))


class _JsonListReader:
    """The part of a text that is in memory, and the position in it."""

    def __init__(self, handle: TextIO, path: Path, max_object_size: int, chunk_size: int):
        self._handle, self._path = handle, path
        self._max_object_size, self._chunk_size = max_object_size, chunk_size
        self._text, self._at, self._row = "", 0, 0

    def expect_list(self) -> None:
        """Step over the bracket that opens the list."""
        first = self._peek()
        if first != "[":
            raise self._error(f"the file is not a JSON list but {_title_of(first)}")
        self._at += 1

    def next_object(self) -> tuple[_Record, str] | None:
        """The next object and its text; None after the last, once nothing but blanks follows."""
        if self._need() == "]":
            self._expect_end()
            return None
        if self._row:
            self._expect_comma()
        first = self._need()
        self._row += 1
        if first != "{":
            raise self._error(f"row {self._row} is not a JSON object")
        return self._decode()

    def _decode(self) -> tuple[_Record, str]:
        while True:
            try:
                record, end = _decode_numbers(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at < self._max_object_size and self._grow():
                    continue
                raise self._error(f"row {self._row} is incomplete or not JSON: {error}") from error
            source, self._at = self._text[self._at : end], end
            return record, source

    def _expect_comma(self) -> None:
        if self._need() != ",":
            raise self._error(f"there is no comma after row {self._row}")
        self._at += 1

    def _expect_end(self) -> None:
        self._at += 1
        if self._peek():
            raise self._error("there is text after the end of the list")

    def _need(self) -> str:
        """The next character that is not blank; DataError if there is none."""
        if character := self._peek():
            return character
        raise self._error(f"the JSON ends after row {self._row}, before the end of the list")

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end of the text."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def _grow(self) -> bool:
        """Drop what was read and read on, as much again as is in memory, so that retries are few."""
        self._text, self._at = self._text[self._at :], 0
        try:
            more = self._handle.read(max(self._chunk_size, len(self._text)))
        except UnicodeDecodeError as error:
            raise self._error("the text is not UTF-8") from error
        self._text += more
        return bool(more)

    def _error(self, message: str) -> DataError:
        where = f"{self._path}, row {self._row}" if self._row else self._path
        return DataError(message, where=where, fix=_FIX)


def _title_of(first: str) -> str:
    titles = {"": "empty", "{": "a single JSON object", "<": "an HTML page"}
    return titles.get(first, f"a text that begins with {first!r}")
