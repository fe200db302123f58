"""Hand a file in, wait for its score, and write down what came of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from runner.console import say
from runner.contract import Competition
from runner.errors import HostError
from runner.hosts.ledger import Entry, read_ledger, record_entry
from runner.hosts.protocol import Host, Status, Submission
from runner.hosts.standings import Standing, find_standing

# A host scores within seconds to minutes; an hour says that something is wrong there.
PATIENCE_SECONDS = 3600
_PAUSE_SECONDS = 5


@dataclass(frozen=True)
class Origin:
    """Where a submission comes from: written beside its score, so that no score is an orphan."""

    run: str = ""
    recipe: str = ""
    commit: str = ""
    cv: str = ""
    cv_error: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a submission: the host's last word, and the places on its boards."""

    submission: Submission
    standings: tuple[Standing, ...]


def submit_and_record(
    host: Host,
    competition: Competition,
    path: Path,
    ledger: Path,
    origin: Origin,
    *,
    message: str,
    wait: bool,
) -> Outcome:
    """Submit, note it in the ledger at once, wait for the score, note that too."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ref = _submitted_before(host, competition, digest)
    if ref is None:
        ref = host.submit_file(competition.slug, path, f"{message} {_mark(digest)}".strip())
    else:
        say(f"this very file is submission {ref} already; it is not sent again")
    entry = Entry(
        submitted=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
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
    record_entry(ledger, entry)
    if not wait:
        return Outcome(_find(host, competition, ref), ())
    submission = wait_for_score(host, competition, ref)
    standings = find_standings(host, competition, submission)
    record_entry(ledger, _scored(entry, submission, standings))
    return Outcome(submission, standings)


def wait_for_score(
    host: Host, competition: Competition, ref: str, *, pause: Callable[[float], None] = time.sleep
) -> Submission:
    """The submission once it is scored; a refused one is a HostError with the host's own reason."""
    waited = 0
    while (submission := _find(host, competition, ref)).status is Status.PENDING:
        if waited >= PATIENCE_SECONDS:
            raise HostError(
                f"submission {ref} is still not scored after {waited // 60} minutes",
                cure=f"runner {competition.name} standings --refresh",
            )
        if waited == 0:
            say("waiting for the score")
        pause(_PAUSE_SECONDS)
        waited += _PAUSE_SECONDS
    if submission.status is Status.ERROR:
        raise HostError(
            f"the host refused submission {ref}: {submission.error or 'it gave no reason'}",
            cure=f"runner {competition.name} check FILE",
        )
    return submission


def find_standings(host: Host, competition: Competition, submission: Submission) -> tuple[Standing, ...]:
    """The place of each score that the host told, public first."""
    scores = ((submission.public, False), (submission.private, True))
    return tuple(
        find_standing(
            host.fetch_leaderboard(competition.slug, private=private),
            score,
            competition.metric,
            awards_medals=competition.awards_medals,
            submitted=submission.submitted,
        )
        for score, private in scores
        if score is not None
    )


def refresh_ledger(host: Host, competition: Competition, ledger: Path) -> None:
    """Ask the host again for every submission of this competition that has no score yet."""
    told = {submission.ref: submission for submission in host.fetch_submissions(competition.slug)}
    for entry in read_ledger(ledger):
        ours = entry.competition == competition.name and entry.host == host.name
        if ours and entry.ref in told and told[entry.ref].status is not Status.PENDING:
            submission = told[entry.ref]
            record_entry(ledger, _scored(entry, submission, find_standings(host, competition, submission)))


def _mark(digest: str) -> str:
    """What the message carries, so that the host's own list tells which file a submission was."""
    return f"sha256:{digest[:12]}"


def _submitted_before(host: Host, competition: Competition, digest: str) -> str | None:
    known = host.fetch_submissions(competition.slug)
    return next((one.ref for one in known if _mark(digest) in one.message and one.status is not Status.ERROR), None)


def _find(host: Host, competition: Competition, ref: str) -> Submission:
    for submission in host.fetch_submissions(competition.slug):
        if submission.ref == ref:
            return submission
    raise HostError(f"the host knows no submission {ref}", cure=f"runner {competition.name} standings")


def _scored(entry: Entry, submission: Submission, standings: tuple[Standing, ...]) -> Entry:
    return replace(
        entry,
        public="" if submission.public is None else repr(submission.public),
        private="" if submission.private is None else repr(submission.private),
        status=submission.status.value,
        standing=f"{standings[-1].rank}/{standings[-1].teams}" if standings else "",
    )
