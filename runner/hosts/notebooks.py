"""What a host of notebooks can do: keep private datasets, run scripts on its own machines, take their submissions.

A version of a kernel is one script with its sources; a session is one run of it. Only the newest version of a kernel
and of a dataset can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Protocol

from runner.console import Advance
from runner.errors import HostError


class DatasetStatus(Enum):
    """Whether a dataset can be mounted by a kernel."""

    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class KernelStatus(Enum):
    """State of the session of a kernel's newest version."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETE = "complete"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self not in (KernelStatus.QUEUED, KernelStatus.RUNNING)


class QuotaError(HostError):
    """The hours of accelerator that a week has are used up."""


class BusyDatasetError(HostError):
    """A new version is refused, because the last one is still processed."""


@dataclass(frozen=True)
class Dataset:
    """The newest version of a private dataset; its files are known only once it is ready."""

    ref: str  # owner/slug
    status: DatasetStatus
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """A script to run, with everything that it may read."""

    ref: str  # owner/slug
    title: str  # its slug is the title's
    source: str
    competition: str = ""  # slug; empty for none
    datasets: tuple[str, ...] = ()
    accelerator: str = ""  # empty: CPU alone
    internet: bool = False
    timeout: int = 9 * 3600  # seconds


@dataclass(frozen=True)
class PushedKernel:
    """A version of a kernel on the host."""

    ref: str
    version: int
    url: str = ""
    source: str = ""  # its script, where the host told it
    accelerator: str = ""  # where the host told it


@dataclass(frozen=True)
class KernelState:
    """The session of a kernel's newest version, and why it failed if it did."""

    status: KernelStatus
    failure: str = ""


@dataclass(frozen=True)
class LogLine:
    """One line that a session printed, and how many seconds after its start."""

    seconds: float
    text: str
    is_error: bool = False  # printed on stderr


@dataclass(frozen=True)
class OutputFile:
    """A file that a session has written, by its path in the working folder."""

    name: str
    url: str = ""


@dataclass(frozen=True)
class Quota:
    """The accelerator time of this week."""

    used: timedelta
    allowed: timedelta
    refreshes_at: datetime | None = None

    @property
    def left(self) -> timedelta:
        """What is left of it; never below 0."""
        return max(self.allowed - self.used, timedelta(0))


def is_same_script(one: str, other: str) -> bool:
    """Whether two texts are one script, although a host may change blanks at its end, and its line ends."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


class NotebookHost(Protocol):
    """A host that runs notebooks. Every refusal is a HostError with a fix."""

    def fetch_username(self) -> str:
        """The account's name, which its datasets and kernels begin with."""

    def fetch_quota(self) -> Quota | None:
        """The GPU time of this week; None if the host does not tell."""

    def fetch_dataset(self, ref: str) -> Dataset | None:
        """The dataset's newest version; None if there is none of this name."""

    def create_dataset(self, ref: str, title: str, files: Sequence[Path]) -> None:
        """Upload files as a new private dataset."""

    def update_dataset(self, ref: str, note: str, files: Sequence[Path]) -> None:
        """Upload files as its next version, in place of the old ones. BusyDatasetError while the last is processed."""

    def push_kernel(self, kernel: Kernel) -> PushedKernel:
        """Save a version of a kernel and run it. QuotaError if no accelerator time is left."""

    def find_kernel(self, ref: str) -> PushedKernel | None:
        """The newest version with its script; None if there is no such kernel."""

    def fetch_kernel_state(self, ref: str) -> KernelState:
        """How far the newest version's session is."""

    def follow_log(self, ref: str) -> Iterator[LogLine]:
        """The lines of the newest session's log as they come, from its first; it ends with the session."""

    def list_outputs(self, ref: str) -> tuple[OutputFile, ...]:
        """The files that the newest version's session has written."""

    def download_output(self, ref: str, file: OutputFile, path: Path, advance: Advance) -> None:
        """Download one of them to `path`, which exists afterwards only if it is complete."""

    def cancel_kernel(self, pushed: PushedKernel) -> None:
        """End the session; HostError if the host offers no way to."""

    def submit_kernel(self, slug: str, pushed: PushedKernel, file_name: str, message: str) -> str:
        """Have a version rerun on the hidden test set, and its file scored; the submission's reference."""
