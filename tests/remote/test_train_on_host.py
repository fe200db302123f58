"""A training is sent, followed and fetched: each step once, whatever ends the command, and with every fault told."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError, Interrupted, TrainingError, UsageError
from runner.hosts.notebooks import Quota, QuotaError
from runner.hosts.protocol import Status
from runner.options import NotebookOptions, TrainOptions
from runner.remote import train as remote_train
from runner.remote import train_package
from runner.remote.archive import pack_files
from runner.remote.jobs import cancel_job, fetch_job, find_job, follow_job, list_jobs
from runner.remote.sessions import Remote
from runner.remote.train import HostedRun, OnHost, resume_on_host, train_on_host
from runner.remote.train_manifest import DONE, FAILED, OUT_OF_TIME, TrainingResult
from runner.session import Session
from runner.steps.runs import run_status
from runner.training.progress import read_progress
from runner.training.run import find_run
from runner.workflow import RunOptions, run_and_submit
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import drops, drops_the_response, refuses
from tests.remote.conftest import Killed, Trained, kill_after, remote_of, require_same, sent

# In the place of ours, which loads torch: what it has trained lies on this disk already.
FAST = """
import json, os, shutil, time
from pathlib import Path
root = Path(os.environ["RUNNER_KAGGLE_ROOT"])
assert list((root / "input").glob("*/package-*.pyz"))
print("epoch 1", flush=True)
result = json.loads({result!r})
shutil.copyfile({archive!r}, root / "working" / "run.zip")
(root / "working" / "runner.json").write_text(json.dumps(result))
{extra}
"""


@dataclass
class Canned:
    """What the next sessions on the host bring back."""

    run: Path  # its folder
    submission: Path
    folder: Path
    ended: str = DONE  # of the next sessions
    error: str = ""
    extra: str = ""

    def script(self, _title: str, _module: str, digest: str, _options: object) -> str:
        ended = self.ended
        files = {f"runs/first/{path.relative_to(self.run).as_posix()}": path for path in self.paths(ended)}
        if ended == DONE:
            files["submissions/first.csv"] = self.submission
        archive = self.folder / f"{digest[:8]}-{ended}.zip"
        if not archive.exists():
            archive.parent.mkdir(exist_ok=True)
            pack_files(files, archive)
        gpus = ("Tesla T4", "Tesla T4")
        sha256 = remote_train.file_sha256(archive)
        result = TrainingResult(digest, "train", "first", ended, tuple(files), sha256, 1.0, gpus, self.error)
        return FAST.format(result=json.dumps({"format": 1, **asdict(result)}), archive=str(archive), extra=self.extra)

    def paths(self, ended: str) -> list[Path]:
        """All that the run has, or if it has not ended well its first fold."""
        paths = [path for path in sorted(self.run.rglob("*")) if path.is_file() and not path.name.startswith(".")]
        if ended == DONE:
            return paths
        return [path for path in paths if "fold-1" not in path.parts and path.suffix != ".npz"][:-3]


@pytest.fixture
def canned(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Canned:
    """Sessions that need no torch."""
    canned = Canned(trained.run.folder, trained.submission, tmp_path / "canned")
    monkeypatch.setattr(remote_train, "write_script", canned.script)
    monkeypatch.setattr(train_package, "stage_code", lambda *_: None)
    return canned


def train(session: Session, server: KaggleServer, accelerator: str | None = None, **more: Any) -> HostedRun:
    """The whole command, in a process of its own as far as that matters."""
    again, remote = remote_of(session, server)
    on = OnHost(NotebookOptions(accelerator, more.pop("hours", 9.0)), wait=more.pop("wait", True))
    options = TrainOptions(only_fold=more.pop("fold", None))
    return train_on_host(again, session.competition.recipe, options, on, name=more.pop("name", "first"), remote=remote)


def test_a_run_comes_back_and_nothing_is_sent_twice(
    empty_session: Session, server: KaggleServer, canned: Canned, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    hosted = train(empty_session, server)
    assert hosted.is_complete and hosted.run is not None
    require_same(hosted.run, trained.run)
    assert run_status(empty_session, hosted.run) == ("predicted", "")
    assert train(empty_session, server).is_complete
    told = capsys.readouterr().err
    assert "on a CPU, which costs no quota" in told and "  epoch 1" in told
    assert "first is trained, predicted and here: 0 min on Tesla T4, Tesla T4" in told
    assert "first is trained already: 2 of 2 epochs" in told
    assert sent(server) == (1, 1, 0)
    assert list(empty_session.workspace.remote_dir("shapes").glob("first/train/*/*.zip")) == []


def test_a_repeated_command_without_a_name_comes_back_to_its_kernel(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    first = train(empty_session, server, name=None, wait=False)
    assert (first.name, first.run) == ("test-resnet-1", None)
    again = train(empty_session, server, name=None, wait=False)
    assert again.name == "test-resnet-1"
    assert sent(server) == (1, 1, 0)


def test_two_folds_are_trained_side_by_side_and_the_whole_run_not_beside_them(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    assert train(empty_session, server, name=None, fold=0, wait=False).name == "test-resnet-1"
    assert train(empty_session, server, name=None, fold=1, wait=False).name == "test-resnet-1"
    with pytest.raises(UsageError, match="fold 0 of it is being trained on the host already"):
        train(empty_session, server, name="test-resnet-1", wait=False)
    assert len(list(server.notebooks.folder.glob("kernels/*/v1"))) == 2
    session, remote = remote_of(empty_session, server)
    assert [row.job for row in list_jobs(session, remote=remote)] == ["test-resnet-1.train-1", "test-resnet-1.train-0"]
    with pytest.raises(UsageError, match="several jobs are meant"):
        find_job(session, "test-resnet-1")
    assert find_job(session, "test-resnet-1.train-1").fold == 1


STEPS = ("GetAcceleratorQuotaStatistics", "StartBlobUpload", "CreateDataset", "GetDatasetStatus", "SaveKernel")
STEPS += ("GetKernelSessionStatus", "ListKernelSessionOutput")


@pytest.mark.slow
@pytest.mark.parametrize("method", STEPS)
def test_a_command_that_is_killed_goes_on_without_a_second_of_anything(
    method: str,
    empty_session: Session,
    server: KaggleServer,
    canned: Canned,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        kill_after(method, patched)
        with pytest.raises(Killed):
            train(empty_session, server, accelerator="NvidiaTeslaT4")
    server.sessions.join()
    hosted = train(empty_session, server, accelerator="NvidiaTeslaT4")
    assert hosted.is_complete and hosted.run is not None
    require_same(hosted.run, trained.run)
    assert sent(server) == (1, 1, 0)


def test_a_lost_answer_sends_nothing_twice(empty_session: Session, server: KaggleServer, canned: Canned) -> None:
    for method in ("CreateDataset", "SaveKernel"):
        server.fail_next(method, drops_the_response)
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 1, 0)


def test_an_install_that_is_killed_is_done_again(
    empty_session: Session, server: KaggleServer, canned: Canned, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("runner.remote.install._remove_others", killed)
        with pytest.raises(Killed):
            train(empty_session, server)
    hosted = train(empty_session, server)
    assert hosted.is_complete and hosted.run is not None
    require_same(hosted.run, trained.run)
    assert sent(server) == (1, 1, 0)


def test_the_next_session_goes_on_where_the_last_has_ended(
    empty_session: Session, server: KaggleServer, canned: Canned, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    canned.ended = OUT_OF_TIME
    hosted = train(empty_session, server, hours=0.5)
    assert not hosted.is_complete and hosted.run is not None
    assert "the session of first has ended in time: 1 of 2 epochs are trained and here" in capsys.readouterr().err
    assert run_status(empty_session, hosted.run) == ("unfinished", "1 of 2 epochs")
    canned.ended = DONE
    server.fail_next("CreateDatasetVersion", refuses(403, "Permission 'datasets.update' was denied"))
    again, remote = remote_of(empty_session, server)
    hosted = resume_on_host(again, hosted.run, on=OnHost(NotebookOptions(None)), remote=remote)
    assert hosted.is_complete and hosted.run is not None
    told = capsys.readouterr().err
    assert "going on with first after 1 of 2 epochs" in told and "still processing the last version" in told
    require_same(hosted.run, trained.run)
    assert sent(server)[1] == 2


def test_an_output_of_an_older_version_is_refused(empty_session: Session, server: KaggleServer, canned: Canned) -> None:
    canned.ended = OUT_OF_TIME
    train(empty_session, server)
    canned.ended = DONE
    server.notebook_faults.outputs_of = 1
    with pytest.raises(HostError, match="is of another package"):
        train(empty_session, server)
    server.notebook_faults.outputs_of = None
    assert train(empty_session, server).is_complete
    assert sent(server) == (2, 2, 0)


def test_a_session_without_progress_says_so_and_is_sent_again(
    empty_session: Session, server: KaggleServer, canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    canned.ended = OUT_OF_TIME
    monkeypatch.setattr(canned, "paths", lambda _ended: [])
    with pytest.raises(TrainingError, match="no epoch of first was finished in the session") as caught:
        train(empty_session, server)
    assert "--hours 12" in str(caught.value)
    monkeypatch.undo()
    assert sent(server) == (1, 1, 0)


def test_a_training_that_fails_there_tells_its_error_and_is_sent_again(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    canned.ended, canned.error = FAILED, "CUDA out of memory: it is 15 GiB"
    with pytest.raises(TrainingError, match="failed on the host: CUDA out of memory: it is 15 GiB"):
        train(empty_session, server)
    assert read_progress(find_run(empty_session.workspace, "shapes", "first")).done == 1
    canned.ended, canned.error = DONE, ""
    assert train(empty_session, server).is_complete


def test_a_kernel_that_fails_tells_the_end_of_its_log(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    canned.extra = 'raise SystemExit("error: this machine\'s image lacks pylibjpeg, and it could not be installed")'
    with pytest.raises(HostError, match="lacks pylibjpeg, and it could not be installed"):
        train(empty_session, server)
    canned.extra = ""
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 2, 0)


def test_a_session_that_is_killed_at_its_limit_is_sent_again(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    canned.extra = "time.sleep(60)"
    server.notebooks.limits.limit = 1.0
    with pytest.raises(HostError, match="was ended at its limit"):
        train(empty_session, server)
    canned.extra, server.notebooks.limits.limit = "", 600.0
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 2, 0)


def test_a_used_up_quota_is_told_before_anything_is_sent(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    server.notebooks.limits.quota = Quota(timedelta(hours=30), timedelta(hours=30))
    with pytest.raises(QuotaError, match="the 30 GPU hours of this week are used up, until") as caught:
        train(empty_session, server, accelerator="NvidiaTeslaT4")
    assert "--accelerator none" in str(caught.value)
    assert sent(server) == (0, 0, 0)


def test_a_session_takes_no_more_than_the_quota_has_left(
    empty_session: Session, server: KaggleServer, canned: Canned, capsys: pytest.CaptureFixture[str]
) -> None:
    server.notebooks.limits.quota = Quota(timedelta(hours=27.5), timedelta(hours=30))
    train(empty_session, server, accelerator="NvidiaTeslaT4")
    assert "2.5 of 30 GPU hours are left this week, until" in capsys.readouterr().err
    kernel = json.loads(next(server.notebooks.folder.glob("kernels/*/v1/kernel.json")).read_text())
    assert (kernel["timeout"], kernel["accelerator"], kernel["internet"]) == (9000, "NvidiaTeslaT4", False)


def test_another_accelerator_than_the_one_that_was_asked_for_is_told(
    empty_session: Session, server: KaggleServer, canned: Canned, capsys: pytest.CaptureFixture[str]
) -> None:
    server.notebook_faults.shape_told = "NvidiaTeslaP100"
    train(empty_session, server, accelerator="NvidiaTeslaT4")
    assert "NvidiaTeslaT4 was asked for, and the host names NvidiaTeslaP100" in capsys.readouterr().err


def test_a_dataset_that_stays_processing_is_not_waited_for_without_end(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    server.notebook_faults.processing_polls = 10**6
    with pytest.raises(HostError, match="still processed after 60 minutes"):
        train(empty_session, server)
    server.processing.clear()
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 1, 0)


def test_a_log_that_breaks_off_is_followed_again(empty_session: Session, server: KaggleServer, canned: Canned) -> None:
    server.fail_next("GetKernelSessionLogsStream", drops(20))
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 1, 0)


def test_what_was_trained_here_meanwhile_is_not_replaced(
    empty_session: Session, server: KaggleServer, canned: Canned, trained: Trained
) -> None:
    train(empty_session, server, wait=False)
    folder = empty_session.workspace.run_dir("shapes", "first")
    shutil.copytree(trained.run.folder, folder)
    with pytest.raises(UsageError, match="first has been trained on here since it was sent"):
        train(empty_session, server)
    shutil.rmtree(folder)
    assert train(empty_session, server).is_complete


def test_a_run_that_was_deleted_meanwhile_is_not_brought_back_in_part(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    canned.ended = OUT_OF_TIME
    hosted = train(empty_session, server)
    train(empty_session, server, wait=False)
    assert hosted.run is not None
    shutil.rmtree(hosted.run.folder)
    with pytest.raises(UsageError, match="first is no longer here, and the host sends only what it has trained since"):
        train(empty_session, server)


def test_rules_that_are_not_accepted_are_told_before_anything_is_sent(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    server.competitions["shapes"].rules_accepted = False
    with pytest.raises(HostError, match="the rules of Shapes are not accepted yet"):
        train(empty_session, server)
    assert sent(server) == (0, 0, 0)


def test_another_request_for_a_name_that_is_being_trained_there_is_refused(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    train(empty_session, server, wait=False)
    other = replace(empty_session.competition, recipe=replace(empty_session.competition.recipe, seed=7))
    with pytest.raises(UsageError, match="first is being trained on the host, and was asked for something else"):
        train(replace(empty_session, competition=other), server)


def test_the_jobs_are_listed_followed_fetched_and_cancelled(
    empty_session: Session, server: KaggleServer, canned: Canned
) -> None:
    with pytest.raises(UsageError, match="nothing was sent to the host"):
        find_job(empty_session, None)
    canned.extra = "time.sleep(60)"
    train(empty_session, server, wait=False)
    session, remote = remote_of(empty_session, server)
    job = find_job(session, "first")
    (row,) = list_jobs(session, remote=remote)
    assert (row.job, row.version, row.hours) == ("first.train", 1, 9.0)
    with pytest.raises(HostError, match=r"is (queued|running)"):
        fetch_job(session, job, remote=remote)
    cancel_job(session, job, remote=remote)
    server.sessions.join()
    canned.extra = ""
    train(empty_session, server, wait=False)
    server.sessions.join()
    session, remote = remote_of(empty_session, server)
    came = follow_job(session, find_job(session, "first.train"), remote=remote)
    assert came is not None and came.is_complete
    assert [row.state for row in list_jobs(session, remote=remote)] == ["fetched"]
    with pytest.raises(UsageError, match="nothing is left to be fetched"):
        find_job(session, None)
    with pytest.raises(UsageError, match="there is no job 'fist'"):
        find_job(session, "fist")


def test_ctrl_c_leaves_the_kernel_running_and_says_how_to_come_back(
    empty_session: Session, server: KaggleServer, canned: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Remote, "_follow", interrupted)
        with pytest.raises(Interrupted, match="goes on on the host, and the same command comes back to it"):
            train(empty_session, server)
    assert train(empty_session, server).is_complete
    assert sent(server) == (1, 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_session_brings_back_the_run_that_is_trained_here(
    empty_session: Session, server: KaggleServer, trained: Trained
) -> None:
    hosted = train(empty_session, server)
    assert hosted.is_complete and hosted.run is not None
    require_same(hosted.run, trained.run)
    assert empty_session.submission_file("first").read_bytes() == trained.submission.read_bytes()
    assert run_status(empty_session, hosted.run) == ("predicted", "")
    assert sent(server) == (1, 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_run_alone_leads_from_the_download_to_a_standing_by_notebooks(
    empty_session: Session, server: KaggleServer, trained: Trained
) -> None:
    shutil.rmtree(empty_session.workspace.root / "data")
    options = RunOptions(on_host=True, notebook=NotebookOptions(None))
    submitted = run_and_submit(empty_session, empty_session.competition.recipe, options, name="first")
    require_same(submitted.run, trained.run)
    assert submitted.result.submission.status is Status.COMPLETE
    assert [standing.private for standing in submitted.result.standings] == [False, True]
    log = next(server.notebooks.folder.glob("reruns/*.log")).read_text()
    assert "1 without one that can be read" in log  # of the hidden ids
    kernels = sorted(path.parent.name for path in server.notebooks.folder.glob("kernels/*/v1"))
    assert kernels == ["runner-shapes-first-predict", "runner-shapes-first-train"]
