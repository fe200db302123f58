"""Hand a file in, once; wait for its score; and write down what came of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner.console import log, progress
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.entries import RunInfo, describe, entry_from_submission, new_entry, scored
from runner.hosts.file_tag import file_tag, parse_file_tag
from runner.hosts.leaderboards import LeaderboardContext, keep_snapshot, keep_terms
from runner.hosts.ledger import Entry, add_missing, filled, is_same, read_ledger, record_entry
from runner.hosts.protocol import (
    CompetitionInfo,
    Host,
    Leaderboard,
    Status,
    Submission,
    SubmissionLimits,
    UnreachableError,
)
from runner.hosts.standings import Standing, find_standing
from runner.workspace import locked

# A host scores within seconds to minutes; an hour says that something is wrong there.
SCORE_TIMEOUT = 3600
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 20.0


@dataclass(frozen=True)
class SubmitResult:
    """What became of a submission: the host's last word, and the places on its boards."""

    submission: Submission
    standings: tuple[Standing, ...]


@dataclass(frozen=True)
class SubmitOptions:
    """How a file is handed in."""

    note: str = ""
    wait: bool = True
    again: bool = False  # send it even where the host has this very file
    boards: Path | None = None  # where snapshots of the boards are kept
    pause: Callable[[float], None] = time.sleep


def require_open(host: Host, competition: Competition) -> CompetitionInfo:
    """Stop where the host would take no file from us, however good: asked before training, not after."""
    about = host.fetch_about(competition.slug)
    page, again = about.page, f"runner {competition.name}"
    if about.notebooks_only:
        raise HostError(
            f"{about.title} takes notebooks only, no files",
            where=page,
            fix=f"train and predict here ({again} train), and hand in from a notebook there",
        )
    if about.disabled:
        over = about.is_over(host.now())
        since = f": it closed on {about.deadline:%Y-%m-%d}" if over and about.deadline else ""
        raise HostError(
            f"{about.title} takes no submissions{since}",
            where=page,
            fix=f"{again} train and {again} predict work all the same; their score is the held-out one",
        )
    if not about.entered:
        raise HostError(
            f"the rules of {about.title} are not accepted yet",
            where=f"{page}/rules",
            fix=f"open that page in a browser, accept the rules (or join), then: {again} run",
        )
    return about


def submit_and_record(
    host: Host, competition: Competition, path: Path, ledger: Path, origin: RunInfo, handing: SubmitOptions
) -> SubmitResult:
    """Submit, note it in the ledger at once, wait for the score, note that too. The same file goes only once."""
    about = require_open(host, competition)
    # Between the look at what the host has and the sending nobody else here may send.
    with locked(ledger.with_name(f".submit-{competition.name}.lock")):
        entry = _hand_in(host, competition, path, ledger, origin, handing)
    if not handing.wait:
        return SubmitResult(host.fetch_submission(competition.slug, entry.ref), ())
    submission = _wait_and_record(host, competition, ledger, entry, handing.pause)
    boards = _Boards(host, competition, about, handing.boards)
    standings = boards.standings_of(submission)
    record_entry(ledger, scored(entry, submission, standings))
    return SubmitResult(submission, standings)


def _hand_in(
    host: Host, competition: Competition, path: Path, ledger: Path, origin: RunInfo, handing: SubmitOptions
) -> Entry:
    """Send the file, unless the host has it; the line of it in the ledger."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = host.fetch_submissions(competition.slug)
    add_missing(ledger, [entry_from_submission(host, competition, one) for one in known if parse_file_tag(one.message)])
    ref = None if handing.again else _submitted_before(known, digest)
    if ref is None:
        _require_allowance(host, competition)
        ref = host.submit_file(competition.slug, path, describe(handing.note or path.stem, origin, digest))
    else:
        log.info(f"this very file is submission {ref} already; it is not sent a second time (--again does)")
    entry = new_entry(host, competition, path, digest, origin, ref)
    before = [one for one in read_ledger(ledger) if is_same(one, entry)]
    entry = filled(entry, before[0]) if before else entry
    record_entry(ledger, entry)
    return entry


def wait_for_score(
    host: Host, competition: Competition, ref: str, *, pause: Callable[[float], None] = time.sleep
) -> Submission:
    """The submission once it is scored, or refused: then its `error` says why."""
    waited, delay = 0.0, _FIRST_PAUSE
    with progress("waiting for the score", None) as advance:
        while (submission := _look(host, competition, ref)) is None or submission.status is Status.PENDING:
            if waited >= SCORE_TIMEOUT:
                raise HostError(
                    f"submission {ref} is still not scored after {waited / 60:.0f} minutes",
                    fix=f"runner {competition.name} standings --refresh",
                )
            if waited == 0:
                log.info("waiting for the score")
            pause(delay)
            waited, delay = waited + delay, min(delay * 1.5, _LONGEST_PAUSE)
            advance(0, f"{waited:.0f} s")
    return submission


def refusal_of(competition: Competition, submission: Submission) -> HostError:
    """What is told of a submission that the host could not score."""
    return HostError(
        f"the host refused submission {submission.ref}: {submission.error or 'it gave no reason'}",
        where=submission.file_name,
        fix=f"runner {competition.name} check FILE",
    )


def refresh_ledger(host: Host, competition: Competition, ledger: Path, *, boards: Path | None = None) -> None:
    """Ask the host for everything: submissions made elsewhere get a line, every line its score, and each score
    its place on the boards as they are now."""
    about = host.fetch_about(competition.slug)
    told = {submission.ref: submission for submission in host.fetch_submissions(competition.slug)}
    added = add_missing(ledger, [entry_from_submission(host, competition, one) for one in told.values()])
    if added:
        log.info(f"{len(added)} submission{'s' * (len(added) > 1)} made elsewhere, or never noted, found")
    lookup = _Boards(host, competition, about, boards)
    lookup.keep(next((one.team for one in told.values() if one.team), ""))
    for entry in read_ledger(ledger):
        ours = entry.competition == competition.name and entry.host == host.name
        if ours and entry.ref in told and told[entry.ref].status is not Status.PENDING:
            submission = told[entry.ref]
            record_entry(ledger, scored(entry, submission, lookup.standings_of(submission)))


def limit_error(competition: Competition, limits: SubmissionLimits, now: datetime) -> HostError:
    """What is told where no submission is left, before anything is uploaded."""
    again = f"runner {competition.name} submit"
    if limits.total_used_up:
        return HostError(f"the submissions that {competition.title} allows in all are used up", fix="none is left")
    minutes = int((limits.resets_at - now).total_seconds() // 60) + 1
    return HostError(
        f"today's {limits.per_day} submissions are used up; the next opens at {limits.resets_at:%Y-%m-%d %H:%M} UTC, "
        f"in {minutes // 60} h {minutes % 60} min",
        fix=f"then: {again}",
    )


@dataclass
class _Boards:
    """The boards of one competition, each fetched once, and kept where one asks for it."""

    host: Host
    competition: Competition
    about: CompetitionInfo
    folder: Path | None

    def __post_init__(self) -> None:
        self._known: dict[bool, Leaderboard | None] = {}

    def keep(self, team: str) -> None:
        """Fetch what there is, for its snapshot's sake."""
        if self.folder is not None:
            keep_terms(self.folder, LeaderboardContext(self.about.deadline, team))
        for private in (False, True):
            if not private or self.about.is_over(self.host.now()):
                self._board(private)

    def standings_of(self, submission: Submission) -> tuple[Standing, ...]:
        """The place of each of its scores, public first."""
        terms = LeaderboardContext(self.about.deadline, submission.team)
        if self.folder is not None:
            keep_terms(self.folder, terms)
        scores = ((submission.public, False), (submission.private, True))
        return tuple(
            find_standing(
                board,
                score,
                self.competition.metric,
                awards_medals=self.competition.awards_medals,
                submitted=submission.submitted,
                team=terms.team,
                late=terms.is_late(submission.submitted),
            )
            for score, private in scores
            if score is not None and (board := self._board(private)) is not None
        )

    def _board(self, private: bool) -> Leaderboard | None:
        if private not in self._known:
            try:
                board = self.host.fetch_leaderboard(self.competition.slug, private=private)
            except HostError as error:
                # The score is what one came for: without a board it has no place, and is told all the same.
                log.info(f"no {'private' if private else 'public'} board: {error.message}")
                self._known[private] = None
                return None
            if self.folder is not None and board.rows:
                keep_snapshot(self.folder, board, self.host.now())
            self._known[private] = board
        return self._known[private]


def _wait_and_record(
    host: Host, competition: Competition, ledger: Path, entry: Entry, pause: Callable[[float], None]
) -> Submission:
    submission = wait_for_score(host, competition, entry.ref, pause=pause)
    if submission.status is Status.ERROR:
        record_entry(ledger, scored(entry, submission, ()))
        raise refusal_of(competition, submission)
    return submission


def _look(host: Host, competition: Competition, ref: str) -> Submission | None:
    """The submission; None where the host cannot be asked just now, which no night is lost for."""
    try:
        return host.fetch_submission(competition.slug, ref)
    except UnreachableError as error:
        log.info(f"{error.message}; still waiting")
        return None


def _require_allowance(host: Host, competition: Competition) -> None:
    limits = host.fetch_limits(competition.slug)
    if limits.left_today <= 0:
        raise limit_error(competition, limits, host.now())


def _submitted_before(known: Sequence[Submission], digest: str) -> str | None:
    return next((one.ref for one in known if file_tag(digest) in one.message and one.status is not Status.ERROR), None)
