"""A truncated image is one message before the first epoch; with --skip-unreadable a run trains without it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.cli import run_command
from runner.contract import Recipe, Stage, TrainMode
from runner.errors import DataError
from runner.images.views import default_views
from runner.options import PredictOptions, RehearsalOptions, TrainOptions
from runner.practice.rehearsal import build_rehearsal, rehearsal_workspace
from runner.prediction.predict import predict_fold
from runner.prediction.predictions import read_view_predictions
from runner.prediction.swa import choose_models
from runner.session import Session
from runner.training.fold import FoldRun
from runner.training.run import Run
from runner.training.trainer import train_fold
from runner.training.unreadable import SkippedImages, check_images, read_skipped, skip_images
from runner.workspace import Workspace
from tests.competitions import SHAPES, write_plugin

BOTH_MODES = (Stage(32, TrainMode.FEATURES), Stage(32, TrainMode.UNFROZEN))


@pytest.fixture
def workspace(tmp_path: Path, shapes_folder: Path) -> Path:
    """A workspace with data and a split."""
    write_plugin(tmp_path, replace(SHAPES, recipe=replace(SHAPES.recipe, stages=BOTH_MODES)))
    assert run(tmp_path, "download", "--from", str(shapes_folder)) == 0
    assert run(tmp_path, "split") == 0
    return tmp_path


def joined(text: str) -> str:
    """Messages with their wrapped lines joined again."""
    return re.sub(r"\n {4}(?=\S)", " ", text)


def run(workspace: Path, command: str, *flags: str) -> int:
    return run_command(["--workspace", str(workspace), "shapes", command, *flags])


def id_in(workspace: Path, subset: str) -> str:
    """The first id of the training, validation or test rows."""
    if subset == "test":
        return "test000"
    with (workspace / "runs" / "shapes" / "folds.csv").open() as file:
        return next(row["id"] for row in csv.DictReader(file) if (row["fold"] == "0") == (subset == "valid"))


def truncate(workspace: Path, subset: str) -> tuple[str, Path]:
    """Cut an image of the training, validation or test rows; its id and path."""
    name = id_in(workspace, subset)
    path = workspace / "data" / "shapes" / ("test" if subset == "test" else "train") / f"{name}.jpg"
    content = path.read_bytes()
    path.unlink()  # it may be a link to the fixture's file
    path.write_bytes(content[: len(content) // 2])
    return name, path


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("subset", ["train", "valid", "test"])
def test_a_truncated_image_stops_training_with_one_message(
    subset: str, workers: str, workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    _, path = truncate(workspace, subset)
    capfd.readouterr()
    assert run(workspace, "train", "--run", "one", "--workers", workers) == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    counts = "0 of 60 labelled and 1 of 21 test" if subset == "test" else "1 of 60 labelled and 0 of 21 test"
    assert f"{counts} images cannot be read:" in err
    assert path.name in err
    words = f"--workspace {workspace} shapes train --run one --workers {workers} --skip-unreadable"
    assert f"or without them this once:\n    runner {words}\n" in err
    assert not (workspace / "runs" / "shapes" / "one").exists()


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("subset", ["train", "valid", "test"])
def test_with_the_flag_a_run_trains_without_a_truncated_image(
    subset: str, workers: str, workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, _ = truncate(workspace, subset)
    flags = ("--run", "one", "--workers", workers)
    assert run(workspace, "train", *flags, "--skip-unreadable") == 0
    told = "1 labelled row is left out of training and score"
    if subset == "test":
        told = "for 1 test row the class frequencies of the training rows are submitted"
    assert f"warning: images that cannot be read: {told}\n" in joined(capfd.readouterr().err)
    assert run(workspace, "predict", *flags) == 0
    note = "1 test by class frequencies" if subset == "test" else "1 labelled left out"
    assert f"rows; unreadable images: {note})" in capfd.readouterr().out
    folder = workspace / "runs" / "shapes" / "one"
    assert name in json.loads((folder / "unreadable.json").read_text())["test" if subset == "test" else "labelled"]
    oof = read_view_predictions(folder / "fold-0" / "snapshot-1.valid.npz")
    assert (len(oof.ids), name in oof.ids) == (11 if subset == "valid" else 12, False)
    test = read_view_predictions(folder / "fold-0" / "snapshot-1.test.npz")
    with (workspace / "submissions" / "shapes" / "one.csv").open() as file:
        assert tuple(row["id"] for row in csv.DictReader(file)) == test.ids
    frequencies = np.full(3, 1 / 3)  # of the 48 training rows
    is_prior = [bool(np.allclose(views, frequencies, atol=1e-6)) for views in test.probabilities]
    assert is_prior == [subset == "test" and row == 0 for row in range(21)]


def test_a_resumed_run_keeps_its_choice_without_the_flag(workspace: Path) -> None:
    truncate(workspace, "train")
    assert run(workspace, "train", "--run", "one", "--workers", "0", "--skip-unreadable") == 0
    (workspace / "runs" / "shapes" / "one" / "fold-0" / "snapshot-1.json").unlink()
    assert run(workspace, "train", "--run", "one", "--workers", "0", "--resume") == 0
    assert (workspace / "runs" / "shapes" / "one" / "fold-0" / "snapshot-1.json").exists()


@pytest.mark.slow
def test_a_refit_skips_what_its_original_skips(workspace: Path) -> None:
    truncate(workspace, "train")
    truncate(workspace, "test")
    assert run(workspace, "train", "--run", "one", "--workers", "0", "--skip-unreadable") == 0
    assert run(workspace, "predict", "--run", "one", "--workers", "0") == 0
    assert run(workspace, "train", "--run", "one", "--workers", "0", "--all-data") == 0
    assert run(workspace, "predict", "--run", "one-all", "--workers", "0") == 0
    runs = workspace / "runs" / "shapes"
    assert (runs / "one-all" / "unreadable.json").read_bytes() == (runs / "one" / "unreadable.json").read_bytes()


def test_an_image_that_breaks_during_training_is_one_message(
    workspace: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = truncate(workspace, "train")
    monkeypatch.setattr("runner.training.unreadable.find_unreadable", lambda *_args, **_options: ())
    capfd.readouterr()
    assert run(workspace, "train", "--run", "one", "--workers", "2") == 1
    err = capfd.readouterr().err
    assert "Traceback" not in err
    assert f"where: {path}" in err


def test_broken_images_are_told_when_the_data_arrives(
    tmp_path: Path, shapes_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import shutil

    source = tmp_path / "source"
    shutil.copytree(shapes_folder, source)
    (source / "train" / "train003.jpg").write_bytes(b"<!doctype html><title>Sign in</title>")
    (source / "test" / "test004.jpg").write_bytes(b"")
    write_plugin(tmp_path, SHAPES)
    assert run(tmp_path, "download", "--from", str(source)) == 0
    err = joined(capfd.readouterr().err)
    assert "warning: 1 of 60 labelled and 1 of 21 test images cannot be read:\n" in err
    assert "train/train003.jpg: the file is not an image but an HTML page" in err
    assert "test/test004.jpg: the image is empty: 0 bytes" in err
    here = f"runner --workspace {tmp_path} shapes download"
    replaced, skipped = f"`{here} --from {source} --force`", f"`{here} --skip-unreadable --from {source}`"
    assert f"replace the files: {replaced}; or go on without them: {skipped}\n" in err


@pytest.fixture
def skipping(workspace: Path, capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """The ids of a labelled and a test image that are broken, and that the user goes on without."""
    ids = truncate(workspace, "train")[0], truncate(workspace, "test")[0]
    assert run(workspace, "download", "--skip-unreadable") == 0
    err = joined(capfd.readouterr().err)
    assert "1 labelled row is left out of training and score; for 1 test row the class frequencies" in err
    return ids


def test_the_choice_to_go_on_without_them_holds_for_every_run(
    workspace: Path, skipping: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, "train", "--run", "one", "--workers", "0") == 0
    assert run(workspace, "predict", "--run", "one", "--workers", "0") == 0
    out = capfd.readouterr().out
    assert "unreadable images: 1 labelled left out, 1 test by class frequencies)" in out
    skipped = json.loads((workspace / "runs" / "shapes" / "one" / "unreadable.json").read_text())
    assert (skipped["labelled"], skipped["test"]) == ([skipping[0]], [skipping[1]])


def test_a_rehearsal_goes_on_without_them_too(workspace: Path, skipping: tuple[str, str]) -> None:
    session = Session(SHAPES, Workspace.at(workspace))
    options = RehearsalOptions(test_fraction=0.3)
    rehearsal = Session(SHAPES, rehearsal_workspace(session, options), "practice")
    hidden = build_rehearsal(session, rehearsal, options)
    assert len(hidden.ids) + len(rehearsal.index.train) == 59
    assert skipping[0] not in set(rehearsal.index.train["id"])


def test_an_image_that_breaks_after_the_choice_is_told_again(
    workspace: Path, skipping: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    truncate(workspace, "valid")
    assert skipping
    assert run(workspace, "train", "--run", "one", "--workers", "0") == 1
    assert "1 of 60 labelled and 0 of 21 test images cannot be read:" in capfd.readouterr().err


def test_predict_tells_a_test_image_that_broke_after_training_before_it_begins(
    workspace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, "train", "--run", "one", "--workers", "0") == 0
    name, path = truncate(workspace, "test")
    capfd.readouterr()
    assert run(workspace, "predict", "--run", "one", "--workers", "2") == 1
    err = capfd.readouterr().err
    assert "0 of 60 labelled and 1 of 21 test images cannot be read:" in err
    assert path.name in err
    assert "Traceback" not in err
    assert run(workspace, "download", "--skip-unreadable") == 0
    assert run(workspace, "predict", "--run", "one", "--workers", "0") == 0
    assert "1 test by class frequencies)" in capfd.readouterr().out
    assert name in json.loads((workspace / "runs" / "shapes" / "one" / "unreadable.json").read_text())["test"]


def test_the_error_lists_the_first_five_images(
    make_fold: Callable[..., FoldRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = break_images(make_fold(tmp_path).session, tmp_path, range(7))
    with pytest.raises(DataError) as caught:
        check_images(session, TrainOptions())
    head, *lines = caught.value.message.splitlines()
    assert head == "7 of 60 labelled and 0 of 21 test images cannot be read:"
    assert [line.split(":")[0].strip() for line in lines] == [
        *(f"train/train00{number}.jpg" for number in range(5)),
        "and 2 more",
    ]
    assert caught.value.where == str(tmp_path / "data")
    assert caught.value.fix == (
        f"replace the files: `{session.redownload_command}`; "
        f"or go on without them: `{session.command('download', '--skip-unreadable')}`; "
        "or without them this once: `... --skip-unreadable`"
    )


def test_skipped_rows_are_in_no_row_set(make_fold: Callable[..., FoldRun], tmp_path: Path) -> None:
    fold = replace(make_fold(tmp_path), skipped=SkippedImages(("train000", "train001"), ("test003",)))
    assert 0 not in fold.valid.rows
    assert 1 not in fold.train.rows
    assert len(fold.train) + len(fold.valid) == 58
    assert len(fold.test) == 21
    assert fold.test.skipped == {3}


def in_bags(fold: FoldRun, root: Path) -> FoldRun:
    """The fold with two images an id, in files of its own."""
    index = fold.session.index
    data_dir = shutil.copytree(index.data_dir, root / "data")
    ids = [f"{name[:-3]}{int(name[-3:]) // 2:03}" for name in index.table["id"]]
    table = index.table.assign(id=ids, group=ids)
    vars(fold.session)["index"] = replace(index, data_dir=data_dir, table=table)
    return replace(fold, fold_of=np.arange(len(index.train)) // 2 % 5)


def test_an_unreadable_image_leaves_the_others_of_its_id(make_fold: Callable[..., FoldRun], tmp_path: Path) -> None:
    fold = in_bags(make_fold(tmp_path), tmp_path)
    train, test = fold.session.index.train["path"], fold.session.index.test["path"]
    for path in (train[1], train[4], train[5], test[0], test[8], test[9]):
        file = tmp_path / "data" / path
        file.write_bytes(file.read_bytes()[:100])
    skipped = check_images(fold.session, TrainOptions(skip_unreadable=True))
    assert skipped == SkippedImages(("train002",), ("test004",), (train[1], test[0]))
    fold = replace(fold, skipped=skipped)
    assert fold.valid.rows[:2].tolist() == [0, 10]  # 1 is unreadable
    assert "train000" in fold.valid.ids
    assert "train002" not in (*fold.train.ids, *fold.valid.ids)
    assert fold.test.ids == tuple(dict.fromkeys(fold.session.index.test["id"]))
    assert fold.test.rows.tolist() == list(range(1, 21))
    assert fold.test.skipped == {0, 8, 9}


def test_the_other_images_of_an_id_are_trained_and_predicted(
    make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = in_bags(make_fold(tmp_path, replace(tiny_recipe, stages=(Stage(24, TrainMode.FEATURES),))), tmp_path)
    test = fold.session.index.test["path"]
    fold = replace(fold, skipped=SkippedImages().with_images(fold.session.index, [test[0], test[8], test[9]]))
    train_fold(fold)
    predict_fold(fold, choose_models(fold, PredictOptions()), default_views(fold.competition.preset)[:1])
    predicted = read_view_predictions(next(fold.folder.glob("*.test.npz")))
    of_id = dict(zip(predicted.ids, predicted.probabilities[:, 0], strict=True))
    np.testing.assert_allclose(of_id["test004"], fold.mean_target, rtol=1e-6)
    assert not np.allclose(of_id["test000"], fold.mean_target, rtol=1e-3)
    assert len(of_id) == 11


def test_an_id_whose_images_break_one_after_another_is_skipped_in_the_end(
    make_fold: Callable[..., FoldRun], tmp_path: Path
) -> None:
    index = in_bags(make_fold(tmp_path), tmp_path).session.index
    first, second = index.test["path"][:2]
    one = SkippedImages().with_images(index, [first])
    assert one == SkippedImages(images=(first,))
    assert one.with_images(index, [second]) == SkippedImages(test=("test000",))


def test_features_of_other_rows_do_not_depend_on_skipped_ones(
    make_fold: Callable[..., FoldRun], tmp_path: Path, tiny_recipe: Recipe
) -> None:
    recipe = replace(tiny_recipe, stages=(Stage(24, TrainMode.FEATURES),))
    fold = replace(make_fold(tmp_path, recipe), skipped=SkippedImages(("train001",)))
    train_fold(fold)
    (path,) = (fold.session.cache_dir / "features").iterdir()
    complete = make_fold(tmp_path / "complete", recipe)
    train_fold(complete)
    (expected,) = (complete.session.cache_dir / "features").iterdir()
    same = (np.load(path) == np.load(expected)).all(axis=(1, 2))
    assert np.flatnonzero(~same).tolist() == [1]


def test_a_run_without_unreadable_images_keeps_the_choice_too(
    make_fold: Callable[..., FoldRun], tmp_path: Path
) -> None:
    fold = make_fold(tmp_path)
    skip_images(fold.session, fold.run, TrainOptions(skip_unreadable=True))
    assert fold.run.skipped_file.exists()
    assert read_skipped(fold.run) == SkippedImages()
    no_flag = Run(fold.run.competition, "two", tmp_path / "two")
    skip_images(fold.session, no_flag, TrainOptions())
    assert not no_flag.skipped_file.exists()


def break_images(session: Session, folder: Path, rows: range) -> Session:
    """A session whose data is a copy in which these labelled images are truncated."""
    import shutil

    data = folder / "data"
    shutil.copytree(session.index.data_dir, data)
    broken = replace(session)
    vars(broken)["index"] = replace(session.index, data_dir=data)
    for row in rows:
        path = data / session.index.train["path"].iloc[row]
        path.write_bytes(path.read_bytes()[:500])
    return broken
