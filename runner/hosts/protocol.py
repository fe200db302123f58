"""What a host can do: hold a competition's files, take submissions, score them, keep a board."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from runner.console import Advance
from runner.errors import HostError

# What a file that is on its way is called, and the note beside it that says what it is a part of.
PART, PART_NOTE = ".part", ".part.json"


class UnreachableError(HostError):
    """The host could not be asked just now; in a while the same question may be answered."""


class Status(Enum):
    """How far the host is with a submission."""

    PENDING = "pending"
    COMPLETE = "complete"
    ERROR = "error"


@dataclass(frozen=True)
class RemoteFile:
    """A file that the host offers; its name may hold folders."""

    name: str
    size: int
    bundle: bool = False  # one archive of all the others, packed when it is asked for: the size is an estimate


@dataclass(frozen=True)
class Submission:
    """One submission as the host tells it. Times are aware and in UTC."""

    ref: str
    submitted: datetime
    file_name: str
    message: str
    status: Status
    public: float | None = None
    private: float | None = None
    error: str | None = None  # the host's reason, where the status is ERROR
    team: str = ""


@dataclass(frozen=True)
class SubmissionLimits:
    """How many submissions the day allows, and how many are left of it."""

    per_day: int
    left_today: int
    resets_at: datetime  # when a full allowance begins again
    total_used_up: bool = False  # it never does: the competition's whole allowance is used up


@dataclass(frozen=True)
class BoardRow:
    """One team on a leaderboard."""

    team: str
    score: float
    submitted: datetime


@dataclass(frozen=True)
class Leaderboard:
    """A whole board, best first; earlier first where scores tie."""

    rows: tuple[BoardRow, ...]
    private: bool


@dataclass(frozen=True)
class CompetitionInfo:
    """What the host says of a competition, and of you in it."""

    slug: str
    title: str
    page: str  # where a browser finds it
    entered: bool = True  # its rules are accepted
    disabled: bool = False  # it takes no submissions
    notebooks_only: bool = False  # it takes notebooks, not files
    deadline: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the deadline has passed: submissions are then scored, and on no board."""
        return self.deadline is not None and self.deadline <= now


class FileSource(Protocol):
    """Who holds files: a host, or a mirror of a competition's data."""

    @property
    def name(self) -> str:
        """What it is called in messages and in the ledger."""

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file that the competition offers."""

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring one file to `path`, whole and verified or not at all."""


class Host(FileSource, Protocol):
    """Who holds the data and scores submissions. Every refusal is a HostError with its fix."""

    def now(self) -> datetime:
        """The host's time: its days begin and end by it, whatever this machine's clock says."""

    def fetch_about(self, slug: str) -> CompetitionInfo:
        """What the host says of the competition."""

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Hand a submission in; the reference it is known by from now on."""

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission ever made here, newest first."""

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, as it is now."""

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """What is left of today's allowance."""

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The whole public or private board; a HostError where the private one is not opened yet."""
