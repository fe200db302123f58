"""Where data, runs and submissions live; files are written atomically."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from runner.commands import command
from runner.errors import DamagedFileError, RunnerError, UsageError
from runner.fields import checked
from runner.full_disk import telling_full_disk
from runner.locks import host_name, may_live, wait_for

Kind = TypeVar("Kind")


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

    def remote_dir(self, competition: str) -> Path:
        """What was packed for a host's machines, and the notes about it."""
        return self.root / "remote" / competition

    def leaderboards_dir(self, competition: str) -> Path:
        """Downloaded leaderboards, a file each, named by its date."""
        return self.root / "leaderboards" / competition

    def result_dirs(self, competition: str) -> tuple[Path, ...]:
        """The folders of a competition's runs, submissions and leaderboards."""
        folders = (self.runs_dir, self.submissions_dir, self.leaderboards_dir)
        return tuple(folder(competition) for folder in folders)

    def has_files_of(self, competition: str) -> bool:
        """Whether there is data of the competition, or a result."""
        return any(path.exists() for path in (self.data_dir(competition), *self.result_dirs(competition)))

    @property
    def ledger_file(self) -> Path:
        return self.root / "submissions" / "ledger.csv"

    def for_host(self, host: str) -> Workspace:
        """The practice host has a workspace inside this one: practice files never mix with real ones."""
        return Workspace(self.root / "practice", host, self.is_default) if host == "practice" else self

    def inside(self, name: str) -> Workspace:
        """A workspace of its own in a folder of this one."""
        return Workspace(self.root / name, is_default=False)

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

    When this returns, content and name are on the disk: a power cut afterwards loses neither.
    A disk that is too full for it is a DiskFullError, which says how much is missing if the `size` is known.
    """
    _make_folder(path.parent)
    remove_leftovers(path.parent, once=True)
    # The suffix stays last, because numpy and others choose the format, or add a suffix of their own, by it.
    part = path.with_name(f"{_part_name(path.stem)}{path.suffix}")
    try:
        with telling_full_disk(path, size=size, part=part):
            yield part
            flush_to_disk(part)
            part.replace(path)
            flush_to_disk(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_dir(parent: Path, name: str) -> Iterator[Path]:
    """An empty folder in `parent`, removed with the block; if the process is killed, by the next one."""
    remove_leftovers(parent)
    folder = parent / _part_name(name)
    folder.mkdir()
    try:
        yield folder
    finally:
        _remove_tree(folder)


def _remove_tree(folder: Path) -> None:
    import shutil  # `--help` needs none of it

    shutil.rmtree(folder, ignore_errors=True)


def _part_name(name: str) -> str:
    """A name that tells whose half-written file or folder it is; process and thread keep two writers apart."""
    return f".{name}.{_host_key()}-{os.getpid()}-{threading.get_ident()}.part"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path, size=len(content)) as part:
        part.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8 with plain newlines, atomically."""
    write_bytes(path, text.encode("utf-8"))


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_to_disk(folder.parent)


def remove_file(path: Path) -> None:
    """Remove a file if it is there; it does not come back after a power cut."""
    if path.exists():
        path.unlink(missing_ok=True)
        flush_to_disk(path.parent)


def flush_to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    # Without it a power cut can leave a new name with no content, or take a name back.
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folder
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LEFTOVER = re.compile(r"\..+\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-\d+\.part(\..*)?")
_searched: set[Path] = set()  # folders without leftovers of earlier processes


def remove_leftovers(folder: Path, *, once: bool = False) -> int:
    """Remove what killed writers left half written in a folder; how many files and scratch folders it was.

    Only those of this machine whose process has ended: others may still be at work. With `once` a folder that this
    process has searched is not searched again.
    """
    if once and folder in _searched:
        return 0
    _searched.add(folder)
    names = [entry.name for entry in os.scandir(folder)]
    dead = [name for name in names if (match := _LEFTOVER.fullmatch(name)) and _has_ended(match)]
    for name in dead:
        if (folder / name).is_dir():
            _remove_tree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return len(dead)


def remove_leftovers_below(folders: Iterable[Path]) -> int:
    """`remove_leftovers` of these folders and of all folders in them."""
    below = [path for folder in folders if folder.is_dir() for path in (folder, *folder.rglob("*"))]
    return sum(remove_leftovers(path) for path in below if path.is_dir() and not path.is_symlink())


def _has_ended(part: re.Match[str]) -> bool:
    return part["host"] == _host_key() and not may_live(int(part["process"]))


@cache
def _host_key() -> str:
    return f"{crc32(host_name().encode()):08x}"


def write_json(path: Path, value: Any, *, format: int | None = None) -> None:
    """Write a value as JSON that a person can read and a diff can compare.

    With its format version in front, it has a checksum at its end, which `read_json` compares. NaN is a ValueError.
    """
    import json  # here and below: `--help` needs none of it

    content = value if format is None else {"format": format, **value}
    if format is not None:
        content["checksum"] = _checksum(content)
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_record(path: Path, kind: type[Kind], *, format: int, fix: str | None = None, name: str = "") -> Kind:
    """The content of a JSON file as a dataclass or typed dictionary; a DamagedFileError with `fix` if it is none."""
    plain = read_json(path, format=format, fix=fix)
    with explain_damage(path, fix):
        return checked(kind, plain, name)


def read_json(path: Path, *, format: int | None = None, fix: str | None = None) -> Any:
    """The value in a JSON file, without its format version; a DamagedFileError with `fix` if it cannot be right."""
    import json

    with explain_damage(path, fix):
        value = json.loads(path.read_bytes().decode("utf-8"), parse_float=_finite, parse_constant=_finite)
    if format is None:
        return value
    found = value.pop("format", None) if isinstance(value, dict) else None
    if found != format:
        raise DamagedFileError(
            f"the file has {'no format version' if found is None else f'format {found!r:.80}'}; "
            f"this version of the runner reads format {format}",
            where=path,
            fix=fix,
        )
    # Files of earlier versions have no checksum.
    if "checksum" in value and value.pop("checksum") != _checksum({"format": format, **value}):
        raise DamagedFileError("the file is damaged: its content does not fit its checksum", where=path, fix=fix)
    return value


@contextmanager
def explain_damage(path: Path, fix: str | None, what: str = "the file") -> Iterator[None]:
    """Turn whatever goes wrong while a file of ours is read into a DamagedFileError with its name and `fix`."""
    try:
        yield
    except (RunnerError, FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # each library has errors of its own, and a damaged file brings out any of them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        if isinstance(error, KeyError):
            reason = f"it has no {reason}"
        raise DamagedFileError(f"{what} is damaged: {reason[:300]}", where=path, fix=fix) from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number")
    return value


def _checksum(content: Any) -> str:
    """A digest of a JSON value, however it is laid out in its file."""
    import hashlib
    import json

    plain = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def locked(path: Path) -> AbstractContextManager[None]:
    """Hold an exclusive lock on the file for the block; the system releases it if the process dies."""
    return wait_for(path)
