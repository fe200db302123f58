"""Images of one's own, predicted by a run as its test images are."""

from __future__ import annotations

import csv
import shutil
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.contract import Binary, Multilabel, Ordinal, Regression
from runner.contract.recipe import Stage, TrainMode
from runner.errors import DataError, UsageError
from runner.images.layout import RGB, Layout
from runner.images.views import PLAIN
from runner.options import Compute, PredictOptions
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.loaded_models import load_run
from runner.prediction.other_images import find_images, read_batches
from runner.prediction.out_of_fold import oof_targets
from runner.prediction.postprocess import Predicted, read_postprocess, write_postprocess
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.predict_images import decisions, predict_any, predict_images, write_image_predictions
from runner.steps.train import train
from runner.steps.write_submission import write_run_submission
from runner.training.run import Run
from runner.workspace import Workspace
from tests.builders import random_image, start_run, write_image
from tests.competitions import SHAPES, write_plugin

TINY = replace(SHAPES.recipe, stages=(Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_len=1),), folds=2)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Session:
    """A competition with its data, and a run of two folds and two snapshots, predicted with two views."""
    workspace = Workspace(tmp_path_factory.mktemp("own"))
    write_plugin(workspace.root, SHAPES)
    data = workspace.data_dir("shapes")
    shutil.copytree(shapes_folder, data)
    (data / ".complete").touch()
    session = Session(SHAPES, workspace, compute=Compute(device="cpu", workers=0))
    run = train(session, TINY, name="first")
    predict(session, run, PredictOptions("default"))
    return session


@pytest.fixture(scope="module")
def run(session: Session) -> Run:
    return Run("shapes", "first", session.workspace.run_dir("shapes", "first"))


def _submission(session: Session, name: str) -> dict[str, list[float]]:
    with session.submission_file(name).open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["id", "akita", "beagle", "collie"]
    return {row[0]: [float(cell) for cell in row[1:]] for row in rows}


def test_test_images_get_the_predictions_of_the_submission(session: Session, run: Run) -> None:
    expected = _submission(session, "first")
    found = list(predict_images(session, run, find_images(session.index.data_dir / "test")))
    names = [Path(name).stem for some in found for name in some.names]
    assert sorted(names) == sorted(expected)
    probabilities = np.concatenate([some.probabilities for some in found])
    np.testing.assert_allclose(probabilities, [expected[name] for name in names], atol=2e-6)
    (column, texts), *_ = found[0].decisions
    assert column == "prediction"
    assert texts[0] == found[0].columns[int(probabilities[0].argmax())]


def test_an_ensemble_predicts_with_all_its_runs(session: Session, run: Run) -> None:
    second = train(session, replace(TINY, seed=7), name="second")
    predict(session, second, PredictOptions("none"))
    both = ensemble(session, [run, second], name="both")
    expected = _submission(session, "both")
    found = next(iter(predict_images(session, both, find_images(session.index.data_dir / "test"))))
    wanted = [expected[Path(name).stem] for name in found.names]
    np.testing.assert_allclose(found.probabilities, wanted, atol=2e-6)


def test_each_run_of_an_ensemble_predicts_at_its_own_size(session: Session, run: Run) -> None:
    larger = train(session, replace(TINY, seed=8), name="larger")
    predict(session, larger, PredictOptions("none", size=44))
    both = ensemble(session, [run, larger], name="two-sizes")
    members = read_blend([run, larger], lambda: oof_targets(session.index)).members
    # Whatever these two are worth: both are to be used.
    postprocess = replace(read_postprocess(postprocess_file(both)), weights=(1 / len(members),) * len(members))
    write_postprocess(postprocess_file(both), postprocess, members)
    write_run_submission(session, both, postprocess, members)
    predict(session, larger, PredictOptions("none"))  # the ensemble is still what it was made from
    assert {size for size, _ in load_run(session, both).inputs} == {32, 44}
    expected = _submission(session, both.name)
    found = next(iter(predict_images(session, both, find_images(session.index.data_dir / "test"))))
    wanted = [expected[Path(name).stem] for name in found.names]
    np.testing.assert_allclose(found.probabilities, wanted, atol=2e-6)


def test_unreadable_images_are_named_and_skipped(session: Session, run: Run, tmp_path: Path) -> None:
    shutil.copytree(session.index.data_dir / "test", tmp_path / "photos" / "inside")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8 no more")
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    (tmp_path / "photos" / "empty.png").touch()
    result = write_image_predictions(session, run, tmp_path / "photos", tmp_path / "out.csv")
    assert result.predicted == 21
    assert [Path(name).name for name, _ in result.unreadable] == ["broken.jpg", "empty.png"]
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "image,akita,beagle,collie,prediction"
    assert len(lines) == 22
    with pytest.raises(DataError, match="none of 1 images can be read"):
        write_image_predictions(session, run, tmp_path / "photos" / "*.jpg", tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_a_pattern_a_file_and_a_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.jpg", "a.png", "c.txt", "deep/d.webp", ".hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert list(find_images(".")) == ["a.png", "b.jpg", "deep/d.webp"]
    assert list(find_images("*.jpg")) == ["b.jpg"]
    assert list(find_images("**/*.webp")) == ["deep/d.webp"]
    assert list(find_images("b.jpg")) == ["b.jpg"]
    for nothing in ("none", "*.gif"):
        with pytest.raises(UsageError, match="no such folder"):
            next(find_images(nothing))
    (tmp_path / "void").mkdir()
    with pytest.raises(UsageError, match="there is no image in this folder"):
        next(find_images("void"))


def test_arrays_pillow_images_and_tables_are_predicted(session: Session, run: Run) -> None:
    import pandas as pd

    folder = session.index.data_dir / "test"
    paths = sorted(folder.iterdir())[:3]
    by_path = next(iter(predict_any(session, run, paths)))
    opened = [Image.open(path) for path in paths]
    arrays = [np.asarray(image) for image in opened]
    for images in (opened, arrays, pd.DataFrame({"path": list(map(str, paths))})):
        found = next(iter(predict_any(session, run, images)))
        np.testing.assert_allclose(found.probabilities, by_path.probabilities, atol=1e-5)
    one = next(iter(predict_any(session, run, arrays[0])))
    assert one.names == ("0",)
    np.testing.assert_allclose(one.probabilities, by_path.probabilities[:1], atol=1e-5)
    wrong = next(iter(predict_any(session, run, [np.zeros((3, 3, 7), np.uint8), np.zeros(4), np.full((4, 4), "a")])))
    assert len(wrong.unreadable) == 3
    with pytest.raises(UsageError, match="no column path"):
        next(iter(predict_any(session, run, pd.DataFrame({"file": ["a"]}))))


def test_a_run_without_predictions_is_refused(session: Session) -> None:
    empty = start_run(session.workspace, "shapes", TINY, "empty")
    with pytest.raises(UsageError, match="empty is not predicted yet"):
        load_run(session, empty)


def test_memory_does_not_grow_with_the_number_of_images(session: Session, run: Run) -> None:
    loaded = load_run(session, run)
    image = random_image()

    def peak(count: int) -> int:
        tracemalloc.start()
        images = (image for _ in range(count))
        for batch in read_batches(images, loaded.inputs, SHAPES.preset, RGB, threads=1):
            assert batch.numbers
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return memory

    peak(512)  # what is imported and cached at first
    # The least of two: in one of them Python's own table of names may grow, by megabytes.
    assert min(peak(2048), peak(2048)) < 1.3 * peak(1024)


def test_competitions_with_columns_need_a_table(session: Session, run: Run) -> None:
    other = Session(replace(SHAPES, tabular=("angle",), test_csv="test.csv"), session.workspace)
    with pytest.raises(UsageError, match="also read angle"):
        next(iter(predict_images(other, run, ["a.jpg"])))


@pytest.mark.parametrize(
    ("labels", "classes", "values", "expected"),
    [
        (SHAPES.labels, ("a", "b"), [[0.2, 0.8]], [("prediction", ("b",))]),
        (Multilabel(csv="l.csv"), ("a", "b", "c"), [[1, 0, 1], [0, 0, 0]], [("prediction", ("a c", ""))]),
        (Binary(csv="l.csv", label="ill"), ("ill",), [[0.5], [0.4]], [("prediction", ("1", "0"))]),
        (Ordinal(csv="l.csv", label="grade", grades=3), ("0", "1", "2"), [[0, 0, 1]], [("prediction", ("2",))]),
        (Regression(csv="l.csv", label="age"), ("age",), [[3.5]], []),
    ],
)
def test_each_kind_of_labels_is_decided(labels, classes, values, expected) -> None:  # type: ignore[no-untyped-def]
    predicted = Predicted(np.array(values, float), np.array(values, float))
    assert list(decisions(labels, classes, predicted)) == expected


def test_an_image_of_several_files_is_named_by_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = random_image()[..., 0]
    for name in ("red.png", "green.png"):
        write_image(tmp_path / name, grey)
    monkeypatch.chdir(tmp_path)
    names = [
        "red.png + green.png",
        f"{tmp_path / 'red.png'} + {tmp_path / 'green.png'}",
        "red.png + gone.png",
        "red.png",
    ]
    batch = next(iter(read_batches(names, [(24, (PLAIN,))], SHAPES.preset, Layout(2), 1)))
    assert batch.names == tuple(names[:2])
    assert batch.images[24].shape == (2, 1, 24, 24, 2)
    assert [name for name, _ in batch.unreadable] == names[2:]
