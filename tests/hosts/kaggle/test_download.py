"""Files over Kaggle's wire: whole and right, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError
from runner.hosts.http import download as download_module
from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import RemoteFile
from tests.hosts.kaggle.conftest import SLUG, RecordedSleeps
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
from tests.kaggle_server.server import Fault
from tests.kaggle_server.store import file_reply, redirect

NAME = "train.zip"


def find(host: KaggleHost, name: str = NAME) -> RemoteFile:
    return next(file for file in host.list_files(SLUG) if file.name == name)


def bring(host: KaggleHost, path: Path, name: str = NAME) -> list[int]:
    counted: list[int] = []
    host.download_file(SLUG, find(host, name), path, counted.append)
    return counted


def stored(practice: PracticeHost, name: str = NAME) -> bytes:
    return (practice.folder / "files" / name).read_bytes()


def test_files_are_listed_with_their_folders_and_a_bundle_of_them_all(kaggle: KaggleHost) -> None:
    names = {file.name: file.bundle for file in kaggle.list_files(SLUG)}
    assert names == {
        "labels.csv": False,
        "test/deep/0.jpg": False,
        "train.zip": False,
        "train/deep/0.jpg": False,
        f"{SLUG}.zip": True,
    }


def test_a_long_list_is_paged_to_its_end(kaggle: KaggleHost, server: KaggleServer) -> None:
    server.page_limit = 1
    assert len(kaggle.list_files(SLUG)) == 5
    assert server.count("ListDataFiles") == 4


def test_a_file_comes_whole_its_bytes_are_counted_and_nothing_else_is_left(
    kaggle: KaggleHost, practice: PracticeHost, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "train.zip"
    counted = bring(kaggle, path)
    assert path.read_bytes() == stored(practice)
    assert sum(counted) == len(stored(practice))
    assert list(path.parent.iterdir()) == [path]


def test_the_store_is_never_told_who_we_are(kaggle: KaggleHost, server: KaggleServer, tmp_path: Path) -> None:
    bring(kaggle, tmp_path / "train.zip")
    calls = [call for call in server.calls if call.name == "store"]
    assert calls
    assert not any("Authorization" in call.headers for call in calls)


def test_the_bundle_of_all_files_comes_as_one_archive(kaggle: KaggleHost, tmp_path: Path) -> None:
    from zipfile import ZipFile

    bring(kaggle, tmp_path / "all.zip", f"{SLUG}.zip")
    with ZipFile(tmp_path / "all.zip") as archive:
        assert set(archive.namelist()) >= {"labels.csv", "train/deep/0.jpg", "test/deep/0.jpg"}


MENDED: dict[str, tuple[Fault, ...]] = {
    "reset": (drops(100_000),),
    "reset at once": (drops(0),),
    "reset thrice": (drops(100_000), drops(100_000), drops(50_000)),
    "clean close": (drops(100_000, reset=False),),
    "silence": (stalls(100_000),),
    "reset, then no ranges": (drops(100_000), ignores_ranges),
    "reset, then an expired address": (drops(100_000), responds(403, b"<Error/>", Content_Type="application/xml")),
    "reset, then a page": (drops(100_000), gateway_page(200)),
    "a page": (gateway_page(502),),
    "no length, clean cut": (no_length(100_000),),
    "no length, no proofs, clean cut": (no_length(100_000, checksums=False),),
    "no length, whole": (no_length(),),
    "chunks": (chunked(),),
    "chunks, cut": (chunked(100_000),),
    "503": (refuses(503, Retry_After="7"),),
    "429": (refuses(429, Retry_After="7"),),
    "wrong md5 once": (wrong_md5,),
    "a flipped byte": (flips_a_byte,),
    "a flipped byte, nothing to hold it against": (lambda *a: flips_a_byte(*a[:3], without_checksums(*a)),),
    "changed after a reset": (drops(100_000), changes_the_file),
    "a part of no known whole": (drops(100_000), with_headers(Content_Range="bytes 5-/*")),
    "a part from elsewhere": (drops(100_000), with_headers(Content_Range="bytes 7-300115/300116")),
    "reset, then 416": (drops(100_000), responds(416)),
}


@pytest.mark.parametrize("faults", MENDED.values(), ids=list(MENDED))
def test_what_goes_wrong_on_the_way_is_mended(
    faults: tuple[Fault, ...], kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    if changes_the_file in faults:
        name = "test/deep/0.jpg"  # a zip that changes is no zip any more
        faults = (drops(10_000), changes_the_file)
    else:
        name = NAME
    server.fail_next("store", *faults)
    path = tmp_path / "new" / "file"
    counted = bring(kaggle, path, name)
    assert path.read_bytes() == stored(practice, name)
    assert sum(counted) == len(stored(practice, name))
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert server.faults == []


def test_after_a_drop_only_the_rest_is_asked_for(kaggle: KaggleHost, server: KaggleServer, tmp_path: Path) -> None:
    # A reset may take back bytes that are under way; a close does not, so that they can be counted here.
    server.fail_next("store", drops(100_000, reset=False))
    bring(kaggle, tmp_path / "train.zip")
    first, second = (call for call in server.calls if call.name == "store")
    assert "Range" not in first.headers
    assert second.headers["Range"] == "bytes=100000-"
    assert second.headers["If-Range"].startswith('"')
    assert first.query["signature"]


def test_the_host_is_waited_for_as_long_as_it_asks(
    kaggle: KaggleHost, server: KaggleServer, recorded_sleeps: RecordedSleeps, tmp_path: Path
) -> None:
    server.fail_next("store", refuses(429, Retry_After="7"), refuses(503), refuses(503))
    server.fail_next("ListDataFiles", refuses(429, Retry_After="3"))
    bring(kaggle, tmp_path / "train.zip")
    assert recorded_sleeps.seconds == [3, 7, 2, 4]


def test_an_address_that_has_expired_is_asked_for_anew(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_next("store", drops(100_000), responds(403, b"<Error/>", Content_Type="application/xml"))
    bring(kaggle, tmp_path / "train.zip")
    assert server.count("DownloadDataFile") == 3
    assert (tmp_path / "train.zip").read_bytes() == stored(practice)


HOPELESS: dict[str, tuple[Fault, str]] = {
    "always reset": (drops(0), "broke off"),
    "always silent": (stalls(0), "stopped answering"),
    "always 503": (refuses(503), "trouble of its own"),
    "always a page": (gateway_page(200), "502 Bad Gateway"),
    "always a wrong md5": (wrong_md5, "md5"),
    "always expired": (responds(403), "expired"),
    "gone": (responds(404), "does not hold it any more"),
    "asks for hours": (refuses(429, Retry_After="9000"), "asks to wait 9000 s"),
    "another length": (with_headers(Content_Length="999999"), "lists 300,"),
    "packed for the way": (with_headers(Content_Encoding="gzip"), "not understood"),
}


@pytest.mark.parametrize(("fault", "told"), HOPELESS.values(), ids=list(HOPELESS))
def test_what_cannot_be_mended_is_refused_and_nothing_false_is_left(
    fault: Fault, told: str, server: KaggleServer, recorded_sleeps: RecordedSleeps, tmp_path: Path
) -> None:
    from runner.hosts.http.retry import RetryPolicy, TransferLimits
    from tests.hosts.kaggle.conftest import DOGS

    kaggle = KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps, attempts=3), limits=TransferLimits(2.0, 0.1))
    server.fail_always("store", fault)
    path = tmp_path / "new" / "train.zip"
    with pytest.raises(HostError, match=told) as caught:
        bring(kaggle, path)
    assert caught.value.fix
    assert not path.exists()


def test_a_cut_file_without_length_or_proof_is_never_taken(
    kaggle: KaggleHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_always("store", no_length(100_000, checksums=False))
    with pytest.raises(HostError):
        kaggle.download_file(SLUG, RemoteFile(f"{SLUG}.zip", 0, bundle=True), tmp_path / "all.zip", lambda _: None)
    assert not (tmp_path / "all.zip").exists()


def test_a_second_call_goes_on_from_what_the_first_left(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    server.fail_next("store", drops(200_000, reset=False), *[refuses(503)] * 7)
    with pytest.raises(HostError, match="first 200,000 bytes are kept"):
        bring(kaggle, path)
    server.faults.clear()
    assert bring(kaggle, path)[0] == 200_000
    assert [call.headers.get("Range") for call in server.calls if call.name == "store"][-1] == "bytes=200000-"
    assert path.read_bytes() == stored(practice)


def test_a_part_of_another_content_is_not_built_upon(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    name, path = "test/deep/0.jpg", tmp_path / "0.jpg"
    server.fail_next("store", drops(20_000), *[refuses(503)] * 7)
    with pytest.raises(HostError):
        bring(kaggle, path, name)
    server.faults.clear()
    (practice.folder / "files" / name).write_bytes(b"x" * 40_000)
    bring(kaggle, path, name)
    assert path.read_bytes() == b"x" * 40_000


def test_a_spoilt_part_on_the_disk_is_found_out(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    path = tmp_path / "train.zip"
    server.fail_next("store", drops(200_000, reset=False), *[refuses(503)] * 7)
    with pytest.raises(HostError):
        bring(kaggle, path)
    server.faults.clear()
    part = tmp_path / "train.zip.part"
    part.write_bytes(b"\0" * part.stat().st_size)
    bring(kaggle, path)
    assert path.read_bytes() == stored(practice)


def test_what_the_store_packs_is_unpacked(tmp_path: Path, server: KaggleServer, practice: PracticeHost) -> None:
    from zipfile import ZIP_DEFLATED, ZipFile

    from runner.hosts.http.download import DownloadRequest, fetch

    content = b"id,breed\n" * 1000
    with ZipFile(practice.folder / "files" / "big.csv.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr("big.csv", content)
    url = redirect(server, f"competitions/{SLUG}/big.csv.zip").headers["Location"]
    fetch(DownloadRequest("big.csv", len(content), lambda: url), tmp_path / "big.csv", lambda _: None)
    assert (tmp_path / "big.csv").read_bytes() == content
    assert [one.name for one in tmp_path.iterdir() if "big" in one.name] == ["big.csv"]


def test_a_disk_too_small_is_told_before_anything_is_written(
    kaggle: KaggleHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 64 << 20))
    with pytest.raises(HostError, match="disk is too full"):
        bring(kaggle, tmp_path / "new" / "train.zip")
    assert list((tmp_path / "new").iterdir()) == []


def test_an_unknown_length_of_bytes_is_known_by_its_hash(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    server.fail_always("store", no_length())
    bring(kaggle, tmp_path / "all.zip", f"{SLUG}.zip")
    told = hashlib.md5((tmp_path / "all.zip").read_bytes()).hexdigest()
    with (server.temporary_dir / f"{SLUG}.zip").open("rb") as file:
        assert told == hashlib.file_digest(file, "md5").hexdigest()


def test_a_disk_that_fills_on_the_way_leaves_what_came_and_the_next_call_goes_on(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    write, path = download_module._write, tmp_path / "train.zip"

    def fills(file: object, chunk: bytes) -> None:
        if path.with_name("train.zip.part").stat().st_size > 0:
            raise OSError(28, "No space left on device")
        write(file, chunk)

    monkeypatch.setattr(download_module, "_write", fills)
    monkeypatch.setattr(download_module, "_CHUNK", 1000)
    with pytest.raises(OSError, match="No space left"):
        bring(kaggle, path)
    assert not path.exists()
    monkeypatch.setattr(download_module, "_write", write)
    assert bring(kaggle, path)[0] > 0
    assert path.read_bytes() == stored(practice)
    assert "Range" in [call for call in server.calls if call.name == "store"][-1].headers


def test_a_store_that_heeds_no_if_range_is_found_out_by_its_etag_alone(
    kaggle: KaggleHost, practice: PracticeHost, server: KaggleServer, tmp_path: Path
) -> None:
    name = "test/deep/0.jpg"
    path = practice.folder / "files" / name

    def first_part(*exchange: Any) -> None:
        drops(20_000, reset=False)(*exchange[:3], with_headers(x_goog_hash=None)(*exchange))

    def rest_of_another(_server: object, _handler: object, call: Any, _reply: object) -> Any:
        path.write_bytes(b"y" * 40_000)
        reply = file_reply(path, call.headers["Range"], None)
        return with_headers(x_goog_hash=None)(_server, _handler, call, reply)

    server.fail_next("store", first_part, rest_of_another)
    bring(kaggle, tmp_path / "0.jpg", name)
    assert (tmp_path / "0.jpg").read_bytes() == b"y" * 40_000


def test_a_trickle_is_a_stall(
    kaggle: KaggleHost, server: KaggleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(download_module, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(download_module, "_SLOWEST", 10**9)

    def trickles(server: KaggleServer, handler: Any, call: Any, reply: Any) -> None:
        handler.send_response(reply.status)
        for header, value in {**reply.headers, "Content-Length": str(reply.size)}.items():
            handler.send_header(header, value)
        handler.end_headers()
        for byte in b"".join(reply.chunks())[:200]:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            server.closing.wait(0.01)

    server.fail_always("store", trickles)
    with pytest.raises(HostError, match="all but stopped"):
        bring(kaggle, tmp_path / "train.zip")
