"""The practice host: a folder with data files and a solution, which takes submissions and grades them.

Its folder contains `files/` (what can be downloaded), `solution.csv`, `sample_submission.csv`, `leaderboard.csv`,
`submissions/` (each file, and a JSON record of it), and `competition.json`, which is written last: it exists only
if the rest is complete. If it takes notebooks only, `hidden/` has the files that take the place of those of the same
name when a notebook is rerun, and the sample submission is the hidden one.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from runner.console import Advance
from runner.contract import Competition, Lookup
from runner.csv_file import write_csv
from runner.errors import HostError, SubmissionFormatError
from runner.hosts.grading import Grader, Scores, SolutionRow, read_solution, write_solution
from runner.hosts.leaderboards import sort_leaderboard
from runner.hosts.ledger import file_sha256
from runner.hosts.protocol import (
    CompetitionInfo,
    Leaderboard,
    LeaderboardRow,
    NoSubmissionError,
    RemoteFile,
    Status,
    Submission,
    SubmissionLimits,
    limit_error,
)
from runner.submission_format.long_rows import lookup_file
from runner.workspace import atomic_path, explain_damage, locked, read_json, remove_file, write_json

DAILY_LIMIT = 20

_MARKER, _MARKER_FORMAT = "competition.json", 1
_RECORD_FORMAT = 1
_SAMPLE, _SOLUTION, _LEADERBOARD = "sample_submission.csv", "solution.csv", "leaderboard.csv"
_CHUNK = 1 << 20


Content = TypeVar("Content")


@dataclass(frozen=True)
class PracticeTeam:
    """A team on the practice leaderboard, with both of its scores."""

    team: str
    scores: Scores
    submitted: datetime


@dataclass(frozen=True)
class PracticeData:
    """What a practice host offers, and what it grades with."""

    files: Mapping[str, Path]  # name on the host: the file to copy
    sample: Path
    classes: Sequence[str]
    solution: Sequence[SolutionRow]
    leaderboard: Sequence[PracticeTeam] = ()
    daily_limit: int = DAILY_LIMIT
    origin: Mapping[str, Any] = field(default_factory=dict)  # what it was made from, for `read_origin`
    hidden: Mapping[str, Path] = field(default_factory=dict)  # files of the rerun: it then takes notebooks only


def create_practice_competition(competition: Competition, folder: Path, data: PracticeData) -> None:
    """Create the folder of a practice host; an earlier one is removed."""
    # The marker goes first: until the end, a kill leaves a folder that is known to be incomplete.
    remove_host_marker(folder)
    for old in ("files", "hidden", "submissions", "notebooks"):
        if (folder / old).exists():
            shutil.rmtree(folder / old)
    copies = {f"files/{name}": path for name, path in data.files.items()} | _sample_files(competition, data.sample)
    copies |= {f"hidden/{name}": path for name, path in data.hidden.items()}
    for name, path in copies.items():
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(path, temporary)
    write_solution(folder / _SOLUTION, data.solution)
    _write_leaderboard(folder / _LEADERBOARD, data.leaderboard)
    marker: dict[str, Any] = {
        "slug": competition.slug,
        "title": competition.title,
        "name": competition.name,
        "metric": competition.metric.key,
        "classes": list(data.classes),
        "daily_limit": data.daily_limit,
        "notebooks_only": bool(data.hidden),
        "origin": dict(data.origin),
        "sha256": {
            name: file_sha256(folder / name)
            for name in (*_sample_files(competition, data.sample), _SOLUTION, _LEADERBOARD)
        },
    }
    write_json(folder / _MARKER, marker, format=_MARKER_FORMAT)


def read_origin(folder: Path, *, fix: str) -> dict[str, Any] | None:
    """The `origin` of a practice folder; None if it is not complete, a DamagedFileError with `fix` if damaged."""
    path = folder / _MARKER
    if not path.exists():
        return None
    marker = read_json(path, format=_MARKER_FORMAT, fix=fix)
    with explain_damage(path, fix):
        return dict(marker["origin"])


def remove_host_marker(folder: Path) -> None:
    """Let the folder count as incomplete from now on."""
    remove_file(folder / _MARKER)


def remake_fix(folder: Path, name: str) -> str:
    """What to do about damaged practice data that `demo` has made."""
    return f"remove {folder}, then: `runner demo {name}`"


def _sample_files(competition: Competition, sample: Path) -> dict[str, Path]:
    """What says which rows and columns a submission has: a look-up table if there is one, and the sample, last."""
    rows = competition.submission_rows
    tables = {rows.csv: lookup_file(competition, sample)} if isinstance(rows, Lookup) else {}
    return {**tables, _SAMPLE: sample}


class PracticeHost:
    """The host of one practice competition, in one folder."""

    name = "practice"
    team = "you"
    keeps_submissions = False

    def __init__(
        self,
        competition: Competition,
        folder: Path,
        *,
        clock: Callable[[], datetime] | None = None,
        remake: str | None = None,
    ):
        self.competition = competition
        self.folder = folder
        self._remake = remake or remake_fix(folder, self._name)
        self._clock = clock or (lambda: datetime.now(UTC))
        self.before_grading: Callable[[], None] = lambda: None  # reruns the notebooks whose file is still to come

    def now(self) -> datetime:
        """The time by which its days begin and end."""
        return self._clock()

    def fetch_info(self, slug: str) -> CompetitionInfo:
        """A competition that is over and still takes submissions, as Kaggle's old ones do."""
        marker = self._read_marker(slug)
        # The leaderboard is final from its last submission on.
        deadline = max((team.submitted for team in self._teams(marker)), default=None)
        only_notebooks = bool(marker.get("notebooks_only"))
        return CompetitionInfo(
            slug, marker["title"], str(self.folder), notebooks_only=only_notebooks, deadline=deadline
        )

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file of the competition, sorted by name."""
        self._read_marker(slug)
        return tuple(RemoteFile(name, path.stat().st_size) for name, path in self._offered().items())

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Copy one file to `path`, which exists afterwards only if it is complete."""
        self._read_marker(slug)
        source = self._offered().get(file.name)
        if source is None:
            raise HostError(f"the practice host offers no file {file.name!r}", where=self.folder / "files")
        with atomic_path(path) as temporary, source.open("rb") as reader, temporary.open("wb") as writer:
            while chunk := reader.read(_CHUNK):
                writer.write(chunk)
                advance(len(chunk))

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Take any file, as Kaggle does: its format is checked when it is graded."""
        if not path.is_file():
            raise HostError("there is no such file to submit", where=path, fix=f"runner {self._name} predict")
        if self._read_marker(slug).get("notebooks_only"):
            raise HostError(f"{self.competition.title} takes notebooks only, no files", where=self.folder)
        return self._take(slug, path.name, message, path)

    def open_submission(self, slug: str, file_name: str, message: str, note: Callable[[str], None]) -> str:
        """Take a submission whose file a rerun has still to write; its reference, which is noted before it counts."""
        return self._take(slug, file_name, message, None, note)

    def waits_for_file(self, ref: str) -> bool:
        """Whether there is a submission of this reference whose file is still to come."""
        record = self._submissions / f"{ref}.json"
        is_pending = record.is_file() and _read_record(record).status is Status.PENDING
        return is_pending and not (self._submissions / f"{ref}.csv").exists()

    def close_submission(self, ref: str, path: Path | None, error: str = "") -> None:
        """Add the file that the rerun has written, or the reason why there is none."""
        with locked(self.folder / ".lock"):
            if path is not None:
                with atomic_path(self._submissions / f"{ref}.csv") as temporary:
                    shutil.copyfile(path, temporary)
                return
            record = _read_record(self._submissions / f"{ref}.json")
            self._write_record(replace(record, status=Status.ERROR, error=error))

    def _take(
        self,
        slug: str,
        file_name: str,
        message: str,
        path: Path | None,
        note: Callable[[str], None] = lambda _: None,
    ) -> str:
        marker = self._read_marker(slug)
        with locked(self.folder / ".lock"):
            limits = self._limits(marker)
            if limits.left_today == 0:
                raise limit_error(self.competition, limits, self._clock())
            ref = str(max((int(ref) for ref in self._refs()), default=0) + 1)
            note(ref)
            if path is not None:
                with atomic_path(self._submissions / f"{ref}.csv") as temporary:
                    shutil.copyfile(path, temporary)
            self._write_record(Submission(ref, self._clock(), file_name, message, Status.PENDING, team=self.team))
        return ref

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission, newest first; pending ones are graded now."""
        marker = self._read_marker(slug)
        self.before_grading()
        with locked(self.folder / ".lock"):
            grader = self._grader(marker)
            for submission in self._read_records():
                file = self._submissions / f"{submission.ref}.csv"
                if submission.status is Status.PENDING and file.exists():
                    self._write_record(_graded(submission, grader, file))
            return self._read_records()

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, graded."""
        for submission in self.fetch_submissions(slug):
            if submission.ref == ref:
                return submission
        raise NoSubmissionError(f"the practice host has no submission {ref}", fix=f"runner {self._name} standings")

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """How many submissions are left today; days are UTC's."""
        return self._limits(self._read_marker(slug))

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The baselines' leaderboard. New submissions are not on it: the competition is over."""
        teams = self._teams(self._read_marker(slug))
        rows = (
            LeaderboardRow(team.team, team.scores.private if private else team.scores.public, team.submitted)
            for team in teams
        )
        return sort_leaderboard(self.competition.metric, rows, private=private)

    def rerun_files(self) -> dict[str, Path]:
        """The competition's files as a rerun finds them: the hidden test set in the place of the public one."""
        hidden = self.folder / "hidden"
        return self._offered() | {
            path.relative_to(hidden).as_posix(): path for path in sorted(hidden.rglob("*")) if path.is_file()
        }

    def public_files(self) -> dict[str, Path]:
        """The competition's files, by name."""
        return self._offered()

    @property
    def _name(self) -> str:
        return self.competition.name or self.competition.slug

    @property
    def _submissions(self) -> Path:
        return self.folder / "submissions"

    def _read_marker(self, slug: str) -> dict[str, Any]:
        """competition.json; HostError if it is not of the competition with this slug."""
        path = self.folder / _MARKER
        if slug != self.competition.slug:
            raise HostError(
                f"this practice host has {self.competition.slug}, not {slug!r}", where=self.folder, fix="runner list"
            )
        if not path.is_file():
            raise HostError(
                f"there is no practice data for {self._name}", where=self.folder, fix=f"runner demo {self._name}"
            )
        try:
            marker: dict[str, Any] = read_json(path, format=_MARKER_FORMAT, fix=self._remake)
            found = (marker["slug"], marker["metric"])
            _ = str(marker["title"]), list(marker["classes"]), int(marker["daily_limit"])
        except (ValueError, KeyError, TypeError) as error:
            raise HostError(f"the file is damaged: {error}", where=path, fix=self._remake) from error
        if found != (slug, self.competition.metric.key):
            raise HostError(f"the practice data is of {found[0]}, scored by {found[1]}", where=path, fix=self._remake)
        return marker

    def _checked_file(self, marker: Mapping[str, Any], name: str) -> Path:
        """The path of a file that scores rest on; HostError if it is not the one that was written."""
        path = self.folder / name
        known = marker.get("sha256", {})  # earlier versions wrote none
        try:
            is_changed = isinstance(known, dict) and name in known and file_sha256(path) != known[name]
        except OSError as error:
            raise HostError(f"the file cannot be read: {error.strerror}", where=path, fix=self._remake) from error
        if is_changed:
            raise HostError("the file was changed since the practice data was made", where=path, fix=self._remake)
        return path

    def _offered(self) -> dict[str, Path]:
        root = self.folder / "files"
        files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return dict(sorted(files.items()))

    def _teams(self, marker: Mapping[str, Any]) -> list[PracticeTeam]:
        path = self._checked_file(marker, _LEADERBOARD)
        return self._read(path, _read_leaderboard)

    def _grader(self, marker: Mapping[str, Any]) -> Grader:
        for name in _sample_files(self.competition, self.folder / _SAMPLE):
            sample = self._checked_file(marker, name)
        solution = self._read(self._checked_file(marker, _SOLUTION), read_solution)
        return Grader(self.competition, tuple(marker["classes"]), sample, solution)

    def _read(self, path: Path, read: Callable[[Path], Content]) -> Content:
        """What `read` makes of a file of this host; HostError if it is damaged."""
        try:
            return read(path)
        except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
            raise HostError(f"the file is damaged: {error}", where=path, fix=self._remake) from error

    def _limits(self, marker: Mapping[str, Any]) -> SubmissionLimits:
        now = self._clock().astimezone(UTC)
        used = sum(submission.submitted.date() == now.date() for submission in self._read_records())
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        per_day = int(marker["daily_limit"])
        return SubmissionLimits(per_day, max(per_day - used, 0), midnight + timedelta(days=1))

    def _refs(self) -> list[str]:
        return [path.stem for path in self._submissions.glob("[0-9]*.json")]

    def _read_records(self) -> tuple[Submission, ...]:
        refs = sorted(self._refs(), key=int, reverse=True)
        return tuple(_read_record(self._submissions / f"{ref}.json") for ref in refs)

    def _write_record(self, submission: Submission) -> None:
        record = asdict(submission)
        record |= {"submitted": submission.submitted.isoformat(), "status": submission.status.value}
        write_json(self._submissions / f"{submission.ref}.json", record, format=_RECORD_FORMAT)


def _graded(submission: Submission, grader: Grader, path: Path) -> Submission:
    """The submission with its scores, or with the error that its format is wrong."""
    try:
        scores = grader.grade(path)
    except SubmissionFormatError as error:
        return replace(submission, status=Status.ERROR, error=error.message)
    return replace(submission, status=Status.COMPLETE, public=scores.public, private=scores.private)


def _read_record(path: Path) -> Submission:
    fix = f"remove {path}: the practice host then forgets this submission"
    try:
        record = read_json(path, fix=fix)
        if "format" in record:  # version 0.1.0 wrote none, and no checksum
            record = read_json(path, format=_RECORD_FORMAT, fix=fix)
        submitted = datetime.fromisoformat(record["submitted"])
        submission = Submission(**{**record, "submitted": submitted, "status": Status(record["status"])})
        if submission.ref != path.stem or submitted.tzinfo is None:
            raise ValueError(f"it is of submission {submission.ref}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HostError(f"the file is damaged: {error}", where=path, fix=fix) from error
    return submission


def _write_leaderboard(path: Path, teams: Sequence[PracticeTeam]) -> None:
    # repr keeps every digit of the graded scores.
    rows = (
        (team.team, repr(team.scores.public), repr(team.scores.private), team.submitted.isoformat()) for team in teams
    )
    write_csv(path, ("team", "public", "private", "submitted"), rows)


def _read_leaderboard(path: Path) -> list[PracticeTeam]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            PracticeTeam(
                row["team"],
                Scores(float(row["public"]), float(row["private"])),
                datetime.fromisoformat(row["submitted"]),
            )
            for row in csv.DictReader(file)
        ]
