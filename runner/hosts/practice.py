"""A host on this disk: it holds archives and hidden answers, takes submissions, and grades them.

Its folder holds `files/` (all that it offers), `answers.csv`, `sample_submission.csv`, `board.csv`,
`submissions/` (each file as it came, and one record a file), and `competition.json`, which is
written last: where it is, the rest is whole.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.console import Advance
from runner.contract.competition import Competition
from runner.errors import HostError, SubmissionFormatError
from runner.hosts.grading import Answer, Grader, Scores, read_answers, write_answers
from runner.hosts.protocol import (
    BoardRow,
    CompetitionInfo,
    Leaderboard,
    RemoteFile,
    Status,
    Submission,
    SubmissionLimits,
)
from runner.workspace import atomic_path, locked, read_json, write_json, write_text

DAILY_LIMIT = 20

_MARKER = "competition.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class PracticeTeam:
    """A team on the practice board, with both of its scores."""

    team: str
    scores: Scores
    submitted: datetime


def create_practice_competition(
    competition: Competition,
    folder: Path,
    *,
    files: Mapping[str, Path],
    sample: Path,
    classes: Sequence[str],
    answers: Sequence[Answer],
    board: Sequence[PracticeTeam] = (),
    daily_limit: int = DAILY_LIMIT,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Make the folder of a practice host anew; what an earlier one left there is removed.

    `files` are copied under the names that the host will offer them by; `origin` is kept in
    competition.json, so that whoever made the folder can tell later what from.
    """
    # The marker goes first: from here to the end, a kill leaves a folder that says it is not whole.
    (folder / _MARKER).unlink(missing_ok=True)
    for old in (folder / "files", folder / "submissions"):
        if old.exists():
            shutil.rmtree(old)
    for name, path in files.items():
        with atomic_path(folder / "files" / name) as part:
            shutil.copyfile(path, part)
    with atomic_path(folder / "sample_submission.csv") as part:
        shutil.copyfile(sample, part)
    write_answers(folder / "answers.csv", answers)
    write_text(folder / "board.csv", _board_text(board))
    about = {
        "slug": competition.slug,
        "title": competition.title,
        "name": competition.name,
        "metric": competition.metric.key,
        "classes": list(classes),
        "daily_limit": daily_limit,
        "origin": dict(origin or {}),
    }
    write_json(folder / _MARKER, about)


def read_origin(folder: Path) -> dict[str, Any] | None:
    """What a whole practice folder was made from; None where there is no whole one."""
    marker = folder / _MARKER
    if not marker.is_file():
        return None
    origin: dict[str, Any] = read_json(marker)["origin"]
    return origin


class PracticeHost:
    """The host of one competition, in one folder."""

    name = "practice"
    team = "you"

    def __init__(self, competition: Competition, folder: Path, *, clock: Callable[[], datetime] | None = None):
        self.competition = competition
        self.folder = folder
        self._clock = clock or (lambda: datetime.now(UTC))

    def now(self) -> datetime:
        """The time by which days begin and end."""
        return self._clock()

    def fetch_about(self, slug: str) -> CompetitionInfo:
        """A competition that is over, and takes submissions all the same."""
        about = self._read_about(slug)
        # Bots played before you did; from their last submission on, the board stands still.
        board = _read_board(self.folder / "board.csv")
        over = max((team.submitted for team in board), default=None)
        return CompetitionInfo(slug, about["title"], str(self.folder), deadline=over)

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file that the competition offers, by name."""
        self._read_about(slug)
        return tuple(RemoteFile(name, path.stat().st_size) for name, path in self._offered().items())

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Copy one file to `path`, whole or not at all."""
        self._read_about(slug)
        source = self._offered().get(file.name)
        if source is None:
            raise HostError(f"the practice host offers no file {file.name!r}", where=self.folder / "files")
        with atomic_path(path) as part, source.open("rb") as theirs, part.open("wb") as ours:
            while chunk := theirs.read(_CHUNK):
                ours.write(chunk)
                advance(len(chunk))

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Take any file, as Kaggle does: whether its form is right shows when one asks for its score."""
        about = self._read_about(slug)
        if not path.is_file():
            raise HostError("there is no such file to submit", where=path, fix=f"runner {self._name} predict")
        with locked(self.folder / ".lock"):
            limits = self._limits(about)
            if limits.left_today == 0:
                raise self._limit_reached(limits)
            ref = str(max((int(known) for known in self._refs()), default=0) + 1)
            with atomic_path(self._submissions / f"{ref}.csv") as part:
                shutil.copyfile(path, part)
            self._write_record(Submission(ref, self._clock(), path.name, message, Status.PENDING, team=self.team))
        return ref

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission, newest first; those still pending are graded now."""
        about = self._read_about(slug)
        with locked(self.folder / ".lock"):
            grader = self._grader(about)
            for known in self._read_records():
                if known.status is Status.PENDING:
                    self._write_record(_settle(known, grader, self._submissions / f"{known.ref}.csv"))
            return self._read_records()

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, graded."""
        for submission in self.fetch_submissions(slug):
            if submission.ref == ref:
                return submission
        raise HostError(f"the host knows no submission {ref}", fix=f"runner {self._name} standings")

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """What is left of today's allowance; the day is UTC's."""
        return self._limits(self._read_about(slug))

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The baselines' board. Submissions made here are not on it: the competition is over, as on Kaggle."""
        self._read_about(slug)
        teams = _read_board(self.folder / "board.csv")
        rows = [
            BoardRow(team.team, team.scores.private if private else team.scores.public, team.submitted)
            for team in teams
        ]
        sign = -1 if self.competition.metric.higher_is_better else 1
        rows.sort(key=lambda row: (sign * row.score, row.submitted))
        return Leaderboard(tuple(rows), private)

    @property
    def _name(self) -> str:
        return self.competition.name or self.competition.slug

    @property
    def _submissions(self) -> Path:
        return self.folder / "submissions"

    def _read_about(self, slug: str) -> dict[str, Any]:
        """competition.json, after a check that this is the competition that is asked for."""
        marker = self.folder / _MARKER
        if slug != self.competition.slug:
            raise HostError(
                f"the practice host here holds {self.competition.slug}, not {slug!r}",
                where=self.folder,
                fix="runner list",
            )
        if not marker.is_file():
            raise HostError(
                f"there is no practice data for {self._name}",
                where=self.folder,
                fix=f"runner demo {self._name}",
            )
        about: dict[str, Any] = read_json(marker)
        if (about["slug"], about["metric"]) != (slug, self.competition.metric.key):
            raise HostError(
                f"the practice data is of {about['slug']}, scored by {about['metric']}",
                where=marker,
                fix=f"remove {self.folder}, then: runner demo {self._name}",
            )
        return about

    def _offered(self) -> dict[str, Path]:
        root = self.folder / "files"
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return dict(sorted(found.items()))

    def _grader(self, about: Mapping[str, Any]) -> Grader:
        return Grader(
            self.competition,
            tuple(about["classes"]),
            self.folder / "sample_submission.csv",
            read_answers(self.folder / "answers.csv"),
        )

    def _limits(self, about: Mapping[str, Any]) -> SubmissionLimits:
        now = self._clock().astimezone(UTC)
        today = sum(known.submitted.date() == now.date() for known in self._read_records())
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        per_day = int(about["daily_limit"])
        return SubmissionLimits(per_day, max(per_day - today, 0), midnight + timedelta(days=1))

    def _limit_reached(self, limits: SubmissionLimits) -> HostError:
        minutes = int((limits.resets_at - self._clock()).total_seconds() // 60) + 1
        return HostError(
            f"today's {limits.per_day} submissions are used up; submissions reopen at "
            f"{limits.resets_at:%Y-%m-%d %H:%M} UTC, in {minutes // 60} h {minutes % 60} min",
            where=self._submissions,
            fix=f"then: runner {self._name} submit",
        )

    def _refs(self) -> list[str]:
        return [path.stem for path in self._submissions.glob("[0-9]*.json")]

    def _read_records(self) -> tuple[Submission, ...]:
        refs = sorted(self._refs(), key=int, reverse=True)
        return tuple(_submission_of(read_json(self._submissions / f"{ref}.json")) for ref in refs)

    def _write_record(self, submission: Submission) -> None:
        plain = asdict(submission)
        plain |= {"submitted": submission.submitted.isoformat(), "status": submission.status.value}
        write_json(self._submissions / f"{submission.ref}.json", plain)


def _settle(submission: Submission, grader: Grader, path: Path) -> Submission:
    try:
        scores = grader.grade(path)
    except SubmissionFormatError as error:
        return replace(submission, status=Status.ERROR, error=error.message)
    return replace(submission, status=Status.COMPLETE, public=scores.public, private=scores.private)


def _submission_of(plain: dict[str, Any]) -> Submission:
    submitted = datetime.fromisoformat(plain["submitted"])
    return Submission(**{**plain, "submitted": submitted, "status": Status(plain["status"])})


def _board_text(board: Sequence[PracticeTeam]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["team", "public", "private", "submitted"])
    for team in board:
        # repr keeps every digit, so the board holds what the grader said and not a rounding of it.
        scores = repr(team.scores.public), repr(team.scores.private)
        writer.writerow([team.team, *scores, team.submitted.isoformat()])
    return text.getvalue()


def _read_board(path: Path) -> list[PracticeTeam]:
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            PracticeTeam(
                row["team"],
                Scores(float(row["public"]), float(row["private"])),
                datetime.fromisoformat(row["submitted"]),
            )
            for row in csv.DictReader(handle)
        ]
