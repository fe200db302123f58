"""Where data, runs and submissions live, and how anything is written there: whole, or not at all."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.errors import UsageError


@dataclass(frozen=True)
class Workspace:
    """One folder on this disk; every path that the runner writes is named here."""

    root: Path
    host: str = ""  # whose ground it is, where that has to be typed

    @classmethod
    def at(cls, folder: str | os.PathLike[str] | None = None) -> Workspace:
        """The given folder, else RUNNER_WORKSPACE, else the current one."""
        root = Path(folder or os.environ.get("RUNNER_WORKSPACE") or ".").expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise UsageError(f"the workspace is a file, not a folder: {root}", fix="name a folder with --workspace DIR")
        return cls(root)

    @property
    def plugins_dir(self) -> Path:
        return self.root / "competitions"

    def data_dir(self, competition: str) -> Path:
        return self.root / "data" / competition

    def cache_dir(self, competition: str) -> Path:
        return self.root / "cache" / competition

    def runs_dir(self, competition: str) -> Path:
        return self.root / "runs" / competition

    def run_dir(self, competition: str, run: str) -> Path:
        return self.runs_dir(competition) / run

    def submissions_dir(self, competition: str) -> Path:
        return self.root / "submissions" / competition

    def leaderboards_dir(self, competition: str) -> Path:
        """Leaderboards as they were, each under its date."""
        return self.root / "leaderboards" / competition

    @property
    def ledger_file(self) -> Path:
        return self.root / "submissions" / "ledger.csv"

    def for_host(self, host: str) -> Workspace:
        """Practice has a workspace of its own inside this one, never to be taken for the real thing."""
        folders = {"practice": "practice", "http": "practice-http"}
        return Workspace(self.root / folders[host], host) if host in folders else self

    def command_line(self, *words: str) -> str:
        """The command as a person would type it for what lies here."""
        return " ".join(["runner", *(["--host", self.host] if self.host else []), *words])

    def practice_host_dir(self, competition: str) -> Path:
        """The practice host's own ground: archives, hidden answers, its board."""
        return self.root / "host" / competition


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the final name only once the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ids of process and thread keep two writers of one file apart; the suffix stays last,
    # because numpy and others choose the format, or add a suffix of their own, by it.
    part = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        yield part
        _flush_to_disk(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, or leave what was there."""
    with atomic_path(path) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 with plain newlines, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON that a person can read and a diff can compare."""
    import json  # here and below: `--help` needs none of it

    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file."""
    import json

    return json.loads(path.read_text(encoding="utf-8"))


def _flush_to_disk(path: Path) -> None:
    # Without the flush a power cut after the rename can leave the new name with no content.
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time in the block; the system lets go of the lock when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        _lock(handle.fileno())
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
