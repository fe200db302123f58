"""The ledger as a file: its columns, what each may hold, and the checksum at the end of each line."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.csv_file import BOM, guard_formula, unguard_formula, write_csv
from runner.errors import RunnerError
from runner.hosts.protocol import Status
from runner.problems import quote
from runner.workspace import atomic_path

Row = dict[str, str]

# Kaggle was founded in 2010.
_YEARS = range(2010, 2200)


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda cell: compiled.fullmatch(cell) is not None


def _is_time(cell: str) -> bool:
    try:
        return datetime.strptime(cell, "%Y-%m-%dT%H:%M:%SZ").year in _YEARS
    except ValueError:
        return False


def _is_number(cell: str) -> bool:
    is_plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell, re.ASCII)
    return not cell or (is_plain is not None and math.isfinite(float(cell)))


def _is_text(_cell: str) -> bool:
    return True


# In the file's order. The names are those of the fields of `ledger.Entry`.
_RULES: dict[str, Callable[[str], bool]] = {
    "submitted": _is_time,
    "competition": lambda cell: re.fullmatch(r"[\w.-]+", cell) is not None,
    "host": lambda cell: re.fullmatch(r"[\w.-]+", cell) is not None,
    "run": _is_text,
    "file": _is_text,
    "sha256": _matches(r"([0-9a-f]{12}|[0-9a-f]{64})?"),
    "recipe": _is_text,
    "commit": _matches(r"[0-9a-f]*"),
    "cv": _is_number,
    "cv_error": _is_number,
    "public": _is_number,
    "private": _is_number,
    "status": lambda cell: cell in {status.value for status in Status},
    "ref": _matches(r"[1-9][0-9]{0,18}"),
    "rank": _matches(r"([1-9][0-9]*/[1-9][0-9]*)?"),
    "note": _is_text,
}
_IDENTITY = ("host", "competition", "ref", "sha256")  # what two lines share only if they are of one submission
_CHECK = "check"
_HEADER = (*_RULES, _CHECK)
# Ledgers of earlier versions are still read; version 0.1.0 called the rank "standing".
_OLD_HEADER = _HEADER[:-2]
_OLD_NAMES = {"standing": "rank"}


@dataclass(frozen=True)
class LedgerContent:
    """The rows of a ledger that are understood, and what is wrong with the others."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()


def read(path: Path) -> LedgerContent:
    """The content of a ledger, which may not exist yet; RunnerError if it is no file that can be read."""
    try:
        content = path.read_bytes().removeprefix(BOM)
    except FileNotFoundError:
        return LedgerContent(())
    except OSError as error:
        raise RunnerError(
            f"the ledger cannot be read: {error.strerror}", where=path, fix=f"make {path} a file that you can read"
        ) from error
    try:
        return _parse(content.decode("utf-8"))
    except (UnicodeDecodeError, csv.Error) as error:
        # An open quote swallows what follows it: taken line by line, the other lines are still there.
        lines = content.decode("utf-8", "replace").splitlines()
        return LedgerContent(tuple(_whole_rows(lines)), (f"it is no CSV file in UTF-8: {error}",))


def _parse(text: str) -> LedgerContent:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = tuple(_OLD_NAMES.get(name, name) for name in next(reader, []))
    if sorted(header) not in (sorted(_HEADER), sorted(_OLD_HEADER)):
        problem = f"line 1: the columns are {quote(','.join(header))}, not {','.join(_HEADER)}"
        return LedgerContent(tuple(_whole_rows(text.splitlines())), (problem,))
    rows, problems = dict[tuple[str, ...], Row](), list[str]()
    for cells in reader:
        problem = _row_problem(header, cells)
        if not problem and cells:
            row = _row(header, cells)
            if rows.setdefault(tuple(row[name] for name in _IDENTITY), row) is not row:
                problem = f"the submission {row['ref']} is there already"
        if problem:
            problems.append(f"line {reader.line_num}: {problem}")
    return LedgerContent(tuple(rows.values()), tuple(problems))


def _whole_rows(lines: Sequence[str]) -> Iterator[Row]:
    """The lines that their own checksum confirms, wherever they stand."""
    for line in lines:
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error:
            continue
        if len(cells) == len(_HEADER) and cells[-1] and not _row_problem(_HEADER, cells):
            yield _row(_HEADER, cells)


def _row_problem(header: Sequence[str], cells: Sequence[str]) -> str:
    """What is wrong with a line; empty if nothing is."""
    if not cells:
        return ""  # a blank line
    if len(cells) != len(header):
        return f"{len(cells)} values under {len(header)} columns"
    named = dict(zip(header, cells, strict=True))
    if named.get(_CHECK) and named[_CHECK] != _checksum([named[name] for name in _RULES]):
        return f"a value was changed since the line was written (if by you on purpose, empty its last cell, {_CHECK!r})"
    return row_problem(_row(header, cells))


def _row(header: Sequence[str], cells: Sequence[str]) -> Row:
    named = dict(zip(header, cells, strict=True))
    return {name: unguard_formula(named.get(name, "")) for name in _RULES}


def row_problem(row: Mapping[str, str]) -> str:
    """The first value of a row that its column cannot have; empty if there is none."""
    return next((f"{name} is {quote(row[name])}" for name, is_valid in _RULES.items() if not is_valid(row[name])), "")


def without_invalid(row: Mapping[str, str]) -> Row:
    """The row, with the values that its columns cannot have left out: a score of NaN is no score."""
    return {name: row[name] if is_valid(row[name]) else "" for name, is_valid in _RULES.items()}


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write the ledger; RunnerError, and nothing is changed, if a row could not be read back."""
    for row in rows:
        if problem := row_problem(row):
            raise RunnerError(f"a line of the ledger cannot be written: {problem}", where=path, fix="runner doctor")
    lines = ([guard_formula(row[name]) for name in _RULES] for row in rows)
    write_csv(path, _HEADER, ([*line, _checksum(line)] for line in lines))


def _checksum(cells: Sequence[str]) -> str:
    # The letter keeps a spreadsheet from taking it for a number.
    return f"c{zlib.crc32(chr(31).join(cells).encode()):08x}"


def put_aside(path: Path) -> Path:
    """A dated copy of the file beside it, complete before the file itself is changed."""
    stamp, number = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"), 1
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
    with atomic_path(aside) as part:
        shutil.copyfile(path, part)
    return aside
