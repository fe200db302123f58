"""submissions/ledger.csv: every submission ever made, what from, and how it scored."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from runner.workspace import locked, write_text


@dataclass(frozen=True)
class Entry:
    """One submission: one line. Every field is text, as it stands in the file; empty is not known."""

    submitted: str  # UTC, to the second
    competition: str
    host: str
    run: str
    file: str
    sha256: str
    recipe: str
    commit: str
    cv: str
    cv_error: str
    public: str
    private: str
    status: str
    ref: str
    standing: str


COLUMNS = tuple(field.name for field in fields(Entry))

# A cell that begins so is a formula to some spreadsheet; a quote before it makes it text again. The
# quote itself is among them, so that a cell that begins with one reads back as it was.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def read_ledger(path: Path) -> tuple[Entry, ...]:
    """Every entry, oldest first."""
    if not path.exists():
        return ()
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    return tuple(Entry(**{name: _unguarded(row.get(name) or "") for name in COLUMNS}) for row in rows)


def record_entry(path: Path, entry: Entry) -> None:
    """Add an entry, or put it in the place of the one with the same competition, host and reference."""
    with locked(path.with_name(".ledger.lock")):
        known = read_ledger(path)
        before = next((one for one in known if is_same(one, entry)), entry)
        others = [one for one in known if not is_same(one, entry)]
        _write(path, [*others, replace(entry, submitted=before.submitted)])


def add_missing(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Add those that have no line yet, whatever the lines that are there say; the ones that were added."""
    with locked(path.with_name(".ledger.lock")):
        known = read_ledger(path)
        missing = tuple(entry for entry in entries if not any(is_same(one, entry) for one in known))
        if missing:
            _write(path, [*known, *missing])
    return missing


def is_same(one: Entry, other: Entry) -> bool:
    """Whether two entries are of one submission."""
    return (one.competition, one.host, one.ref) == (other.competition, other.host, other.ref)


def filled(entry: Entry, before: Entry) -> Entry:
    """The entry, with what it leaves out and an earlier one of the same submission knew."""
    blank = {name: value for name, value in asdict(before).items() if not getattr(entry, name)}
    return replace(entry, **blank)


def _write(path: Path, entries: Sequence[Entry]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in sorted(entries, key=lambda one: one.submitted):
        writer.writerow({name: _guarded(value) for name, value in asdict(entry).items()})
    write_text(path, text.getvalue())


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell
