"""A CSV file as it lies on the disk, and what can be wrong with it before its meaning is asked."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

BOM = b"\xef\xbb\xbf"

# How many problems of one kind are spelt out; the rest are counted, so that ten thousand rows with
# the same fault do not bury the one that has another.
SPELT_OUT = 3

# What a file is when it begins so, whatever its name says.
_DISGUISES = (
    (b"PK\x03\x04", "an Excel workbook or another zip file", "save it as CSV, comma separated, UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV, comma separated, UTF-8"),
    (b"\x1f\x8b", "a gzip file", "unpack it first: `gunzip FILE`"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8 without a byte order mark"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8 without a byte order mark"),
    (b"<!doctype html", "a web page", "download the file itself, not the page that shows it"),
    (b"<html", "a web page", "download the file itself, not the page that shows it"),
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file: where (its line, the header's is 1), what was found, what to do."""

    row: int | None
    message: str
    fix: str
    more: int = 0  # how many of the same kind follow, unlisted

    def __str__(self) -> str:
        place = f"line {self.row}: " if self.row else ""
        more = f" (and {self.more:,} more like it)" if self.more else ""
        return f"{place}{self.message}{more}; {self.fix}"


class ProblemList:
    """Flaws as they are found: the first few of each kind, and how many more there are."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Problem]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, row: int | None, found: str, fix: str) -> None:
        """Keep the problem, or count it where enough of its kind are kept."""
        self._counts[kind] += 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < SPELT_OUT:
            kept.append(Problem(row, found, fix))

    def extend(self, other: ProblemList) -> None:
        """Put another list's problems behind these, a kind that both have in its first place."""
        for kind, kept in other._kept.items():
            self._counts[kind] += other._counts[kind]
            mine = self._kept.setdefault(kind, [])
            mine += kept[: SPELT_OUT - len(mine)]

    def listed(self) -> list[Problem]:
        """The problems in the order their kinds were found; the last of a kind says how many more there are."""
        return [
            problem if problem is not kept[-1] else replace(problem, more=self._counts[kind] - len(kept))
            for kind, kept in self._kept.items()
            for problem in kept
        ]


class UnreadableError(Exception):
    """The file is no CSV at all; the problem says what it is instead."""

    def __init__(self, problem: Problem):
        self.problem = problem
        super().__init__(str(problem))


@dataclass(frozen=True)
class Table:
    """A header, and the rows below it, each with the line of the file that it begins on.

    The rows are cut anew whenever they are asked for: cell by cell a file takes ten times the room that its bytes take.
    """

    header: tuple[str, ...]
    has_bom: bool
    content: bytes = field(repr=False)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        rows = _parsed(self.content)
        next(rows)
        return rows


def read_table(path: Path) -> Table:
    """The cells of a comma-separated file, as text; UnreadableError where it is not one."""
    content = _content(path)
    _refuse_other_encodings(content)
    has_bom, content = content.startswith(BOM), content.removeprefix(BOM)
    rows = (row for _, row in _parsed(content))
    header = next(rows, [])
    # All rows are looked at here: where one cannot be cut, nothing is said of the others.
    filled = sum(map(bool, rows))
    if not header and not filled:
        raise _unreadable("the file is empty", "write a header and a row for every id")
    if not header:
        raise _unreadable("the first line is blank", "begin with the header", 1)
    _refuse_other_separators(header)
    return Table(tuple(header), has_bom, content)


def shown(text: str) -> str:
    """A text as a message quotes it: on one line, and not longer than one reads."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _unreadable(found: str, fix: str, row: int | None = None) -> UnreadableError:
    return UnreadableError(Problem(row, found, fix))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _unreadable(f"the file cannot be read ({reason})", "name a CSV file that is there") from error
    begin = content[:200].removeprefix(BOM).lstrip().lower()
    for magic, what, fix in _DISGUISES:
        if content.startswith(magic) or begin.startswith(magic):
            raise _unreadable(f"this is {what}, not a CSV file", fix)
    return content


def _refuse_other_encodings(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise _unreadable(f"byte 0x{byte:02x} is not UTF-8", "save the file as UTF-8", line) from error


def _parsed(content: bytes) -> Iterator[tuple[int, list[str]]]:
    begin = 1
    # Decoded line by line: a StringIO of the whole would take four bytes a letter.
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), strict=True)
    try:
        for row in reader:
            yield begin, row
            begin = reader.line_num + 1  # a quoted cell may hold newlines: a row is not always a line
    except csv.Error as error:
        raise _unreadable(f"not readable as CSV ({error})", "mend the quotes on that line", begin) from error


def _refuse_other_separators(header: list[str]) -> None:
    if len(header) != 1:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if separator in header[0]:
            raise _unreadable(f"the columns are separated by {name}", "separate them by commas", 1)
