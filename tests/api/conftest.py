"""A session with data and two predicted runs, trained once for all tests of the calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import runner
from runner.api import Run, Session
from tests.competitions import SHAPES

TINY = replace(SHAPES, recipe=replace(SHAPES.recipe, stages=(replace(SHAPES.recipe.stages[0], cycle_len=1),)))


@pytest.fixture(scope="session")
def shapes_session(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Session:
    """A competition defined in the program, with its data downloaded."""
    session = runner.open(TINY, tmp_path_factory.mktemp("calls"), device="cpu", workers=0)
    session.download(shapes_folder)
    return session


@pytest.fixture(scope="session")
def first(shapes_session: Session) -> Run:
    """A run that is trained and predicted."""
    run = shapes_session.train(run="first")
    assert run.score.rows == 12  # which predicts
    return run


@pytest.fixture(scope="session")
def second(shapes_session: Session) -> Run:
    """Another one, of another seed."""
    return shapes_session.train(run="second", seed=7).predict()
