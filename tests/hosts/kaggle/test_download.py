"""Files from Kaggle: complete and verified, or not there at all."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from runner.errors import DataError, HostError
from runner.full_disk import DiskFullError
from runner.hosts.http.download import DownloadRequest, download_file
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import RemoteFile
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    changes_the_file,
    chunked,
    drops,
    flips_a_byte,
    gateway_page,
    ignores_ranges,
    no_length,
    refuses,
    responds,
    stalls,
    with_headers,
    without_checksums,
    wrong_md5,
)
from tests.kaggle_server.server import Fault, send_head
from tests.kaggle_server.store import file_reply, redirect

NAME = "train.zip"


def listed_file(host: KaggleHost, name: str = NAME) -> RemoteFile:
    return next(file for file in host.list_files(SLUG) if file.name == name)


def download(host: KaggleHost, path: Path, name: str = NAME) -> list[int]:
    """Download the file; the amounts that its progress reported."""
    amounts: list[int] = []
    host.download_file(SLUG, listed_file(host, name), path, amounts.append)
    return amounts


def stored(practice: PracticeHost, name: str = NAME) -> bytes:
    return (practice.folder / "files" / name).read_bytes()


def store_calls(server: KaggleServer) -> list[Any]:
    return [call for call in server.calls if call.name == "store"]


# --- listing -------------------------------------------------------------------------------------


def test_files_are_listed_with_their_folders_and_one_bundle(kaggle: KaggleHost) -> None:
    bundles = {file.name: file.bundle for file in kaggle.list_files(SLUG)}
    assert bundles == {
        "labels.csv": False,
        "test/deep/0.jpg": False,
        "train.zip": False,
        "train/deep/0.jpg": False,
        f"{SLUG}.zip": True,
    }


def test_a_list_of_several_pages_is_complete(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.page_limit = 1
    assert len(kaggle.list_files(SLUG)) == 5
    assert server.count("ListDataFiles") == 4


# --- downloading ---------------------------------------------------------------------------------


def test_a_download_is_complete_and_leaves_no_other_file(
    kaggle: KaggleHost, practice: PracticeHost, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "train.zip"
    amounts = download(kaggle, path)
    assert path.read_bytes() == stored(practice)
    assert sum(amounts) == len(stored(practice))
    assert list(path.parent.iterdir()) == [path]


def test_the_store_gets_no_credentials(kaggle: KaggleHost, server: KaggleServer, tmp_path: Path) -> None:
    download(kaggle, tmp_path / "train.zip")
    assert store_calls(server)
    assert not any("Authorization" in call.headers for call in store_calls(server))


def test_the_bundle_is_one_archive_of_all_files(kaggle: KaggleHost, tmp_path: Path) -> None:
    download(kaggle, tmp_path / "all.zip", f"{SLUG}.zip")
    with ZipFile(tmp_path / "all.zip") as archive:
        assert set(archive.namelist()) >= {"labels.csv", "train/deep/0.jpg", "test/deep/0.jpg"}


RECOVERABLE: dict[str, tuple[Fault, ...]] = {
    "reset": (drops(100_000),),
    "reset at once": (drops(0),),
    "reset three times": (drops(100_000), drops(100_000), drops(50_000)),
    "closed": (drops(100_000, reset=False),),
    "silence": (stalls(100_000),),
    "reset, then no ranges": (drops(100_000), ignores_ranges),
    "reset, then an expired URL": (drops(100_000), responds(403, b"<Error/>", Content_Type="application/xml")),
    "reset, then a page": (drops(100_000), gateway_page(200)),
    "a page": (gateway_page(502),),
    "no length, cut": (no_length(100_000),),
    "no length, no checksums, cut": (no_length(100_000, checksums=False),),
    "no length, complete": (no_length(),),
    "chunks": (chunked(),),
    "chunks, cut": (chunked(100_000),),
    "503": (refuses(503, Retry_After="7"),),
    "429": (refuses(429, Retry_After="7"),),
    "wrong md5 once": (wrong_md5,),
    "a flipped byte": (flips_a_byte,),
    "a flipped byte, no checksums": (lambda *a: flips_a_byte(*a[:3], without_checksums(*a)),),
    "changed after a reset": (drops(100_000), changes_the_file),
    "a range of unknown size": (drops(100_000), with_headers(Content_Range="bytes 5-/*")),
    "a range from elsewhere": (drops(100_000), with_headers(Content_Range="bytes 7-300115/300116")),
    "reset, then 416": (drops(100_000), responds(416)),
}


@pytest.mark.parametrize("faults", RECOVERABLE.values(), ids=list(RECOVERABLE))
def test_a_download_recovers_from_faults(
    faults: tuple[Fault, ...], kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    if changes_the_file in faults:
        name = "test/deep/0.jpg"  # a zip whose bytes change would no longer be a zip
        faults = (drops(10_000), changes_the_file)
    else:
        name = NAME
    server.fail_next("store", *faults)
    path = tmp_path / "new" / "file"
    amounts = download(kaggle, path, name)
    assert path.read_bytes() == stored(practice, name)
    assert sum(amounts) == len(stored(practice, name))
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert server.faults == []


def test_after_a_drop_only_the_rest_is_requested(kaggle: KaggleHost, server: KaggleServer, tmp_path: Path) -> None:
    # A reset may discard bytes on their way; a close does not, so that they can be counted here.
    server.fail_next("store", drops(100_000, reset=False))
    download(kaggle, tmp_path / "train.zip")
    first, second = store_calls(server)
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=100000-"
    assert second.headers["If-Range"].startswith('"')
    assert first.query["signature"]


def test_retry_after_is_respected(
    kaggle: KaggleHost, server: KaggleServer, recorded_sleeps: RecordedSleeps, tmp_path: Path
) -> None:
    server.fail_next("store", refuses(429, Retry_After="7"), refuses(503), refuses(503))
    server.fail_next("ListDataFiles", refuses(429, Retry_After="3"))
    download(kaggle, tmp_path / "train.zip")
    assert recorded_sleeps.seconds == [3, 7, 2, 4]


def test_an_expired_url_is_requested_again(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_next("store", drops(100_000), responds(403, b"<Error/>", Content_Type="application/xml"))
    download(kaggle, tmp_path / "train.zip")
    assert server.count("DownloadDataFile") == 3
    assert (tmp_path / "train.zip").read_bytes() == stored(practice)


HOPELESS: dict[str, tuple[Fault, str]] = {
    "always reset": (drops(0), "was lost"),
    "always silent": (stalls(0), "stopped responding"),
    "always 503": (refuses(503), "server error"),
    "always a page": (gateway_page(200), "502 Bad Gateway"),
    "always a wrong md5": (wrong_md5, "checksum mismatch: downloaded bytes differ from the server's MD5"),
    "always expired": (responds(403), "expired"),
    "gone": (responds(404), "no longer has the file"),
    "asks for hours": (refuses(429, Retry_After="9000"), "asks to wait 9000 s"),
    "another length": (with_headers(Content_Length="999999"), "lists 300,"),
    "compressed on the way": (with_headers(Content_Encoding="gzip"), "invalid response"),
}


@pytest.mark.parametrize(("fault", "message"), HOPELESS.values(), ids=list(HOPELESS))
def test_a_download_that_cannot_succeed_leaves_no_file(
    fault: Fault, message: str, server: KaggleServer, recorded_sleeps: RecordedSleeps, tmp_path: Path
) -> None:
    kaggle = KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps, attempts=3), limits=TransferLimits(2.0, 0.1))
    server.fail_always("store", fault)
    path = tmp_path / "new" / "train.zip"
    with pytest.raises(HostError, match=message) as caught:
        download(kaggle, path)
    assert caught.value.fix
    assert caught.value.where == str(path)
    assert not path.exists()


def test_a_cut_file_that_cannot_be_verified_is_never_taken(
    kaggle: KaggleHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_always("store", no_length(100_000, checksums=False))
    with pytest.raises(HostError):
        kaggle.download_file(SLUG, RemoteFile(f"{SLUG}.zip", 0, bundle=True), tmp_path / "all.zip", lambda _: None)
    assert not (tmp_path / "all.zip").exists()


def test_a_file_of_unknown_length_is_verified_by_its_md5(
    kaggle: KaggleHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_always("store", no_length())
    download(kaggle, tmp_path / "all.zip", f"{SLUG}.zip")
    bundle = (server.temporary_dir / f"{SLUG}.zip").read_bytes()
    assert hashlib.md5((tmp_path / "all.zip").read_bytes()).digest() == hashlib.md5(bundle).digest()


def test_a_file_that_the_store_packs_is_unpacked(tmp_path: Path, server: KaggleServer, practice: PracticeHost) -> None:
    content = b"id,breed\n" * 1000
    with ZipFile(practice.folder / "files" / "big.csv.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("big.csv", content)
    url = redirect(server, f"competitions/{SLUG}/big.csv.zip").headers["Location"]
    request = DownloadRequest("big.csv", len(content), lambda: url)
    download_file(request, tmp_path / "big.csv", lambda _: None, RetryPolicy(), TransferLimits())
    assert (tmp_path / "big.csv").read_bytes() == content
    assert [file.name for file in tmp_path.iterdir() if "big" in file.name] == ["big.csv"]


def test_a_slow_download_times_out(server: KaggleServer, recorded_sleeps: RecordedSleeps, tmp_path: Path) -> None:
    def trickles(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        send_head(handler, reply)
        for byte in b"".join(reply.chunks())[:200]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            server.closing.wait(0.01)

    limits = TransferLimits(2.0, 0.3, min_speed=10**9, stall_seconds=0.05)
    server.fail_always("store", trickles)
    with pytest.raises(HostError, match="download stalled: under 1000000 kB/s for 0 s"):
        download(KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps), limits=limits), tmp_path / "train.zip")


# --- resuming ------------------------------------------------------------------------------------


def interrupt(kaggle: KaggleHost, server: KaggleServer, path: Path, fault: Fault, name: str = NAME) -> HostError:
    """Let the download fail after the fault; the error."""
    server.fail_next("store", fault, *[refuses(503)] * 7)
    with pytest.raises(HostError) as caught:
        download(kaggle, path, name)
    server.faults.clear()
    return caught.value


def test_a_second_call_resumes_where_the_first_ended(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    error = interrupt(kaggle, server, path, drops(200_000, reset=False))
    assert "first 200,000 bytes are kept" in error.message
    assert download(kaggle, path)[0] == 200_000
    assert store_calls(server)[-1].headers["Range"] == "bytes=200000-"
    assert path.read_bytes() == stored(practice)


def test_a_part_of_another_version_is_discarded(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    name, path = "test/deep/0.jpg", tmp_path / "0.jpg"
    interrupt(kaggle, server, path, drops(20_000), name)
    (practice.folder / "files" / name).write_bytes(b"x" * 40_000)
    download(kaggle, path, name)
    assert path.read_bytes() == b"x" * 40_000


def test_a_corrupt_part_is_discarded(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    interrupt(kaggle, server, path, drops(200_000, reset=False))
    part = tmp_path / "train.zip.part"
    part.write_bytes(b"\0" * part.stat().st_size)
    download(kaggle, path)
    assert path.read_bytes() == stored(practice)


@pytest.mark.parametrize("note", ["{", "[]", '{"format": 99}', '{"format": 1, "validator": "x"}'])
def test_a_part_with_an_unreadable_note_is_discarded(
    note: str, kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    interrupt(kaggle, server, path, drops(200_000, reset=False))
    (tmp_path / "train.zip.part.json").write_text(note)
    download(kaggle, path)
    assert "Range" not in store_calls(server)[-1].headers
    assert path.read_bytes() == stored(practice)


def test_another_version_is_recognised_by_its_etag_if_if_range_is_ignored(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    name = "test/deep/0.jpg"
    path = practice.folder / "files" / name

    def first_part(*exchange: Any) -> None:
        drops(20_000, reset=False)(*exchange[:3], with_headers(x_goog_hash=None)(*exchange))

    def rest_of_another(_server: Any, _handler: Any, call: Any, _reply: object) -> Any:
        path.write_bytes(b"y" * 40_000)
        reply = file_reply(path, call.headers["Range"], None)
        return with_headers(x_goog_hash=None)(_server, _handler, call, reply)

    server.fail_next("store", first_part, rest_of_another)
    download(kaggle, tmp_path / "0.jpg", name)
    assert (tmp_path / "0.jpg").read_bytes() == b"y" * 40_000


# --- the disk ------------------------------------------------------------------------------------


def test_a_disk_too_small_is_an_error_before_anything_is_written(
    kaggle: KaggleHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 64 << 20))
    with pytest.raises(DataError, match=r"disk is too full to download train\.zip") as caught:
        download(kaggle, tmp_path / "new" / "train.zip")
    assert "runner dog-breed download" in str(caught.value.fix)
    assert list((tmp_path / "new").iterdir()) == []


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Within the block no file of this process can grow beyond the size, as if the disk were full."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no RLIMIT_FSIZE")
def test_a_disk_that_fills_up_keeps_what_came_and_the_next_call_resumes(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    with (
        largest_file(150_000),
        pytest.raises(DiskFullError, match=r"train\.zip\.part: it could not be written beyond 150\.0 kB"),
    ):
        download(kaggle, path)
    assert not path.exists()
    assert download(kaggle, path)[0] == 150_000
    assert path.read_bytes() == stored(practice)
    assert store_calls(server)[-1].headers["Range"] == "bytes=150000-"
