"""A file goes in once, whatever the line does; its score is waited for, and all of it is written down."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import HostError
from runner.hosts.entries import RunInfo
from runner.hosts.http.errors import RetryPolicy
from runner.hosts.kaggle import KaggleHost
from runner.hosts.ledger import Entry, read_ledger
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status, UnreachableError
from runner.hosts.submit import SubmitOptions, SubmitResult, refresh_ledger, require_open, submit_and_record
from tests.wire.conftest import DOGS, GOOD, SLUG, Waits, build_dogs
from tests.wire.server import (
    FaultyServer,
    RequestError,
    answers,
    drops_before_any_answer,
    edits,
    gateway_page,
    refuses,
    stalls,
    with_headers,
)

ORIGIN = RunInfo(run="resnet-1", recipe="resnet", commit="abc1234", cv="0.25", cv_error="0.01")
Submit = Callable[..., SubmitResult]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "submissions" / "ledger.csv"


@pytest.fixture
def submit(kaggle: KaggleHost, submission: Path, ledger: Path, waits: Waits) -> Submit:
    def run(path: Path = submission, **more: Any) -> SubmitResult:
        handing = SubmitOptions(pause=waits, **more)
        return submit_and_record(kaggle, DOGS, path, ledger, ORIGIN, handing)

    return run


def test_both_scores_and_places_are_told_and_noted(submit: Submit, ledger: Path, submission: Path) -> None:
    outcome = submit(note="first")
    assert outcome.submission.status is Status.COMPLETE
    assert [standing.private for standing in outcome.standings] == [False, True]
    assert all(standing.late for standing in outcome.standings)
    (entry,) = read_ledger(ledger)
    assert (entry.competition, entry.host, entry.run, entry.cv) == ("dog-breed", "kaggle", "resnet-1", "0.25")
    assert (entry.public, entry.private, entry.status) == ("0.22314", "0.30809", "complete")
    assert entry.sha256 == hashlib.sha256(submission.read_bytes()).hexdigest()
    assert entry.standing.endswith("/57")


def test_the_description_carries_the_note_the_run_its_cv_and_the_file(submit: Submit, submission: Path) -> None:
    digest = hashlib.sha256(submission.read_bytes()).hexdigest()
    told = submit(note="a\nnote " + "x" * 400).submission.message
    assert told.startswith("a note xxx")
    assert told.endswith(f" | run resnet-1 | cv 0.25 | sha256:{digest[:12]}")
    assert len(told) < 400


def test_the_same_file_is_not_sent_twice(submit: Submit, server: FaultyServer, ledger: Path) -> None:
    first, second = submit(), submit()
    assert first.submission.ref == second.submission.ref
    assert server.count("CreateSubmission") == 1
    assert len(read_ledger(ledger)) == 1


def test_the_same_file_is_known_without_any_ledger(submit: Submit, server: FaultyServer, ledger: Path) -> None:
    submit()
    ledger.unlink()
    submit()
    assert server.count("CreateSubmission") == 1


def test_the_run_is_not_forgotten_when_its_file_is_named_by_hand(
    submit: Submit, kaggle: KaggleHost, submission: Path, ledger: Path
) -> None:
    submit()
    submit_and_record(kaggle, DOGS, submission, ledger, RunInfo(), SubmitOptions())
    (entry,) = read_ledger(ledger)
    assert (entry.run, entry.cv, entry.commit, entry.public) == ("resnet-1", "0.25", "abc1234", "0.22314")


def test_again_sends_it_again(submit: Submit, server: FaultyServer, ledger: Path) -> None:
    submit()
    outcome = submit(again=True)
    assert server.count("CreateSubmission") == 2
    assert outcome.submission.ref == "2"
    assert len(read_ledger(ledger)) == 2


def test_two_that_submit_the_same_file_at_once_send_it_once(submit: Submit, server: FaultyServer, ledger: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        outcomes = list(both.map(lambda _: submit(), range(2)))
    assert {outcome.submission.ref for outcome in outcomes} == {"1"}
    assert server.count("CreateSubmission") == 1
    assert len(read_ledger(ledger)) == 1


def test_a_file_that_turned_to_an_error_may_be_sent_again(
    submit: Submit, server: FaultyServer, ledger: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace("a2", "zz"))
    for _ in range(2):
        with pytest.raises(HostError, match=r"(?s)refused submission \d: .*zz") as caught:
            submit(path)
        assert "check" in str(caught.value.fix)
    assert [(entry.status, entry.public) for entry in read_ledger(ledger)] == [("error", "")] * 2


@pytest.mark.parametrize(
    "fault",
    [
        drops_before_any_answer,
        gateway_page(502),
        refuses(500),
        stalls(0),
        answers(200, b"{", Content_Type="text/plain"),
    ],
    ids=["reset", "page", "500", "silence", "half"],
)
def test_a_break_at_the_moment_of_creation_is_settled_by_looking(
    fault: RequestError, submit: Submit, server: FaultyServer, ledger: Path
) -> None:
    server.order("CreateSubmission", fault)  # heard and done: only the answer is lost
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 1
    assert [entry.ref for entry in read_ledger(ledger)] == ["1"]


def test_the_look_takes_no_earlier_submission_of_the_same_file_for_the_new_one(
    submit: Submit, server: FaultyServer
) -> None:
    submit()
    server.order("CreateSubmission", drops_before_any_answer)
    assert submit(again=True).submission.ref == "2"


def test_a_submission_that_was_never_created_is_not_made_up(
    submit: Submit, server: FaultyServer, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = FaultyServer.answer

    def deaf(self: FaultyServer, call: Any) -> Any:
        return answers(500)() if call.name == "CreateSubmission" else answer(self, call)

    monkeypatch.setattr(FaultyServer, "answer", deaf)
    server.order("CreateSubmission", drops_before_any_answer)
    with pytest.raises(HostError, match="was not taken"):
        submit()
    assert server.count("CreateSubmission") == 1
    assert read_ledger(ledger) == ()


def test_an_earlier_submission_is_not_taken_for_one_that_was_never_created(
    submit: Submit, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit()
    answer = FaultyServer.answer

    def deaf(self: FaultyServer, call: Any) -> Any:
        return answers(500)() if call.name == "CreateSubmission" else answer(self, call)

    monkeypatch.setattr(FaultyServer, "answer", deaf)
    with pytest.raises(HostError, match="was not taken"):
        submit(again=True)


def test_a_creation_that_was_refused_for_haste_is_tried_again(submit: Submit, server: FaultyServer) -> None:
    def not_done(server: FaultyServer, handler: Any, call: Any, reply: Any) -> Any:
        (server.stages[SLUG].host.folder / "submissions" / "1.json").unlink()
        return refuses(429, Retry_After="3")(server, handler, call, reply)

    server.order("CreateSubmission", not_done)
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 2


@pytest.mark.parametrize(
    "fault",
    [
        drops_before_any_answer,
        gateway_page(200),
        gateway_page(503),
        refuses(500),
        with_headers(x_goog_hash="md5=AAAAAAAAAAAAAAAAAAAAAA=="),
        edits(lambda told: told | {"size": "3"}),
        edits(lambda told: told | {"md5Hash": "AAAA"}),
        answers(308),
    ],
    ids=["reset", "page", "503", "500", "other md5", "other size", "other hash", "a part"],
)
def test_an_upload_that_fails_is_begun_anew_and_counts_only_when_whole(
    fault: RequestError, submit: Submit, server: FaultyServer, practice: PracticeHost, submission: Path
) -> None:
    server.order("upload", fault)
    assert submit().submission.status is Status.COMPLETE
    assert server.count("StartSubmissionUpload") == 2
    assert (practice.folder / "submissions" / "1.csv").read_bytes() == submission.read_bytes()


def test_an_upload_that_never_succeeds_is_told_and_nothing_is_submitted(
    submit: Submit, server: FaultyServer, ledger: Path, waits: Waits
) -> None:
    server.always("upload", refuses(503))
    with pytest.raises(HostError, match="could not be uploaded"):
        submit()
    assert server.count("CreateSubmission") == 0
    assert sum(waits.seconds) < 180
    assert read_ledger(ledger) == ()


def test_the_limit_is_asked_before_the_upload_and_says_when_it_opens(
    submit: Submit, server: FaultyServer, tmp_path: Path, ledger: Path
) -> None:
    server.stages[SLUG].host = build_dogs(tmp_path / "small", daily_limit=1)
    submit()
    path = tmp_path / "other.csv"
    path.write_text(GOOD.replace("0.8,0.2", "0.7,0.3"))
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00 UTC"
    with pytest.raises(HostError, match=f"used up; the next opens at {tomorrow}"):
        submit(path)
    assert server.count("StartSubmissionUpload") == 1


def test_who_never_handed_in_has_no_team_and_a_whole_days_allowance(kaggle: KaggleHost, server: FaultyServer) -> None:
    server.order("GetSubmissionLimits", answers(200, b"{}", Content_Type="application/json"))
    limits = kaggle.fetch_limits(SLUG)
    assert (limits.per_day, limits.left_today) == (20, 20)


def test_a_limit_for_good_is_told_as_one(submit: Submit, server: FaultyServer) -> None:
    server.order("GetSubmissionLimits", edits(lambda told: told | {"numAllowedNow": 0, "limitedByTotal": True}))
    with pytest.raises(HostError, match="in all are used up"):
        submit()


def test_a_slow_score_is_waited_for_with_growing_patience(submit: Submit, server: FaultyServer, waits: Waits) -> None:
    server.stages[SLUG].looks_until_scored = 9
    assert submit().submission.public is not None
    assert waits.seconds == sorted(waits.seconds)
    assert (waits.seconds[0], waits.seconds[-1]) == (2, 20)


def test_an_hour_without_a_score_ends_and_the_ledger_knows(
    submit: Submit, server: FaultyServer, waits: Waits, ledger: Path
) -> None:
    server.stages[SLUG].looks_until_scored = 10_000
    with pytest.raises(HostError, match="still not scored after 60 minutes") as caught:
        submit()
    assert caught.value.fix == "runner dog-breed standings --refresh"
    assert [entry.status for entry in read_ledger(ledger)] == ["pending"]
    assert 3600 <= sum(waits.seconds) < 3700


def test_a_break_while_waiting_loses_nothing(submit: Submit, server: FaultyServer) -> None:
    server.order("GetSubmission", *[refuses(503)] * 9, gateway_page(502), drops_before_any_answer)
    assert submit().submission.status is Status.COMPLETE


def test_without_waiting_the_line_is_pending_until_a_refresh(
    submit: Submit, server: FaultyServer, ledger: Path, kaggle: KaggleHost
) -> None:
    server.stages[SLUG].looks_until_scored = 1
    assert submit(wait=False).standings == ()
    assert read_ledger(ledger)[0].status == "pending"
    server.stages[SLUG].looks_until_scored = 0
    refresh_ledger(kaggle, DOGS, ledger)
    assert (read_ledger(ledger)[0].status, read_ledger(ledger)[0].public) == ("complete", "0.22314")


STATUSES = [
    ("COMPLETE", Status.COMPLETE),
    ("complete", Status.COMPLETE),
    ("SubmissionStatus.COMPLETE", Status.COMPLETE),
    ("SUBMISSION_STATUS_ERROR", Status.ERROR),
    ("QUEUED_FOR_RESCORING", Status.COMPLETE),  # a word nobody knows, with a score beside it
    (None, Status.PENDING),
]


@pytest.mark.parametrize(("word", "status"), STATUSES, ids=str)
def test_an_unknown_status_breaks_no_list(
    word: str | None, status: Status, kaggle: KaggleHost, server: FaultyServer, submission: Path
) -> None:
    kaggle.submit_file(SLUG, submission, "one")
    kaggle.submit_file(SLUG, submission, "two")

    def change(told: Any) -> Any:
        told["submissions"][0]["status"] = word
        return told

    server.order("ListSubmissions", edits(change))
    newest, oldest = kaggle.fetch_submissions(SLUG)
    assert (newest.status, oldest.status) == (status, Status.COMPLETE)


def test_an_unknown_status_without_a_score_is_pending_and_with_a_reason_an_error(
    kaggle: KaggleHost, server: FaultyServer, submission: Path
) -> None:
    ref = kaggle.submit_file(SLUG, submission, "")
    bare = {"ref": int(ref), "status": "NEW_WORD", "date": "2026-03-01T12:00:00.1234567Z"}
    server.order("GetSubmission", edits(lambda _: bare), edits(lambda _: bare | {"errorDescription": "bad ids"}))
    first, second = kaggle.fetch_submission(SLUG, ref), kaggle.fetch_submission(SLUG, ref)
    assert (first.status, second.status, second.error) == (Status.PENDING, Status.ERROR, "bad ids")
    assert first.submitted == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("empty", [None, []])
def test_null_lists_are_empty_ones(empty: list[Any] | None, kaggle: KaggleHost, server: FaultyServer) -> None:
    for method, key in (("ListDataFiles", "files"), ("ListSubmissions", "submissions")):
        server.order(
            method,
            answers(200, json.dumps({key: empty, "nextPageToken": None}).encode(), Content_Type="application/json"),
        )
    assert kaggle.list_files(SLUG) == ()
    assert kaggle.fetch_submissions(SLUG) == ()


def test_a_list_that_leads_in_a_circle_ends(kaggle: KaggleHost, server: FaultyServer) -> None:
    server.always("ListSubmissions", edits(lambda told: told | {"nextPageToken": "1"}))
    with pytest.raises(HostError, match="no end"):
        kaggle.fetch_submissions(SLUG)


def test_all_submissions_are_paged_in(kaggle: KaggleHost, server: FaultyServer, submission: Path) -> None:
    server.page_limit = 2
    for number in range(5):
        kaggle.submit_file(SLUG, submission, f"try {number}")
    assert [one.message for one in kaggle.fetch_submissions(SLUG)] == [f"try {n}" for n in (4, 3, 2, 1, 0)]


def test_a_line_that_is_missing_is_healed_from_the_hosts_list(
    submit: Submit, ledger: Path, kaggle: KaggleHost, submission: Path, server: FaultyServer
) -> None:
    submit(note="lost")
    ledger.unlink()
    refresh_ledger(kaggle, DOGS, ledger)
    (entry,) = read_ledger(ledger)
    digest = hashlib.sha256(submission.read_bytes()).hexdigest()
    assert (entry.run, entry.cv, entry.sha256, entry.public) == ("resnet-1", "0.25", digest[:12], "0.22314")
    assert entry.standing


def test_submissions_made_elsewhere_are_found(kaggle: KaggleHost, ledger: Path, submission: Path) -> None:
    kaggle.submit_file(SLUG, submission, "=by hand, in the browser")
    refresh_ledger(kaggle, DOGS, ledger)
    (entry,) = read_ledger(ledger)
    assert (entry.run, entry.file, entry.status, entry.private) == ("", "submission.csv", "complete", "0.30809")
    refresh_ledger(kaggle, DOGS, ledger)
    assert len(read_ledger(ledger)) == 1


def test_a_note_that_looks_like_a_run_is_taken_for_none(kaggle: KaggleHost, ledger: Path, submission: Path) -> None:
    kaggle.submit_file(SLUG, submission, "run fast | cv great")
    refresh_ledger(kaggle, DOGS, ledger)
    entry: Entry = read_ledger(ledger)[0]
    assert (entry.run, entry.cv) == ("", "")


CLOSED = [
    ({"notebooks_only": True}, "takes notebooks only"),
    ({"disabled": True}, "takes no submissions: it closed on"),
    ({"disabled": True, "deadline": datetime(2999, 1, 1, tzinfo=UTC)}, "takes no submissions$"),
    ({"entered": False}, "rules of Dog Breed Identification are not accepted"),
]


@pytest.mark.parametrize(("changes", "told"), CLOSED, ids=[told for _, told in CLOSED])
def test_what_would_take_no_file_is_told_before_anything_is_sent(
    changes: dict[str, Any], told: str, submit: Submit, server: FaultyServer, kaggle: KaggleHost
) -> None:
    for name, value in changes.items():
        setattr(server.stages[SLUG], name, value)
    for ask in (submit, lambda: require_open(kaggle, DOGS)):
        with pytest.raises(HostError) as caught:
            ask()
        assert re.search(told, caught.value.message)
        assert caught.value.fix
    assert server.count("StartSubmissionUpload") == 0


def test_a_host_in_trouble_is_told_apart_from_one_that_refuses(kaggle: KaggleHost, server: FaultyServer) -> None:
    server.always("GetCompetition", refuses(503))
    with pytest.raises(UnreachableError, match="trouble of its own"):
        kaggle.fetch_about(SLUG)


def test_a_fate_that_cannot_be_looked_up_is_told_as_unknown(
    submit: Submit, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang_up_and_stay_down(server: FaultyServer, handler: Any, call: Any, reply: Any) -> None:
        server.always("ListSubmissions", refuses(503), times=200)
        drops_before_any_answer(server, handler, call, reply)

    server.order("CreateSubmission", hang_up_and_stay_down)
    with pytest.raises(HostError, match="whether the submission was taken is not known"):
        submit()
    server.orders.clear()
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 1


BROKEN: list[tuple[str, RequestError]] = [
    ("reset", drops_before_any_answer),
    ("silence", stalls(0)),
    ("page", gateway_page(502)),
    ("page 200", gateway_page(200)),
    ("500", refuses(500)),
    ("half", answers(200, b'{"ref"', Content_Type="application/json")),
    ("null", answers(200, b"null", Content_Type="application/json")),
]
STEPS = (
    "GetCompetition",
    "ListSubmissions",
    "GetSubmissionLimits",
    "StartSubmissionUpload",
    "upload",
    "CreateSubmission",
    "GetSubmission",
    "DownloadLeaderboard",
    "GetLeaderboard",
)
orders = st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(BROKEN)), max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=orders)
def test_after_any_faults_and_another_try_the_file_is_there_exactly_once(
    server: FaultyServer,
    submission: Path,
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str, tuple[str, RequestError]]],
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    server.stages[SLUG].host = build_dogs(folder)
    server.orders = [(step, fault) for step, (_, fault) in drawn]
    pause = Waits()
    kaggle = KaggleHost(DOGS, patience=RetryPolicy(pause=pause, tries=3), timeouts=(2.0, 0.05))
    handing, ledger = SubmitOptions(pause=pause), folder / "ledger.csv"
    try:
        submit_and_record(kaggle, DOGS, submission, ledger, ORIGIN, handing)
    except HostError as error:
        assert error.fix
    server.orders = []
    # What is silent for a twentieth of a second may be a busy machine.
    calm = KaggleHost(DOGS, patience=RetryPolicy(pause=pause), timeouts=(2.0, 5.0))
    outcome = submit_and_record(calm, DOGS, submission, ledger, ORIGIN, handing)
    assert outcome.submission.status is Status.COMPLETE
    assert len(server.stages[SLUG].host.fetch_submissions(SLUG)) == 1
    assert [(entry.ref, entry.status) for entry in read_ledger(ledger)] == [("1", "complete")]
