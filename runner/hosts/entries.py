"""A submission in words: in the description that the host keeps, and as a line of the ledger."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.contract import Competition
from runner.hosts.file_tag import file_tag, parse_file_tag
from runner.hosts.ledger import Entry
from runner.hosts.protocol import Host, Status, Submission
from runner.hosts.standings import Standing

# What a host takes of a note; the run, the score and the mark come behind it and are never cut.
_LONGEST_NOTE = 300


@dataclass(frozen=True)
class RunInfo:
    """Where a submission comes from: written beside its score, so that no score is an orphan."""

    run: str = ""
    recipe: str = ""
    commit: str = ""
    cv: str = ""
    cv_error: str = ""


def describe(note: str, origin: RunInfo, digest: str) -> str:
    """What the host keeps with the file: the note, the run, its CV, and the mark of the file."""
    parts = [" ".join(note.split())[:_LONGEST_NOTE]]
    parts += [f"run {origin.run}"] if origin.run else []
    parts += [f"cv {origin.cv}"] if origin.cv else []
    return " | ".join([*parts, file_tag(digest)])


def _said_in(message: str, word: str) -> str:
    """The run, or the CV, in a description of ours; the last one, for the note before it is anybody's."""
    found = re.findall(rf"\| {word} ([^|]+?) \| ", message)
    return found[-1] if found and parse_file_tag(message) else ""


def new_entry(host: Host, competition: Competition, path: Path, digest: str, origin: RunInfo, ref: str) -> Entry:
    """The line of a submission that was handed in just now."""
    return Entry(
        submitted=_stamp(datetime.now(UTC)),
        competition=competition.name,
        host=host.name,
        run=origin.run,
        file=path.name,
        sha256=digest,
        recipe=origin.recipe,
        commit=origin.commit,
        cv=origin.cv,
        cv_error=origin.cv_error,
        public="",
        private="",
        status=Status.PENDING.value,
        ref=ref,
        standing="",
    )


def entry_from_submission(host: Host, competition: Competition, submission: Submission) -> Entry:
    """A line for a submission that only the host knows of: as much as its description tells."""
    entry = Entry(
        submitted=_stamp(submission.submitted),
        competition=competition.name,
        host=host.name,
        run=_said_in(submission.message, "run"),
        file=submission.file_name,
        sha256=parse_file_tag(submission.message).removeprefix("sha256:"),
        recipe="",
        commit="",
        cv=_said_in(submission.message, "cv"),
        cv_error="",
        public="",
        private="",
        status=submission.status.value,
        ref=submission.ref,
        standing="",
    )
    return scored(entry, submission, ())


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def scored(entry: Entry, submission: Submission, standings: tuple[Standing, ...]) -> Entry:
    """The line with what the host says of it by now, and the place of its last score."""
    return replace(
        entry,
        public="" if submission.public is None else repr(submission.public),
        private="" if submission.private is None else repr(submission.private),
        status=submission.status.value,
        standing=f"{standings[-1].rank}/{standings[-1].teams}" if standings else entry.standing,
    )
