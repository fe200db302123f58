"""Where the data came from: remembered beside it, so that every fix names the command that brings it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.commands import command
from runner.errors import RunnerError
from runner.workspace import read_json, write_json

# Apart from the manifest, which names no path of this disk.
SOURCE = "source.json"
_FORMAT = 1


def write_source(folder: Path, flags: Sequence[str], *, command: str = "download") -> None:
    """Remember what filled the folder: a command and its flags (`download`'s: none, `--mirror`, or `--from` a path)."""
    other = {} if command == "download" else {"command": command}
    write_json(folder / SOURCE, {"flags": list(flags), **other}, format=_FORMAT)


def read_source(folder: Path) -> tuple[str, ...]:
    """The flags of the `download` that filled the folder; none if that is not known."""
    command, *flags = _read_source(folder)
    return tuple(flags) if command == "download" else ()


def redownload_words(folder: Path) -> tuple[str, ...]:
    """The words of a command that replaces the data, from where it came."""
    return (*_read_source(folder), "--force")


def is_rehearsal(folder: Path) -> bool:
    """Whether `rehearse` made the data."""
    return _read_source(folder)[0] == "rehearse"


def _read_source(folder: Path) -> tuple[str, ...]:
    try:
        source = read_json(folder / SOURCE, format=_FORMAT)
        words = (source.get("command", "download"), *source["flags"])
    except (OSError, RunnerError, KeyError, TypeError, AttributeError):
        return ("download",)
    return words if all(isinstance(word, str) for word in words) else ("download",)


def redownload_command(folder: Path, competition: str = "") -> str:
    """That command, for a folder whose session is not at hand; a data folder has its competition's name."""
    return command(competition or folder.name, *redownload_words(folder))


def as_remembered(path: Path) -> str:
    """A source's path as it is remembered: absolute, so that the fix works from any folder."""
    return str(path.expanduser().resolve())
