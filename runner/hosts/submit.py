"""Submit a file once, wait for its score, and record score and rank in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.commands import command
from runner.console import log, progress
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.leaderboards import LeaderboardContext, SavedLeaderboard, save_leaderboard, write_context
from runner.hosts.ledger import (
    Entry,
    RunInfo,
    accepted_tags,
    entry_from_submission,
    file_tag,
    parse_file_tag,
    read_ledger,
    record_entry,
    submission_sha256,
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
)
from runner.hosts.send import KnownFile, Sender
from runner.hosts.standings import Standing, best_standing
from runner.options import SubmitOptions
from runner.workspace import locked

# Seconds. A host scores within seconds to minutes: after an hour something is wrong there.
SCORE_TIMEOUT = 3600
_FIRST_DELAY, _LONGEST_DELAY = 2.0, 20.0
# Seconds without an answer, after which the score is not waited for: the submission is safe, and its score is later.
_UNREACHABLE_TIMEOUT = 600


@dataclass(frozen=True)
class SubmitResult:
    """A submission in its last known state, and its standing on each leaderboard, public first."""

    submission: Submission
    standings: tuple[Standing, ...]


def needs_notebook(host: Host, competition: Competition, info: CompetitionInfo) -> bool:
    """Whether the host takes notebooks only, by what it says; Kaggle also by the competition's file."""
    return info.notebooks_only or (competition.notebooks_only and host.name == "kaggle")


def require_open(host: Host, competition: Competition, *, by_notebook: bool = False) -> CompetitionInfo:
    """The competition's info; HostError if it takes no files from this account. Called before training, not after.

    `by_notebook`: a notebook is submitted, not a file.
    """
    info = host.fetch_info(competition.slug)
    name = competition.name
    if needs_notebook(host, competition, info) and not by_notebook:
        raise HostError(
            f"{info.title} takes notebooks only, no files",
            where=info.page,
            fix=f"submit the newest run, by a notebook: `{command(name, 'submit')}`",
        )
    if info.submissions_disabled:
        closed = f": it closed on {info.deadline:%Y-%m-%d}" if info.deadline and info.is_over(host.now()) else ""
        raise HostError(
            f"{info.title} takes no submissions{closed}",
            where=info.page,
            fix=f"use the CV score: `{command(name, 'run', '--no-submit')}`",
        )
    require_rules(info)
    return info


def require_rules(info: CompetitionInfo) -> None:
    """HostError if the account has not accepted the competition's rules."""
    if not info.rules_accepted:
        raise HostError(
            f"the rules of {info.title} are not accepted yet",
            where=f"{info.page}/rules",
            fix="open that page in a browser, accept the rules (or join), then: `...`",
        )


@dataclass(frozen=True)
class Submitter:
    """Submits files of one competition to one host, and keeps the ledger and the saved leaderboards up to date."""

    host: Host
    competition: Competition
    ledger_file: Path
    leaderboards_dir: Path | None = None  # None: leaderboards are not saved
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    find_files: Callable[[], Mapping[str, KnownFile]] = dict  # the submission files here, by file tag
    send_notebook: Callable[[str], str] | None = None  # submits one with a message, instead of a file
    score_timeout: float = SCORE_TIMEOUT

    def submit(self, path: Path, run_info: RunInfo, options: SubmitOptions) -> SubmitResult:
        """Submit the file and record it at once; wait for its scores and record them too."""
        info = require_open(self.host, self.competition, by_notebook=self.send_notebook is not None)
        # Between the check for a duplicate and the upload no other process here may submit.
        with self._submitting():
            entry = self._sender.send_once(path, run_info, options)
        if not options.wait:
            return SubmitResult(self.host.fetch_submission(self.competition.slug, entry.ref), ())
        submission = self.wait_for_score(entry.ref)
        if submission.status is Status.ERROR:
            record_entry(self.ledger_file, with_scores(entry, submission))
            raise submission_error(self.competition, submission, path)
        standings = self._record_scores(entry, submission, _Leaderboards(self, info, submission.team))
        return SubmitResult(submission, standings)

    def has_submitted(self, path: Path) -> bool:
        """Whether the host lists a submission of this file or script that it did not reject."""
        submissions = self.host.fetch_submissions(self.competition.slug)
        return file_tag(submission_sha256(path)) in accepted_tags(submissions)

    def refresh(self) -> None:
        """Fetch scores and leaderboards for every entry; submissions made elsewhere get an entry."""
        info = self.host.fetch_info(self.competition.slug)
        submissions = {submission.ref: submission for submission in self.host.fetch_submissions(self.competition.slug)}
        with self._submitting():
            self._sender.confirm(list(submissions.values()))
            added = self._sender.add_listed(list(submissions.values()))
        if added:
            log.info(f"{len(added)} submission{'s' * (len(added) > 1)} not in the ledger before: added")
        team = next((submission.team for submission in submissions.values() if submission.team), "")
        leaderboards = _Leaderboards(self, info, team)
        leaderboards.save_all()
        for entry in read_ledger(self.ledger_file):
            is_ours = (entry.competition, entry.host) == (self.competition.name, self.host.name)
            submission = submissions.get(entry.ref) if is_ours else None
            # A practice host that was made again counts from 1 again, with other files.
            if submission and submission.status is not Status.PENDING and _is_of(entry, submission):
                self._record_scores(entry, submission, leaderboards)

    def wait_for_score(self, ref: str) -> Submission:
        """The submission once the host has scored it, or rejected it: then its `error` has the reason."""
        watch, delay, answered = _Stopwatch(self.clock), _FIRST_DELAY, 0.0
        with progress("waiting for the score", None) as advance:
            while True:
                submission, error = self._poll(ref)
                if submission is not None:
                    answered = watch.seconds
                    if submission.status is not Status.PENDING:
                        return submission
                if watch.seconds == 0:
                    log.info(f"waiting for the score, until {_in(self.score_timeout)} at most")
                self._require_patience(ref, watch.seconds, watch.seconds - answered, error)
                self.sleep(delay)
                watch.slept += delay
                delay = min(delay * 1.5, _LONGEST_DELAY)
                advance(0, f"{watch.seconds:.0f} s")

    def _require_patience(self, ref: str, waited: float, unanswered: float, error: UnreachableError | None) -> None:
        """HostError if the score is not worth waiting for any longer."""
        fix = f"runner {self.competition.name} standings --refresh"
        if waited >= self.score_timeout:
            raise HostError(f"submission {ref} is still not scored after {waited / 60:.0f} minutes", fix=fix)
        if error is not None and unanswered >= _UNREACHABLE_TIMEOUT:
            minutes = f"{unanswered / 60:.0f} minutes"
            raise UnreachableError(
                f"submission {ref} is sent, but its score is not: {minutes} of {error.message}", fix=fix
            )

    def _poll(self, ref: str) -> tuple[Submission | None, UnreachableError | None]:
        """The submission, or why the host cannot be asked now: then the wait goes on."""
        try:
            return self.host.fetch_submission(self.competition.slug, ref), None
        except UnreachableError as error:
            log.info(f"{error.message}; still waiting")
            return None, error

    @property
    def _sender(self) -> Sender:
        return Sender(self.host, self.competition, self.ledger_file, self.find_files, self.sleep, self.send_notebook)

    def _submitting(self) -> AbstractContextManager[None]:
        return locked(self.ledger_file.with_name(f".submit-{self.competition.name}.lock"))

    def _record_scores(self, entry: Entry, submission: Submission, leaderboards: _Leaderboards) -> tuple[Standing, ...]:
        standings = leaderboards.standings_of(submission)
        rank = f"{standings[-1].rank}/{standings[-1].teams}" if standings and standings[-1].teams else ""
        scored = with_scores(entry, submission, rank)
        if scored != entry:
            record_entry(self.ledger_file, scored)
        return standings


class _Stopwatch:
    """Seconds since it was made, by the clock or by what was slept."""

    def __init__(self, clock: Callable[[], float]):
        self.clock, self.start, self.slept = clock, clock(), 0.0

    @property
    def seconds(self) -> float:
        elapsed = self.clock() - self.start
        return max(elapsed, self.slept) if self.slept else 0.0


def _in(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%H:%M} UTC"


def _is_of(entry: Entry, submission: Submission) -> bool:
    tag = parse_file_tag(submission.message)
    return not tag or not entry.tag or tag == entry.tag


def submission_error(competition: Competition, submission: Submission, path: Path) -> HostError:
    """The error for a submission of this file that the host rejected, with the host's reason."""
    return HostError(
        f"the host rejected submission {submission.ref}: {submission.error or 'it gives no reason'}",
        where=path,
        fix=command(competition.name, "check", path),
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
