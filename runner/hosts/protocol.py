"""What a host can do: hold a competition's files, take submissions, score them, keep a board."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Protocol

from runner.console import Advance


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


@dataclass(frozen=True)
class Limits:
    """How many submissions the day allows, and how many are left of it."""

    per_day: int
    left_today: int
    reopens: datetime  # when a full allowance begins again


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


class Host(Protocol):
    """Who holds the data and scores submissions. Every refusal is a HostError with its cure."""

    @property
    def name(self) -> str:
        """`kaggle` or `practice`."""

    def list_files(self, slug: str) -> tuple[RemoteFile, ...]:
        """Every file that the competition offers."""

    def download_file(self, slug: str, file: RemoteFile, path: Path, advance: Advance) -> None:
        """Bring one file to `path`, whole and verified or not at all."""

    def submit_file(self, slug: str, path: Path, message: str) -> str:
        """Hand a submission in; the reference it is known by from now on."""

    def fetch_submissions(self, slug: str) -> tuple[Submission, ...]:
        """Every submission ever made here, newest first."""

    def fetch_limits(self, slug: str) -> Limits:
        """What is left of today's allowance."""

    def fetch_leaderboard(self, slug: str, *, private: bool = False) -> Leaderboard:
        """The whole public or private board."""
