"""A file is submitted once, whatever the connection does; its score is awaited and recorded."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import HostError
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.ledger import RunInfo, read_ledger
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status, UnreachableError
from runner.hosts.submit import SubmitResult, Submitter, require_open
from runner.options import SubmitOptions
from tests.hosts.kaggle.conftest import DOGS, GOOD, RUN_INFO, SLUG, RecordedSleeps, build_dogs
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    drops_the_response,
    edits,
    gateway_page,
    refuses,
    responds,
    stalls,
    with_headers,
)
from tests.kaggle_server.server import Fault

Submit = Callable[..., SubmitResult]


@pytest.fixture
def submit(submitter: Submitter, submission: Path) -> Submit:
    """Submits a file, the valid one by default, with these options."""

    def run(path: Path = submission, **options: Any) -> SubmitResult:
        return submitter.submit(path, RUN_INFO, SubmitOptions(**options))

    return run


# --- the ledger ----------------------------------------------------------------------------------


def test_scores_and_rank_are_recorded(submit: Submit, ledger: Path, submission: Path) -> None:
    result = submit(message="first")
    assert result.submission.status is Status.COMPLETE
    assert [standing.private for standing in result.standings] == [False, True]
    assert all(standing.late for standing in result.standings)
    (entry,) = read_ledger(ledger)
    assert (entry.competition, entry.host, entry.run, entry.cv) == ("dog-breed", "kaggle", "resnet-1", "0.25")
    assert (entry.public, entry.private, entry.status) == ("0.22314", "0.30809", "complete")
    assert entry.sha256 == hashlib.sha256(submission.read_bytes()).hexdigest()
    assert entry.rank == f"{result.standings[-1].rank}/57"


def test_the_host_keeps_message_run_cv_and_file_tag(submit: Submit, submission: Path) -> None:
    sha256 = hashlib.sha256(submission.read_bytes()).hexdigest()
    message = submit(message="a\nnote " + "x" * 400).submission.message
    assert message.startswith("a note xxx")
    assert message.endswith(f" | run resnet-1 | cv 0.25 | sha256:{sha256[:12]}")
    assert len(message) < 400


def test_the_run_is_kept_when_its_file_is_submitted_by_path(
    submit: Submit, submitter: Submitter, submission: Path, ledger: Path
) -> None:
    submit()
    submitter.submit(submission, RunInfo(), SubmitOptions())
    (entry,) = read_ledger(ledger)
    assert (entry.run, entry.cv, entry.commit, entry.public) == ("resnet-1", "0.25", "abc1234", "0.22314")


def test_a_missing_ledger_is_restored_from_the_host(
    submit: Submit, submitter: Submitter, ledger: Path, submission: Path
) -> None:
    submit(message="lost")
    ledger.unlink()
    submitter.refresh()
    (entry,) = read_ledger(ledger)
    sha256 = hashlib.sha256(submission.read_bytes()).hexdigest()
    assert (entry.run, entry.cv, entry.sha256, entry.public) == ("resnet-1", "0.25", sha256[:12], "0.22314")
    assert entry.rank


def test_submissions_made_elsewhere_get_an_entry(submitter: Submitter, ledger: Path, submission: Path) -> None:
    submitter.host.submit_file(SLUG, submission, "=by hand, in the browser")
    submitter.refresh()
    (entry,) = read_ledger(ledger)
    assert (entry.run, entry.file, entry.status, entry.private) == ("", "submission.csv", "complete", "0.30809")
    submitter.refresh()
    assert len(read_ledger(ledger)) == 1


def test_a_message_that_looks_like_a_run_is_none(submitter: Submitter, ledger: Path, submission: Path) -> None:
    submitter.host.submit_file(SLUG, submission, "run fast | cv great")
    submitter.refresh()
    (entry,) = read_ledger(ledger)
    assert (entry.run, entry.cv) == ("", "")


# --- duplicates ----------------------------------------------------------------------------------


def test_the_same_file_is_not_sent_twice(
    submit: Submit, server: KaggleServer, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = submit(), submit()
    assert first.submission.ref == second.submission.ref
    assert server.count("CreateSubmission") == 1
    assert len(read_ledger(ledger)) == 1
    assert "already submitted as 1; --resubmit sends it again\n" in capsys.readouterr().err


def test_the_same_file_is_recognised_without_a_ledger(submit: Submit, server: KaggleServer, ledger: Path) -> None:
    submit()
    ledger.unlink()
    submit()
    assert server.count("CreateSubmission") == 1


def test_resubmit_sends_the_file_again(submit: Submit, server: KaggleServer, ledger: Path) -> None:
    submit()
    assert submit(resubmit=True).submission.ref == "2"
    assert server.count("CreateSubmission") == 2
    assert len(read_ledger(ledger)) == 2


def test_two_processes_that_submit_the_same_file_send_it_once(
    submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    with ThreadPoolExecutor(2) as both:
        results = list(both.map(lambda _: submit(), range(2)))
    assert {result.submission.ref for result in results} == {"1"}
    assert server.count("CreateSubmission") == 1
    assert len(read_ledger(ledger)) == 1


def test_a_rejected_file_may_be_sent_again(submit: Submit, ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(GOOD.replace("a2", "zz"))
    for _ in range(2):
        with pytest.raises(HostError, match=r"(?s)rejected submission \d: .*zz") as caught:
            submit(path)
        assert caught.value.fix == f"runner dog-breed check {path}"
    assert [(entry.status, entry.public) for entry in read_ledger(ledger)] == [("error", "")] * 2


# --- lost responses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        drops_the_response,
        gateway_page(502),
        refuses(500),
        stalls(0),
        responds(200, b"{", Content_Type="text/plain"),
    ],
    ids=["reset", "page", "500", "silence", "half"],
)
def test_a_submission_whose_response_is_lost_is_searched_for(
    fault: Fault, submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    server.fail_next("CreateSubmission", fault)  # it took effect: only the response is lost
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 1
    assert [entry.ref for entry in read_ledger(ledger)] == ["1"]


def test_an_earlier_submission_of_the_file_is_not_taken_for_the_new_one(submit: Submit, server: KaggleServer) -> None:
    submit()
    server.fail_next("CreateSubmission", drops_the_response)
    assert submit(resubmit=True).submission.ref == "2"


def test_a_submission_that_was_never_created_is_an_error(submit: Submit, server: KaggleServer, ledger: Path) -> None:
    server.is_deaf_to = {"CreateSubmission"}
    server.fail_next("CreateSubmission", drops_the_response)
    with pytest.raises(HostError, match="did not take the submission"):
        submit()
    assert server.count("CreateSubmission") == 1
    assert read_ledger(ledger) == ()


def test_an_earlier_submission_does_not_hide_that_error(submit: Submit, server: KaggleServer) -> None:
    submit()
    server.is_deaf_to = {"CreateSubmission"}
    with pytest.raises(HostError, match="did not take the submission"):
        submit(resubmit=True)


def test_an_unknown_outcome_is_an_error_and_the_next_try_finds_the_file(submit: Submit, server: KaggleServer) -> None:
    def drops_and_stays_down(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        server.fail_always("ListSubmissions", refuses(503), times=200)
        drops_the_response(server, handler, call, reply)

    server.fail_next("CreateSubmission", drops_and_stays_down)
    with pytest.raises(HostError, match="unknown whether Kaggle took the submission"):
        submit()
    server.faults.clear()
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 1


def test_a_submission_refused_with_429_is_tried_again(submit: Submit, server: KaggleServer) -> None:
    def takes_it_back(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        (server.competitions[SLUG].host.folder / "submissions" / "1.json").unlink()
        return refuses(429, Retry_After="3")(server, handler, call, reply)

    server.fail_next("CreateSubmission", takes_it_back)
    assert submit().submission.ref == "1"
    assert server.count("CreateSubmission") == 2


# --- uploads -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        drops_the_response,
        gateway_page(200),
        gateway_page(503),
        refuses(500),
        with_headers(x_goog_hash="md5=AAAAAAAAAAAAAAAAAAAAAA=="),
        with_headers(x_goog_hash="md5=no base64"),
        edits(lambda payload: payload | {"size": "3"}),
        edits(lambda payload: payload | {"md5Hash": "AAAA"}),
        responds(308),
    ],
    ids=["reset", "page", "503", "500", "other md5", "no md5", "other size", "other hash", "partial"],
)
def test_a_failed_upload_starts_again_with_a_new_url(
    fault: Fault, submit: Submit, server: KaggleServer, practice: PracticeHost, submission: Path
) -> None:
    server.fail_next("upload", fault)
    assert submit().submission.status is Status.COMPLETE
    assert server.count("StartSubmissionUpload") == 2
    assert (practice.folder / "submissions" / "1.csv").read_bytes() == submission.read_bytes()


def test_an_upload_that_never_succeeds_submits_nothing(
    submit: Submit, server: KaggleServer, ledger: Path, recorded_sleeps: RecordedSleeps
) -> None:
    server.fail_always("upload", refuses(503))
    with pytest.raises(HostError, match="could not be uploaded"):
        submit()
    assert server.count("CreateSubmission") == 0
    assert sum(recorded_sleeps.seconds) < 180
    assert read_ledger(ledger) == ()


# --- limits --------------------------------------------------------------------------------------


def test_the_daily_limit_stops_before_the_upload(submit: Submit, server: KaggleServer, tmp_path: Path) -> None:
    server.competitions[SLUG].host = build_dogs(tmp_path / "small", daily_limit=1)
    submit()
    path = tmp_path / "other.csv"
    path.write_text(GOOD.replace("0.8,0.2", "0.7,0.3"))
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00 UTC"
    with pytest.raises(HostError, match=f"used up; the limit resets at {tomorrow}"):
        submit(path)
    assert server.count("StartSubmissionUpload") == 1


def test_before_the_first_submission_the_daily_limit_is_the_competitions(
    kaggle: KaggleHost, server: KaggleServer
) -> None:
    server.fail_next("GetSubmissionLimits", responds(200, b"{}", Content_Type="application/json"))
    limits = kaggle.fetch_limits(SLUG)
    assert (limits.per_day, limits.left_today) == (20, 20)


def test_the_total_limit_has_a_message_of_its_own(submit: Submit, server: KaggleServer) -> None:
    used_up = {"numAllowedNow": 0, "limitedByTotal": True}
    server.fail_next("GetSubmissionLimits", edits(lambda payload: payload | used_up))
    with pytest.raises(HostError, match=r"all submissions that .* allows are used up"):
        submit()


# --- waiting for the score -----------------------------------------------------------------------


def test_a_slow_score_is_polled_with_growing_delays(
    submit: Submit, server: KaggleServer, recorded_sleeps: RecordedSleeps
) -> None:
    server.competitions[SLUG].polls_until_scored = 9
    assert submit().submission.public is not None
    seconds = recorded_sleeps.seconds
    assert seconds == sorted(seconds)
    assert (seconds[0], seconds[-1]) == (2, 20)


def test_an_hour_without_a_score_is_an_error(
    submit: Submit, server: KaggleServer, recorded_sleeps: RecordedSleeps, ledger: Path
) -> None:
    server.competitions[SLUG].polls_until_scored = 10_000
    with pytest.raises(HostError, match="still not scored after 60 minutes") as caught:
        submit()
    assert caught.value.fix == "runner dog-breed standings --refresh"
    assert [entry.status for entry in read_ledger(ledger)] == ["pending"]
    assert 3600 <= sum(recorded_sleeps.seconds) < 3700


def test_faults_while_waiting_are_waited_out(submit: Submit, server: KaggleServer) -> None:
    server.fail_next("GetSubmission", *[refuses(503)] * 9, gateway_page(502), drops_the_response)
    assert submit().submission.status is Status.COMPLETE


def test_without_waiting_the_entry_is_pending_until_a_refresh(
    submit: Submit, submitter: Submitter, server: KaggleServer, ledger: Path
) -> None:
    server.competitions[SLUG].polls_until_scored = 1
    assert submit(wait=False).standings == ()
    assert read_ledger(ledger)[0].status == "pending"
    server.competitions[SLUG].polls_until_scored = 0
    submitter.refresh()
    assert (read_ledger(ledger)[0].status, read_ledger(ledger)[0].public) == ("complete", "0.22314")


# --- Kaggle's JSON -------------------------------------------------------------------------------


STATUSES = [
    ("COMPLETE", Status.COMPLETE),
    ("complete", Status.COMPLETE),
    ("SubmissionStatus.COMPLETE", Status.COMPLETE),
    ("SUBMISSION_STATUS_ERROR", Status.ERROR),
    ("QUEUED_FOR_RESCORING", Status.COMPLETE),  # an unknown word with a score beside it
    (None, Status.PENDING),
]


@pytest.mark.parametrize(("word", "status"), STATUSES, ids=str)
def test_an_unknown_status_does_not_break_the_list(
    word: str | None, status: Status, kaggle: KaggleHost, server: KaggleServer, submission: Path
) -> None:
    kaggle.submit_file(SLUG, submission, "one")
    kaggle.submit_file(SLUG, submission, "two")

    def change(payload: Any) -> Any:
        payload["submissions"][0]["status"] = word
        return payload

    server.fail_next("ListSubmissions", edits(change))
    newest, oldest = kaggle.fetch_submissions(SLUG)
    assert (newest.status, oldest.status) == (status, Status.COMPLETE)


def test_an_unknown_status_is_pending_without_a_score_and_an_error_with_a_reason(
    kaggle: KaggleHost, server: KaggleServer, submission: Path
) -> None:
    ref = kaggle.submit_file(SLUG, submission, "")
    bare = {"ref": int(ref), "status": "NEW_WORD", "date": "2026-03-01T12:00:00.1234567Z"}
    server.fail_next("GetSubmission", edits(lambda _: bare), edits(lambda _: bare | {"errorDescription": "bad ids"}))
    first, second = kaggle.fetch_submission(SLUG, ref), kaggle.fetch_submission(SLUG, ref)
    assert (first.status, second.status, second.error) == (Status.PENDING, Status.ERROR, "bad ids")
    assert first.submitted == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_a_list_whose_pages_repeat_ends_in_an_error(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.fail_always("ListSubmissions", edits(lambda payload: payload | {"nextPageToken": "1"}))
    with pytest.raises(HostError, match="does not end"):
        kaggle.fetch_submissions(SLUG)


def test_submissions_of_all_pages_are_listed(kaggle: KaggleHost, server: KaggleServer, submission: Path) -> None:
    server.page_limit = 2
    for number in range(5):
        kaggle.submit_file(SLUG, submission, f"try {number}")
    assert [one.message for one in kaggle.fetch_submissions(SLUG)] == [f"try {n}" for n in (4, 3, 2, 1, 0)]


# --- closed competitions -------------------------------------------------------------------------


CLOSED = [
    ({"notebooks_only": True}, "takes notebooks only"),
    ({"submissions_disabled": True}, "takes no submissions: it closed on"),
    ({"submissions_disabled": True, "deadline": datetime(2999, 1, 1, tzinfo=UTC)}, "takes no submissions$"),
    ({"rules_accepted": False}, "rules of Dog Breed Identification are not accepted"),
]


@pytest.mark.parametrize(("changes", "message"), CLOSED, ids=[message for _, message in CLOSED])
def test_a_competition_that_takes_no_files_stops_before_the_upload(
    changes: dict[str, Any], message: str, submit: Submit, server: KaggleServer, kaggle: KaggleHost
) -> None:
    for name, value in changes.items():
        setattr(server.competitions[SLUG], name, value)
    for action in (submit, lambda: require_open(kaggle, DOGS)):
        with pytest.raises(HostError) as caught:
            action()
        assert re.search(message, caught.value.message)
        assert caught.value.fix
    assert server.count("StartSubmissionUpload") == 0


def test_a_competition_that_its_file_says_takes_notebooks_only_gets_no_file(
    server: KaggleServer, kaggle: KaggleHost
) -> None:
    with pytest.raises(HostError, match="takes notebooks only, no files"):
        require_open(kaggle, replace(DOGS, notebooks_only=True))


def test_a_host_with_server_errors_is_unreachable(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.fail_always("GetCompetition", refuses(503))
    with pytest.raises(UnreachableError, match="server error"):
        kaggle.fetch_info(SLUG)


# --- any faults ----------------------------------------------------------------------------------


FAULTS: list[tuple[str, Fault]] = [
    ("reset", drops_the_response),
    ("silence", stalls(0)),
    ("page", gateway_page(502)),
    ("page 200", gateway_page(200)),
    ("500", refuses(500)),
    ("half", responds(200, b'{"ref"', Content_Type="application/json")),
    ("null", responds(200, b"null", Content_Type="application/json")),
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
ordered_faults = st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(FAULTS)), max_size=12)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ordered=ordered_faults)
def test_after_any_faults_and_a_second_try_the_file_is_submitted_once(
    server: KaggleServer,
    submission: Path,
    tmp_path_factory: pytest.TempPathFactory,
    ordered: list[tuple[str, tuple[str, Fault]]],
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    server.competitions[SLUG].host = build_dogs(folder)
    server.faults = [(step, fault) for step, (_, fault) in ordered]
    sleep, ledger = RecordedSleeps(), folder / "ledger.csv"
    hasty = KaggleHost(DOGS, policy=RetryPolicy(sleep, attempts=3), limits=TransferLimits(2.0, 0.05))
    try:
        Submitter(hasty, DOGS, ledger, sleep=sleep).submit(submission, RUN_INFO, SubmitOptions())
    except HostError as error:
        assert error.fix
    server.faults = []
    # A twentieth of a second of silence may be a busy machine: the second try waits longer.
    calm = KaggleHost(DOGS, policy=RetryPolicy(sleep), limits=TransferLimits(2.0, 5.0))
    result = Submitter(calm, DOGS, ledger, sleep=sleep).submit(submission, RUN_INFO, SubmitOptions())
    assert result.submission.status is Status.COMPLETE
    assert len(server.competitions[SLUG].host.fetch_submissions(SLUG)) == 1
    assert [(entry.ref, entry.status) for entry in read_ledger(ledger)] == [("1", "complete")]
