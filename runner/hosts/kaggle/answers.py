"""What Kaggle's answers hold, as values: times, scores, submissions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runner.console import log
from runner.hosts.protocol import Status, Submission

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def submission_of(told: dict[str, Any]) -> Submission:
    """A submission as Kaggle tells it."""
    public, private = score_of(told.get("publicScore")), score_of(told.get("privateScore"))
    error = str(told.get("errorDescription") or "") or None
    return Submission(
        ref=str(int_of(told.get("ref"))),
        submitted=time_of(told.get("date")) or NEVER,
        file_name=str(told.get("fileName") or ""),
        message=str(told.get("description") or ""),
        status=_status(told.get("status"), has_score=public is not None or private is not None, error=error),
        public=public,
        private=private,
        error=error,
        team=str(told.get("teamName") or ""),
    )


def _status(told: Any, *, has_score: bool, error: str | None) -> Status:
    """By the word; a word that is not known is read by what came with it."""
    word = str(told or "pending").lower()
    for status in Status:
        if word == status.value or word.endswith(("." + status.value, "_" + status.value)):
            return status
    log.debug(f"Kaggle gives a submission the status {told!r}, which is not known here")
    if error:
        return Status.ERROR
    return Status.COMPLETE if has_score else Status.PENDING


def time_of(told: Any) -> datetime | None:
    """A time as Kaggle writes it: UTC, mostly without saying so."""
    try:
        time_told = datetime.fromisoformat(str(told))
    except ValueError:
        return None
    return time_told.replace(tzinfo=UTC) if time_told.tzinfo is None else time_told.astimezone(UTC)


def score_of(told: Any) -> float | None:
    """A score; None where there is none, or none that can be compared."""
    try:
        score = float(str(told))
    except ValueError:
        return None
    return score if score == score and abs(score) != float("inf") else None


def int_of(told: Any) -> int:
    """A number that may come as a text: JSON of large ones often does."""
    try:
        return int(told)
    except (TypeError, ValueError):
        return 0
