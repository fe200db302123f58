"""Send a file to a host once: whatever ended the commands before, it is looked for before it is sent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from runner.commands import TYPED, command
from runner.console import log
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.ledger import (
    Entry,
    RunInfo,
    add_missing,
    entry_from_submission,
    fill_missing,
    new_entry,
    parse_file_tag,
    read_ledger,
    record_entry,
    submission_message,
    submission_sha256,
    with_scores,
)
from runner.hosts.protocol import Host, NoSubmissionError, Status, Submission, UnconfirmedError, limit_error
from runner.hosts.unconfirmed import Unconfirmed, read_unconfirmed, remove_unconfirmed, write_unconfirmed
from runner.options import SubmitOptions

# Seconds after which a host surely lists what it has taken; until then it is asked again and again.
_SETTLE_SECONDS, _SETTLE_DELAY = 60.0, 10.0
# Seconds after which a submission that never appeared is no longer looked for.
_FORGET_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class KnownFile:
    """A submission file in this workspace, and the run that it comes from."""

    sha256: str
    run_info: RunInfo


@dataclass(frozen=True)
class Sender:
    """Sends files of one competition to one host, and writes the ledger. Its caller holds the competition's lock."""

    host: Host
    competition: Competition
    ledger_file: Path
    find_files: Callable[[], Mapping[str, KnownFile]]  # by file tag
    sleep: Callable[[float], None] = time.sleep
    send_notebook: Callable[[str], str] | None = None  # submits one with a message; the file then is its script

    def send_once(self, path: Path, run_info: RunInfo, options: SubmitOptions) -> Entry:
        """Send the file unless the host has it; its entry in the ledger."""
        sha256 = submission_sha256(path)
        entry = new_entry(self.host, self.competition, path.name, sha256, run_info, options.message)
        submissions = self._fetch()
        arrived = self.confirm(submissions)
        self.add_listed([submission for submission in submissions if parse_file_tag(submission.message)])
        ref = arrived.get(entry.tag)
        if ref is None and not options.resubmit:
            ref = self._find_duplicate(submissions, entry.tag)
        if ref is None:
            ref = self._find_begun(entry.tag, force=options.resubmit)
        if ref is not None:
            by_whom = " by an earlier command" if options.resubmit else ""
            log.info(f"already submitted{by_whom} as {ref}; --resubmit sends it again")
            return self._record_known(replace(entry, ref=ref, note=""))
        message = submission_message(options.message or path.stem, run_info, sha256)
        return self._send(path, entry, message, tuple(submission.ref for submission in submissions))

    def confirm(self, submissions: Sequence[Submission]) -> dict[str, str]:
        """Record what was begun and is listed now; the references, by file tag."""
        arrived = {}
        for unconfirmed in self._begun():
            if submission := unconfirmed.find(submissions):
                entry = with_scores(replace(unconfirmed.entry, ref=submission.ref), submission)
                self._record_known(entry)
                remove_unconfirmed(self._folder, entry)
                arrived[entry.tag] = submission.ref
            elif unconfirmed.seconds_old(datetime.now(UTC)) > _FORGET_SECONDS:
                remove_unconfirmed(self._folder, unconfirmed.entry)
        return arrived

    def add_listed(self, submissions: Sequence[Submission]) -> tuple[Entry, ...]:
        """Add the entries that the ledger lacks, with the runs of their files; the added ones."""
        find_files = cache(self.find_files)

        def complete(entry: Entry) -> Entry:
            known = find_files().get(entry.tag) if entry.tag else None
            if known is None:
                return entry
            return fill_missing(entry, replace(entry, sha256=known.sha256, **asdict(known.run_info)))

        entries = [entry_from_submission(self.host, self.competition, submission) for submission in submissions]
        return add_missing(self.ledger_file, entries, complete)

    @property
    def _folder(self) -> Path:
        return self.ledger_file.parent

    def _fetch(self) -> tuple[Submission, ...]:
        return self.host.fetch_submissions(self.competition.slug)

    def _begun(self) -> list[Unconfirmed]:
        return read_unconfirmed(self._folder, self.competition.name, self.host.name)

    @property
    def _refresh_command(self) -> str:
        return command(self.competition.name, "standings", "--refresh")

    # --- what the host has -----------------------------------------------------------------------

    def _find_duplicate(self, submissions: Sequence[Submission], tag: str) -> str | None:
        """The reference of a submission of the same file that the host did not reject."""
        for submission in submissions:
            if parse_file_tag(submission.message) == tag and submission.status is not Status.ERROR:
                return submission.ref
        listed = {submission.ref for submission in submissions}
        for entry in reversed(read_ledger(self.ledger_file, refresh=self._refresh_command)):
            is_of_file = (entry.competition, entry.host, entry.tag) == (self.competition.name, self.host.name, tag)
            if is_of_file and entry.ref not in listed and entry.status != Status.ERROR.value and self._has(entry):
                return entry.ref
        return None

    def _has(self, entry: Entry) -> bool:
        """Whether the host has a submission of the ledger that it does not list; HostError if that cannot be."""
        try:
            submission = self.host.fetch_submission(self.competition.slug, entry.ref)
        except NoSubmissionError:
            if not self.host.keeps_submissions:
                return False
            raise HostError(
                f"the ledger has this file as submission {entry.ref} of {entry.submitted[:10]}, "
                "which the host does not show now",
                where=self.ledger_file,
                fix=f"later: `{TYPED}`; if it was never there, submit it with --resubmit",
            ) from None
        return submission.status is not Status.ERROR and parse_file_tag(submission.message) in ("", entry.tag)

    def _find_begun(self, tag: str, *, force: bool) -> str | None:
        """The reference of a submission of this file that an earlier command may have made."""
        begun = next((unconfirmed for unconfirmed in self._begun() if unconfirmed.entry.tag == tag), None)
        if begun is None:
            return None
        remaining = _SETTLE_SECONDS - begun.seconds_old(datetime.now(UTC))
        for _ in range(math.ceil(min(max(remaining, 0), _SETTLE_SECONDS) / _SETTLE_DELAY)):
            log.info(
                f"an earlier command may have sent {begun.entry.file}: looking for it again in {_SETTLE_DELAY:.0f} s"
            )
            self.sleep(_SETTLE_DELAY)
            if ref := self.confirm(self._fetch()).get(tag):
                return ref
        if not force:
            self._require_all_listed(begun)
        return None

    def _require_all_listed(self, begun: Unconfirmed) -> None:
        """UnconfirmedError if the host counts more submissions of today than it lists."""
        limits = self.host.fetch_limits(self.competition.slug)
        new = sum(submission.ref not in begun.known_refs for submission in self._fetch())
        is_same_day = self.host.now().date() == begun.entry.submitted_at.date()
        if is_same_day and limits.left_today < begun.left_today - new:
            raise UnconfirmedError(
                f"the host counts more submissions of today than it lists: {begun.entry.file}, which an earlier "
                "command has sent, may be among them",
                fix=f"later: `{TYPED}`; to send it now, submit it with --resubmit",
            )

    # --- sending ---------------------------------------------------------------------------------

    def _send(self, path: Path, entry: Entry, message: str, known_refs: tuple[str, ...]) -> Entry:
        limits = self.host.fetch_limits(self.competition.slug)
        if limits.left_today <= 0:
            raise limit_error(self.competition, limits, self.host.now())
        write_unconfirmed(self._folder, Unconfirmed(entry, known_refs, limits.left_today))
        try:
            ref = self._submit(path, message)
        except UnconfirmedError:
            raise
        except HostError:
            remove_unconfirmed(self._folder, entry)  # certainly refused, or not sent
            raise
        entry = replace(entry, ref=ref)
        record_entry(self.ledger_file, entry)
        remove_unconfirmed(self._folder, entry)
        return entry

    def _submit(self, path: Path, message: str) -> str:
        if self.send_notebook is not None:
            return self.send_notebook(message)
        return self.host.submit_file(self.competition.slug, path, message)

    def _record_known(self, entry: Entry) -> Entry:
        """Record a submission of before: what the ledger knows of it stays, what it lacks is added."""
        entries = read_ledger(self.ledger_file, refresh=self._refresh_command)
        earlier = next((known for known in entries if known.is_same_submission(entry)), None)
        entry = fill_missing(earlier, entry) if earlier else entry
        record_entry(self.ledger_file, entry)
        return entry
