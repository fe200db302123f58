"""submissions/ledger.csv: every submission, the run it comes from, its scores and its rank.

The file is read strictly. What is not understood is never written over: a damaged ledger is put aside whole before the
next line is written, and what it lacks then comes back from the host and the runs.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.console import log
from runner.contract import Competition
from runner.errors import RunnerError
from runner.hosts import ledger_file
from runner.hosts.protocol import Host, Status, Submission
from runner.workspace import locked

# The longest message that a host keeps; run, score and file tag follow it and are never cut.
_MAX_MESSAGE = 300
# The scripts that predict with a run, and the line in which each says by a digest with what.
NOTEBOOK_SUFFIX = ".notebook.py"
_CONTENT = re.compile(r'^CONTENT = "([0-9a-f]{64})"$', re.MULTILINE)
# Characters of a text that comes from a host.
_MAX_TEXT = 500


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
    note: str = ""  # what the user said of it

    def score(self, *, private: bool) -> float | None:
        """The public or private score, if known."""
        text = self.private if private else self.public
        return float(text) if text else None

    @property
    def submitted_at(self) -> datetime:
        """When it was submitted, aware and in UTC."""
        return datetime.fromisoformat(self.submitted)

    @property
    def tag(self) -> str:
        """The tag of its file; empty if unknown."""
        return file_tag(self.sha256) if self.sha256 else ""

    def is_same_submission(self, entry: Entry) -> bool:
        """Whether both rows are about one submission. A practice host that is made again counts from 1 again."""
        is_same_file = not self.tag or not entry.tag or self.tag == entry.tag
        return is_same_file and (self.competition, self.host, self.ref) == (entry.competition, entry.host, entry.ref)


COLUMNS = tuple(field.name for field in fields(Entry))


def submission_sha256(path: Path) -> str:
    """What identifies a submission: the SHA-256 of its file, or of what a notebook's script says that it predicts with.

    The script itself is another one with every version of the runner.
    """
    if path.name.endswith(NOTEBOOK_SUFFIX):
        match = _CONTENT.search(path.read_text(encoding="utf-8", errors="replace"))
        if match:
            return match[1]
    return file_sha256(path)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_tag(sha256: str) -> str:
    """A tag that identifies a file in the message of its submission."""
    return f"sha256:{sha256[:12]}"


def parse_file_tag(message: str) -> str:
    """The file tag in a message; empty if there is none."""
    # The last one: the user's text comes first.
    tags = re.findall(r"\bsha256:[0-9a-f]{12}\b", message)
    return tags[-1] if tags else ""


def accepted_tags(submissions: Sequence[Submission]) -> set[str]:
    """The file tags of the submissions that the host did not reject."""
    return {parse_file_tag(each.message) for each in submissions if each.status is not Status.ERROR}


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


def _parse_note(message: str) -> str:
    """The user's text in a message."""
    return re.split(r" \| (?:run|cv) | \| sha256:", message)[0] if parse_file_tag(message) else message


def new_entry(
    host: Host, competition: Competition, file_name: str, sha256: str, run_info: RunInfo, note: str = ""
) -> Entry:
    """The row of a submission that is made now; its `ref` is still empty."""
    entry = dict.fromkeys(COLUMNS, "") | asdict(run_info)
    entry |= {"submitted": _timestamp(datetime.now(UTC)), "competition": competition.name, "host": host.name}
    entry |= {"file": _one_line(file_name), "sha256": sha256, "status": Status.PENDING.value, "note": _one_line(note)}
    return Entry(**ledger_file.without_invalid(entry))


def entry_from_submission(host: Host, competition: Competition, submission: Submission) -> Entry:
    """The row of a submission that only the host knows of: what its description contains."""
    run_info = RunInfo(_parse_message(submission.message, "run"), cv=_parse_message(submission.message, "cv"))
    sha256 = parse_file_tag(submission.message).removeprefix("sha256:")
    note = _parse_note(submission.message)
    note = "" if note == Path(submission.file_name).stem else note  # what a message begins with if none was given
    entry = new_entry(host, competition, submission.file_name, sha256, run_info, note)
    return with_scores(replace(entry, submitted=_timestamp(submission.submitted), ref=submission.ref), submission)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_TEXT]


def with_scores(entry: Entry, submission: Submission, rank: str = "") -> Entry:
    """The row with the submission's present scores and status, and its rank if it is known."""
    return replace(
        entry,
        public=_score_text(submission.public),
        private=_score_text(submission.private),
        status=submission.status.value,
        rank=rank or entry.rank,
    )


def _score_text(score: float | None) -> str:
    return repr(score) if score is not None and math.isfinite(score) else ""


def fill_missing(entry: Entry, earlier: Entry) -> Entry:
    """The row, with its empty fields taken from another row of the same submission."""
    missing = {name: value for name, value in asdict(earlier).items() if not getattr(entry, name)}
    if len(earlier.sha256) > len(entry.sha256):
        missing["sha256"] = earlier.sha256  # a host keeps only the beginning
    return replace(entry, **missing)


class DamagedLedgerError(RunnerError):
    """A ledger with lines that are not understood."""


def read_ledger(path: Path, *, refresh: str = "runner COMPETITION standings --refresh") -> tuple[Entry, ...]:
    """Every entry, oldest first; DamagedLedgerError, with `refresh` as its fix, if one is not understood."""
    content = ledger_file.read(path)
    if content.problems:
        raise _damaged(path, content.problems, refresh)
    return tuple(Entry(**row) for row in content.rows)


def readable_entries(path: Path, competition: str, *, refresh: str) -> tuple[Entry, ...]:
    """The competition's entries, oldest first; of a damaged ledger those that are whole, with a warning."""
    content = ledger_file.read(path)
    if content.problems:
        _warn_once(path, str(_damaged(path, content.problems, refresh)).partition("\n")[0], refresh)
    return tuple(entry for row in content.rows if (entry := Entry(**row)).competition == competition)


_warned: set[tuple[Path, str]] = set()


def _warn_once(path: Path, message: str, refresh: str) -> None:
    """Warn of a damaged ledger; a command that reads it for every competition says it for the first."""
    if (path, message) not in _warned:
        _warned.add((path, message))
        log.warning(f"{message}; only its whole lines are shown ({path}; fix: {refresh})")


def _damaged(path: Path, problems: Sequence[str], refresh: str) -> DamagedLedgerError:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    fix = f"`{refresh}` puts the file aside whole, and fetches from the host what it lacks"
    return DamagedLedgerError(f"the ledger is damaged: {problems[0]}{more}", where=path, fix=fix)


def record_entry(path: Path, entry: Entry) -> None:
    """Add an entry, or replace that of the same submission; the time it was submitted stays."""
    with _ledger_lock(path):
        entries = _entries_to_change(path)
        earlier = next((known for known in entries if known.is_same_submission(entry)), entry)
        rest = [known for known in entries if not known.is_same_submission(entry)]
        _write(path, [*rest, replace(entry, submitted=earlier.submitted)])


def add_missing(
    path: Path, entries: Sequence[Entry], complete: Callable[[Entry], Entry] = lambda entry: entry
) -> tuple[Entry, ...]:
    """Add the entries of submissions that the ledger lacks, each completed first, change no other; the added ones."""
    with _ledger_lock(path):
        known = _entries_to_change(path)
        missing = tuple(complete(entry) for entry in entries if not any(entry.is_same_submission(row) for row in known))
        if missing:
            _write(path, [*known, *missing])
    return missing


def rename_run(path: Path, competition: str, old: str, new: str) -> None:
    """Give the entries of a run its new name; nothing else of them changes."""
    if not path.exists():
        return
    with _ledger_lock(path):
        entries = _entries_to_change(path)
        if any((entry.competition, entry.run) == (competition, old) for entry in entries):
            is_its = ((entry, (entry.competition, entry.run) == (competition, old)) for entry in entries)
            _write(path, [replace(entry, run=new) if found else entry for entry, found in is_its])


def _entries_to_change(path: Path) -> list[Entry]:
    """The entries; a damaged ledger is put aside first, and goes on with the lines that are whole."""
    content = ledger_file.read(path)
    entries = [Entry(**row) for row in content.rows]
    if content.problems:
        aside = ledger_file.put_aside(path)
        _write(path, entries)
        log.warning(
            f"{path.name} was damaged ({content.problems[0]}): it is kept whole as {aside}; {len(entries)} of its "
            "lines are understood and go on, the others come back from the host with: standings --refresh"
        )
    return entries


def _ledger_lock(path: Path) -> AbstractContextManager[None]:
    return locked(path.with_name(".ledger.lock"))


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, entries: Sequence[Entry]) -> None:
    ordered = sorted(entries, key=lambda entry: entry.submitted)
    ledger_file.write(path, [asdict(entry) for entry in ordered])
