"""The one CSV reader and writer."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Protocol

from runner.problems import Problem, ProblemList, did_you_mean, quote
from runner.workspace import atomic_path

BOM = b"\xef\xbb\xbf"
MISSING_FILE = "missing file"  # the kind of problem


class CsvError(Exception):
    """The file is not a CSV file, or not readable as one."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True)
class CsvFile:
    """A CSV file with its header; iterating gives (first line, cells) of each row below.

    The rows are parsed again at each iteration: as cells, a file takes ten times its size in memory.
    """

    name: str  # as problems name it
    header: tuple[str, ...]
    has_bom: bool = False
    has_blanks: bool = False  # around its names, or before a value
    content: bytes = field(default=b"", repr=False)
    lenient: bool = False
    delimiter: str = ","
    not_utf8: Problem | None = None  # of a file in latin-1 that was read as such

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        rows = _parse(self.content, self.lenient, self.delimiter)
        next(rows)
        return rows


class TableFile(Protocol):
    """A table with its header; iterating gives (line or number, cells) of each row below."""

    @property
    def name(self) -> str: ...

    @property
    def header(self) -> tuple[str, ...]: ...

    @property
    def has_bom(self) -> bool: ...

    @property
    def has_blanks(self) -> bool: ...

    def __iter__(self) -> Iterator[tuple[int, list[str]]]: ...


@dataclass(frozen=True)
class Columns:
    """Some columns of a table, stripped, and the line of each row."""

    file: str
    values: dict[str, list[str]]
    lines: list[int]

    def numbers(self, column: str, problems: ProblemList) -> list[float]:
        """The column as numbers, NaN for an empty cell; an error for a cell that is not a finite number."""
        numbers = [parse_number(cell) for cell in self.values[column]]
        for number, cell, line in zip(numbers, self.values[column], self.lines, strict=True):
            if number is None:
                problems.error("not a number", f"{column} is {quote(cell)}, not a number", file=self.file, line=line)
        return [math.nan if number is None else number for number in numbers]


_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"))
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def parse_number(cell: str) -> float | None:
    """The number in a cell: NaN if it is blank or marked as missing, None if it is no finite number."""
    if cell.casefold() in _MISSING:
        return math.nan
    number = float(cell) if _NUMBER.fullmatch(cell) else math.inf
    return number if math.isfinite(number) else None


def read_csv(path: Path, *, name: str = "", lenient: bool = False, may_be_latin1: bool = False) -> CsvFile:
    """Read a comma-separated UTF-8 file, or one with tabs if its name ends in .tsv; CsvError if it is not one.

    A lenient reader drops blanks around cells, blank lines, and a blank before a quote; a strict one keeps all
    as it is written, and checks that every row can be parsed.
    """
    content = _read_content(path)
    not_utf8 = _utf8_problem(content)
    if not_utf8 is not None:
        if not may_be_latin1 or _NOT_LATIN1.search(content):
            raise CsvError(not_utf8)
        content = content.decode("latin-1").encode("utf-8")
    has_bom, content = content.startswith(BOM), content.removeprefix(BOM)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = _parse(content, lenient, delimiter)
    first_line, header = next(rows, (0, []))
    if not any(name.strip() for name in header):
        raise _no_header(content)
    if lenient and any("\n" in name for name in header):
        raise _open_quote(first_line)
    _refuse_other_separators(header, first_line, delimiter)
    if not lenient:
        for _ in rows:
            pass
    names = [name.strip() for name in header]
    has_blanks = names != header or (delimiter == "," and _has_blank_before_a_value(content))
    names = names if lenient else header
    return CsvFile(name or path.name, tuple(names), has_bom, has_blanks, content, lenient, delimiter, not_utf8)


_SAVE_AS = "save it as CSV UTF-8, separated by commas"
_NOT_CSV = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive", _SAVE_AS),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", _SAVE_AS),
    (b"\x1f\x8b", "a gzip archive", "extract it first"),
    (b"7z\xbc\xaf", "a 7z archive", "extract it first"),
    (b"%PDF", "a PDF", _SAVE_AS),
    (b"\x93NUMPY", "a numpy array", _SAVE_AS),
    (b"\xff\xfe", "text in UTF-16, such as Excel's 'Unicode text'", _SAVE_AS),
    (b"\xfe\xff", "text in UTF-16, such as Excel's 'Unicode text'", _SAVE_AS),
    (b"<", "an HTML page, such as a site sends instead of a file that needs signing in", "download the file itself"),
    (b"{", "JSON", _SAVE_AS),
    (b"[", "JSON", _SAVE_AS),
)


def read_table_bytes(path: Path) -> bytes:
    """The content of a table's file, of whatever format; CsvError if it is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CsvError(Problem(MISSING_FILE, "the file does not exist")) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CsvError(Problem("unreadable file", f"the file cannot be read: {reason}")) from error


def _read_content(path: Path) -> bytes:
    content = read_table_bytes(path)
    start = content[:200].removeprefix(BOM).lstrip()
    for magic, kind, fix in _NOT_CSV:
        if content.startswith(magic) or start.startswith(magic):
            raise CsvError(Problem("not a CSV", f"the file is {kind}, not a CSV", fix=fix))
    if b"\0" in content:
        raise CsvError(Problem("not a CSV", "the file is binary, not a CSV"))
    return content


# Bytes that latin-1 has no letter for, or a letter of UTF-8: a file of UTF-8 with a broken byte is not latin-1.
_NOT_LATIN1 = re.compile(rb"[\x80-\x9f]|[\xc2-\xf4][\xa0-\xbf]")


def _utf8_problem(content: bytes) -> Problem | None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        message = f"the file is not UTF-8: byte 0x{byte:02x}"
        return Problem("not UTF-8", message, line=line, fix="save it as CSV UTF-8")
    return None


def _parse(content: bytes, lenient: bool, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, cells) of each row, the header first; CsvError if a quote is never closed."""
    return _filled_rows(content, delimiter) if lenient else _parse_rows(content, delimiter, lenient=False)


def _parse_rows(content: bytes, delimiter: str, *, lenient: bool) -> Iterator[tuple[int, list[str]]]:
    line = 1
    # Decoded line by line: a StringIO of the file would take four bytes a character.
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=not lenient, skipinitialspace=lenient)
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1  # a quoted cell may hold line breaks
    except csv.Error as error:
        if "field limit" in str(error) and not content.count(b'"') % 2:
            message = f"a cell has more than {csv.field_size_limit():,} characters"
            problem = Problem("cell too long", message, line=line, fix="close its quote, or shorten it")
            raise CsvError(problem) from error
        if lenient or "expected after" not in str(error):
            raise _open_quote(line) from error
        raise CsvError(
            Problem("wrong quotes", f"not readable as CSV: {error}", line=line, fix="correct the quotes on that line")
        ) from error


def _filled_rows(content: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows without blank lines."""
    line, row = 0, list[str]()
    for next_line, next_row in _parse_rows(content, delimiter, lenient=True):
        if len(next_row) > 1 or any(cell.strip() for cell in next_row):
            if line:
                yield line, row
            line, row = next_line, next_row
    # An unclosed quote puts the rest of the file into the last row, and the csv module raises nothing.
    if any("\n" in cell or "\r" in cell for cell in row) and content.count(b'"') % 2:
        raise _open_quote(line)
    if line:
        yield line, row


def _open_quote(line: int) -> CsvError:
    message = "a quote is opened here and never closed: the rows below are lost in it"
    return CsvError(Problem("open quote", message, line=line, fix="close the quote, or delete it"))


def _no_header(content: bytes) -> CsvError:
    if not content.strip():
        return CsvError(Problem("empty file", f"the file is empty: {len(content)} bytes"))
    return CsvError(Problem("missing header", "the first line has no column names", line=1, fix="begin with a header"))


_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def _refuse_other_separators(header: Sequence[str], line: int, delimiter: str) -> None:
    wanted = _SEPARATORS[delimiter]
    for separator, name in _SEPARATORS.items():
        if len(header) == 1 and separator != delimiter and separator in header[0].strip():
            message = f"the values are separated by {name}, not by {wanted}"
            raise CsvError(Problem("wrong separator", message, line=line, fix=f"save it with {wanted}"))


# --- columns ------------------------------------------------------------------------------------

_BLOCK_ROWS = 1 << 7  # few enough to stay in the processor's cache
_BLANK_BEFORE_A_VALUE = re.compile(rb'^ |^[^"\n]*, |, +"', re.MULTILINE)


def read_columns(file: TableFile, columns: Sequence[str], problems: ProblemList) -> Columns | None:
    """These columns of a lenient file or other table, stripped; None after an error, which is added to `problems`."""
    if not _has_columns(file, columns, problems):
        return None
    positions = [file.header.index(column) for column in columns]
    values: list[list[str]] = [[] for _ in columns]
    lines: list[int] = []
    has_blanks, ragged = file.has_blanks, False
    rows = iter(file)
    try:
        # Some rows at a time: what is done to a column of them takes a fraction of what it takes cell by cell.
        while block := list(islice(rows, _BLOCK_ROWS)):
            whole = _rows_of_width(block, file, problems)
            ragged = ragged or len(whole) < len(block)
            lines.extend(map(itemgetter(0), whole))
            for position, column in zip(positions, values, strict=True):
                cells = [row[position] for _, row in whole]
                stripped = list(map(str.strip, cells))
                has_blanks = has_blanks or stripped != cells
                column.extend(stripped)
    except CsvError as error:
        add_csv_error(error, file.name, problems)
        return None
    if has_blanks:
        problems.warn("blanks around values", "blanks around names or values are dropped", file=file.name)
    if not lines and not ragged:
        problems.error("empty file", "there are no rows below the header", file=file.name, line=1)
    return Columns(file.name, dict(zip(columns, values, strict=True)), lines) if lines else None


def add_csv_error(error: CsvError, name: str, problems: ProblemList) -> None:
    """Add a file that is not a CSV to the problems of the data."""
    problem = error.problem
    fix = f"{problem.fix}, or: `{problems.default_fix}`" if problem.fix and problems.default_fix else problem.fix
    problems.error(problem.kind, problem.message, file=name, line=problem.line, fix=fix)


def _has_columns(file: TableFile, columns: Sequence[str], problems: ProblemList) -> bool:
    for column in columns:
        count = file.header.count(column)
        if count > 1:
            fix = "rename or delete the column that is not meant"
            problems.error("missing column", f"{count} columns are named {column!r}", file=file.name, line=1, fix=fix)
        elif not count:
            listed = ", ".join(map(repr, file.header[:8]))
            more = f" and {len(file.header) - 8} more" if len(file.header) > 8 else ""
            guess = did_you_mean(column, file.header)
            fix = f"{guess} rename it in the file, or name it in the competition file".lstrip()
            message = f"no column is named {column!r}; there are {listed}{more}"
            problems.error("missing column", message, file=file.name, line=1, fix=fix)
    return all(file.header.count(column) == 1 for column in columns)


def _has_blank_before_a_value(content: bytes) -> bool:
    # The plain search first: it is much faster, and most files hold none.
    has_candidate = b", " in content or b"\n " in content or content[:1] == b" "
    return has_candidate and bool(_BLANK_BEFORE_A_VALUE.search(content))


def _rows_of_width(
    rows: list[tuple[int, list[str]]], file: TableFile, problems: ProblemList
) -> list[tuple[int, list[str]]]:
    """The rows that are as long as the header; an error for each other."""
    width = len(file.header)
    if all(len(row) == width for _, row in rows):
        return rows
    whole = []
    for line, row in rows:
        if cells := _fit(row, width):
            whole.append((line, cells))
        else:
            _add_ragged_row(row, width, file.name, line, problems)
    return whole


def _fit(row: list[str], width: int) -> list[str] | None:
    """The row without empty cells beyond the header's width; None if its length is wrong."""
    if len(row) > width and not any(row[width:]):
        return row[:width]
    return row if len(row) == width else None


def _add_ragged_row(row: list[str], width: int, name: str, line: int, problems: ProblemList) -> None:
    message = f"{len(row)} values under {width} names: {', '.join(row)[:80]}"
    fix = "put values that hold a comma between quotes" if len(row) > width else "complete the row"
    problems.error("rows of the wrong length", message, file=name, line=line, fix=fix)


# --- writing ------------------------------------------------------------------------------------


def write_csv(path: Path, header: Sequence[object], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file (UTF-8, plain newlines) completely, or leave the old one."""
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def csv_text(header: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """The text of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


# A spreadsheet runs a cell that begins so as a formula; a quote before it makes it text. The quote itself is one
# of them, so that a cell that begins with a quote reads back as it was.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


def guard_formula(cell: str) -> str:
    """The cell with a quote before it if a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell


def unguard_formula(cell: str) -> str:
    """The cell that `guard_formula` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
