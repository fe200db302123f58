"""A JSON list of images too large for memory, turned into one array and one table as a stream."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from runner.console import progress
from runner.errors import DataError
from runner.workspace import atomic_path

_CHUNK = 2**20
# An object of the real files is 0.2 MB. One that has not ended by now never will.
_LONGEST_OBJECT = 64 * 2**20
_BLANK = re.compile(r"[ \t\r\n]*")
_ARRAY = re.compile(r"\[[^\[\]]*\]")
_CURE = "the file is not whole: runner COMPETITION download --force (or --from DIR) brings it anew"

_decode_numbers = json.JSONDecoder().raw_decode
# Reads 34.0 as "34.0" and 34 as "34": the text of a number is what rows are grouped by.
_decode_texts = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).raw_decode

_Record = dict[str, Any]


def extract_json_arrays(json_path: Path, bands: tuple[str, ...], shape: tuple[int, int]) -> None:
    """Write `<stem>.npy`, float32 (rows, bands, height, width), and `<stem>.csv`, all other fields.

    A number stands in the table as it stands in the JSON, digit for digit; "na" and null are left empty.
    """
    table, array = json_path.with_suffix(".csv"), json_path.with_suffix(".npy")
    # The table takes its name last: where it is, the array is.
    with (
        atomic_path(table) as table_part,
        atomic_path(array) as array_part,
        table_part.open("w", encoding="utf-8", newline="") as text,
        array_part.open("wb") as raw,
    ):
        rows = _write_rows(json_path, text, raw, bands, shape)
        raw.seek(0)
        raw.write(_npy_header((rows, len(bands), *shape)))


def _write_rows(json_path: Path, text: TextIO, raw: IO[bytes], bands: tuple[str, ...], shape: tuple[int, int]) -> int:
    raw.write(_npy_header((0, len(bands), *shape)))  # a place holder: only the end knows how many rows
    writer = csv.writer(text, lineterminator="\n")
    fields: list[str] = []
    row = 0
    for row, (record, source) in enumerate(_read_objects(json_path), start=1):
        where = f"{json_path}, row {row}"
        images = [_read_band(record, band, shape, where) for band in bands]
        texts = _texts_of(record, source, bands)
        if row == 1:
            fields = list(texts)
            writer.writerow(fields)
        writer.writerow(_cells(texts, fields, where))
        for image in images:
            raw.write(image.tobytes())
    if row == 0:
        raise DataError("the JSON is an empty list", where=json_path, fix=_CURE)
    return row


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A .npy header of one length for every number of rows, so that the last can replace the first."""
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + f"{described:<117}\n".encode("ascii")


def _read_band(record: _Record, band: str, shape: tuple[int, int], where: str) -> NDArray[np.float32]:
    if not isinstance(values := record.get(band), list):
        raise DataError(f"{band} is no list of numbers", where=where, fix=_CURE)
    height, width = shape
    if len(values) != height * width:
        raise DataError(
            f"{band} has {len(values)} numbers where {height} x {width} = {height * width} belong",
            where=where,
            fix=_CURE,
        )
    try:
        with np.errstate(over="ignore"):
            image = np.array(values, dtype="<f4")
    except (TypeError, ValueError, OverflowError):
        image = np.array([math.nan], dtype="<f4")
    if image.shape != (len(values),) or not np.isfinite(image).all():
        raise DataError(f"{band} holds something that is not a number", where=where, fix=_CURE)
    return image


def _texts_of(record: _Record, source: str, bands: tuple[str, ...]) -> _Record:
    """The record's other fields, numbers as their text."""
    # Reading 11,250 numbers as text would cost more than all the rest, so the arrays are cut out first.
    # A text that looks like an array would be cut too: then the whole is read, slowly and rightly.
    try:
        texts, _ = _decode_texts(_ARRAY.sub("0", source))
    except ValueError:
        texts = {}
    if not _agree(record, texts, bands):
        texts, _ = _decode_texts(source)
    return {field: text for field, text in texts.items() if field not in bands}


def _agree(record: _Record, texts: _Record, bands: Sequence[str]) -> bool:
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


def _cells(texts: Mapping[str, Any], fields: Sequence[str], where: str) -> list[str]:
    if list(texts) != list(fields) and set(texts) != set(fields):
        odd = ", ".join(sorted(set(texts) ^ set(fields)))
        raise DataError(f"not the same fields as in the first row: {odd}", where=where, fix=_CURE)
    return [_cell(texts[field], field, where) for field in fields]


def _cell(text: object, field: str, where: str) -> str:
    if isinstance(text, bool):
        return str(int(text))
    if text is None or text in ("na", "NaN"):
        return ""
    if not isinstance(text, str):
        raise DataError(f"{field} is a {type(text).__name__}, not a number or a text", where=where, fix=_CURE)
    if any(ord(letter) < 32 for letter in text):
        raise DataError(f"{field} holds a line break or another control character", where=where, fix=_CURE)
    return text


def _read_objects(json_path: Path) -> Iterator[tuple[_Record, str]]:
    """Each object of a JSON list, with the text it was read from. Holds little more than one at a time."""
    with json_path.open(encoding="utf-8-sig", newline="") as handle:
        size = json_path.stat().st_size
        with progress(f"unpacking {json_path.name}", size, "B") as advance:
            window = _Window(handle, json_path)
            window.expect_list()
            while (found := window.next_object()) is not None:
                yield found
                advance(len(found[1]))


class _Window:
    """The part of a text that is in memory, and the place in it."""

    def __init__(self, handle: TextIO, path: Path):
        self._handle, self._path = handle, path
        self._text, self._at, self._row = "", 0, 0

    def expect_list(self) -> None:
        """Step over the bracket that opens the list."""
        first = self._peek()
        if first != "[":
            raise self._fault(f"the file is not a JSON list but {_title_of(first)}")
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
            raise self._fault(f"row {self._row} is not a JSON object")
        return self._decode()

    def _decode(self) -> tuple[_Record, str]:
        while True:
            try:
                record, end = _decode_numbers(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at < _LONGEST_OBJECT and self._grow():
                    continue
                raise self._fault(f"row {self._row} is cut off or no JSON: {error}") from error
            source, self._at = self._text[self._at : end], end
            return record, source

    def _expect_comma(self) -> None:
        if self._need() != ",":
            raise self._fault(f"no comma after row {self._row}")
        self._at += 1

    def _expect_end(self) -> None:
        self._at += 1
        if self._peek():
            raise self._fault("text goes on after the end of the list")

    def _need(self) -> str:
        """The next character that is not blank; there must be one."""
        if character := self._peek():
            return character
        raise self._fault(f"the JSON breaks off after row {self._row}")

    def _peek(self) -> str:
        """The next character that is not blank; nothing at the end of the text."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text) or not self._grow():
                return self._text[self._at : self._at + 1]

    def _grow(self) -> bool:
        """Drop what is behind and read on, as much again as is held, so that retries stay few."""
        self._text, self._at = self._text[self._at :], 0
        try:
            more = self._handle.read(max(_CHUNK, len(self._text)))
        except UnicodeDecodeError as error:
            raise self._fault("the text is not UTF-8") from error
        self._text += more
        return bool(more)

    def _fault(self, found: str) -> DataError:
        where = f"{self._path}, row {self._row}" if self._row else self._path
        return DataError(found, where=where, fix=_CURE)


def _title_of(first: str) -> str:
    titles = {"": "empty", "{": "a single JSON object", "<": "an HTML page"}
    return titles.get(first, f"a text that begins with {first!r}")
