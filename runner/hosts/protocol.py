"""What a host can do: offer a competition's files, take submissions, score them, show a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from runner.commands import TYPED
from runner.console import Advance
from runner.contract import Competition
from runner.errors import HostError


class UnreachableError(HostError):
    """The host cannot be reached or is overloaded; the same request may succeed later."""


class NoSubmissionError(HostError):
    """The host has no submission with this reference."""


class UnconfirmedError(HostError):
    """It is unknown whether the host has taken a submission; the next call looks for it before it sends anything."""


class Status(Enum):
    """State of a submission on the host."""

    PENDING = "pending"
    COMPLETE = "complete"
    ERROR = "error"


@dataclass(frozen=True)
class RemoteFile:
    """A file that the host offers; its name may contain folders."""

    name: str
    size: int  # bytes
    bundle: bool = False  # one archive of all other files, packed on request: the size is an estimate
    size_listed: bool = True  # False: the host does not say the size, which is 0 here


@dataclass(frozen=True)
class Submission:
    """One submission as the host lists it. Times are aware and in UTC."""

    ref: str
    submitted: datetime
    file_name: str
    message: str
    status: Status
    public: float | None = None
    private: float | None = None
    error: str | None = None  # the host's reason, if the status is ERROR
    team: str = ""


@dataclass(frozen=True)
class SubmissionLimits:
    """How many submissions a day allows, and how many are left today."""

    per_day: int
    left_today: int
    resets_at: datetime  # when the next day's allowance begins
    total_used_up: bool = False  # the competition limits the total number, and none is left


@dataclass(frozen=True)
class LeaderboardRow:
    """One team on a leaderboard."""

    team: str
    score: float
    submitted: datetime


@dataclass(frozen=True)
class Leaderboard:
    """A complete leaderboard: best score first, earlier submission first if scores tie."""

    rows: tuple[LeaderboardRow, ...]
    private: bool

    @property
    def kind(self) -> str:
        """Its name: "public" or "private"."""
        return leaderboard_kind(self.private)


def leaderboard_kind(private: bool) -> str:
    """The name of a leaderboard: "public" or "private"."""
    return "private" if private else "public"


@dataclass(frozen=True)
class CompetitionInfo:
    """A competition as the host describes it to the account in use."""

    slug: str
    title: str
    page: str  # its address for a browser, or the practice host's folder
    rules_accepted: bool = True
    submissions_disabled: bool = False
    notebooks_only: bool = False  # it takes notebooks, not files
    deadline: datetime | None = None
    metric: str = ""  # as its page names it

    def is_over(self, now: datetime) -> bool:
        """Whether the deadline has passed: submissions are then scored but not ranked."""
        return self.deadline is not None and self.deadline <= now


class FileSource(Protocol):
    """A source of data files: a host, or a mirror of a competition's data."""

    @property
    def name(self) -> str:
        """Its name in messages and in the ledger."""

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file of the competition."""

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Download one file to `path`, which exists afterwards only if it is complete and verified."""


class Host(FileSource, Protocol):
    """A source of data that also scores submissions. Every refusal is a HostError with a fix."""

    @property
    def keeps_submissions(self) -> bool:
        """Whether no submission is ever gone; a practice host may be made again, without those of before."""

    def now(self) -> datetime:
        """The host's time: its days begin by it, even if this machine's clock is wrong."""

    def fetch_info(self, slug: str) -> CompetitionInfo:
        """Title, deadline, and whether the account may submit."""

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Submit a file; its reference on the host. UnconfirmedError if the host may have taken it."""

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission of the account, newest first."""

    def fetch_submission(self, slug: str, ref: str) -> Submission:
        """One submission, in its present state; NoSubmissionError if there is none."""

    def fetch_limits(self, slug: str) -> SubmissionLimits:
        """How many submissions are left today."""

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The complete public or private leaderboard; HostError if the private one is not published yet."""


def limit_error(competition: Competition, limits: SubmissionLimits, now: datetime) -> HostError:
    """The error for a submission that the host's limit does not allow, with the time of the reset."""
    if limits.total_used_up:
        name = competition.name or competition.slug
        return HostError(
            f"all submissions that {competition.title} allows are used up",
            fix=f"none is left; those that were made: `runner {name} standings`",
        )
    minutes = int((limits.resets_at - now).total_seconds() // 60) + 1
    return HostError(
        f"today's {limits.per_day} submissions are used up; the limit resets at "
        f"{limits.resets_at:%Y-%m-%d %H:%M} UTC, in {minutes // 60} h {minutes % 60} min",
        fix=f"wait until then: `{TYPED}`",
    )
