"""A training in a session on a host's machine: the same run as here, and one that goes on where it was ended."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import pytest
import timm
from safetensors.torch import save_file

from runner.contract import Recipe
from runner.contract.recipe import linear_probe
from runner.errors import DataError
from runner.options import Deadline, TrainOptions
from runner.remote import train_session, worker
from runner.remote.archive import pack_files
from runner.remote.install import install, run_of, state_of
from runner.remote.job import RemoteJob, train_kind
from runner.remote.package import Package
from runner.remote.result import RESULT, RESULT_FORMAT
from runner.remote.train_manifest import DONE, OUT_OF_TIME, OUTPUT, Training, TrainingResult
from runner.remote.train_package import build_train_package
from runner.session import Session
from runner.steps.predict import predict
from runner.steps.runs import run_status
from runner.steps.train import refit
from runner.training import deadline
from runner.training.progress import read_progress
from runner.training.run import Run, find_run
from runner.training.weights_files import resolve_weights
from runner.workspace import read_record
from tests.remote.conftest import Trained, require_same

NEVER = Deadline(float("inf"))


@dataclass(frozen=True)
class There:
    """A session on a machine with the competition's files, in this process."""

    session: Session
    root: Path
    folder: Path

    def train(
        self,
        name: str = "first",
        until: Deadline = NEVER,
        fold: int | None = None,
        training: Training | None = None,
    ) -> tuple[TrainingResult, Run]:
        """Send, train and bring back."""
        training = training or self.training(fold)
        package = build_train_package(self.session, name, training, self.folder / "package")
        result = self.session_of(package, until)
        job = RemoteJob(train_kind(fold), name, package.digest, "me/data", "me/kernel", fold=fold)
        return result, install(self.session, job, self.root / "working" / OUTPUT, result)

    def training(self, fold: int | None = None) -> Training:
        return Training(self.recipe, TrainOptions(only_fold=fold))

    @property
    def recipe(self) -> Recipe:
        return self.session.competition.recipe

    def session_of(self, package: Package, until: Deadline) -> TrainingResult:
        """What the script does, without a process of its own for the training."""
        scratch = self.folder / f"scratch-{package.digest[:8]}"
        shutil.rmtree(scratch, ignore_errors=True)
        with ZipFile(package.path) as archive:
            archive.extractall(scratch / "package")
        manifest = train_session.read_manifest(scratch)
        workspace = train_session.lay_out(scratch, self.root, manifest)
        code = worker.work(scratch, until, "cpu")
        ending = train_session.read_ending(scratch, code)
        train_session.save(self.root, workspace, manifest, train_session.SessionFacts(package.digest, 0.0, (), ending))
        return read_record(self.root / "working" / RESULT, TrainingResult, format=RESULT_FORMAT)


@pytest.fixture
def there(empty_session: Session, shapes_folder: Path, tmp_path: Path) -> There:
    """A workspace with the data and no run, and a machine of the host's."""
    root = tmp_path / "kaggle"
    shutil.copytree(shapes_folder, root / "input" / "shapes")
    (root / "working").mkdir()
    return There(empty_session, root, tmp_path / "there")


def test_a_run_that_was_trained_there_is_the_one_that_is_trained_here(
    there: There, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    result, run = there.train()
    assert (result.ended, result.error) == (DONE, "")
    require_same(run, trained.run)
    submission = there.session.submission_file("first")
    assert submission.read_bytes() == trained.submission.read_bytes()
    assert run.folds_file.read_bytes() == there.session.folds_file.read_bytes()
    # From here on nothing tells that it was trained elsewhere.
    assert run_status(there.session, run) == ("predicted", "")
    assert predict(there.session, run) == submission
    assert "first is predicted already" in capsys.readouterr().err


def test_a_session_ends_with_a_finished_cycle_and_the_next_goes_on(
    there: There, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(deadline.time, "monotonic", lambda: next(clock))
    until = Deadline(4)  # the clock ticks at each look: after the first fold's epoch
    result, run = there.train(until=until)
    monkeypatch.undo()
    assert result.ended == OUT_OF_TIME
    assert (read_progress(run).done, until.epochs) == (1, 1)
    assert run_status(there.session, run)[0] == "unfinished"
    result, run = there.train()
    assert result.ended == DONE
    with ZipFile(there.root / "working" / OUTPUT) as archive:
        assert "runs/first/fold-0/snapshot-0.safetensors" not in archive.namelist()  # it is here already
    require_same(run, trained.run)


def test_folds_that_were_trained_in_two_sessions_are_one_run(there: There, trained: Trained) -> None:
    for fold in (1, 0):
        result, run = there.train(fold=fold)
        assert result.ended == DONE
        assert read_progress(run, [fold]).is_finished
        assert state_of(run, fold) and (state_of(run, 1 - fold) == "") == (fold == 1)
    assert read_progress(run).is_finished
    assert [line["fold"] for line in map(json.loads, run.log_file.read_text().splitlines())] == [1, 0]
    path = predict(there.session, run)
    assert path.read_bytes() == trained.submission.read_bytes()
    require_same(run, trained.run)


def test_a_training_that_fails_tells_its_own_error_and_keeps_what_is_finished(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise DataError("the disk is full", where="there")

    monkeypatch.setattr(worker, "_predict", fails)
    result, run = there.train()
    assert result.ended == "error"
    assert result.error.startswith("the disk is full\n  where: there")
    assert read_progress(run).is_finished


def test_a_training_on_other_data_than_here_is_refused(there: There) -> None:
    (there.root / "input" / "shapes" / "train" / "train000.jpg").unlink()
    result, _ = there.train()
    assert result.ended == "error"


def test_the_package_is_the_same_bytes_until_the_run_has_changed(
    there: There, trained: Trained, tmp_path: Path
) -> None:
    def digest() -> str:
        return build_train_package(there.session, "first", there.training(), tmp_path / "again").digest

    first = digest()
    assert digest() == first
    shutil.copytree(trained.run.folder, there.session.workspace.run_dir("shapes", "first"))
    assert digest() != first


def test_an_image_that_lacks_a_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match="lacks no-such-package>=2, and they could not be installed"):
        train_session.install_missing(("numpy>=1", "no-such-package>=2"), tmp_path)


def test_a_file_of_no_run_is_not_installed(there: There, tmp_path: Path) -> None:
    job = RemoteJob("train", "first", "", "me/data", "me/kernel")
    (tmp_path / "a").write_text("a")
    for name in ("runs/other/recipe.json", "runs/first/../../x", "/etc/passwd", "competitions/first.py"):
        pack_files({name: tmp_path / "a"}, tmp_path / "run.zip")
        with pytest.raises(Exception, match="is of no run"):
            install(there.session, job, tmp_path / "run.zip", TrainingResult("", "train", "first", DONE, (), "", 0.0))
    assert state_of(run_of(there.session, job)) == ""


def test_a_refit_that_was_made_there_is_the_one_that_is_made_here(
    there: There, trained: Trained, session: Session
) -> None:
    shutil.copytree(trained.run.folder, there.session.workspace.run_dir("shapes", "first"))
    recipe = replace(there.recipe, all_data=True, refit_of="first", folds=None)
    result, run = there.train("first-all", training=Training(recipe))
    assert (result.ended, result.error) == (DONE, "")
    here = refit(session, find_run(session.workspace, "shapes", "first"))
    predict(session, here)
    require_same(run, here)
    files = [each.submission_file("first-all").read_bytes() for each in (there.session, session)]
    assert files[0] == files[1]
    assert run_status(there.session, run) == ("predicted", "")


@pytest.mark.slow
def test_a_training_that_starts_from_another_run_takes_its_snapshot_along(there: There, trained: Trained) -> None:
    shutil.copytree(trained.run.folder, there.session.workspace.run_dir("shapes", "first"))
    recipe = replace(there.recipe, from_run="first:snapshot-0", seed=7)
    result, run = there.train("second", training=Training(recipe))
    assert (result.ended, result.error) == (DONE, "")
    assert read_progress(run).is_finished


@pytest.mark.slow
def test_a_weights_file_is_taken_along(there: There, tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), weights)
    recipe, options = resolve_weights(there.session, there.recipe, TrainOptions(weights=weights))
    result, run = there.train("second", training=Training(recipe, options))
    assert (result.ended, result.error) == (DONE, "")
    assert run.read_recipe().weights == recipe.weights


def test_each_of_several_cards_gets_a_process() -> None:
    assert train_session.worker_command(Path("scratch"), 60.0, 1)[1:] == ["-m", "runner.remote.worker", "scratch", "60"]
    words = train_session.worker_command(Path("scratch"), 60.0, 2)
    assert words[1:6] == ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    assert words[-4:] == ["-m", "runner.remote.worker", "scratch", "60"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_one_run(there: There, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = build_train_package(there.session, "first", there.training(), there.folder / "package")
    scratch = tmp_path / "scratch"
    with ZipFile(package.path) as archive:
        archive.extractall(scratch / "package")
    monkeypatch.setattr(train_session, "find_gpus", lambda: ("Tesla T4", "Tesla T4"))
    assert train_session.main(scratch, there.root, package.digest, {"seconds": 600}) == 0
    result = read_record(there.root / "working" / RESULT, TrainingResult, format=RESULT_FORMAT)
    assert (result.ended, result.error) == (DONE, "")
    job = RemoteJob("train", "first", package.digest, "me/data", "me/kernel")
    run = install(there.session, job, there.root / "working" / OUTPUT, result)
    assert run_status(there.session, run) == ("predicted", "")


def test_a_training_that_takes_too_long_is_ended_and_what_is_there_is_saved(
    there: There, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = build_train_package(there.session, "first", there.training(), there.folder / "package")
    scratch = tmp_path / "scratch"
    with ZipFile(package.path) as archive:
        archive.extractall(scratch / "package")
    words = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(train_session, "worker_command", lambda *_: words)
    assert train_session.main(scratch, there.root, package.digest, {"seconds": 0}) == 0
    result = read_record(there.root / "working" / RESULT, TrainingResult, format=RESULT_FORMAT)
    assert (result.ended, result.files) == (OUT_OF_TIME, ())


@pytest.mark.slow
def test_a_run_that_is_refitted_in_seconds_comes_back_with_its_refit(there: There) -> None:
    recipe = linear_probe(replace(there.recipe, folds=None))
    result, run = there.train(training=Training(recipe, refit=True))
    assert (result.ended, result.error) == (DONE, "")
    refitted = find_run(there.session.workspace, "shapes", "first-all")
    assert [run_status(there.session, each) for each in (run, refitted)] == [("predicted", "")] * 2
    assert there.session.submission_file("first-all").exists()
    # What `run` calls next finds both finished.
    assert refit(there.session, run).name == "first-all"
    assert predict(there.session, refitted) == there.session.submission_file("first-all")
