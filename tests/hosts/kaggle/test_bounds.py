"""Every answer has an end: in bytes, also decompressed, in pages, and in time; and the error says which was met."""

from __future__ import annotations

import itertools
import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import DataError, HostError
from runner.hosts.http import download
from runner.hosts.http.errors import RequestError
from runner.hosts.http.retry import RetryPolicy, TransferLimits, WaitBudget, describe_wait, retry
from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import RemoteFile
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    drops,
    edits,
    gateway_page,
    gzip_bomb,
    never_ends,
    refuses,
    responds,
    trickles,
    with_headers,
)
from tests.kaggle_server.server import Fault

LIMITS = TransferLimits(2.0, 2.0, answer_seconds=0.6, answer_bytes=1 << 20, stall_seconds=0.3)
Hasty = Callable[..., KaggleHost]


@pytest.fixture
def hasty(server: KaggleServer) -> Hasty:
    """A host with two attempts, and with these limits."""

    def build(**limits: Any) -> KaggleHost:
        policy = RetryPolicy(RecordedSleeps(), attempts=2)
        return KaggleHost(DOGS, policy=policy, limits=replace(LIMITS, **limits))

    return build


def error_of(request: Callable[[], object]) -> HostError:
    with pytest.raises(HostError) as caught:
        request()
    assert caught.value.fix
    return caught.value


# --- bytes ---------------------------------------------------------------------------------------

TOO_LONG: dict[str, Fault] = {
    "endless": never_ends(Content_Type="application/json"),
    "endless, in chunks": trickles(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"80000\r\n%s\r\n" % (b" " * (1 << 19)) * 3
    ),
    "bomb": gzip_bomb(200 << 20),
    "long": responds(200, b" " * (2 << 20), Content_Type="application/json"),
}


@pytest.mark.parametrize("fault", TOO_LONG.values(), ids=list(TOO_LONG))
@pytest.mark.parametrize("method", ["GetCompetition", "ListSubmissions", "GetSubmissionLimits"])
def test_an_answer_is_read_up_to_its_limit(fault: Fault, method: str, server: KaggleServer, hasty: Hasty) -> None:
    server.fail_always(method, fault)
    host = hasty(answer_seconds=20.0)
    request = {
        "GetCompetition": host.fetch_info,
        "ListSubmissions": host.fetch_submissions,
        "GetSubmissionLimits": host.fetch_limits,
    }[method]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "sent more than 1.0 MB in one answer" in error_of(lambda: request(SLUG)).message
    # In kilobytes. The server's 200 MB are not in this process twice.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_compressed_answer_is_understood(server: KaggleServer, hasty: Hasty) -> None:
    import gzip

    def packed(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        headers = reply.headers | {"Content-Encoding": "gzip"}
        return replace(reply, headers=headers, content=gzip.compress(reply.content))

    server.fail_next("GetCompetition", packed)
    assert hasty().fetch_info(SLUG).title == "Dog Breed Identification"


def test_an_error_page_that_never_ends_is_an_error_page(server: KaggleServer, hasty: Hasty) -> None:
    server.fail_always("GetCompetition", never_ends(b"<html><title>Login</title>", Content_Type="text/html"))
    assert "more than 1.0 MB" in error_of(lambda: hasty().fetch_info(SLUG)).message


@pytest.mark.parametrize("depth", [2000, 200_000])
def test_json_that_is_nested_too_deeply_is_an_error(depth: int, server: KaggleServer, hasty: Hasty) -> None:
    content = b'{"submissions":' + b"[" * depth + b"]" * depth + b"}"
    for content_type in ("application/json", "text/plain"):
        server.fail_always("ListSubmissions", responds(200, content, Content_Type=content_type), times=2)
        assert "invalid response" in error_of(lambda: hasty().fetch_submissions(SLUG)).message


# --- time ----------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TOO_SLOW: dict[str, Fault] = {
    "status": trickles(b"HTTP/1.1 20"),
    "headers": trickles(HEAD + b"X-Slow: "),
    "content": trickles(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "content without a length": trickles(HEAD + b"\r\n"),
    "the length of a chunk": trickles(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0000"),
}


@pytest.mark.parametrize("fault", TOO_SLOW.values(), ids=list(TOO_SLOW))
def test_an_answer_that_trickles_ends_in_time(fault: Fault, server: KaggleServer, hasty: Hasty) -> None:
    server.fail_always("GetCompetition", fault)
    start = time.monotonic()
    assert "s for one answer" in error_of(lambda: hasty().fetch_info(SLUG)).message
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("start", [HEAD + b"X-Slow: ", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0000"])
def test_a_download_that_trickles_is_cut_off(start: bytes, server: KaggleServer, hasty: Hasty, tmp_path: Path) -> None:
    server.fail_always("store", trickles(start))
    begin = time.monotonic()
    message = error_of(lambda: hasty().download_file(SLUG, RemoteFile("labels.csv", 19), tmp_path / "l", print)).message
    assert "s for one answer" in message or "stalled" in message
    assert time.monotonic() - begin < 5


def test_an_upload_whose_answer_trickles_is_cut_off(server: KaggleServer, hasty: Hasty, submission: Path) -> None:
    server.fail_always("upload", trickles(HEAD + b"Content-Length: 9999\r\n\r\n"))
    assert "took more than 1 s" in error_of(lambda: hasty().submit_file(SLUG, submission, "")).message
    assert server.count("CreateSubmission") == 0


# --- pages ---------------------------------------------------------------------------------------


def test_a_list_with_ever_new_tokens_ends(server: KaggleServer, hasty: Hasty) -> None:
    tokens = itertools.count(1)
    server.fail_always("ListSubmissions", edits(lambda _: {"submissions": [], "nextPageToken": str(next(tokens))}))
    error = error_of(lambda: hasty(list_pages=5).fetch_submissions(SLUG))
    assert error.message == "Kaggle's list of submissions does not end: it goes on after 5 pages"


def test_a_list_ends_by_its_bytes_and_by_its_time(server: KaggleServer, recorded_sleeps: RecordedSleeps) -> None:
    tokens = itertools.count(1)
    row = {"teamName": "x" * 1000, "score": "0.5"}
    for limits, reached in (({"list_bytes": 3000}, "after 3."), ({"list_seconds": 100}, "after 2 min")):
        server.fail_always(
            "GetLeaderboard", edits(lambda _: {"submissions": [row], "nextPageToken": str(next(tokens))})
        )
        server.fail_next("DownloadLeaderboard", refuses(404))
        seconds = itertools.count(step=20)
        policy = RetryPolicy(recorded_sleeps, clock=lambda seconds=seconds: float(next(seconds)))
        host = KaggleHost(DOGS, policy=policy, limits=replace(LIMITS, **limits))  # type: ignore[arg-type]
        assert reached in error_of(lambda host=host: host.fetch_leaderboard(SLUG)).message  # type: ignore[misc]
        server.faults.clear()


# --- waits ---------------------------------------------------------------------------------------


def test_retry_after_is_obeyed_within_a_budget_of_all_calls(
    server: KaggleServer, recorded_sleeps: RecordedSleeps, capsys: pytest.CaptureFixture[str]
) -> None:
    host = KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps), limits=LIMITS)
    server.fail_next("GetCompetition", refuses(429, Retry_After="500"))
    assert host.fetch_info(SLUG)
    server.fail_next("GetSubmissionLimits", *[refuses(429, Retry_After="399")] * 2)
    message = error_of(lambda: host.fetch_limits(SLUG)).message
    assert message.endswith("asks to wait 399 s; this command waits no longer than 15 min in an hour")
    assert recorded_sleeps.seconds == [500, 399]
    assert " UTC, in 8 min\n" in capsys.readouterr().err


def test_after_an_hour_there_is_a_new_budget() -> None:
    now = [0.0]
    budget = WaitBudget(RetryPolicy(lambda _: None, max_wait=100, clock=lambda: now[0]))
    budget.wait(80, "busy")
    assert not budget.allows(30)
    now[0] = 3700
    assert budget.allows(30)


def test_a_call_is_not_repeated_after_its_time() -> None:
    now = [0.0]

    def attempt() -> None:
        now[0] += 60
        raise RequestError("slow", "wait", retryable=True)

    policy = RetryPolicy(lambda _: None, clock=lambda: now[0])
    with pytest.raises(RequestError) as caught:
        retry(attempt, policy, "Kaggle", max_seconds=100)
    assert caught.value.message == "slow; 2 attempts took more than 2 min"


def test_a_short_wait_is_told_in_seconds_and_a_long_one_with_its_end() -> None:
    assert describe_wait(8) == "in 8 s"
    assert describe_wait(899).startswith("at ")
    assert describe_wait(899).endswith(" UTC, in 15 min")


# --- downloads -----------------------------------------------------------------------------------


ENDLESS: dict[str, Fault] = {
    "no length": never_ends(piece=b"x" * 5000),
    "no length, with a checksum": never_ends(piece=b"x" * 5000, ETag='"a"', x_goog_hash="md5=AAAAAAAAAAAAAAAAAAAAAA=="),
    "a length of nonsense": never_ends(piece=b"x" * 5000, Content_Length="²²"),
    "an endless packed file": never_ends(piece=b"x" * 5000),
}


@pytest.mark.parametrize("fault", ENDLESS.values(), ids=list(ENDLESS))
def test_a_download_never_has_more_bytes_than_are_listed(
    fault: Fault, server: KaggleServer, hasty: Hasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write = download._write_all

    def counting(file: Any, chunk: bytes) -> None:
        nonlocal written
        written += len(chunk)
        write(file, chunk)

    monkeypatch.setattr(download, "_write_all", counting)
    server.fail_always("store", fault)
    error = error_of(
        lambda: hasty().download_file(SLUG, RemoteFile("labels.csv", 7000), tmp_path / "l", lambda _: None)
    )
    assert "more than the listed 7,000 bytes arrive" in error.message
    assert written <= 2 * 7000
    assert not (tmp_path / "l").exists()


def test_a_range_that_goes_on_beyond_the_file_is_cut(
    server: KaggleServer, kaggle: KaggleHost, practice: PracticeHost, tmp_path: Path
) -> None:
    def longer(server: KaggleServer, handler: Any, call: Any, reply: Any) -> Any:
        md5 = reply.headers["x-goog-hash"]
        endless = never_ends(piece=b"x" * 1000, status=206, Content_Range="bytes 20000-39999/*", x_goog_hash=md5)
        return endless(server, handler, call, reply)

    server.fail_next("store", drops(20_000, reset=False), longer)
    path = tmp_path / "0.jpg"
    kaggle.download_file(SLUG, RemoteFile("test/deep/0.jpg", 40_000), path, lambda _: None)
    assert path.read_bytes() == (practice.folder / "files" / "test/deep/0.jpg").read_bytes()


def test_a_file_of_unknown_size_is_bounded_by_the_free_disk(
    server: KaggleServer,
    hasty: Hasty,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def free(folder: Path) -> int:
        return 3_000_000 - sum(path.stat().st_size for path in tmp_path.rglob("*.part"))

    monkeypatch.setattr(download, "free_bytes", free)
    monkeypatch.setattr(download, "_DISK_CHECK", 1_000_000)
    server.fail_always("store", never_ends())
    file = RemoteFile("labels.csv", 0, size_listed=False)
    with pytest.raises(
        DataError, match=r"fills the disk: (2\.\d|3\.0) MB received, of which nothing is kept"
    ) as caught:
        hasty().download_file(SLUG, file, tmp_path / "new" / "l", lambda _: None)
    assert "runner dog-breed download" in str(caught.value.fix)
    assert list((tmp_path / "new").iterdir()) == []
    assert "nobody says how large labels.csv is" in capsys.readouterr().err


def test_a_file_of_unlisted_size_is_downloaded(server: KaggleServer, hasty: Hasty, tmp_path: Path) -> None:
    without_sizes = edits(lambda page: {"files": [{"name": file["name"]} for file in page["files"]]})
    server.fail_next("ListDataFiles", without_sizes)
    host = hasty()
    file = next(file for file in host.list_files(SLUG) if file.name == "labels.csv")
    assert not file.size_listed
    host.download_file(SLUG, file, tmp_path / "labels.csv", lambda _: None)
    assert (tmp_path / "labels.csv").read_text() == "id,breed\nb1,basset\n"


def test_the_archive_of_all_files_is_bounded_by_their_sum(server: KaggleServer, hasty: Hasty, tmp_path: Path) -> None:
    host = hasty()
    bundle = next(file for file in host.list_files(SLUG) if file.bundle)
    server.fail_always("store", with_headers(Content_Length=str(10**12)))
    message = error_of(lambda: host.download_file(SLUG, bundle, tmp_path / "all.zip", print)).message
    assert "the file has at most" in message


def test_a_file_that_changes_at_every_attempt_ends(
    server: KaggleServer, tmp_path: Path, recorded_sleeps: RecordedSleeps
) -> None:
    versions = itertools.count()

    def another(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        tagged = with_headers(ETag=f'"v{next(versions)}"', x_goog_hash=None, Content_Range=None)
        changed = tagged(server, handler, call, replace(reply, status=200, start=0))
        drops(20_000, reset=False)(server, handler, call, changed)

    server.fail_always("store", another)
    host = KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps, attempts=50), limits=LIMITS)
    file = RemoteFile("test/deep/0.jpg", 40_000)
    error_of(lambda: host.download_file(SLUG, file, tmp_path / "0.jpg", lambda _: None))
    assert server.count("store") <= 50


# --- typed answers -------------------------------------------------------------------------------

NO_LISTS: list[Any] = [
    {},
    {"submissions": None},
    {"submissions": {}},
    {"submissions": "none"},
    {"message": "maintenance"},
    {"submissions": [], "nextPageToken": {}},
    {"submissions": [None]},
    {"submissions": [{}]},
    {"submissions": [{"ref": 0, "date": "2026-03-01T12:00:00Z"}]},
    {"submissions": [{"ref": -1, "date": "2026-03-01T12:00:00Z"}]},
    {"submissions": [{"ref": 1.5, "date": "2026-03-01T12:00:00Z"}]},
    {"submissions": [{"ref": True, "date": "2026-03-01T12:00:00Z"}]},
    {"submissions": [{"ref": 1, "date": "1970-01-01T00:00:00Z"}]},
    {"submissions": [{"ref": 1}]},
    {"submissions": [{"ref": 1, "date": "2026-03-01T12:00:00Z", "description": ["x"]}]},
    [],
    None,
    "text",
    7,
]


@pytest.mark.parametrize("payload", NO_LISTS, ids=str)
def test_an_answer_that_is_no_list_of_submissions_is_an_error(payload: Any, server: KaggleServer, hasty: Hasty) -> None:
    content = json.dumps(payload).encode()
    server.fail_always("ListSubmissions", responds(200, content, Content_Type="application/json"))
    assert "invalid response" in error_of(lambda: hasty().fetch_submissions(SLUG)).message


ODD: list[Any] = [
    {},
    {"message": "maintenance"},
    {"title": None},
    {"title": "T", "userHasEntered": "perhaps"},
    [],
    None,
]


@pytest.mark.parametrize("payload", ODD, ids=str)
def test_an_answer_that_is_no_competition_is_an_error(payload: Any, server: KaggleServer, hasty: Hasty) -> None:
    content = json.dumps(payload).encode()
    server.fail_always("GetCompetition", responds(200, content, Content_Type="application/json"))
    assert "invalid response" in error_of(lambda: hasty().fetch_info(SLUG)).message


def test_another_submission_than_the_one_asked_for_is_an_error(
    server: KaggleServer, hasty: Hasty, submission: Path
) -> None:
    host = hasty()
    ref = host.submit_file(SLUG, submission, "")
    server.fail_always("GetSubmission", edits(lambda payload: payload | {"ref": 77}))
    assert "submission 77 instead of 1" in error_of(lambda: host.fetch_submission(SLUG, ref)).message


def test_an_empty_list_has_no_submissions(server: KaggleServer, hasty: Hasty) -> None:
    assert hasty().fetch_submissions(SLUG) == ()


def test_a_page_for_a_browser_is_named_with_its_title(server: KaggleServer, hasty: Hasty) -> None:
    server.fail_always("ListSubmissions", gateway_page(200))
    assert "502 Bad Gateway" in error_of(lambda: hasty().fetch_submissions(SLUG)).message
