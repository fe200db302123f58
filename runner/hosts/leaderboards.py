"""Leaderboards as files: the host's zip, and the snapshots that are kept of them, each with its date."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from runner.errors import UsageError
from runner.hosts.protocol import BoardRow, Leaderboard
from runner.workspace import read_json, write_json, write_text

_TERMS = "terms.json"
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_COLUMNS = ["team", "score", "submitted"]
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """A board as it was at a time."""

    taken: datetime
    board: Leaderboard


@dataclass(frozen=True)
class LeaderboardContext:
    """What one must know to find one's place: until when submissions counted, and which row is one's own."""

    deadline: datetime | None = None
    team: str = ""

    def is_late(self, submitted: datetime) -> bool:
        """Whether a submission came too late to be on the board."""
        return self.deadline is not None and submitted > self.deadline


def keep_terms(folder: Path, terms: LeaderboardContext) -> None:
    """Write them beside the snapshots."""
    deadline = terms.deadline.isoformat() if terms.deadline else None
    write_json(folder / _TERMS, {"deadline": deadline, "team": terms.team})


def read_terms(folder: Path) -> LeaderboardContext:
    """What `keep_terms` wrote; else nothing is known."""
    if not (folder / _TERMS).is_file():
        return LeaderboardContext()
    told = read_json(folder / _TERMS)
    return LeaderboardContext(datetime.fromisoformat(told["deadline"]) if told["deadline"] else None, told["team"])


def read_board(path: Path) -> tuple[str, list[BoardRow]]:
    """The table in a host's zip: its file's name, and its rows; a ValueError where there is none."""
    try:
        with ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if not tables:
                raise ValueError("the zip of the board holds no table")
            name = min(tables, key=lambda one: ("public" not in one.lower(), one))
            text = archive.read(name).decode("utf-8-sig")
    except (BadZipFile, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"the zip of the board cannot be read: {error}") from error
    return name, _rows(text)


def read_board_file(path: Path) -> Leaderboard:
    """A board that a person has as a file: the host's zip, the table in it, or one that was kept here."""
    try:
        if is_zipfile(path):
            name, rows = read_board(path)
        else:
            name, rows = path.name, _rows(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the leaderboard cannot be read: {error}",
            where=path,
            fix="give the zip that Kaggle's leaderboard page offers, or the table in it",
        ) from error
    return Leaderboard(tuple(rows), "private" in name.lower())


def _rows(text: str) -> list[BoardRow]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = {name.strip().lower(): name for name in reader.fieldnames or []}
    team, score = columns.get("teamname") or columns.get("team"), columns.get("score") or columns.get("private")
    date = columns.get("submissiondate") or columns.get("lastsubmissiondate") or columns.get("submitted")
    if team is None or score is None:
        raise ValueError(f"the board's columns are not known here: {', '.join(columns)}")
    rows = []
    for row in reader:
        try:
            value = float(row[score])
        except (TypeError, ValueError):
            continue  # a team without a score stands at no place
        rows.append(BoardRow(row[team] or "", value, _time(row.get(date or "") or "")))
    return rows


def _time(text: str) -> datetime:
    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError:
        return _NEVER
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def keep_snapshot(folder: Path, board: Leaderboard, taken: datetime) -> Path:
    """Write the board under its date, unless it is the same as the last one that was kept."""
    text = _text(board)
    known = _paths(folder, board.private)
    if known and known[-1].read_text(encoding="utf-8") == text:
        return known[-1]
    path = folder / f"{taken.astimezone(UTC).strftime(_STAMP)}-{_kind(board.private)}.csv"
    write_text(path, text)
    return path


def latest_snapshots(folder: Path, *, private: bool, count: int = 2) -> tuple[Snapshot, ...]:
    """The last ones, oldest first."""
    return tuple(Snapshot(_taken(path), _read(path, private)) for path in _paths(folder, private)[-count:])


def _kind(private: bool) -> str:
    return "private" if private else "public"


def _paths(folder: Path, private: bool) -> list[Path]:
    return sorted(path for path in folder.glob(f"[0-9]*-{_kind(private)}.csv"))


def _taken(path: Path) -> datetime:
    return datetime.strptime(path.stem.rsplit("-", 1)[0], _STAMP).replace(tzinfo=UTC)


def _text(board: Leaderboard) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    # Somebody else chose the teams' names: none may be a formula to a spreadsheet.
    writer.writerows([_guarded(row.team), repr(row.score), row.submitted.isoformat()] for row in board.rows)
    return text.getvalue()


def _guarded(team: str) -> str:
    return "'" + team if team[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "'") else team


def _read(path: Path, private: bool) -> Leaderboard:
    with path.open(encoding="utf-8", newline="") as file:
        rows = tuple(
            BoardRow(row["team"].removeprefix("'"), float(row["score"]), datetime.fromisoformat(row["submitted"]))
            for row in csv.DictReader(file)
        )
    return Leaderboard(rows, private)
