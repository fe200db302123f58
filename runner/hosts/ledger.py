"""submissions/ledger.csv: every submission ever made, what from, and how it scored."""

from __future__ import annotations

import csv
import io
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

# A cell that begins so is a formula to a spreadsheet; a quote before it makes it text again.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_ledger(path: Path) -> tuple[Entry, ...]:
    """Every entry, oldest first."""
    if not path.exists():
        return ()
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    return tuple(Entry(**{name: _unguarded(row.get(name) or "") for name in COLUMNS}) for row in rows)


def record_entry(path: Path, entry: Entry) -> None:
    """Add an entry, or put it in the place of the one with the same host and reference."""
    with locked(path.with_name(".ledger.lock")):
        known = read_ledger(path)
        others = [one for one in known if not (one.ref == entry.ref and one.host == entry.host)]
        before = next((one for one in known if one not in others), entry)
        _write(path, [*others, replace(entry, submitted=before.submitted)])


def _write(path: Path, entries: list[Entry]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in sorted(entries, key=lambda one: one.submitted):
        writer.writerow({name: _guarded(value) for name, value in asdict(entry).items()})
    write_text(path, text.getvalue())


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
