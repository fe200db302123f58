"""From a recipe to folds: splits of a run, --only-fold, and starting from the snapshot of another run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import Competition, Recipe
from runner.data.download import download
from runner.data.folds import read_folds
from runner.errors import TrainingError, UsageError
from runner.options import PredictOptions, TrainOptions
from runner.session import Session
from runner.steps import predict as predict_step
from runner.training.folds import build_folds, preview_fold, resolve_start
from runner.training.run import Run
from runner.training.snapshots import Snapshot
from runner.training.trainer import train_fold
from runner.workspace import Workspace
from tests.builders import start_run
from tests.training.conftest import CPU


@pytest.fixture
def session(tiny_competition: Competition, shapes_folder: Path, tmp_path: Path) -> Session:
    workspace = Workspace(tmp_path)
    download(tiny_competition, workspace, shapes_folder)
    return Session(tiny_competition, workspace, compute=CPU)


def start(session: Session, recipe: Recipe, name: str) -> Run:
    return start_run(session.workspace, session.name, recipe, name)


def test_the_first_run_writes_the_shared_split_and_copies_it(session: Session, tiny_recipe: Recipe) -> None:
    run = start(session, tiny_recipe, "one")
    (fold,) = build_folds(session, run)
    assert run.folds_file.read_bytes() == session.folds_file.read_bytes()
    assert (len(fold.train), len(fold.valid)) == (48, 12)


def test_a_recipe_with_other_folds_gets_its_own_split(session: Session, tiny_recipe: Recipe) -> None:
    build_folds(session, start(session, tiny_recipe, "one"))
    run = start(session, replace(tiny_recipe, folds=3), "two")
    folds = build_folds(session, run)
    assert [fold.number for fold in folds] == [0, 1, 2]
    assert sorted(row for fold in folds for row in fold.valid.rows) == list(range(60))
    assert read_folds(session.folds_file).count == 1


def test_only_fold_builds_that_fold(session: Session, tiny_recipe: Recipe) -> None:
    run = start(session, replace(tiny_recipe, folds=3), "one")
    (fold,) = build_folds(session, run, TrainOptions(only_fold=2))
    assert fold.number == 2


@pytest.mark.parametrize(
    ("folds", "number", "names"), [(3, 3, "folds 0 to 2"), (3, -1, "folds 0 to 2"), (None, 1, "fold 0 alone")]
)
def test_only_fold_of_a_missing_fold_is_an_error(
    folds: int | None, number: int, names: str, session: Session, tiny_recipe: Recipe
) -> None:
    run = start(session, replace(tiny_recipe, folds=folds), "one")
    with pytest.raises(UsageError) as caught:
        build_folds(session, run, TrainOptions(only_fold=number))
    assert caught.value.message == f"there is no fold {number}: the run has {names}"


def test_a_run_on_all_data_has_no_validation_rows(session: Session, tiny_recipe: Recipe) -> None:
    (fold,) = build_folds(session, start(session, replace(tiny_recipe, all_data=True), "one"))
    assert (len(fold.train), len(fold.valid)) == (60, 0)


def test_a_preview_fold_writes_no_run(session: Session, tiny_recipe: Recipe) -> None:
    fold = preview_fold(session, tiny_recipe, TrainOptions())
    assert (fold.number, len(fold.train)) == (0, 48)
    assert [path.name for path in session.workspace.runs_dir(session.name).glob("*/")] == []


def test_from_run_starts_from_the_last_snapshot(session: Session, tiny_recipe: Recipe) -> None:
    (fold,) = build_folds(session, start(session, tiny_recipe, "one"))
    train_fold(fold)
    recipe, _ = resolve_start(session, replace(tiny_recipe, from_run="one"), TrainOptions())
    assert recipe.from_run == "one:snapshot-2"
    (second,) = build_folds(session, start(session, recipe, "two"))
    assert second.start is not None and second.start.file == fold.folder / "snapshot-2.safetensors"
    shutil.rmtree(session.folds_file.parent / "two")
    session.folds_file.unlink()
    with pytest.raises(UsageError, match="one was trained on validation rows of this run"):
        build_folds(session, start(session, replace(recipe, folds=3), "three"))


@pytest.mark.parametrize(
    ("from_run", "message"),
    [("one", "run one has no snapshot yet"), ("one:snapshot-9", "run one has no snapshot 'snapshot-9'")],
)
def test_from_run_without_that_snapshot_is_an_error(
    from_run: str, message: str, session: Session, tiny_recipe: Recipe
) -> None:
    start(session, tiny_recipe, "one")
    with pytest.raises(UsageError) as caught:
        resolve_start(session, replace(tiny_recipe, from_run=from_run), TrainOptions())
    assert caught.value.message == message


def test_folds_with_different_models_are_an_error_that_names_them(
    session: Session, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds = build_folds(session, start(session, replace(tiny_recipe, folds=2), "one"))
    snapshots = [Snapshot(cycle, 1, 32, None, {}) for cycle in range(2)]
    monkeypatch.setattr(predict_step, "choose_models", lambda fold, _choice: tuple(snapshots[fold.number :]))
    with pytest.raises(TrainingError) as caught:
        predict_step._predict_folds(folds, PredictOptions(), ())
    assert caught.value.message == (
        "the folds have different models: fold 0: snapshot-0, snapshot-1; fold 1: snapshot-1"
    )
    assert caught.value.fix == "runner dog-breed train --run one --resume"
