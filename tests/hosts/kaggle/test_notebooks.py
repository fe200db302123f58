"""Datasets, kernels and code submissions by the real client, on a server that really runs what is pushed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from runner.errors import HostError
from runner.hosts.grading import SolutionRow, Usage
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.kaggle.notebooks import KaggleNotebooks
from runner.hosts.notebooks import BusyDatasetError, DatasetStatus, Kernel, KernelStatus, Quota, QuotaError
from runner.hosts.practice import PracticeData, PracticeHost, create_practice_competition
from runner.hosts.protocol import Status
from tests.hosts.kaggle.conftest import DOGS, SLUG, RecordedSleeps
from tests.kaggle_server import KaggleServer, use_server
from tests.kaggle_server.faults import drops, drops_the_response, gateway_page, refuses

REF, DATA = "practice/write-the-sample", "practice/weights-of-dogs"
# The ids that it finds, and nothing but them: the hidden test set has others.
SCRIPT = f"""
import os, sys
from pathlib import Path
root = Path(os.environ.get("RUNNER_KAGGLE_ROOT", "/kaggle"))
weights = (root / "input" / "weights-of-dogs" / "weights.txt").read_text()
sample = (root / "input" / "{SLUG}" / "sample_submission.csv").read_text()
header, *rows = sample.split()
print("rows:", len(rows), "of", len(list((root / "input" / "{SLUG}" / "test").iterdir())), "images")
lines = [header] + [row.split(",")[0] + "," + weights for row in rows]
(root / "working" / "submission.csv").write_text("\\n".join(lines) + "\\n")
print("done", file=sys.stderr)
"""
HIDDEN = {"h1": "basset", "h2": "collie", "h3": "collie", "h4": "basset"}


def sample_of(ids: list[str]) -> str:
    return "\n".join(["id,basset,collie", *(f"{id},0.5,0.5" for id in ids)]) + "\n"


def write_zip(path: Path, names: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"an image")
    return path


@pytest.fixture
def practice(tmp_path: Path) -> PracticeHost:
    """A competition that takes notebooks only: one public test image, and four hidden ones with other ids."""
    source = tmp_path / "source"
    public, hidden = source / "public.csv", source / "hidden.csv"
    files = {
        "test.zip": write_zip(source / "test.zip", ["test/p1.jpg"]),
        "train.zip": write_zip(source / "train.zip", ["train/b1.jpg", "train/b2.jpg"]),
        "sample_submission.csv": public,
    }
    public.write_text(sample_of(["p1"]))
    hidden.write_text(sample_of(list(HIDDEN)))
    usages = [Usage.PUBLIC, Usage.PRIVATE, Usage.PRIVATE, Usage.PUBLIC]
    create_practice_competition(
        DOGS,
        tmp_path / "host",
        PracticeData(
            files=files,
            sample=hidden,
            classes=("basset", "collie"),
            solution=[SolutionRow(id, label, use) for (id, label), use in zip(HIDDEN.items(), usages, strict=True)],
            hidden={
                "test.zip": write_zip(source / "hidden" / "test.zip", [f"test/{id}.jpg" for id in HIDDEN]),
                "sample_submission.csv": hidden,
            },
        ),
    )
    return PracticeHost(DOGS, tmp_path / "host")


@pytest.fixture
def server(practice: PracticeHost) -> Iterator[KaggleServer]:
    with KaggleServer({SLUG: practice}) as running, use_server(running):
        yield running


@pytest.fixture
def kaggle(server: KaggleServer, recorded_sleeps: RecordedSleeps) -> KaggleHost:
    return KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps), limits=TransferLimits(2.0, 5.0))


@pytest.fixture
def notebooks(kaggle: KaggleHost) -> KaggleNotebooks:
    return KaggleNotebooks(kaggle)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.txt"
    path.write_text("0.9,0.1")
    return path


@pytest.fixture
def push(notebooks: KaggleNotebooks, weights: Path, server: KaggleServer) -> Callable[..., KernelStatus]:
    """Uploads the dataset once, pushes a script, and waits for the end of its session."""

    def run(source: str = SCRIPT, **fields: object) -> KernelStatus:
        if notebooks.fetch_dataset(DATA) is None:
            notebooks.create_dataset(DATA, "Weights of dogs", [weights])
        kernel = Kernel(REF, "Write the sample", source, SLUG, (DATA,))
        notebooks.push_kernel(replace(kernel, **fields))
        server.sessions.join()
        return notebooks.fetch_kernel_state(REF).status

    return run


def test_a_kernel_reads_its_sources_and_its_output_comes_back(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, tmp_path: Path
) -> None:
    assert notebooks.fetch_username() == "practice"
    assert push() is KernelStatus.COMPLETE
    lines = {(line.text, line.is_error) for line in notebooks.follow_log(REF)}
    assert lines == {("rows: 1 of 1 images", False), ("done", True)}
    (file,) = notebooks.list_outputs(REF)
    notebooks.download_output(REF, file, tmp_path / "out.csv", lambda *_: None)
    assert (tmp_path / "out.csv").read_text() == "id,basset,collie\np1,0.9,0.1\n"


def test_a_code_submission_is_rerun_on_other_ids(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, kaggle: KaggleHost, server: KaggleServer
) -> None:
    assert kaggle.fetch_info(SLUG).notebooks_only
    push()
    pushed = notebooks.find_kernel(REF)
    assert pushed is not None and pushed.source == SCRIPT and pushed.version == 1
    ref = notebooks.submit_kernel(SLUG, pushed, "submission.csv", "first | sha256:0123456789ab")
    server.sessions.join()
    submission = kaggle.fetch_submission(SLUG, ref)
    assert (submission.status, submission.message) == (Status.COMPLETE, "first | sha256:0123456789ab")
    assert submission.public == pytest.approx(0.10536, abs=1e-5)  # -log(0.9): both public rows are bassets
    assert submission.private == pytest.approx(2.30259, abs=1e-5)


def test_a_file_is_refused_where_only_notebooks_may_submit(kaggle: KaggleHost, submission: Path) -> None:
    with pytest.raises(HostError, match="takes notebooks only, no files"):
        kaggle.submit_file(SLUG, submission, "by hand")


def test_a_rerun_that_fails_is_told_as_the_submissions_error(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, kaggle: KaggleHost, server: KaggleServer
) -> None:
    fails_on_hidden = SCRIPT + "if len(rows) > 1: raise SystemExit(3)\n"
    assert push(fails_on_hidden) is KernelStatus.COMPLETE
    pushed = notebooks.find_kernel(REF)
    assert pushed is not None
    ref = notebooks.submit_kernel(SLUG, pushed, "submission.csv", "fails")
    server.sessions.join()
    submission = kaggle.fetch_submission(SLUG, ref)
    assert submission.status is Status.ERROR
    assert "exit code 3" in str(submission.error)


@pytest.mark.parametrize("body", ["import socket; socket.create_connection(('127.0.0.1', 9))", "import requests"])
def test_a_kernel_has_no_network_and_not_every_package(
    body: str, push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    server.notebooks.limits.missing = ("requests",)
    assert push(body) is KernelStatus.ERROR
    assert notebooks.fetch_kernel_state(REF).failure == "the script ended with exit code 1"
    said = " ".join(line.text for line in notebooks.follow_log(REF))
    assert "Temporary failure in name resolution" in said or "No module named 'requests'" in said


def test_a_kernel_that_writes_into_its_input_fails(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks
) -> None:
    script = SCRIPT + 'path = root / "input" / "weights-of-dogs" / "weights.txt"\npath.write_text("1,0")\n'
    assert push(script) is KernelStatus.ERROR
    if os.getuid() == 0:  # for others the system itself refuses
        assert "Read-only file system" in notebooks.fetch_kernel_state(REF).failure


def test_a_session_is_ended_at_its_limit_and_keeps_no_output(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks
) -> None:
    slow = "open('half.csv', 'w').close()\nimport threading; threading.Event().wait()\n"
    assert push(slow, timeout=1) is KernelStatus.ERROR
    assert notebooks.fetch_kernel_state(REF).failure == "the session was ended at its limit of 1 s"
    assert notebooks.list_outputs(REF) == ()


def test_a_session_is_cancelled_by_the_number_that_the_push_gave(
    notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    source = "print('waiting', flush=True)\nimport threading; threading.Event().wait()\n"
    pushed = notebooks.push_kernel(Kernel(REF, "Write the sample", source))
    assert next(notebooks.follow_log(REF)).text == "waiting"  # from the live stream
    notebooks.cancel_kernel(pushed)
    server.sessions.join()
    assert notebooks.fetch_kernel_state(REF).status is KernelStatus.CANCELLED
    with pytest.raises(HostError, match="did not say which session"):
        notebooks.cancel_kernel(replace(pushed, url="https://www.kaggle.com/code/practice/write-the-sample"))


def test_the_quota_is_told_and_refuses_an_accelerator_when_it_is_used_up(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    server.notebooks.limits.quota = Quota(timedelta(hours=30), timedelta(hours=30))
    quota = notebooks.fetch_quota()
    assert quota is not None and quota.left == timedelta(0) and quota.refreshes_at is not None
    with pytest.raises(QuotaError, match=r"weekly GPU quota of 30.00 hours"):
        push(accelerator="NvidiaTeslaT4")
    assert push() is KernelStatus.COMPLETE


def test_a_second_version_waits_until_the_first_is_processed(
    notebooks: KaggleNotebooks, weights: Path, server: KaggleServer
) -> None:
    server.notebook_faults.processing_polls = 2
    notebooks.create_dataset(DATA, "Weights of dogs", [weights])
    with pytest.raises(BusyDatasetError, match="still processing the last version"):
        notebooks.update_dataset(DATA, "second", [weights])
    states = [notebooks.fetch_dataset(DATA) for _ in range(3)]
    assert [state.status for state in states if state] == [
        DatasetStatus.PROCESSING,
        DatasetStatus.PROCESSING,
        DatasetStatus.READY,
    ]
    notebooks.update_dataset(DATA, "second", [weights])
    assert server.notebooks.dataset_version(DATA) == 2


@pytest.mark.parametrize("method", ["CreateDataset", "SaveKernel", "CreateCodeSubmission"])
def test_what_has_arrived_is_not_sent_again_after_a_lost_answer(
    method: str, push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    server.fail_next(method, drops_the_response)
    push()
    pushed = notebooks.find_kernel(REF)
    assert pushed is not None
    assert notebooks.submit_kernel(SLUG, pushed, "submission.csv", "x | sha256:0123456789ab") == "1"
    assert server.count(method) == 1
    assert (server.notebooks.dataset_version(DATA), pushed.version) == (1, 1)


def test_a_log_that_breaks_off_is_read_on_without_a_line_twice(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    push(SCRIPT + "print('last')\n")
    server.fail_next("GetKernelSessionLogsStream", drops(60), gateway_page(), drops(20))
    assert sorted(line.text for line in notebooks.follow_log(REF)) == ["done", "last", "rows: 1 of 1 images"]


def test_outputs_come_in_pages_and_may_be_of_an_older_version(
    push: Callable[..., KernelStatus], notebooks: KaggleNotebooks, server: KaggleServer
) -> None:
    many = SCRIPT + "for number in range(7): (root / 'working' / f'{number}.txt').write_text('x')\n"
    push(many)
    server.notebook_faults.page_limit = 3
    assert len(notebooks.list_outputs(REF)) == 8
    assert server.count("ListKernelSessionOutput") == 3
    push()
    server.notebook_faults.outputs_of = 1
    assert len(notebooks.list_outputs(REF)) == 8


def test_what_is_not_there_or_not_ours_is_told(notebooks: KaggleNotebooks, server: KaggleServer) -> None:
    assert notebooks.fetch_dataset(DATA) is None
    assert notebooks.find_kernel(REF) is None
    with pytest.raises(HostError, match="no kernel practice/write-the-sample, or you have no access"):
        notebooks.fetch_kernel_state(REF)
    with pytest.raises(HostError, match="it cannot read the dataset practice/weights-of-dogs"):
        notebooks.push_kernel(Kernel(REF, "Write the sample", SCRIPT, SLUG, (DATA,)))
    server.fail_next("GetAcceleratorQuotaStatistics", refuses(403, "no"))
    with pytest.raises(HostError, match="refuses the request"):
        notebooks.fetch_quota()


@pytest.mark.slow
def test_the_official_command_sees_the_same(
    push: Callable[..., KernelStatus],
    notebooks: KaggleNotebooks,
    server: KaggleServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def official(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("kaggle")), *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    push()
    pushed = notebooks.find_kernel(REF)
    assert pushed is not None
    notebooks.submit_kernel(SLUG, pushed, "submission.csv", "ours | sha256:0123456789ab")
    server.sessions.join()
    assert "COMPLETE" in official("kernels", "status", REF)
    official("kernels", "output", REF, "-p", str(tmp_path / "official"))
    assert (tmp_path / "official" / "submission.csv").read_text() == "id,basset,collie\np1,0.9,0.1\n"
    assert "ready" in official("datasets", "status", DATA)
    listed = official("competitions", "submissions", "-c", SLUG, "--csv")
    assert "ours | sha256:0123456789ab" in listed and "0.10536" in listed
