"""A run is submitted by a notebook where only notebooks may: each step once, whatever ends the command."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.errors import HostError, UsageError
from runner.hosts.ledger import read_ledger
from runner.hosts.notebooks import Quota
from runner.hosts.protocol import Status
from runner.hosts.submit import SubmitResult
from runner.options import NotebookOptions, SubmitOptions
from runner.remote import package
from runner.remote import submit as remote_submit
from runner.remote.route import submit_file_or_notebook
from runner.remote.submit import owner_here, prepare, submit_notebook
from runner.session import Session
from runner.steps.submit import best_unsubmitted
from runner.training.run import Run
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import drops_the_response
from tests.remote.conftest import Killed, Trained, kill_after, remote_of, sent

# In the place of ours, which loads torch: it predicts the same for every id that it finds.
FAST = """
CONTENT = "{content}"
import json, os
from pathlib import Path
root = Path(os.environ["RUNNER_KAGGLE_ROOT"])
assert list((root / "input").glob("*/package-*.pyz"))
header, *rows = (root / "input" / "shapes" / "sample_submission.csv").read_text().split()
lines = [header] + [row.split(",")[0] + ",0.5,0.3,0.2" for row in rows]
(root / "working" / "submission.csv").write_text("\\n".join(lines) + "\\n")
result = dict(format=1, digest="{digest}", kind="infer", rows=len(rows), defaults=0, images=1, seconds=1.0, models=1)
(root / "working" / "runner.json").write_text(json.dumps(result))
{extra}
"""


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Scripts that need no torch; `extra` is what they do at their end, `digest` what they say of their package."""
    changes: dict[str, str] = {"extra": ""}

    def write(_title: str, _module: str, digest: str, _options: object, *, content: str) -> str:
        return FAST.format(**{"digest": digest, "content": content, **changes})

    monkeypatch.setattr(remote_submit, "write_script", write)
    monkeypatch.setattr(package, "stage_code", lambda *_: None)
    monkeypatch.setattr(remote_submit, "measure_inference", lambda *_: 0.01)
    return changes


def submit(session: Session, run: Run, server: KaggleServer, **options: Any) -> SubmitResult:
    """The whole command; every wait is until the server's sessions have ended."""
    again, remote = remote_of(session, server)
    notebook = NotebookOptions(options.pop("accelerator", None))
    return submit_notebook(again, run, SubmitOptions(**options), notebook, remote=remote)


@pytest.mark.slow
def test_the_hidden_test_set_is_predicted_by_the_run_itself(
    session: Session, run: Run, server: KaggleServer, trained: Trained
) -> None:
    result = submit(session, run, server)
    assert result.submission.status is Status.COMPLETE
    assert [standing.private for standing in result.standings] == [False, True]
    public = next((session.workspace.remote_dir("shapes") / "first" / "output").glob("submission.csv"))
    assert public.read_text() == trained.submission.read_text()
    told = json.loads((public.parent / "runner.json").read_text())
    assert (told["rows"], told["defaults"]) == (21, 0)
    log = next(server.notebooks.folder.glob("reruns/*.log")).read_text()
    assert "1 without one that can be read" in log
    assert sent(server) == (1, 1, 1)


def test_everything_is_sent_once_and_found_again(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = submit(session, run, server, message="by notebook")
    assert result.submission.status is Status.COMPLETE
    (entry,) = read_ledger(session.workspace.ledger_file)
    assert (entry.run, entry.file, entry.note) == ("first", "first.notebook.py", "by notebook")
    assert entry.public and entry.rank
    assert submit(session, run, server).submission.ref == result.submission.ref
    assert "already submitted as 1" in capsys.readouterr().err
    assert sent(server) == (1, 1, 1)


def test_another_version_of_the_runner_does_not_submit_a_run_again(
    session: Session,
    run: Run,
    server: KaggleServer,
    fast: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    submit(session, run, server)
    before = session.notebook_file("first").read_text()

    def stage(_session: Session, staging: Path) -> None:
        (staging / "runner").mkdir()
        (staging / "runner" / "__init__.py").write_text("__version__ = 'another'")

    monkeypatch.setattr(package, "stage_code", stage)
    prepare(session, run, owner_here(session))  # as --dry-run does
    assert session.notebook_file("first").read_text() != before
    assert best_unsubmitted(remote_of(session, server)[0], 5) == []
    assert submit(session, run, server).submission.ref == "1"
    assert "already submitted as 1" in capsys.readouterr().err
    assert sent(server) == (1, 1, 1)
    # Other weights are another submission.
    fold = run.folder / "fold-0" / "snapshot-0.safetensors"
    fold.write_bytes(fold.read_bytes()[::-1])
    prepare(session, run, owner_here(session))
    assert best_unsubmitted(remote_of(session, server)[0], 5) == [run]


STEPS = ("StartBlobUpload", "CreateDataset", "GetDatasetStatus", "SaveKernel", "GetKernelSessionStatus")
STEPS += ("ListKernelSessionOutput", "CreateCodeSubmission", "GetSubmission", "DownloadLeaderboard")


@pytest.mark.slow
@pytest.mark.parametrize("method", STEPS)
def test_a_command_that_is_killed_goes_on_without_a_second_of_anything(
    method: str,
    session: Session,
    run: Run,
    server: KaggleServer,
    fast: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        kill_after(method, patched)
        with pytest.raises(Killed):
            submit(session, run, server)
    server.sessions.join()
    assert submit(session, run, server).submission.status is Status.COMPLETE
    assert sent(server) == (1, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["CreateDataset", "SaveKernel", "CreateCodeSubmission"])
def test_a_lost_answer_sends_nothing_twice(
    method: str, session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    server.fail_next(method, drops_the_response)
    assert submit(session, run, server).submission.status is Status.COMPLETE
    assert sent(server) == (1, 1, 1)


def test_a_notebook_that_fails_tells_its_own_error_and_is_pushed_again_by_the_next_command(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    server.notebooks.limits.missing = ("json",)
    with pytest.raises(HostError, match=r"No module named 'json'") as caught:
        submit(session, run, server)
    assert "the script ended with exit code 1" in str(caught.value)
    server.notebooks.limits.missing = ()
    assert submit(session, run, server).submission.status is Status.COMPLETE
    assert sent(server) == (1, 2, 1)


def test_an_output_of_another_package_is_refused(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    fast["digest"] = "0" * 64
    with pytest.raises(HostError, match="is of another package: 000000000000"):
        submit(session, run, server)
    assert sent(server) == (1, 1, 0)


def test_an_output_with_a_wrong_form_costs_no_submission(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    fast["extra"] = "(root / 'working' / 'submission.csv').write_text(header + '\\n')"
    with pytest.raises(Exception, match="missing"):
        submit(session, run, server)
    assert sent(server) == (1, 1, 0)


def test_a_dataset_that_stays_processing_is_not_waited_for_without_end(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    server.notebook_faults.processing_polls = 10**6
    with pytest.raises(HostError, match="still processed after 60 minutes"):
        submit(session, run, server)
    assert sent(server) == (1, 0, 0)


def test_a_quota_that_is_used_up_is_told_before_anything_runs(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str]
) -> None:
    server.notebooks.limits.quota = Quota(timedelta(hours=30), timedelta(hours=30))
    with pytest.raises(HostError, match="weekly GPU quota"):
        submit(session, run, server, accelerator="NvidiaTeslaT4")
    assert sent(server)[1] == 0


def test_another_accelerator_than_the_one_that_was_asked_for_is_told(
    session: Session, run: Run, server: KaggleServer, fast: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.notebook_faults.shape_told = "NvidiaTeslaP100"
    submit(session, run, server, accelerator="NvidiaTeslaT4")
    assert "NvidiaTeslaT4 was asked for, and the host names NvidiaTeslaP100" in capsys.readouterr().err


def test_a_dry_run_writes_everything_and_sends_nothing(session: Session, run: Run, server: KaggleServer) -> None:
    prepared = prepare(session, run, owner_here(session))
    metadata = json.loads((prepared.folder / "kernel" / "kernel-metadata.json").read_text())
    assert metadata["enable_internet"] is False
    assert metadata["dataset_sources"] == ["USERNAME/runner-shapes-first"]
    assert prepared.package.digest in (prepared.folder / "kernel" / "script.py").read_text()
    assert {path.name for path in (prepared.folder / "dataset").iterdir()} == {
        "dataset-metadata.json",
        prepared.package.path.name,
    }
    assert server.calls == []


def test_a_file_is_refused_where_only_notebooks_may_submit(session: Session, server: KaggleServer) -> None:
    with pytest.raises(HostError, match="takes notebooks only, no files"):
        submit_file_or_notebook(session, session.submission_file("first"), SubmitOptions())


def test_a_run_that_is_not_predicted_cannot_be_packed(session: Session, run: Run, server: KaggleServer) -> None:
    (run.folder / "postprocess.json").unlink()
    (run.folder / "sources.json").unlink()
    with pytest.raises(UsageError, match="first is not predicted yet"):
        prepare(session, run, "me")
