"""Submissions that were begun and are not in the ledger yet: a file each, written before anything is sent.

Whatever ends the command after that (a kill, a lost connection, an error of the host), the next one finds here that the
host may have the file, and looks for it before it sends anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.console import log
from runner.errors import RunnerError
from runner.hosts.ledger import Entry, parse_file_tag
from runner.hosts.protocol import Submission
from runner.workspace import read_json, write_json

_FORMAT = 1


@dataclass(frozen=True)
class Unconfirmed:
    """A submission that the host may have: its line for the ledger, and what the host had before."""

    entry: Entry  # without its reference
    known_refs: tuple[str, ...]
    left_today: int  # submissions that the host still allowed that day

    def find(self, submissions: Sequence[Submission]) -> Submission | None:
        """The submission among those that the host lists now."""
        return next(
            (
                submission
                for submission in submissions
                if submission.ref not in self.known_refs and parse_file_tag(submission.message) == self.entry.tag
            ),
            None,
        )

    def seconds_old(self, now: datetime) -> float:
        """How long ago it was begun."""
        return (now - self.entry.submitted_at).total_seconds()


def write_unconfirmed(folder: Path, unconfirmed: Unconfirmed) -> None:
    """Write the file, before anything is sent."""
    content = asdict(unconfirmed) | {"known_refs": list(unconfirmed.known_refs)}
    write_json(_path(folder, unconfirmed.entry), content, format=_FORMAT)


def remove_unconfirmed(folder: Path, entry: Entry) -> None:
    """Remove the file, once the ledger has the submission or the host has certainly refused it."""
    _path(folder, entry).unlink(missing_ok=True)


def read_unconfirmed(folder: Path, competition: str, host: str) -> list[Unconfirmed]:
    """Those of one competition on one host. A damaged file is named and put aside: the host lists its submission."""
    found = []
    for path in sorted(folder.glob(f".sending-{competition}-{host}-*.json")):
        try:
            content = read_json(path, format=_FORMAT)
            unconfirmed = Unconfirmed(
                Entry(**content["entry"]), tuple(map(str, content["known_refs"])), int(content["left_today"])
            )
            unconfirmed.seconds_old(datetime.now(UTC))  # its time can be read
            found.append(unconfirmed)
        except (RunnerError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            aside = path.with_name(f"{path.stem.lstrip('.')}.damaged.json")
            log.warning(f"the note of a submission that was begun is damaged, and put aside as {aside}: {error}")
            path.replace(aside)
    return found


def _path(folder: Path, entry: Entry) -> Path:
    return folder / f".sending-{entry.competition}-{entry.host}-{entry.sha256[:12]}.json"
