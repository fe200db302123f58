"""Leaderboards as files: the host's zip, and the dated copies that this workspace saves."""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

from rich.filesize import decimal

from runner.commands import command
from runner.console import log
from runner.contract import Metric
from runner.csv_file import csv_text, guard_formula, unguard_formula
from runner.errors import RunnerError, UsageError
from runner.hosts.protocol import Leaderboard, LeaderboardRow, leaderboard_kind
from runner.problems import quote
from runner.workspace import read_json, write_bytes, write_json

_CONTEXT, _CONTEXT_FORMAT = "context.json", 1
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_HEADER = ["team", "score", "submitted"]
# Of one table: 50,000 teams take 4 MB. A small zip can hold gigabytes.
_MAX_BYTES = 64 << 20
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
            with archive.open(name) as member:
                content = member.read(_MAX_BYTES + 1)
    except ValueError:
        raise
    except BadZipFile as error:
        raise ValueError(f"the zip cannot be read: {error} (it begins with {_beginning(path)})") from error
    except Exception as error:  # the libraries raise anything at all on unexpected bytes
        raise ValueError(f"the zip cannot be read: {error or type(error).__name__}") from error
    return name, _parse_rows(content)


def read_leaderboard_file(path: Path) -> Leaderboard:
    """A leaderboard from a file of the user's: the host's zip, its CSV file, or a saved leaderboard."""
    try:
        if is_zipfile(path):
            name, rows = read_leaderboard_zip(path)
        else:
            with path.open("rb") as file:
                name, rows = path.name, _parse_rows(file.read(_MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"the leaderboard file cannot be read: {reason}",
            where=path,
            fix="name the zip that Kaggle's leaderboard page offers, or the CSV file in it",
        ) from error
    return Leaderboard(tuple(rows), "private" in name.lower())


def _beginning(path: Path) -> str:
    """The first bytes of a file, for a message: mostly they tell what it is."""
    with path.open("rb") as file:
        return repr(file.read(20).decode("ascii", "replace"))


def _parse_rows(content: bytes) -> list[LeaderboardRow]:
    """The teams with a score; ValueError, which names the line, if a score is none."""
    if len(content) > _MAX_BYTES:
        raise ValueError(f"the table has more than {decimal(_MAX_BYTES)}")
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    try:
        return list(_rows(reader))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _rows(reader: Any) -> Iterator[LeaderboardRow]:
    header = [name.strip().lower() for name in next(reader, [])]
    team, score = _find(header, "teamname", "team"), _find(header, "score", "private")
    date = _find(header, "submissiondate", "lastsubmissiondate", "submitted")
    if team is None or score is None:
        raise ValueError(f"no team and score among the columns: {', '.join(header)[:200]}")
    for cells in reader:
        if not cells:
            continue
        if len(cells) <= max(team, score):
            raise ValueError(f"line {reader.line_num}: {len(cells)} values under {len(header)} columns")
        if not cells[score].strip():
            continue  # a team without a score has no rank
        value = _parse_score(cells[score])
        if value is None:
            raise ValueError(f"line {reader.line_num}: the score is {quote(cells[score])}, not a number")
        submitted = cells[date] if date is not None and date < len(cells) else ""
        yield LeaderboardRow(cells[team], value, _parse_time(submitted) or UNKNOWN_TIME)


def _find(header: Sequence[str], *names: str) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _parse_score(text: str) -> float | None:
    """A finite number; None for anything else."""
    try:
        score = float(text)
    except ValueError:
        return None
    return score if math.isfinite(score) and "_" not in text else None


def _parse_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- saved leaderboards --------------------------------------------------------------------------


def write_context(folder: Path, context: LeaderboardContext) -> None:
    """Write context.json beside the saved leaderboards."""
    content = _context_content(context)
    write_json(folder / _CONTEXT, content | {"check": _checksum(str(content))}, format=_CONTEXT_FORMAT)


def _context_content(context: LeaderboardContext) -> dict[str, str | None]:
    return {"deadline": context.deadline.isoformat() if context.deadline else None, "team": context.team}


def read_context(folder: Path) -> LeaderboardContext:
    """The context that `write_context` wrote; an empty one if there is none, RunnerError if it is damaged."""
    path = folder / _CONTEXT
    if not path.is_file():
        return LeaderboardContext()
    content = read_json(path, format=_CONTEXT_FORMAT, fix=_fix(path))
    deadline, team = content.get("deadline"), content.get("team")
    context = LeaderboardContext(_parse_time(str(deadline)) if deadline else None, str(team))
    expected = _context_content(context)
    check = content.get("check", _checksum(str(expected)))  # earlier versions wrote none
    if (deadline, team, check) != (*expected.values(), _checksum(str(expected))):
        raise RunnerError("the file is damaged", where=path, fix=_fix(path))
    return context


def _fix(path: Path) -> str:
    host = ("--host", "practice") if path.parents[2].name == "practice" else ()
    return f"remove {path}, then: `{command(*host, path.parent.name, 'standings', '--refresh')}`"


def save_leaderboard(folder: Path, leaderboard: Leaderboard, now: datetime) -> Path:
    """Write the leaderboard under its date, unless it equals the last saved one; the path of the file."""
    content = _csv_text(leaderboard).encode()
    paths = _saved_paths(folder, leaderboard.private)
    if paths and paths[-1].read_bytes() == content:
        return paths[-1]
    path = folder / f"{now.astimezone(UTC).strftime(_STAMP)}-{leaderboard.kind}.csv"
    write_bytes(path, content)
    return path


def latest_leaderboards(folder: Path, *, private: bool, count: int = 2) -> tuple[SavedLeaderboard, ...]:
    """The last `count` saved leaderboards that are whole, oldest first. A damaged one is named, and left out."""
    latest: list[SavedLeaderboard] = []
    try:
        context = read_context(folder)
        for path in reversed(_saved_paths(folder, private)):
            if len(latest) == count:
                break
            if saved := _read_or_warn(path, private, context):
                latest.insert(0, saved)
    except RunnerError as error:
        log.warning(f"no standing is shown: {error}")
    return tuple(latest)


def _read_or_warn(path: Path, private: bool, context: LeaderboardContext) -> SavedLeaderboard | None:
    try:
        return SavedLeaderboard(_read_saved(path, private), _saved_at(path), context)
    except (OSError, ValueError) as error:
        log.warning(f"a saved leaderboard is damaged and left out: {path}: {error} (fix: {_fix(path)})")
        return None


def _saved_paths(folder: Path, private: bool) -> list[Path]:
    return sorted(folder.glob(f"[0-9]*-{leaderboard_kind(private)}.csv"))


def _saved_at(path: Path) -> datetime:
    return datetime.strptime(path.stem.rsplit("-", 1)[0], _STAMP).replace(tzinfo=UTC)


def _csv_text(leaderboard: Leaderboard) -> str:
    # Team names are chosen by strangers: none may be a formula to a spreadsheet.
    rows = [[guard_formula(row.team), repr(row.score), row.submitted.isoformat(), ""] for row in leaderboard.rows]
    # The checksum of the rows is the name of a last, empty column.
    body = csv_text(rows[0], rows[1:]) if rows else ""
    return csv_text([*_HEADER, _checksum(body)], []) + body


def _checksum(text: str) -> str:
    return f"crc32:{zlib.crc32(text.encode()):08x}"


def _read_saved(path: Path, private: bool) -> Leaderboard:
    """A leaderboard that `save_leaderboard` wrote; ValueError if it is damaged."""
    content = path.read_bytes()
    first, _, body = content.decode("utf-8").partition("\n")
    header = next(csv.reader([first]), [])
    # Earlier versions wrote no checksum.
    if header not in (_HEADER, [*_HEADER, _checksum(body)]):
        raise ValueError("its rows are not those that were written")
    rows = (replace(row, team=unguard_formula(row.team)) for row in _parse_rows(content))
    return Leaderboard(tuple(rows), private)
