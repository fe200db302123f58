"""Any JSON from Kaggle is a value or an InvalidAnswerError, and no value is one that cannot be."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.hosts.kaggle.login import parse_access_token
from runner.hosts.kaggle.parse import (
    InvalidAnswerError,
    parse_daily_limit,
    parse_file,
    parse_info,
    parse_leaderboard_row,
    parse_limits,
    parse_object,
    parse_page,
    parse_ref,
    parse_score,
    parse_submission,
    parse_time,
)
from runner.hosts.leaderboards import UNKNOWN_TIME
from runner.hosts.protocol import Status
from tests.hosts.conftest import START

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["1e999", "nan", "-1", "0", "²", "9999-12-31T23:59:59-14:00", "1970-01-01", "2026-03-01", "\ud800"]
    )
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
KEYS = [
    "ref",
    "date",
    "description",
    "errorDescription",
    "fileName",
    "publicScore",
    "privateScore",
    "status",
    "teamName",
    "name",
    "totalBytes",
    "title",
    "deadline",
    "userHasEntered",
    "submissionsDisabled",
    "isKernelsSubmissionsOnly",
    "numToday",
    "numTotal",
    "numAllowedNow",
    "limitedByTotal",
    "maxDailySubmissions",
    "teamId",
    "submissionDate",
    "score",
    "submissions",
    "nextPageToken",
    "token",
    "expiresIn",
]
objects = st.dictionaries(st.sampled_from(KEYS), anything)
likely = objects.map(lambda fields: {"ref": 7, "date": "2026-03-01T12:00:00Z", "title": "T", "name": "f"} | fields)
PARSERS: dict[str, Callable[[Any], Any]] = {
    "info": lambda value: parse_info(value, "slug"),
    "daily limit": parse_daily_limit,
    "limits": parse_limits,
    "page": lambda value: parse_page(value, "submissions"),
    "token": lambda value: parse_access_token(value, START),
}


@pytest.mark.parametrize("parse", PARSERS.values(), ids=list(PARSERS))
@settings(max_examples=60, deadline=None)
@given(value=objects | likely)
def test_any_object_is_parsed_or_invalid(parse: Callable[[Any], Any], value: Any) -> None:
    try:
        parse(value)
    except InvalidAnswerError as error:
        assert len(str(error)) < 300


@settings(max_examples=120, deadline=None)
@given(value=anything | objects | likely)
def test_any_item_is_parsed_or_invalid(value: Any) -> None:
    try:
        submission = parse_submission(value)
    except InvalidAnswerError:
        pass
    else:
        assert int(submission.ref) > 0
        assert 2010 <= submission.submitted.year < 2200
        assert isinstance(submission.status, Status)
        for score in (submission.public, submission.private):
            assert score is None or math.isfinite(score)
        (submission.message + submission.file_name + submission.team).encode()
    try:
        row = parse_leaderboard_row(value)
    except InvalidAnswerError:
        pass
    else:
        assert row is None or (math.isfinite(row.score) and row.submitted >= UNKNOWN_TIME)
    try:
        file = parse_file(value)
    except InvalidAnswerError:
        pass
    else:
        assert file.name
        assert file.size >= 0


@settings(max_examples=120, deadline=None)
@given(content=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_invalid(content: bytes) -> None:
    with contextlib.suppress(InvalidAnswerError):
        assert isinstance(parse_object(content), dict)


@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"a":' * 10**5, b"1" * 10**5, b"\xff\xfe", b"NaN"])
def test_extreme_bytes_are_invalid(content: bytes) -> None:
    with pytest.raises(InvalidAnswerError):
        parse_object(content)


@settings(max_examples=100, deadline=None)
@given(value=anything)
def test_numbers_and_times_are_possible_or_none(value: Any) -> None:
    score, time = parse_score(value), parse_time(value)
    assert score is None or math.isfinite(score)
    assert time is None or 2010 <= time.year < 2200
    with contextlib.suppress(InvalidAnswerError):
        assert int(parse_ref(value)) > 0
