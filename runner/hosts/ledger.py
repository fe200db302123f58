"""submissions/ledger.csv: every submission, the run it comes from, its scores and its rank."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.contract import Competition
from runner.csv_file import guard_formula, unguard_formula, write_csv
from runner.hosts.protocol import Host, Status, Submission
from runner.workspace import locked

# The longest message that a host keeps; run, score and file tag follow it and are never cut.
_MAX_MESSAGE = 300


@dataclass(frozen=True)
class RunInfo:
    """The run that a submission comes from; all fields are text, empty if unknown."""

    run: str = ""
    recipe: str = ""
    commit: str = ""
    cv: str = ""
    cv_error: str = ""


@dataclass(frozen=True)
class Entry:
    """One submission: one row. Every field is text, as in the file; empty if unknown."""

    submitted: str  # UTC, to the second
    competition: str
    host: str
    run: str
    file: str
    sha256: str
    recipe: str
    commit: str
    cv: str
    cv_error: str
    public: str
    private: str
    status: str
    ref: str
    rank: str  # "17/1286", on the private leaderboard if there is one

    def score(self, *, private: bool) -> float | None:
        """The public or private score, if known."""
        text = self.private if private else self.public
        return float(text) if text else None

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, aware and in UTC."""
        return datetime.fromisoformat(self.submitted)

    def is_same_submission(self, entry: Entry) -> bool:
        """Whether both rows are about one submission."""
        return (self.competition, self.host, self.ref) == (entry.competition, entry.host, entry.ref)


COLUMNS = tuple(field.name for field in fields(Entry))
_OLD_COLUMNS = {"rank": "standing"}  # ledgers of earlier versions are still read


def file_tag(sha256: str) -> str:
    """A tag that identifies a file in the message of its submission."""
    return f"sha256:{sha256[:12]}"


def parse_file_tag(message: str) -> str:
    """The file tag in a message; empty if there is none."""
    match = re.search(r"\bsha256:[0-9a-f]{12}\b", message)
    return match[0] if match else ""


def submission_message(message: str, run_info: RunInfo, sha256: str) -> str:
    """The description that the host keeps: the user's message, the run, its CV, and the file tag."""
    words = [" ".join(message.split())[:_MAX_MESSAGE]]
    words += [f"run {run_info.run}"] if run_info.run else []
    words += [f"cv {run_info.cv}"] if run_info.cv else []
    return " | ".join([*words, file_tag(sha256)])


def _parse_message(message: str, word: str) -> str:
    """The run or the CV in one of our messages: the last match, because the user's text comes first."""
    matches = re.findall(rf"\| {word} ([^|]+?) \| ", message)
    return matches[-1] if matches and parse_file_tag(message) else ""


def new_entry(host: Host, competition: Competition, file_name: str, sha256: str, run_info: RunInfo) -> Entry:
    """The row of a submission that is made now; its `ref` is still empty."""
    entry = dict.fromkeys(COLUMNS, "") | asdict(run_info)
    entry |= {"submitted": _timestamp(datetime.now(UTC)), "competition": competition.name, "host": host.name}
    entry |= {"file": file_name, "sha256": sha256, "status": Status.PENDING.value}
    return Entry(**entry)


def entry_from_submission(host: Host, competition: Competition, submission: Submission) -> Entry:
    """The row of a submission that only the host knows of: what its description contains."""
    run_info = RunInfo(_parse_message(submission.message, "run"), cv=_parse_message(submission.message, "cv"))
    sha256 = parse_file_tag(submission.message).removeprefix("sha256:")
    entry = new_entry(host, competition, submission.file_name, sha256, run_info)
    return with_scores(replace(entry, submitted=_timestamp(submission.submitted), ref=submission.ref), submission)


def with_scores(entry: Entry, submission: Submission, rank: str = "") -> Entry:
    """The row with the submission's present scores and status, and its rank if it is known."""
    return replace(
        entry,
        public="" if submission.public is None else repr(submission.public),
        private="" if submission.private is None else repr(submission.private),
        status=submission.status.value,
        rank=rank or entry.rank,
    )


def fill_missing(entry: Entry, earlier: Entry) -> Entry:
    """The row, with its empty fields taken from an earlier row of the same submission."""
    missing = {name: value for name, value in asdict(earlier).items() if not getattr(entry, name)}
    return replace(entry, **missing)


def read_ledger(path: Path) -> tuple[Entry, ...]:
    """Every entry, oldest first."""
    if not path.exists():
        return ()
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    return tuple(Entry(**{name: _read_cell(row, name) for name in COLUMNS}) for row in rows)


def _read_cell(row: dict[str, str], name: str) -> str:
    return unguard_formula(row.get(name) or row.get(_OLD_COLUMNS.get(name, "")) or "")


def record_entry(path: Path, entry: Entry) -> None:
    """Add an entry, or replace that of the same submission; the time it was submitted stays."""
    with _ledger_lock(path):
        entries = read_ledger(path)
        earlier = next((known for known in entries if known.is_same_submission(entry)), entry)
        rest = [known for known in entries if not known.is_same_submission(entry)]
        _write(path, [*rest, replace(entry, submitted=earlier.submitted)])


def add_missing(path: Path, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Add the entries of submissions that the ledger lacks, change no other; the added ones."""
    with _ledger_lock(path):
        known = read_ledger(path)
        missing = tuple(entry for entry in entries if not any(entry.is_same_submission(row) for row in known))
        if missing:
            _write(path, [*known, *missing])
    return missing


def _ledger_lock(path: Path) -> AbstractContextManager[None]:
    return locked(path.with_name(".ledger.lock"))


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, entries: Sequence[Entry]) -> None:
    ordered = sorted(entries, key=lambda entry: entry.submitted)
    write_csv(path, COLUMNS, ([guard_formula(getattr(entry, name)) for name in COLUMNS] for entry in ordered))
