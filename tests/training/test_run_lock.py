"""A run's folder has one writer at a time, folds trained side by side excepted."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import Competition, Recipe
from runner.data.index import Index
from runner.data.splits import SplitPlan
from runner.errors import InUseError, TrainingError
from runner.options import Compute, TrainOptions
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.split import split
from runner.steps.train import refit, train
from runner.training import folds as folds_module
from runner.training.run import Run, find_run, find_runs, hold_run, started_run
from runner.workspace import Workspace, _host_key


@pytest.fixture
def session(tiny_competition: Competition, tiny_index: Index, tmp_path: Path) -> Session:
    session = Session(tiny_competition, Workspace(tmp_path), compute=Compute(device="cpu", workers=0))
    vars(session)["index"] = tiny_index
    return session


@pytest.fixture
def short(tiny_recipe: Recipe) -> Recipe:
    return replace(tiny_recipe, stages=tiny_recipe.stages[:1])


@contextmanager
def elsewhere(enter: Callable[[], object]) -> Iterator[None]:
    """Another thread, which is as good as another process, holds a lock during the block."""
    held, leave = threading.Event(), threading.Event()

    def work() -> None:
        with enter():  # type: ignore[attr-defined]
            held.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert held.wait(30)
        yield
    finally:
        leave.set()
        thread.join()


def test_a_run_in_use_is_neither_trained_nor_predicted_nor_blended(session: Session, short: Recipe) -> None:
    run = train(session, short, name="a")
    (run.fold_dir(0) / "snapshot-0.json").unlink()  # as if its last epoch were not finished
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    with elsewhere(lambda: hold_run(run, "runner shapes predict --run a")):
        for command in (
            lambda: train(session, short, name="a"),
            lambda: predict(session, run),
            lambda: ensemble(session, [run]),
            lambda: ensemble(session, [run], name="b"),
        ):
            with pytest.raises(InUseError, match="run a is in use by runner shapes predict --run a"):
                command()
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_what_a_killed_command_left_half_written_in_a_run_is_removed_by_the_next(tmp_path: Path) -> None:
    run = Run("shapes", "a", tmp_path / "runs" / "a")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = run.fold_dir(0) / f".checkpoint.{_host_key()}-{ended.pid}-1.part.safetensors"
    left.parent.mkdir(parents=True)
    left.touch()
    with hold_run(run, "runner shapes report", shared=True):
        assert left.exists()
    with hold_run(run, "runner shapes train"):
        assert not left.exists()


def test_a_refit_in_use_is_not_started_again(session: Session, short: Recipe) -> None:
    run = train(session, short, name="a")
    again = replace(run, name="a-all", folder=run.folder.with_name("a-all"))
    with elsewhere(lambda: hold_run(again, "x")), pytest.raises(InUseError, match="run a-all is in use"):
        refit(session, run)
    assert not again.folder.exists()


def test_two_folds_of_a_run_are_trained_side_by_side_and_one_fold_once(session: Session, short: Recipe) -> None:
    recipe = replace(short, folds=3)
    workspace, name = session.workspace, session.name
    with elsewhere(lambda: started_run(workspace, name, recipe, "a", "train", fold=0)):
        train(session, recipe, TrainOptions(only_fold=1), name="a")
        with pytest.raises(InUseError, match="fold 0 of run a is in use"):
            train(session, recipe, TrainOptions(only_fold=0), name="a")
        with pytest.raises(InUseError, match="run a is in use"):
            train(session, recipe, name="a")
    assert (find_run(workspace, name, "a").fold_dir(1) / "snapshot-0.safetensors").exists()


def test_a_fold_that_fails_at_once_leaves_the_folder_to_the_other_fold(session: Session, short: Recipe) -> None:
    recipe = replace(short, folds=3)
    workspace, name = session.workspace, session.name
    with elsewhere(lambda: started_run(workspace, name, recipe, "a", "train", fold=0)):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError):
            patch.setattr("runner.steps.train.build_folds", _fail)
            train(session, recipe, TrainOptions(only_fold=1), name="a")
        assert find_run(workspace, name, "a").recipe_file.exists()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError):
        patch.setattr("runner.steps.train.build_folds", _fail)
        train(session, recipe, TrainOptions(only_fold=1), name="a")
    assert find_runs(workspace, name) == ()


def _fail(*_: object) -> None:
    raise TrainingError("no")


def test_runs_that_start_at_once_get_names_of_their_own(session: Session, short: Recipe) -> None:
    names: list[str] = []

    def start() -> None:
        with started_run(session.workspace, session.name, short, None, "train") as run:
            names.append(run.name)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == [f"test-resnet-{number}" for number in range(1, 7)]


def test_two_runs_that_need_a_split_share_the_one_that_is_made_first(
    session: Session, short: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    write_split = folds_module.ensure_split.__globals__["write_split"]

    def counted(*arguments: object) -> object:
        made.append(1)
        return write_split(*arguments)

    monkeypatch.setitem(folds_module.ensure_split.__globals__, "write_split", counted)
    threads = [threading.Thread(target=lambda: folds_module.shared_folds(session, short)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    split(session, SplitPlan(folds=4))
    assert folds_module.shared_folds(session, short).count == 4
