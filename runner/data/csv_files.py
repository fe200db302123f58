"""Reading a CSV as people and programs leave it, with the line that each row stands on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.contract.labels import FileNames, aliases
from runner.data.problems import Problems, did_you_mean

# What a file that is no CSV begins with, and what it is then.
_MAGIC = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF", "a PDF"),
    (b"\x93NUMPY", "a numpy array"),
    (b"<", "an HTML page, such as a site sends in place of a file that needs signing in"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BLANK_BEFORE_A_VALUE = re.compile(r'^ |^[^"\n]*, |, +"', re.MULTILINE)


@dataclass(frozen=True)
class Rows:
    """Some columns of a table, value by value, and the line of each row."""

    file: str
    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True)
class Table:
    """A CSV whose header has been read."""

    file: str
    names: tuple[str, ...]
    text: str


class CsvFiles:
    """The competition's CSVs, each opened, and complained of, once."""

    def __init__(self, raw: Path, problems: Problems) -> None:
        self._raw, self._problems = raw, problems
        self._opened: dict[str, Table | None] = {}
        self._read: list[Rows] = []

    def open(self, names: FileNames) -> Table | None:
        """The table under the first of its names that is there; None if it cannot be read."""
        known = aliases(names)
        file = next((name for name in known if (self._raw / name).is_file()), known[0])
        if file not in self._opened:
            self._opened[file] = _open_table(self._raw / file, file, self._problems)
        return self._opened[file]

    def read(self, names: FileNames, columns: Sequence[str]) -> Rows | None:
        """Those columns of the table, stripped; None if they cannot be had."""
        table = self.open(names)
        if table is None or not _has_columns(table, columns, self._problems):
            return None
        rows = self._rows_of(table, columns)
        if not rows.lines and not any(c.fatal and c.file == table.file for c in self._problems.entries):
            _no_rows(table.file, self._problems)
            return None
        return rows

    def _rows_of(self, table: Table, columns: Sequence[str]) -> Rows:
        """Cut once: a table may name both the labels and the rows of an array."""
        for known in self._read:
            if known.file == table.file and set(columns) <= set(known.columns):
                return Rows(known.file, {name: known.columns[name] for name in columns}, known.lines)
        self._read.append(_read_rows(table, columns, self._problems))
        return self._read[-1]


def _open_table(path: Path, file: str, problems: Problems) -> Table | None:
    text = _read_text(path, file, problems)
    if text is None:
        return None
    header = _header(text, file, problems)
    if header is None:
        return None
    names = tuple(name.strip() for name in header)
    separator = next((mark for mark in _SEPARATORS if mark in "".join(names)), None)
    if len(names) == 1 and separator:
        problems.error(
            "wrong separator",
            file,
            1,
            f"the values are separated by {_SEPARATORS[separator]}, not by commas",
            f"save it with commas, or {problems.download_again}",
        )
        return None
    if any(name != name.rstrip() for name in header) or _has_blank_before_a_value(text):
        _remark_blanks(file, problems)
    return Table(file, names, text)


def _header(text: str, file: str, problems: Problems) -> list[str] | None:
    reader = csv.reader(_lines(text), skipinitialspace=True)
    try:
        header = next((row for row in reader if len(row) > 1 or any(row)), [])
    except csv.Error:  # a value longer than any is
        header = ["\n"]
    if any("\n" in name for name in header):
        _open_quote(file, 1, problems)
        return None
    if not any(name.strip() for name in header):
        problems.error("empty table", file, 1, "there are no names of columns", problems.download_again)
        return None
    return header


def _has_blank_before_a_value(text: str) -> bool:
    # The plain search first: it is much the faster, and most files hold none.
    return (", " in text or "\n " in text or text[:1] == " ") and bool(_BLANK_BEFORE_A_VALUE.search(text))


def _read_text(path: Path, file: str, problems: Problems) -> str | None:
    again = problems.download_again
    if not path.is_file():
        problems.error("missing table", file, None, "the file is not there", again)
        return None
    content = path.read_bytes()
    if not content.strip():
        problems.error("empty table", file, None, f"the file is empty: {len(content)} bytes", again)
        return None
    what = _what_it_is(content)
    if what:
        problems.error("not a CSV", file, None, f"this is not a CSV but {what}", again)
        return None
    return _decode(content, file, problems)


def _what_it_is(content: bytes) -> str | None:
    start = content.lstrip()[:8]
    for magic, what in _MAGIC:
        if start.startswith(magic):
            return what
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16, such as Excel saves as 'Unicode text'"
    return "a binary file" if b"\x00" in content else None


def _decode(content: bytes, file: str, problems: Problems) -> str | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"this is not text in UTF-8: the byte {content[error.start]:#04x}"
        problems.error("not UTF-8", file, line, found, "save it as 'CSV UTF-8'")
        return None
    if text.startswith("\ufeff"):
        fix = "nothing to do: it is left out when reading"
        problems.warn("byte order mark", file, 1, "the file begins with a byte order mark", fix)
    return text.removeprefix("\ufeff")


def _has_columns(table: Table, columns: Sequence[str], problems: Problems) -> bool:
    for column in columns:
        times = table.names.count(column)
        if times == 1:
            continue
        if times:
            found, fix = (
                f"{times} columns are named {column!r}",
                "rename or delete the one that is not meant",
            )
        else:
            found = f"no column is named {column!r}; there are {_listed(table.names)}"
            guess = did_you_mean(column, table.names)
            fix = f"{guess}rename it in the file, or name it in the competition's plugin"
        problems.error("missing column", table.file, 1, found, fix)
    return all(table.names.count(column) == 1 for column in columns)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _read_rows(table: Table, columns: Sequence[str], problems: Problems) -> Rows:
    places = [table.names.index(column) for column in columns]
    values: list[list[str]] = [[] for _ in columns]
    lines: list[int] = []
    blanks = False
    for line, row in _whole_rows(table, problems):
        lines.append(line)
        for place, into in zip(places, values, strict=True):
            value = row[place].strip()
            # A blank before a value was seen, and taken away, when the table was opened.
            blanks = blanks or len(value) != len(row[place])
            into.append(value)
    if blanks:
        _remark_blanks(table.file, problems)
    return Rows(table.file, dict(zip(columns, values, strict=True)), lines)


def _whole_rows(table: Table, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Each row with its line; those with too few or too many values are complained of instead."""
    width = len(table.names)
    for line, row in _numbered_rows(table, problems):
        if len(row) > width and not any(row[width:]):
            row = row[:width]  # commas left over at the end hold nothing
        if len(row) == width:
            yield line, row
            continue
        fix = "put values that hold a comma between quotes" if len(row) > width else "complete the row"
        found = f"{len(row)} values under {width} names: {', '.join(row)[:80]}"
        problems.error("rows of the wrong length", table.file, line, found, fix)


def _numbered_rows(table: Table, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, each with the line that it begins on."""
    records = _records(table, problems)
    next(records)
    line, row = next(records, (0, []))
    for next_line, next_row in records:
        yield line, row
        line, row = next_line, next_row
    # An unclosed quote swallows the rest of the file into the last row, and the reader says nothing.
    if any("\n" in value or "\r" in value for value in row) and table.text.count('"') % 2:
        _open_quote(table.file, line, problems)
    elif line:
        yield line, row


def _records(table: Table, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Every record but empty lines, the header first."""
    reader, line = csv.reader(_lines(table.text), skipinitialspace=True), 1
    try:
        for row in reader:
            if len(row) > 1 or any(value.strip() for value in row):
                yield line, row
            line = reader.line_num + 1
    except csv.Error:  # an unclosed quote again, and too long a value
        _open_quote(table.file, line, problems)


def _lines(text: str) -> Iterator[str]:
    # Decoded piece by piece: a StringIO of the whole takes four bytes a letter.
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), "utf-8", newline="")


def _open_quote(file: str, line: int, problems: Problems) -> None:
    found = "a quote is opened here and never closed: the rows below are lost in it"
    problems.error("open quote", file, line, found, "close the quote, or take it out")


def _remark_blanks(file: str, problems: Problems) -> None:
    if not any(c.file == file and c.kind == "blanks around values" for c in problems.entries):
        found = "there are blanks around names or values"
        problems.warn("blanks around values", file, None, found, "nothing to do: they are left out")


def _no_rows(file: str, problems: Problems) -> None:
    found = "there are names of columns, and no rows below them"
    problems.error("empty table", file, 1, found, problems.download_again)
