"""Leaderboards as files: the host's zip, and the dated copies that this workspace saves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from runner.contract import Metric
from runner.csv_file import csv_text, guard_formula, unguard_formula
from runner.errors import UsageError
from runner.hosts.protocol import Leaderboard, LeaderboardRow, leaderboard_kind
from runner.workspace import read_json, write_json, write_text

_CONTEXT, _CONTEXT_FORMAT = "context.json", 1
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_HEADER = ["team", "score", "submitted"]
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LeaderboardContext:
    """What a rank depends on besides the scores: the deadline, and which row is the user's own team."""

    deadline: datetime | None = None
    team: str = ""

    def is_late(self, submitted: datetime) -> bool:
        """Whether a submission was made after the deadline: it is scored but not ranked."""
        return self.deadline is not None and submitted > self.deadline


@dataclass(frozen=True)
class SavedLeaderboard:
    """A leaderboard at one time, with what is needed to rank a submission on it."""

    leaderboard: Leaderboard
    saved_at: datetime
    context: LeaderboardContext = LeaderboardContext()


def sort_leaderboard(metric: Metric, rows: Iterable[LeaderboardRow], *, private: bool) -> Leaderboard:
    """The rows as a leaderboard: best score first, earlier submission first if scores tie."""
    ordered = sorted(rows, key=lambda row: (metric.sort_key(row.score), row.submitted))
    return Leaderboard(tuple(ordered), private)


def read_leaderboard_zip(path: Path) -> tuple[str, list[LeaderboardRow]]:
    """Name and rows of the CSV file in a host's zip, the public one if there are two; ValueError if there is none."""
    try:
        with ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
            if not names:
                raise ValueError("the zip contains no CSV file")
            name = min(names, key=lambda name: ("public" not in name.lower(), name))
            text = archive.read(name).decode("utf-8-sig")
    except (BadZipFile, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"the zip cannot be read: {error}") from error
    return name, _parse_rows(text)


def read_leaderboard_file(path: Path) -> Leaderboard:
    """A leaderboard from a file of the user's: the host's zip, its CSV file, or a saved leaderboard."""
    try:
        if is_zipfile(path):
            name, rows = read_leaderboard_zip(path)
        else:
            name, rows = path.name, _parse_rows(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the leaderboard file cannot be read: {error}",
            where=path,
            fix="name the zip that Kaggle's leaderboard page offers, or the CSV file in it",
        ) from error
    return Leaderboard(tuple(rows), "private" in name.lower())


def _parse_rows(text: str) -> list[LeaderboardRow]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = {name.strip().lower(): name for name in reader.fieldnames or []}
    team, score = columns.get("teamname") or columns.get("team"), columns.get("score") or columns.get("private")
    date = columns.get("submissiondate") or columns.get("lastsubmissiondate") or columns.get("submitted")
    if team is None or score is None:
        raise ValueError(f"no team and score among the columns: {', '.join(columns)}")
    rows = []
    for row in reader:
        try:
            value = float(row[score])
        except (TypeError, ValueError):
            continue  # a team without a score has no rank
        rows.append(LeaderboardRow(row[team] or "", value, _parse_time(row.get(date or "") or "")))
    return rows


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return UNKNOWN_TIME
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def write_context(folder: Path, context: LeaderboardContext) -> None:
    """Write context.json beside the saved leaderboards."""
    deadline = context.deadline.isoformat() if context.deadline else None
    write_json(folder / _CONTEXT, {"deadline": deadline, "team": context.team}, format=_CONTEXT_FORMAT)


def read_context(folder: Path) -> LeaderboardContext:
    """The context that `write_context` wrote; an empty one if there is none."""
    path = folder / _CONTEXT
    if not path.is_file():
        return LeaderboardContext()
    fix = f"remove {path}, then: runner {folder.name} standings --refresh"
    content = read_json(path, format=_CONTEXT_FORMAT, fix=fix)
    deadline = datetime.fromisoformat(content["deadline"]) if content["deadline"] else None
    return LeaderboardContext(deadline, content["team"])


def save_leaderboard(folder: Path, leaderboard: Leaderboard, now: datetime) -> Path:
    """Write the leaderboard under its date, unless it equals the last saved one; the path of the file."""
    text = _csv_text(leaderboard)
    paths = _saved_paths(folder, leaderboard.private)
    if paths and paths[-1].read_text(encoding="utf-8") == text:
        return paths[-1]
    path = folder / f"{now.astimezone(UTC).strftime(_STAMP)}-{leaderboard.kind}.csv"
    write_text(path, text)
    return path


def latest_leaderboards(folder: Path, *, private: bool, count: int = 2) -> tuple[SavedLeaderboard, ...]:
    """The last `count` saved leaderboards, oldest first."""
    context = read_context(folder)
    return tuple(
        SavedLeaderboard(_read_saved(path, private), _saved_at(path), context)
        for path in _saved_paths(folder, private)[-count:]
    )


def _saved_paths(folder: Path, private: bool) -> list[Path]:
    return sorted(folder.glob(f"[0-9]*-{leaderboard_kind(private)}.csv"))


def _saved_at(path: Path) -> datetime:
    return datetime.strptime(path.stem.rsplit("-", 1)[0], _STAMP).replace(tzinfo=UTC)


def _csv_text(leaderboard: Leaderboard) -> str:
    # Team names are chosen by strangers: none may be a formula to a spreadsheet.
    rows = ([guard_formula(row.team), repr(row.score), row.submitted.isoformat()] for row in leaderboard.rows)
    return csv_text(_HEADER, rows)


def _read_saved(path: Path, private: bool) -> Leaderboard:
    with path.open(encoding="utf-8", newline="") as file:
        rows = tuple(
            LeaderboardRow(unguard_formula(row["team"]), float(row["score"]), datetime.fromisoformat(row["submitted"]))
            for row in csv.DictReader(file)
        )
    return Leaderboard(rows, private)
