"""Any sequence of faults ends in the right bytes or an error; a killed download resumes."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import HostError
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps, build_dogs
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import (
    changes_the_file,
    chunked,
    drops,
    drops_the_response,
    edits,
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

NAME = "test/deep/0.jpg"
STORE_FAULTS: list[tuple[str, Fault]] = [
    ("reset at once", drops(0)),
    ("reset", drops(15_000)),
    ("closed", drops(15_000, reset=False)),
    ("silent", stalls(9_000)),
    ("no response", drops_the_response),
    ("429", refuses(429, Retry_After="1")),
    ("500", refuses(500)),
    ("page 200", gateway_page(200)),
    ("page 503", gateway_page(503)),
    ("expired", responds(403, b"<Error/>", Content_Type="application/xml")),
    ("416", responds(416)),
    ("204", responds(204)),
    ("no ranges", ignores_ranges),
    ("no checksums", without_checksums),
    ("no length", no_length()),
    ("no length, cut", no_length(21_000)),
    ("no length, no checksums, cut", no_length(21_000, checksums=False)),
    ("chunks", chunked()),
    ("chunks, cut", chunked(21_000)),
    ("flipped", flips_a_byte),
    ("wrong md5", wrong_md5),
    ("wrong etag", with_headers(ETag='"another"')),
    ("weak etag", with_headers(ETag='W/"weak"', x_goog_hash=None)),
    ("wrong range", with_headers(Content_Range="bytes 3-39999/40000")),
    ("changed", changes_the_file),
    ("no headers", with_headers(Content_Type=None, ETag=None, x_goog_hash=None, Last_Modified=None)),
]
SERVICE_FAULTS: list[tuple[str, Fault]] = [
    ("reset", drops_the_response),
    ("silent", stalls(0)),
    ("429", refuses(429, Retry_After="2")),
    ("503", refuses(503)),
    ("page", gateway_page(200)),
    ("null", edits(lambda _: None)),
    ("empty", responds(200, b"", Content_Type="application/json")),
    ("half", responds(200, b'{"files": [', Content_Type="application/json")),
]


def some_of(faults: list[tuple[str, Fault]]) -> st.SearchStrategy[list[tuple[str, Fault]]]:
    return st.lists(st.sampled_from(faults), max_size=6)


@pytest.fixture
def small(tmp_path: Path) -> PracticeHost:
    """A host with one file of 40 kB."""
    return build_dogs(tmp_path / "small", files={NAME: bytes(range(250)) * 160})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(store=some_of(STORE_FAULTS), service=some_of(SERVICE_FAULTS))
def test_any_faults_end_in_the_right_bytes_or_an_error(
    small: PracticeHost,
    tmp_path_factory: pytest.TempPathFactory,
    server: KaggleServer,
    store: list[tuple[str, Fault]],
    service: list[tuple[str, Fault]],
) -> None:
    server.competitions[SLUG].host = small
    server.faults = [("store", fault) for _, fault in store]
    server.faults += [("DownloadDataFile" if n % 2 else "ListDataFiles", f) for n, (_, f) in enumerate(service)]
    kaggle = KaggleHost(DOGS, policy=RetryPolicy(RecordedSleeps(), attempts=5), limits=TransferLimits(2.0, 0.05))
    path = tmp_path_factory.mktemp("drawn") / "0.jpg"
    source = small.folder / "files" / NAME
    contents = [source.read_bytes()]
    try:
        (file,) = kaggle.list_files(SLUG)
        kaggle.download_file(SLUG, file, path, lambda _: None)
    except HostError as error:
        assert error.fix
        assert error.message
        assert not path.exists()
        return
    finally:
        contents.append(source.read_bytes())
    # If the file changed during the download, either content is right; a mixture is not.
    assert path.read_bytes() in contents
    assert [file.name for file in path.parent.iterdir()] == ["0.jpg"]


DOWNLOADER = """
import sys
from pathlib import Path
from competitions import load
from runner.hosts.kaggle import KaggleHost
host = KaggleHost(load("dog-breed"))
(file,) = host.list_files(host.competition.slug)
def advance(amount):
    print(amount, flush=True)
host.download_file(host.competition.slug, file, Path(sys.argv[1]), advance)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_download_loses_at_most_the_last_megabytes(
    tmp_path: Path, server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hashlib.shake_128(b"noise").digest(24 << 20)
    server.competitions[SLUG].host = build_dogs(tmp_path / "large", files={"big.bin": content})
    server.fail_next("store", stalls(16 << 20))
    path = tmp_path / "big.bin"
    command = [sys.executable, "-c", DOWNLOADER, str(path)]
    received = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        for line in killed.stdout:
            received += int(line)
            if received >= 15 << 20:
                killed.send_signal(signal.SIGKILL)
                break
    kept = path.with_name("big.bin.part").stat().st_size
    assert not path.exists()
    assert received - kept <= 4 << 20
    resumed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(resumed.stdout.splitlines()[0]) == kept  # resumed, not downloaded again
    assert path.read_bytes() == content
    ranges = [call.headers["Range"] for call in server.calls if call.name == "store" and "Range" in call.headers]
    assert ranges == [f"bytes={kept}-"]
