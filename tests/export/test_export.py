"""An exported folder predicts as the run does, by its own script, without this package."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.contract import (
    BINARY_LOG_LOSS,
    MEAN_F2,
    QWK,
    RADAR,
    RMSE,
    SIDE_ON,
    Binary,
    Competition,
    Labels,
    Metric,
    Multilabel,
    Ordinal,
    Preset,
    Regression,
    Resize,
)
from runner.contract.recipe import Stage, TrainMode
from runner.errors import RunnerError, UsageError
from runner.export import images as exported_images
from runner.export.export import TOLERANCE, export_run
from runner.export.settings import export_settings
from runner.images.layout import RGB
from runner.images.views import all_views
from runner.options import Compute, PredictOptions
from runner.prediction.loaded_models import load_run
from runner.prediction.other_images import find_images, read_batches
from runner.session import Session
from runner.steps.predict import predict
from runner.steps.predict_images import predict_images
from runner.steps.train import train
from runner.training.run import Run
from runner.workspace import Workspace
from tests.builders import BREEDS, random_image, start_run, write_csv, write_image
from tests.competitions import SHAPES

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript"))
NEEDS_ONNX = pytest.mark.skipif(
    not HAS_ONNX, reason="onnx, onnxruntime and onnxscript (the extra `export`) are not here"
)
STAGES = (Stage(24, TrainMode.FROZEN), Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_len=1))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> tuple[Session, Run]:
    """A run of two folds with several models and two views."""
    return _predicted(tmp_path_factory.mktemp("export"), shapes_folder, SHAPES, folds=2)


def _predicted(
    root: Path, data: Path, competition: Competition, folds: int | None = None, stages: tuple[Stage, ...] = STAGES
) -> tuple[Session, Run]:
    workspace = Workspace(root)
    folder = workspace.data_dir("shapes")
    shutil.copytree(data, folder)
    (folder / ".complete").touch()
    session = Session(competition, workspace, compute=Compute(device="cpu", workers=0))
    run = train(session, replace(competition.recipe, stages=stages, folds=folds), name="first")
    predict(session, run, PredictOptions("default"))
    return session, run


def _run_script(folder: Path, images: Sequence[Path]) -> dict[str, list[float]]:
    """The numbers that predict.py prints, by image; from a folder where nothing of ours can be imported."""
    isolated = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if extra := os.environ.get("EXPORT_SITE"):
        isolated["PYTHONPATH"] = extra
    words = [sys.executable, str(folder / "predict.py"), *map(str, images)]
    done = subprocess.run(words, cwd=folder, env=isolated, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "runner" not in (folder / "images.py").read_text().split("import", 1)[1].split("\n\n\n")[0]
    lines = [line.partition(" ") for line in done.stdout.replace("\n ", " ").splitlines()]
    return {path: [float(word) for word in _numbers(rest)] for path, _, rest in lines}


def _numbers(text: str) -> list[str]:
    return [word for word in text.replace("[", " ").replace("]", " ").split() if word.replace(".", "", 1).isdigit()]


@pytest.mark.parametrize("format", ["torchscript", pytest.param("onnx", marks=NEEDS_ONNX), "timm"])
def test_the_script_predicts_what_the_run_predicts(format: str, shapes: tuple[Session, Run], tmp_path: Path) -> None:
    session, run = shapes
    made = export_run(session, run, tmp_path / "out", format)
    assert made.difference <= TOLERANCE
    assert {"README.md", "export.json", "images.py", "predict.py"} <= set(made.files)
    paths = sorted((session.index.data_dir / "test").iterdir())[:5]
    printed = _run_script(tmp_path / "out", paths)
    loaded = replace(load_run(session, run), exact=True)  # else in half precision, where the CPU has it
    batch = next(iter(read_batches(map(str, paths), loaded.inputs, SHAPES.preset, RGB, 1)))
    expected = loaded.predict(batch.images, np.zeros((5, 0), np.float32)).probabilities
    for name, probabilities in zip(batch.names, expected, strict=True):
        np.testing.assert_allclose(printed[name][-3:], probabilities, atol=TOLERANCE)
    assert len((tmp_path / "out" / "predict.py").read_text().splitlines()) <= 17


@pytest.mark.parametrize("format", ["torchscript", "timm"])
def test_networks_are_exported_at_the_size_that_they_predict_at(
    format: str, shapes: tuple[Session, Run], tmp_path: Path
) -> None:
    session, run = shapes
    predict(session, run, PredictOptions("default", size=44))
    try:
        assert export_run(session, run, tmp_path / "out", format).difference <= TOLERANCE
    finally:
        predict(session, run, PredictOptions("default"))
    settings = json.loads((tmp_path / "out" / "export.json").read_text())
    assert [(each["size"], [view["name"] for view in each["views"]]) for each in settings["inputs"]] == [
        (44, ["plain", "zoom hflip"])
    ]


def test_the_model_card_has_score_data_and_licence(shapes: tuple[Session, Run], tmp_path: Path) -> None:
    session, run = shapes
    export_run(session, run, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    score = run.read_score()
    assert score is not None
    assert f"CV log loss {score['cv']['value']:.5f} ± {score['cv']['error']:.5f}" in card
    assert "trained from random weights on the competition's data alone" in card
    assert "https://www.kaggle.com/competitions/shapes: 60 labelled images" in card
    settings = json.loads((tmp_path / "out" / "export.json").read_text())
    assert settings["classes"] == list(BREEDS)


def _write_labels(folder: Path, target: Path, label: Callable[[int, str], object]) -> None:
    """The shapes' data with other labels: of each row's number and breed."""
    shutil.copytree(folder, target)
    rows = (target / "labels.csv").read_text().splitlines()[1:]
    changed = [(row.split(",")[0], label(number, row.split(",")[1])) for number, row in enumerate(rows)]
    write_csv(target / "labels.csv", ("id", "label"), changed)
    ids = [row.split(",")[0] for row in (target / "sample_submission.csv").read_text().splitlines()[1:]]
    write_csv(target / "sample_submission.csv", ("id", "label"), [(name, label(0, "akita")) for name in ids])


@pytest.mark.parametrize(
    ("labels", "metric", "label"),
    [
        (Binary(csv="labels.csv", label="label"), BINARY_LOG_LOSS, lambda _, breed: int(breed == "akita")),
        (Multilabel(csv="labels.csv", label="label"), MEAN_F2, lambda n, breed: breed if n % 2 else f"{breed} odd"),
        (Ordinal(csv="labels.csv", label="label", grades=3), QWK, lambda _, breed: BREEDS.index(breed)),
        (Regression(csv="labels.csv", label="label", low=0, high=9), RMSE, lambda _, breed: BREEDS.index(breed) * 3.5),
    ],
    ids=["binary", "multilabel", "ordinal", "regression"],
)
def test_every_kind_of_labels_is_exported_with_its_decisions(
    labels: Labels, metric: Metric, label: Callable[[int, str], object], shapes_folder: Path, tmp_path: Path
) -> None:
    _write_labels(shapes_folder, tmp_path / "data", label)
    competition = replace(SHAPES, labels=labels, metric=metric, extra_metrics=())
    session, run = _predicted(tmp_path / "ws", tmp_path / "data", competition, stages=STAGES[:1])
    for format in ("torchscript", "timm"):
        assert export_run(session, run, tmp_path / format, format).difference <= TOLERANCE
    settings = json.loads((tmp_path / "timm" / "export.json").read_text())
    found = next(iter(predict_images(session, run, find_images(session.index.data_dir / "test"))))
    if found.decisions and "note" not in settings["decision"]:
        predictions = np.asarray(found.probabilities)
        assert exported_images.decide(settings, predictions) == list(found.decisions[0][1])


@pytest.mark.parametrize(
    "preset", [SIDE_ON, *(replace(SIDE_ON, resize=resize) for resize in (Resize.SQUASH, Resize.PAD)), RADAR]
)
def test_images_are_read_as_in_training(preset: Preset, shapes: tuple[Session, Run], tmp_path: Path) -> None:
    session, run = shapes
    loaded = load_run(session, run)
    views = all_views(preset)
    models = tuple(replace(model, views=views) for model in loaded.models)
    other = Session(replace(SHAPES, preset=preset), session.workspace)
    loaded = replace(loaded, session=other, models=models)
    settings = export_settings(loaded, RGB)
    path = str(write_image(tmp_path / "large.jpg", random_image(3, 150, 90)))
    batch = next(iter(read_batches([path], loaded.inputs, preset, RGB, 1)))
    for (size, _), found in zip(loaded.inputs, exported_images.read_inputs(settings, path), strict=True):
        np.testing.assert_array_equal(found, batch.images[size][0])


def test_what_cannot_be_exported_is_told(shapes: tuple[Session, Run], tmp_path: Path) -> None:
    session, run = shapes
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UsageError, match="there is something of this name already"):
        export_run(session, run, tmp_path / "full")
    with pytest.raises(UsageError, match="is not predicted yet"):
        export_run(session, start_run(session.workspace, "shapes", SHAPES.recipe, "empty"), tmp_path / "out")
    if not HAS_ONNX:
        with pytest.raises(UsageError, match="ONNX needs packages"):
            export_run(session, run, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_networks_that_predict_otherwise_are_not_kept(
    shapes: tuple[Session, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.export.export.TOLERANCE", -1.0)
    with pytest.raises(RunnerError, match="predict otherwise than first"):
        export_run(*shapes, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
