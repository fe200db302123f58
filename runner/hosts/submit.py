"""Submit a file once, wait for its score, and record score and rank in the ledger."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.console import log, progress
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.leaderboards import LeaderboardContext, SavedLeaderboard, save_leaderboard, write_context
from runner.hosts.ledger import (
    Entry,
    RunInfo,
    add_missing,
    entry_from_submission,
    file_tag,
    fill_missing,
    new_entry,
    parse_file_tag,
    read_ledger,
    record_entry,
    submission_message,
    with_scores,
)
from runner.hosts.protocol import (
    CompetitionInfo,
    Host,
    Leaderboard,
    Status,
    Submission,
    UnreachableError,
    leaderboard_kind,
    limit_error,
)
from runner.hosts.standings import Standing, best_standing
from runner.options import SubmitOptions
from runner.workspace import locked

# Seconds. A host scores within seconds to minutes: after an hour something is wrong there.
SCORE_TIMEOUT = 3600
_FIRST_DELAY, _LONGEST_DELAY = 2.0, 20.0


@dataclass(frozen=True)
class SubmitResult:
    """A submission in its last known state, and its standing on each leaderboard, public first."""

    submission: Submission
    standings: tuple[Standing, ...]


def require_open(host: Host, competition: Competition) -> CompetitionInfo:
    """The competition's info; HostError if it takes no files from this account. Called before training, not after."""
    info = host.fetch_info(competition.slug)
    command = f"runner {competition.name}"
    if info.notebooks_only:
        raise HostError(
            f"{info.title} takes notebooks only, no files",
            where=info.page,
            fix=f"train and predict here ({command} train), and submit from a notebook there",
        )
    if info.submissions_disabled:
        closed = f": it closed on {info.deadline:%Y-%m-%d}" if info.deadline and info.is_over(host.now()) else ""
        raise HostError(
            f"{info.title} takes no submissions{closed}",
            where=info.page,
            fix=f"use the validation score: {command} train, then: {command} predict",
        )
    if not info.rules_accepted:
        raise HostError(
            f"the rules of {info.title} are not accepted yet",
            where=f"{info.page}/rules",
            fix=f"open that page in a browser, accept the rules (or join), then: {command} run",
        )
    return info


@dataclass(frozen=True)
class Submitter:
    """Submits files of one competition to one host, and keeps the ledger and the saved leaderboards up to date."""

    host: Host
    competition: Competition
    ledger_file: Path
    leaderboards_dir: Path | None = None  # None: leaderboards are not saved
    sleep: Callable[[float], None] = time.sleep

    def submit(self, path: Path, run_info: RunInfo, options: SubmitOptions) -> SubmitResult:
        """Submit the file and record it at once; wait for its scores and record them too."""
        info = require_open(self.host, self.competition)
        # Between the check for a duplicate and the upload no other process here may submit.
        with locked(self.ledger_file.with_name(f".submit-{self.competition.name}.lock")):
            entry = self._submit_once(path, run_info, options)
        if not options.wait:
            return SubmitResult(self.host.fetch_submission(self.competition.slug, entry.ref), ())
        submission = self.wait_for_score(entry.ref)
        if submission.status is Status.ERROR:
            record_entry(self.ledger_file, with_scores(entry, submission))
            raise submission_error(self.competition, submission, path)
        standings = self._record_scores(entry, submission, _Leaderboards(self, info, submission.team))
        return SubmitResult(submission, standings)

    def refresh(self) -> None:
        """Fetch scores and leaderboards for every entry; submissions made elsewhere get an entry."""
        info = self.host.fetch_info(self.competition.slug)
        submissions = {submission.ref: submission for submission in self.host.fetch_submissions(self.competition.slug)}
        entries = [
            entry_from_submission(self.host, self.competition, submission) for submission in submissions.values()
        ]
        if added := add_missing(self.ledger_file, entries):
            log.info(f"{len(added)} submission{'s' * (len(added) > 1)} not in the ledger before: added")
        team = next((submission.team for submission in submissions.values() if submission.team), "")
        leaderboards = _Leaderboards(self, info, team)
        leaderboards.save_all()
        for entry in read_ledger(self.ledger_file):
            is_ours = (entry.competition, entry.host) == (self.competition.name, self.host.name)
            submission = submissions.get(entry.ref) if is_ours else None
            if submission and submission.status is not Status.PENDING:
                self._record_scores(entry, submission, leaderboards)

    def wait_for_score(self, ref: str) -> Submission:
        """The submission once the host has scored it, or rejected it: then its `error` has the reason."""
        waited, delay = 0.0, _FIRST_DELAY
        with progress("waiting for the score", None) as advance:
            while (submission := self._poll(ref)) is None or submission.status is Status.PENDING:
                if waited >= SCORE_TIMEOUT:
                    raise HostError(
                        f"submission {ref} is still not scored after {waited / 60:.0f} minutes",
                        fix=f"runner {self.competition.name} standings --refresh",
                    )
                if waited == 0:
                    log.info("waiting for the score")
                self.sleep(delay)
                waited, delay = waited + delay, min(delay * 1.5, _LONGEST_DELAY)
                advance(0, f"{waited:.0f} s")
        return submission

    def _submit_once(self, path: Path, run_info: RunInfo, options: SubmitOptions) -> Entry:
        """Send the file unless the host has it; its entry in the ledger."""
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        previous = self.host.fetch_submissions(self.competition.slug)
        # Of a run that was killed before it wrote the ledger.
        tagged = [submission for submission in previous if parse_file_tag(submission.message)]
        add_missing(
            self.ledger_file, [entry_from_submission(self.host, self.competition, submission) for submission in tagged]
        )
        ref = None if options.resubmit else _find_duplicate(previous, sha256)
        if ref is None:
            self._require_submissions_left()
            message = submission_message(options.message or path.stem, run_info, sha256)
            ref = self.host.submit_file(self.competition.slug, path, message)
        else:
            log.info(f"already submitted as {ref}; --resubmit sends it again")
        entry = replace(new_entry(self.host, self.competition, path.name, sha256, run_info), ref=ref)
        earlier = next((known for known in read_ledger(self.ledger_file) if known.is_same_submission(entry)), None)
        entry = fill_missing(entry, earlier) if earlier else entry
        record_entry(self.ledger_file, entry)
        return entry

    def _require_submissions_left(self) -> None:
        limits = self.host.fetch_limits(self.competition.slug)
        if limits.left_today <= 0:
            raise limit_error(self.competition, limits, self.host.now())

    def _record_scores(self, entry: Entry, submission: Submission, leaderboards: _Leaderboards) -> tuple[Standing, ...]:
        standings = leaderboards.standings_of(submission)
        rank = f"{standings[-1].rank}/{standings[-1].teams}" if standings else ""
        record_entry(self.ledger_file, with_scores(entry, submission, rank))
        return standings

    def _poll(self, ref: str) -> Submission | None:
        """The submission; None if the host cannot be reached now: the wait goes on."""
        try:
            return self.host.fetch_submission(self.competition.slug, ref)
        except UnreachableError as error:
            log.info(f"{error.message}; still waiting")
            return None


def submission_error(competition: Competition, submission: Submission, path: Path) -> HostError:
    """The error for a submission of this file that the host rejected, with the host's reason."""
    return HostError(
        f"the host rejected submission {submission.ref}: {submission.error or 'it gives no reason'}",
        where=path,
        fix=f"runner {competition.name} check {path}",
    )


def _find_duplicate(submissions: Sequence[Submission], sha256: str) -> str | None:
    """The reference of a submission of the same file that the host did not reject."""
    tag = file_tag(sha256)
    return next(
        (
            submission.ref
            for submission in submissions
            if tag in submission.message and submission.status is not Status.ERROR
        ),
        None,
    )


class _Leaderboards:
    """The leaderboards of one competition: each is fetched at most once, and saved if there is a folder for it."""

    def __init__(self, submitter: Submitter, info: CompetitionInfo, team: str):
        self.host, self.competition = submitter.host, submitter.competition
        self.folder, self.info = submitter.leaderboards_dir, info
        self.context = LeaderboardContext(info.deadline, team)
        self.fetched: dict[bool, Leaderboard | None] = {}
        if self.folder is not None:
            write_context(self.folder, self.context)

    def save_all(self) -> None:
        """Fetch the public leaderboard, and the private one if the competition is over."""
        for private in (False, True):
            if not private or self.info.is_over(self.host.now()):
                self._fetch(private)

    def standings_of(self, submission: Submission) -> tuple[Standing, ...]:
        """The standing of each of its scores, public first."""
        entry = entry_from_submission(self.host, self.competition, submission)
        context = replace(self.context, team=submission.team)
        standings = []
        for private in (False, True):
            if entry.score(private=private) is None or (leaderboard := self._fetch(private)) is None:
                continue
            best = best_standing(self.competition, [entry], SavedLeaderboard(leaderboard, self.host.now(), context))
            standings += [best[1]] if best else []
        return tuple(standings)

    def _fetch(self, private: bool) -> Leaderboard | None:
        if private not in self.fetched:
            self.fetched[private] = self._try_to_fetch(private)
        return self.fetched[private]

    def _try_to_fetch(self, private: bool) -> Leaderboard | None:
        """The leaderboard; None if there is none: the scores are recorded without a rank."""
        try:
            leaderboard = self.host.fetch_leaderboard(self.competition.slug, private=private)
        except HostError as error:
            log.info(f"no {leaderboard_kind(private)} leaderboard: {error.message}")
            return None
        if self.folder is not None and leaderboard.rows:
            save_leaderboard(self.folder, leaderboard, self.host.now())
        return leaderboard
