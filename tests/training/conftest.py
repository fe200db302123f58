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
from runner.training.fold import FoldRun


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
    def make(run: Path, recipe: Recipe = tiny_competition.recipe, number: int = 0) -> FoldRun:
        rows = np.arange(len(tiny_index.train))
        held_out = rows % 5 == number
        return FoldRun(
            competition=tiny_competition,
            recipe=recipe,
            index=tiny_index,
            number=number,
            train_rows=rows[~held_out],
            valid_rows=rows[held_out],
            folder=run / f"fold-{number}",
            log_file=run / "log.jsonl",
            cache=run / "cache",
        )

    return make
