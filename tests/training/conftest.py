"""A tiny competition whose training takes a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.data.index import Index, build_index
from runner.options import Compute
from runner.session import Session
from runner.training.fold import FoldRun
from runner.training.run import Run
from runner.training.trainer import StageTrainer
from runner.workspace import Workspace

CPU = Compute(device="cpu", workers=0)


@pytest.fixture(scope="session")
def tiny_recipe() -> Recipe:
    return Recipe(
        backbone="test_resnet",
        stages=(Stage(24, TrainMode.FROZEN, cycle_len=1), Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_len=2)),
        lr=0.01,
        layer_decay=1,
        batch_size=16,
        pretrained=False,
    )


@pytest.fixture(scope="session")
def tiny_competition(tiny_recipe: Recipe) -> Competition:
    return replace(load("dog-breed"), recipe=tiny_recipe)


@pytest.fixture(scope="session")
def tiny_index(tiny_competition: Competition, shapes_folder: Path) -> Index:
    return build_index(tiny_competition, shapes_folder)


@pytest.fixture(scope="session")
def make_fold(tiny_competition: Competition, tiny_index: Index) -> Callable[..., FoldRun]:
    """Fold `number` of five in a workspace at `root`; its run is called tiny."""

    def make(root: Path, recipe: Recipe = tiny_competition.recipe, number: int = 0, compute: Compute = CPU) -> FoldRun:
        session = Session(tiny_competition, Workspace(root), compute=compute)
        vars(session)["index"] = tiny_index  # else it would be read from data/
        run = Run(session.name, "tiny", session.workspace.run_dir(session.name, "tiny"))
        return FoldRun(session, run, recipe, number, np.arange(len(tiny_index.train)) % 5)

    return make


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call something that trains, and interrupt it when this epoch starts."""

    def call(epoch: int, train: Callable[[], object]) -> None:
        fit_epoch = StageTrainer.fit_epoch

        def interrupted(self: StageTrainer, started: object) -> None:
            if started.number == epoch:  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            fit_epoch(self, started)  # type: ignore[arg-type]

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(StageTrainer, "fit_epoch", interrupted)
            train()

    return call
