"""A file is sent once: whatever the host answers, whoever else submits, and wherever the command ended before."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError
from runner.hosts import send
from runner.hosts.kaggle import KaggleHost
from runner.hosts.ledger import RunInfo, file_sha256, file_tag, read_ledger
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status, UnconfirmedError, UnreachableError
from runner.hosts.send import KnownFile
from runner.hosts.submit import Submitter
from runner.options import SubmitOptions
from tests.hosts.kaggle.conftest import DOGS, RUN_INFO, SLUG, RecordedSleeps, build_dogs
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    drops_the_response,
    edits,
    gateway_page,
    never_ends,
    refuses,
    responds,
    stalls,
)
from tests.kaggle_server.server import Fault

Submit = Callable[..., str]


@pytest.fixture
def submit(submitter: Submitter, submission: Path) -> Submit:
    """Submits the valid file with these options; the reference."""

    def run(**options: Any) -> str:
        return submitter.submit(submission, RUN_INFO, SubmitOptions(**options)).submission.ref

    return run


def json_answer(payload: Any) -> Fault:
    return responds(200, json.dumps(payload).encode(), Content_Type="application/json")


def begun(ledger: Path) -> list[Path]:
    """The files of submissions that are not confirmed."""
    return list(ledger.parent.glob(".sending-*"))


# --- what the host lists -------------------------------------------------------------------------


ANSWERS: dict[str, Any] = {
    "nothing": {},
    "null": {"submissions": None},
    "a list": [],
    "a message": {"message": "maintenance"},
    "a number": 7,
    "a submission without a number": {"submissions": [{"date": "2026-03-01T12:00:00Z"}]},
}


@pytest.mark.parametrize("payload", ANSWERS.values(), ids=list(ANSWERS))
def test_an_answer_without_a_list_sends_nothing(
    payload: Any, submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    assert submit() == "1"
    server.fail_always("ListSubmissions", json_answer(payload), times=500)
    for _ in range(3):
        with pytest.raises(UnreachableError, match="invalid response"):
            submit()
    ledger.unlink()
    with pytest.raises(UnreachableError):
        submit()
    assert server.count("CreateSubmission") == 1


def test_a_list_that_lacks_the_submission_sends_nothing_because_the_ledger_has_it(
    submit: Submit, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    submit()
    server.fail_always("ListSubmissions", json_answer({"submissions": []}), times=500)
    assert [submit() for _ in range(3)] == ["1"] * 3
    assert server.count("CreateSubmission") == 1
    assert "already submitted as 1" in capsys.readouterr().err


def test_a_submission_that_the_host_no_longer_shows_is_an_error(
    submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    submit()
    server.fail_always("ListSubmissions", json_answer({"submissions": []}))
    server.fail_always("GetSubmission", refuses(404, "Not found"))
    with pytest.raises(HostError, match="the ledger has this file as submission 1") as caught:
        submit()
    assert "--resubmit" in str(caught.value.fix)
    assert server.count("CreateSubmission") == 1


def test_a_practice_host_that_was_made_anew_takes_the_file_again(tmp_path: Path, submission: Path) -> None:
    ledger = tmp_path / "ledger.csv"
    for number in range(2):
        host = build_dogs(tmp_path / f"host-{number}")
        result = Submitter(host, DOGS, ledger).submit(submission, RunInfo(), SubmitOptions())
        assert result.submission.status is Status.COMPLETE
        assert len(host.fetch_submissions(SLUG)) == 1
    assert [entry.ref for entry in read_ledger(ledger)] == ["1"]


def test_a_note_that_contains_a_tag_is_not_taken_for_the_files(submit: Submit, server: KaggleServer) -> None:
    for _ in range(2):
        submit(message="as sha256:0123456789ab")
    assert server.count("CreateSubmission") == 1


# --- a create that may have arrived --------------------------------------------------------------


LOST: dict[str, Fault] = {
    "reset": drops_the_response,
    "500": refuses(500),
    "503": refuses(503),
    "408": refuses(408),
    "a page": gateway_page(502),
    "a page with status 200": gateway_page(200),
    "silence": stalls(0),
    "nothing": json_answer({}),
    "null": json_answer(None),
    "a list": json_answer([]),
    "a message": json_answer({"message": "maintenance"}),
    "number 0": json_answer({"ref": 0}),
    "number -1": json_answer({"ref": -1}),
    "a server error in JSON": json_answer({"code": 500, "message": "no"}),
    "endless": never_ends(Content_Type="application/json"),
    "a redirect": responds(302, Location="http://login.localhost/"),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=list(LOST))
def test_a_create_that_may_have_arrived_is_looked_for_by_the_next_command(
    fault: Fault, submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    def and_the_list_is_down(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        server.fail_always("ListSubmissions", refuses(503), times=200)
        return fault(server, handler, call, reply)

    server.fail_next("CreateSubmission", and_the_list_is_down)
    with pytest.raises(UnconfirmedError, match="unknown whether Kaggle took the submission"):
        submit(message="first")
    assert len(begun(ledger)) == 1
    server.faults.clear()
    assert submit() == "1"
    assert server.count("CreateSubmission") == 1
    (entry,) = read_ledger(ledger)
    assert (entry.ref, entry.run, entry.commit, entry.note) == ("1", "resnet-1", "abc1234", "first")
    assert begun(ledger) == []


@pytest.mark.parametrize("resubmit", [False, True])
def test_a_submission_that_the_host_lists_late_is_found(
    resubmit: bool, submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    """The next command looks several times before it believes that nothing arrived."""
    if resubmit:
        submit()
    before = 1 + resubmit
    without_newest = edits(lambda page: page | {"submissions": page["submissions"][1:]})
    server.fail_next("ListSubmissions", *[edits(lambda page: page)] * 2)  # before the create

    def and_lists_late(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        server.fail_next("ListSubmissions", *[without_newest] * 6)
        drops_the_response(server, handler, call, reply)

    server.fail_next("CreateSubmission", and_lists_late)
    with pytest.raises(UnconfirmedError, match="did not take"):
        submit(resubmit=resubmit)
    assert submit(resubmit=resubmit) == str(before)
    assert server.count("CreateSubmission") == before
    assert len(read_ledger(ledger)) == before


def test_a_submission_that_is_counted_and_never_listed_is_not_sent_again(
    submit: Submit, server: KaggleServer, ledger: Path
) -> None:
    server.fail_next("CreateSubmission", drops_the_response)
    hidden = edits(lambda page: page | {"submissions": []})
    server.fail_always("ListSubmissions", hidden, times=500)
    for _ in range(2):
        with pytest.raises(UnconfirmedError):
            submit()
    with pytest.raises(UnconfirmedError, match="counts more submissions of today than it lists"):
        submit()
    assert server.count("CreateSubmission") == 1
    server.faults.clear()
    assert submit() == "1"
    assert server.count("CreateSubmission") == 1


def test_a_create_that_never_arrived_is_sent_by_the_next_command(
    submit: Submit, server: KaggleServer, ledger: Path, practice: PracticeHost
) -> None:
    server.is_deaf_to = {"CreateSubmission"}
    server.fail_next("CreateSubmission", drops_the_response)
    with pytest.raises(UnconfirmedError):
        submit()
    server.is_deaf_to = set()
    assert submit() == "1"
    assert len(practice.fetch_submissions(SLUG)) == 1
    assert len(read_ledger(ledger)) == 1
    assert begun(ledger) == []


def test_a_refused_create_is_not_looked_for(
    submit: Submit, server: KaggleServer, ledger: Path, recorded_sleeps: RecordedSleeps
) -> None:
    server.is_deaf_to = {"CreateSubmission"}
    server.fail_next("CreateSubmission", refuses(400, "no"))
    with pytest.raises(HostError, match=r"refuses the request \(400\): no"):
        submit()
    assert begun(ledger) == []
    assert recorded_sleeps.seconds == []


def test_a_refresh_records_what_was_begun(submit: Submit, submitter: Submitter, server: KaggleServer) -> None:
    def and_the_list_is_down(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        server.fail_always("ListSubmissions", refuses(503), times=200)
        drops_the_response(server, handler, call, reply)

    server.fail_next("CreateSubmission", and_the_list_is_down)
    with pytest.raises(UnconfirmedError):
        submit(message="mine")
    server.faults.clear()
    submitter.refresh()
    (entry,) = read_ledger(submitter.ledger_file)
    assert (entry.run, entry.recipe, entry.commit, entry.cv_error, entry.note) == (
        "resnet-1",
        "resnet",
        "abc1234",
        "0.01",
        "mine",
    )
    assert begun(submitter.ledger_file) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": 1, "entry": {}}'])
def test_a_damaged_note_of_what_was_begun_is_put_aside(
    content: str, submit: Submit, server: KaggleServer, ledger: Path, submission: Path
) -> None:
    submit()
    path = ledger.parent / f".sending-dog-breed-kaggle-{file_sha256(submission)[:12]}.json"
    path.write_text(content)
    assert submit() == "1"
    assert begun(ledger) == []
    assert [file.read_text() for file in ledger.parent.glob("*.damaged.json")] == [content]


# --- a command that was killed -------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


STEPS = ("new_entry", "write_unconfirmed", "record_entry", "remove_unconfirmed")


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [*STEPS, "submit_file"])
def test_a_command_that_is_killed_at_any_step_sends_the_file_once(
    step: str,
    is_done: bool,
    submit: Submit,
    submitter: Submitter,
    server: KaggleServer,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner: Any = submitter.host if step == "submit_file" else send
    original = getattr(owner, step)

    def killed(*arguments: Any, **options: Any) -> None:
        if is_done:
            original(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, step, killed)
        submit()
    assert submit() == "1"
    assert server.count("CreateSubmission") == 1
    (entry,) = read_ledger(ledger)
    assert (entry.ref, entry.run, entry.commit, entry.status) == ("1", "resnet-1", "abc1234", "complete")
    assert begun(ledger) == []


def _submit_in_a_process(folder: str, file: str, number: int) -> None:
    os.environ["HOME"] = folder
    ledger = Path(folder) / "submissions" / "ledger.csv"
    path = Path(file)
    Submitter(KaggleHost(DOGS), DOGS, ledger).submit(path, RUN_INFO, SubmitOptions(message=f"number {number}"))


def test_four_processes_that_submit_one_file_send_it_once(
    server: KaggleServer, submission: Path, tmp_path: Path
) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_submit_in_a_process, args=(str(tmp_path), str(submission), number))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert server.count("CreateSubmission") == 1
    assert len(read_ledger(tmp_path / "submissions" / "ledger.csv")) == 1


# --- the ledger ----------------------------------------------------------------------------------


def test_the_note_is_in_the_ledger_and_comes_back_from_the_host(
    submit: Submit, submitter: Submitter, ledger: Path
) -> None:
    submit(message="larger images,\nmore epochs")
    assert read_ledger(ledger)[0].note == "larger images, more epochs"
    ledger.unlink()
    submitter.refresh()
    assert read_ledger(ledger)[0].note == "larger images, more epochs"


def test_a_damaged_ledger_is_put_aside_and_rebuilt_from_the_host_and_the_runs(
    kaggle: KaggleHost, server: KaggleServer, submission: Path, ledger: Path, recorded_sleeps: RecordedSleeps
) -> None:
    sha256 = file_sha256(submission)
    known = {file_tag(sha256): KnownFile(sha256, RunInfo("resnet-1", "resnet", cv="0.25", cv_error="0.01"))}
    submitter = Submitter(kaggle, DOGS, ledger, sleep=recorded_sleeps, find_files=lambda: known)
    submitter.submit(submission, RUN_INFO, SubmitOptions(message="mine"))
    (before,) = read_ledger(ledger)
    damaged = ledger.read_bytes().replace(b"submitted,", b"suBmitted,").replace(b"resnet-1", b"resnet-9")
    ledger.write_bytes(damaged)
    assert submitter.submit(submission, RunInfo(), SubmitOptions()).submission.ref == "1"
    assert server.count("CreateSubmission") == 1
    (after,) = read_ledger(ledger)
    assert (after.run, after.cv, after.cv_error, after.sha256, after.note) == (
        before.run,
        before.cv,
        before.cv_error,
        before.sha256,
        "mine",
    )
    assert [path.read_bytes() for path in ledger.parent.glob("ledger.damaged-*.csv")] == [damaged]


# --- waiting for the score -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [gateway_page(200), json_answer({}), refuses(503), json_answer({"ref": 8, "date": "2026-03-01T12:00:00Z"})],
    ids=["page", "nothing", "503", "another"],
)
def test_answers_that_cannot_be_used_are_not_polled_for_hours(
    fault: Fault, submit: Submit, server: KaggleServer, recorded_sleeps: RecordedSleeps, ledger: Path
) -> None:
    server.fail_always("GetSubmission", fault, times=2000)
    with pytest.raises(UnreachableError, match=r"submission 1 is sent, but its score is not: 10 minutes of ") as caught:
        submit()
    assert caught.value.fix == "runner dog-breed standings --refresh"
    assert sum(recorded_sleeps.seconds) < 3600
    assert read_ledger(ledger)[0].status == "pending"


def test_the_wait_for_the_score_tells_its_end(
    submit: Submit, server: KaggleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.competitions[SLUG].polls_until_scored = 3
    submit()
    assert "waiting for the score, until " in capsys.readouterr().err
