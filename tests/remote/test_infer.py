"""Inference on a machine of Kaggle's: the same submission as here, and a valid one whatever test set is there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.errors import DataError
from runner.options import PredictOptions
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.out_of_fold import oof_targets
from runner.prediction.postprocess import read_postprocess, write_postprocess
from runner.prediction.submission import check_submission
from runner.prediction.weighted_models import weighted_models
from runner.remote import infer
from runner.remote.estimate import measure_inference
from runner.remote.package import build_package
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.train import train
from runner.steps.write_submission import write_run_submission
from runner.submission_format.submission_format import read_submission_format
from runner.training.run import find_run
from runner.workspace import Workspace
from tests.builders import random_image, write_image
from tests.remote.conftest import KaggleMachine, Package, Trained, unpacked_machine

OPTIONS = {"seconds": 3600}


def run(machine: KaggleMachine, package: Package) -> dict[str, object]:
    assert infer.main(machine.scratch, machine.root, package.digest, OPTIONS) == 0
    result: dict[str, object] = json.loads((machine.root / "working" / "runner.json").read_text())
    return result


def hide(machine: KaggleMachine, ids: list[str]) -> None:
    """Replace the test set by another one."""
    header = (machine.input / "sample_submission.csv").read_text().splitlines()[0]
    rows = [f"{id},0.3,0.3,0.4" for id in ids]
    (machine.input / "sample_submission.csv").write_text("\n".join([header, *rows]) + "\n")
    for path in (machine.input / "test").iterdir():
        path.unlink()
    for seed, id in enumerate(ids):
        write_image(machine.input / "test" / f"{id}.jpg", random_image(seed))


def require_valid(machine: KaggleMachine, trained: Trained) -> None:
    form = read_submission_format(trained.session.competition, machine.input / "sample_submission.csv")
    classes = trained.session.index.classes
    assert check_submission(form, machine.root / "working" / "submission.csv", classes).errors == ()


def test_the_submission_is_that_of_predict_here(machine: KaggleMachine, package: Package, trained: Trained) -> None:
    result = run(machine, package)
    assert machine.submission == trained.submission.read_text().splitlines()
    assert result["digest"] == package.digest
    assert (result["rows"], result["defaults"], result["is_rerun"]) == (21, 0, False)


def test_other_ids_and_another_number_of_them_are_predicted(
    machine: KaggleMachine, package: Package, trained: Trained
) -> None:
    hide(machine, [f"hidden{number:02d}" for number in range(33)])
    for path in (machine.input / "train").iterdir():
        path.unlink()  # some competitions do not mount them in a rerun
    assert run(machine, package)["rows"] == 33
    require_valid(machine, trained)
    assert len(set(machine.submission)) == 34


def test_images_that_are_missing_or_broken_get_the_class_frequencies(
    machine: KaggleMachine, package: Package, trained: Trained
) -> None:
    hide(machine, [f"h{number}" for number in range(6)])
    folder = machine.input / "test"
    (folder / "h0.jpg").unlink()
    (folder / "h1.jpg").write_bytes(b"")
    content = (folder / "h2.jpg").read_bytes()
    (folder / "h2.jpg").write_bytes(content[: len(content) // 2])
    assert run(machine, package)["defaults"] == 3
    require_valid(machine, trained)
    cells = [line.partition(",")[2] for line in machine.submission[1:]]
    assert cells[0] == cells[1] == cells[2]
    assert len({*cells[3:], cells[0]}) == 4


def test_an_image_that_only_the_decoder_finds_broken_is_left_out(
    machine: KaggleMachine, package: Package, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(machine, ["a", "b", "c"])
    (machine.input / "test" / "b.jpg").write_bytes(b"not an image")
    monkeypatch.setattr(infer, "find_unreadable", lambda *_, **__: ())  # as if its ends looked whole
    assert run(machine, package)["defaults"] == 1
    require_valid(machine, trained)


def test_no_image_at_all_is_still_a_valid_submission(
    machine: KaggleMachine, package: Package, trained: Trained
) -> None:
    hide(machine, ["a", "b"])
    for path in (machine.input / "test").iterdir():
        path.unlink()
    assert run(machine, package)["defaults"] == 2
    require_valid(machine, trained)


def test_a_failure_is_an_error_before_the_rerun_and_a_default_submission_in_it(
    machine: KaggleMachine, package: Package, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(machine, ["a", "b"])

    def fails(*_: object, **__: object) -> None:
        raise DataError("the GPU has gone")

    monkeypatch.setattr(infer, "predict_fold", fails)
    with pytest.raises(DataError, match="the GPU has gone"):
        infer.main(machine.scratch, machine.root, package.digest, OPTIONS)
    (machine.scratch / "workspace").rename(machine.scratch / "before")
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "1")
    result = run(machine, package)
    assert result["error"] == "DataError: the GPU has gone"
    assert result["defaults"] == 2
    require_valid(machine, trained)


def test_models_are_left_out_when_the_time_is_short(
    machine: KaggleMachine, package: Package, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(infer, "_RESERVE", 4000.0)
    result = run(machine, package)
    assert result["models_left_out"] == int(str(result["models"])) - 1
    require_valid(machine, trained)
    assert np.isfinite([float(cell) for line in machine.submission[1:] for cell in line.split(",")[1:]]).all()


def test_the_package_is_the_same_bytes_every_time(trained: Trained, package: Package, tmp_path: Path) -> None:
    assert build_package(trained.session, trained.run, tmp_path).digest == package.digest


def test_a_run_is_predicted_there_at_its_size_here(trained: Trained, shapes_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"  # the other tests share the run
    shutil.copytree(trained.session.workspace.root, root)
    session = replace(trained.session, workspace=Workspace(root))
    resized = find_run(session.workspace, session.name, trained.run.name)
    path = predict(session, resized, PredictOptions(size=44))
    package = build_package(session, resized, tmp_path)
    machine = unpacked_machine(package, shapes_folder, tmp_path)
    assert run(machine, package)["models_left_out"] == 0
    assert machine.submission == path.read_text().splitlines()
    assert path.read_bytes() != trained.submission.read_bytes()
    seconds = measure_inference(session, resized)
    assert seconds is not None and seconds > 0


@pytest.mark.slow
def test_an_ensemble_of_runs_is_predicted_as_here(session: Session, shapes_folder: Path, tmp_path: Path) -> None:
    second = train(session, replace(session.competition.recipe, seed=7), name="second")
    predict(session, second)
    runs = [find_run(session.workspace, "shapes", "first"), second]
    both = ensemble(session, runs, name="both")
    # Whatever these two are worth: both are to be used.
    members = read_blend(runs, lambda: oof_targets(session.index)).members
    fitted = read_postprocess(postprocess_file(both))
    postprocess = replace(fitted, weights=(1 / len(members),) * len(members))
    write_postprocess(postprocess_file(both), postprocess, members, "")
    write_run_submission(session, both, postprocess, members)
    package = build_package(session, both, tmp_path)
    assert {model.run for model in weighted_models(both)} == {"first", "second"}
    machine = unpacked_machine(package, shapes_folder, tmp_path)
    assert run(machine, package)["models_left_out"] == 0
    assert machine.submission == session.submission_file("both").read_text().splitlines()
