"""Where data, runs and submissions live; files are written atomically."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.commands import command
from runner.errors import RunnerError, UsageError
from runner.full_disk import telling_full_disk
from runner.locks import wait_for


@dataclass(frozen=True)
class Workspace:
    """A folder on this disk, with every path that the runner writes."""

    root: Path
    host: str = ""  # the host that commands have to name, if it is not the default one
    is_default: bool = field(default=True, compare=False)  # whether commands find it without --workspace

    @classmethod
    def at(cls, folder: str | os.PathLike[str] | None = None) -> Workspace:
        """The workspace at `folder`, else at RUNNER_WORKSPACE, else at the current folder."""
        default = Path(os.environ.get("RUNNER_WORKSPACE") or ".").expanduser().resolve()
        root = Path(folder).expanduser().resolve() if folder else default
        if root.exists() and not root.is_dir():
            raise UsageError(f"the workspace is a file, not a folder: {root}", fix="name a folder with --workspace DIR")
        return cls(root, is_default=root == default)

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
        """Downloaded leaderboards, a file each, named by its date."""
        return self.root / "leaderboards" / competition

    @property
    def ledger_file(self) -> Path:
        return self.root / "submissions" / "ledger.csv"

    def for_host(self, host: str) -> Workspace:
        """The practice host has a workspace inside this one: practice files never mix with real ones."""
        return Workspace(self.root / "practice", host, self.is_default) if host == "practice" else self

    def command_line(self, *words: str) -> str:
        """A `runner` command for this workspace and its host, to paste."""
        folder = [] if self.is_default else ["--workspace", str(self.root.parent if self.host else self.root)]
        host = ["--host", self.host] if self.host else []
        return command(*folder, *host, *words)

    def practice_host_dir(self, competition: str) -> Path:
        """The practice host's files: archives, solution, leaderboard."""
        return self.root / "practice-host" / competition


@contextmanager
def atomic_path(path: Path, *, size: int | None = None) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` when the block ends without an error.

    A disk that is too full for it is a DiskFullError, which says how much is missing if the `size` is known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ids of process and thread keep two writers of one file apart; the suffix stays last,
    # because numpy and others choose the format, or add a suffix of their own, by it.
    part = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.part{path.suffix}")
    try:
        with telling_full_disk(path, size=size, part=part):
            yield part
            _flush_to_disk(part)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path, size=len(content)) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 with plain newlines, atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any, *, format: int | None = None) -> None:
    """Write a value as JSON that a person can read and a diff can compare, with its format version in front."""
    import json  # here and below: `--help` needs none of it

    content = value if format is None else {"format": format, **value}
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, *, format: int | None = None, fix: str | None = None) -> Any:
    """The value in a JSON file, without its format version; a RunnerError with `fix` if it is damaged or differs."""
    import json

    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunnerError(f"the file is damaged, not JSON: {error}", where=path, fix=fix) from error
    if format is None:
        return value
    found = value.pop("format", None) if isinstance(value, dict) else None
    if found != format:
        raise RunnerError(
            f"the file has {'no format version' if found is None else f'format {found}'}; "
            f"this version of the runner reads format {format}",
            where=path,
            fix=fix,
        )
    return value


def _flush_to_disk(path: Path) -> None:
    # Without the flush a power cut after the rename can leave the new name with no content.
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def locked(path: Path) -> AbstractContextManager[None]:
    """Hold an exclusive lock on the file for the block; the system releases it if the process dies."""
    return wait_for(path)
