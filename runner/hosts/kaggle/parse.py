"""Kaggle's JSON as values. Kaggle sends null lists, numbers as text and new status words: none of them is an error."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from runner.console import log
from runner.hosts.leaderboards import UNKNOWN_TIME
from runner.hosts.protocol import CompetitionInfo, LeaderboardRow, RemoteFile, Status, Submission

SITE = "https://www.kaggle.com"


def parse_info(payload: dict[str, Any], slug: str) -> CompetitionInfo:
    """A competition, from GetCompetition."""
    return CompetitionInfo(
        slug=slug,
        title=str(payload.get("title") or slug),
        page=f"{SITE}/competitions/{slug}",
        rules_accepted=bool(payload.get("userHasEntered", False)),
        submissions_disabled=bool(payload.get("submissionsDisabled", False)),
        notebooks_only=bool(payload.get("isKernelsSubmissionsOnly", False)),
        deadline=parse_time(payload.get("deadline")),
    )


def parse_files(payloads: Iterable[dict[str, Any]], slug: str) -> tuple[RemoteFile, ...]:
    """The data files, from ListDataFiles; with one archive of them all if there are several."""
    files = tuple(
        RemoteFile(str(item["name"]), parse_int(item.get("totalBytes"))) for item in payloads if item.get("name")
    )
    if len(files) < 2 or any(file.name == f"{slug}.zip" for file in files):
        return files
    return (*files, RemoteFile(f"{slug}.zip", sum(file.size for file in files), bundle=True))


def parse_submission(payload: dict[str, Any]) -> Submission:
    """A submission, from ListSubmissions or GetSubmission."""
    public, private = parse_score(payload.get("publicScore")), parse_score(payload.get("privateScore"))
    error = str(payload.get("errorDescription") or "") or None
    return Submission(
        ref=str(parse_int(payload.get("ref"))),
        submitted=parse_time(payload.get("date")) or UNKNOWN_TIME,
        file_name=str(payload.get("fileName") or ""),
        message=str(payload.get("description") or ""),
        status=_parse_status(payload.get("status"), has_score=public is not None or private is not None, error=error),
        public=public,
        private=private,
        error=error,
        team=str(payload.get("teamName") or ""),
    )


def _parse_status(value: Any, *, has_score: bool, error: str | None) -> Status:
    """The status; an unknown word is interpreted by the score or the error beside it."""
    word = str(value or "pending").lower()
    for status in Status:
        if word == status.value or word.endswith(("." + status.value, "_" + status.value)):
            return status
    log.debug(f"Kaggle sends the unknown submission status {value!r}")
    if error:
        return Status.ERROR
    return Status.COMPLETE if has_score else Status.PENDING


def parse_leaderboard_rows(payloads: Iterable[dict[str, Any]]) -> list[LeaderboardRow]:
    """The teams that have a score, from GetLeaderboard."""
    return [
        LeaderboardRow(
            team=str(item.get("teamName") or item.get("teamId") or ""),
            score=score,
            submitted=parse_time(item.get("submissionDate")) or UNKNOWN_TIME,
        )
        for item in payloads
        if (score := parse_score(item.get("score"))) is not None
    ]


def parse_time(value: Any) -> datetime | None:
    """An aware time in UTC, which Kaggle mostly sends without a zone; None if there is none."""
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_score(value: Any) -> float | None:
    """A score; None if there is none, or it is not finite."""
    try:
        score = float(str(value))
    except ValueError:
        return None
    return score if score == score and abs(score) != float("inf") else None


def parse_int(value: Any) -> int:
    """A number that may be sent as text, as JSON of large ones often is; 0 if there is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
