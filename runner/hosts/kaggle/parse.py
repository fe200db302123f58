"""Kaggle's JSON as values. Numbers may come as text and status words may be new; anything else unexpected is an error.

An answer that is not understood is never taken for an empty one: "no submissions" would send a file again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runner.console import log
from runner.hosts.leaderboards import UNKNOWN_TIME
from runner.hosts.protocol import CompetitionInfo, LeaderboardRow, RemoteFile, Status, Submission

SITE = "https://www.kaggle.com"

# Kaggle was founded in 2010: an earlier date is a mistake, such as a zero that was taken for a time.
_YEARS = range(2010, 2200)


class InvalidAnswerError(ValueError):
    """An answer that is not what the call asks for; its text says what was found."""


@dataclass(frozen=True)
class Limits:
    """How many submissions were made and are left, from GetSubmissionLimits."""

    today: int
    total: int
    left: int
    limited_by_total: bool


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in an answer."""
    try:
        payload = json.loads(content)
    except RecursionError:
        raise InvalidAnswerError("JSON that is nested too deeply") from None
    except ValueError:
        raise InvalidAnswerError("no JSON" if content else "nothing") from None
    if not isinstance(payload, dict):
        raise InvalidAnswerError(f"{describe(payload)} where an object is due")
    return payload


def describe(value: Any) -> str:
    """A value of JSON for a message: its beginning, on one line."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."


def parse_page(payload: dict[str, Any], key: str) -> tuple[list[Any], str]:
    """The items of a page, and the token of the next one (empty on the last)."""
    items, token = payload.get(key), payload.get("nextPageToken")
    if not isinstance(items, list):
        raise InvalidAnswerError(f"no list of {key}, but {describe(payload)}")
    if token is not None and not isinstance(token, str | int):
        raise InvalidAnswerError(f"a page token that is {describe(token)}")
    return items, str(token or "")


def parse_info(payload: dict[str, Any], slug: str) -> CompetitionInfo:
    """A competition, from GetCompetition."""
    title = payload.get("title")
    if not isinstance(title, str) or not title.strip():
        raise InvalidAnswerError(f"no competition, but {describe(payload)}")
    return CompetitionInfo(
        slug=slug,
        title=title,
        page=f"{SITE}/competitions/{slug}",
        rules_accepted=_parse_flag(payload, "userHasEntered"),
        submissions_disabled=_parse_flag(payload, "submissionsDisabled"),
        notebooks_only=_parse_flag(payload, "isKernelsSubmissionsOnly"),
        deadline=parse_time(payload.get("deadline")),
        metric=_text(payload, "evaluationMetric"),
    )


def _parse_flag(payload: dict[str, Any], key: str) -> bool:
    value = payload.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise InvalidAnswerError(f"{key} is {describe(value)}, not true or false")


def parse_daily_limit(payload: dict[str, Any]) -> int:
    """How many submissions a day a competition allows, from GetCompetition; at least 1."""
    return max(parse_count(payload, "maxDailySubmissions"), 1)


def parse_limits(payload: dict[str, Any]) -> Limits:
    """The limits; all 0 before the first submission, when Kaggle may leave the numbers out."""
    if payload and not payload.keys() & {"numToday", "numTotal", "numAllowedNow"}:
        raise InvalidAnswerError(f"no numbers of submissions, but {describe(payload)}")
    return Limits(
        today=parse_count(payload, "numToday"),
        total=parse_count(payload, "numTotal"),
        left=parse_count(payload, "numAllowedNow"),
        limited_by_total=_parse_flag(payload, "limitedByTotal"),
    )


def parse_count(payload: dict[str, Any], key: str) -> int:
    """A number of things; 0 if it is left out or below 0."""
    value = payload.get(key)
    if value is None:
        return 0
    number = parse_int(value)
    if number is None:
        raise InvalidAnswerError(f"{key} is {describe(value)}, not a number")
    return max(number, 0)


def parse_username(payload: dict[str, Any]) -> str:
    """The account's name, from IntrospectToken."""
    name = _text(payload, "username")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        raise InvalidAnswerError(f"no user name, but {describe(payload)}")
    return name


def parse_file(item: Any) -> RemoteFile:
    """A data file, from ListDataFiles."""
    name, size = _text(item, "name"), item.get("totalBytes") if isinstance(item, dict) else None
    if not name:
        raise InvalidAnswerError(f"a file without a name: {describe(item)}")
    number = 0 if size is None else parse_int(size)
    if number is None or number < 0:
        raise InvalidAnswerError(f"the size of {name} is {describe(size)}")
    return RemoteFile(name, number, size_listed=size is not None)


def add_bundle(files: Sequence[RemoteFile], slug: str) -> tuple[RemoteFile, ...]:
    """The data files, with one archive of them all if there are several."""
    if len(files) < 2 or any(file.name == f"{slug}.zip" for file in files):
        return tuple(files)
    size, is_listed = sum(file.size for file in files), all(file.size_listed for file in files)
    return (*files, RemoteFile(f"{slug}.zip", size, bundle=True, size_listed=is_listed))


def parse_ref(value: Any) -> str:
    """A submission's reference: a number above 0, as text."""
    number = parse_int(value)
    if number is None or number <= 0:
        raise InvalidAnswerError(f"a submission with the number {describe(value)}")
    return str(number)


def parse_submission(payload: Any) -> Submission:
    """A submission, from ListSubmissions or GetSubmission."""
    if not isinstance(payload, dict):
        raise InvalidAnswerError(f"{describe(payload)} where a submission is due")
    ref, submitted = parse_ref(payload.get("ref")), parse_time(payload.get("date"))
    if submitted is None:
        raise InvalidAnswerError(f"submission {ref} with the date {describe(payload.get('date'))}")
    public, private = parse_score(payload.get("publicScore")), parse_score(payload.get("privateScore"))
    error = _text(payload, "errorDescription") or None
    return Submission(
        ref=ref,
        submitted=submitted,
        file_name=_text(payload, "fileName"),
        message=_text(payload, "description"),
        status=_parse_status(payload.get("status"), has_score=public is not None or private is not None, error=error),
        public=public,
        private=private,
        error=error,
        team=_text(payload, "teamName"),
    )


def _text(payload: Any, key: str) -> str:
    value = payload.get(key) if isinstance(payload, dict) else None
    if value is not None and not isinstance(value, str | int | float):
        raise InvalidAnswerError(f"{key} is {describe(value)}, not a text")
    # A lone surrogate is valid in JSON, and in no file.
    return ("" if value is None else str(value)).encode("utf-8", "replace").decode("utf-8")


def _parse_status(value: Any, *, has_score: bool, error: str | None) -> Status:
    """The status; an unknown word is interpreted by the score or the error beside it."""
    word = str(value or "pending").lower()
    for status in Status:
        if word == status.value or word.endswith(("." + status.value, "_" + status.value)):
            return status
    log.debug(f"Kaggle sends the unknown submission status {describe(value)}")
    if error:
        return Status.ERROR
    return Status.COMPLETE if has_score else Status.PENDING


def parse_leaderboard_row(item: Any) -> LeaderboardRow | None:
    """A team, from GetLeaderboard; None if it has no score."""
    score = item.get("score") if isinstance(item, dict) else None
    if score is None or score == "":
        return None
    value = parse_score(score)
    if value is None:
        raise InvalidAnswerError(f"a score of {describe(score)} on the leaderboard")
    team = _text(item, "teamName") or _text(item, "teamId")
    return LeaderboardRow(team, value, parse_time(item.get("submissionDate")) or UNKNOWN_TIME)


def parse_time(value: Any) -> datetime | None:
    """An aware time in UTC, which Kaggle mostly sends without a zone; None if there is none that can be."""
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if time.year in _YEARS else None


def parse_score(value: Any) -> float | None:
    """A score; None if there is none, or it is not finite."""
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) else None


def parse_int(value: Any) -> int | None:
    """A whole number that may be sent as text, as JSON of large ones often is; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = int(value)
        return number if isinstance(value, str) or number == value else None
    except (ValueError, OverflowError):
        return None
