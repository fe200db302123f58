"""What the server holds: competitions, accounts, uploads; and the form of a request and a response."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.hosts.practice import PracticeHost
from runner.hosts.practice_notebooks import PracticeNotebooks

USERNAME, KEY, TOKEN = "practice", "practice-key", "practice-token"

_CHUNK = 1 << 18

Body = Mapping[str, Any]  # the JSON object of a call


@dataclass(frozen=True)
class Call:
    """One request. `name` is the method of the API, or "store" or "upload"."""

    name: str
    body: dict[str, Any]
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    """One response. Its content is bytes, or a file from offset `start` on."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | Path = b""
    start: int = 0
    stream: Callable[[], Iterator[bytes]] | None = None  # pieces that come one after another, without a length

    @property
    def size(self) -> int:
        """Bytes that follow the headers."""
        size = self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)
        return size - self.start

    def chunks(self) -> Iterator[bytes]:
        """The content from `start` on."""
        if self.stream is not None:
            yield from self.stream()
            return
        if isinstance(self.content, bytes):
            yield from (self.content[at : at + _CHUNK] for at in range(self.start, len(self.content), _CHUNK))
            return
        with self.content.open("rb") as file:
            file.seek(self.start)
            while chunk := file.read(_CHUNK):
                yield chunk


class RefusedError(Exception):
    """A call that the service refuses, with Kaggle's message."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def json_reply(payload: Any, status: int = 200) -> Reply:
    """A response in JSON."""
    return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(payload).encode())


def kaggle_time(moment: datetime) -> str:
    """A time as Kaggle writes it, in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@dataclass
class HostedCompetition:
    """One competition on the server, and what a test may change about it."""

    host: PracticeHost
    rules_accepted: bool = True
    submissions_disabled: bool = False
    notebooks_only: bool = False
    deadline: datetime | None = None  # None: the practice host's own
    polls_until_scored: int = 0  # how often GetSubmission responds PENDING before the score
    polls: dict[str, int] = field(default_factory=dict)


@dataclass
class NotebookFaults:
    """What a test may change about the notebooks."""

    processing_polls: int = 0  # how often GetDatasetStatus says that a new version is processed
    outputs_of: int | None = None  # the version whose output is given out, whatever is asked for
    shape_told: str = ""  # the accelerator that GetKernel names
    page_limit: int = 500  # files on a page of outputs


@dataclass
class Sessions:
    """The threads that run what was pushed, and the numbers of the sessions."""

    threads: list[threading.Thread] = field(default_factory=list)
    numbers: list[tuple[str, int]] = field(default_factory=list)  # (slug, version) of session 1001, 1002, ...

    def start(self, work: Callable[[], None]) -> None:
        """Work in a thread of its own."""
        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()

    def join(self) -> None:
        """Wait until everything that was pushed has ended."""
        for thread in self.threads:
            thread.join()


class ServerState:
    """Competitions, accounts and uploads of the server."""

    page_limit = 200

    def __init__(self, hosts: Mapping[str, PracticeHost]):
        self.competitions = {slug: HostedCompetition(host) for slug, host in hosts.items()}
        self.accounts = {USERNAME: KEY}
        self.tokens = {TOKEN}
        self.datasets: dict[str, Path] = {}  # owner/name: its zip
        self.url_lifetime = timedelta(minutes=15)
        self.clock_offset = timedelta(0)  # how far the server's clock is ahead
        self.uploads: dict[str, str] = {}  # token: file name
        self.lock = threading.RLock()
        self.notebook_faults = NotebookFaults()
        self.sessions = Sessions()
        self.processing: dict[str, int] = {}  # owner/name of a dataset: polls until it is ready
        self._temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        hosts_by_slug = {slug: hosted.host for slug, hosted in self.competitions.items()}
        self.notebooks = PracticeNotebooks(self.temporary_dir / "notebooks", hosts_by_slug, runs_on_demand=False)

    @property
    def temporary_dir(self) -> Path:
        """Folder of bundles and uploads, until the server ends."""
        return Path(self._temporary.name)

    def remove_temporary_files(self) -> None:
        """Delete bundles and uploads."""
        self._temporary.cleanup()

    def now(self) -> datetime:
        """The server's time."""
        return datetime.now(UTC) + self.clock_offset

    def competition(self, body: Body, *, joined: bool = False) -> tuple[str, HostedCompetition]:
        """The competition that a call names; refused if there is none, or `joined` needs its rules accepted."""
        slug = str(body.get("competitionName", ""))
        if slug not in self.competitions:
            raise RefusedError(404, "Not found")
        hosted = self.competitions[slug]
        if joined and not hosted.rules_accepted:
            raise RefusedError(403, "Permission 'competitions.participate' was denied")
        return slug, hosted

    def page(self, items: list[dict[str, Any]], body: Body, key: str, *, limit: int | None = None) -> dict[str, Any]:
        """The page of a list that a call requests."""
        start = int(body.get("pageToken") or 0)
        stop = start + min(int(body.get("pageSize") or 20), limit or self.page_limit)
        return {key: items[start:stop], "nextPageToken": str(stop) if stop < len(items) else ""}
