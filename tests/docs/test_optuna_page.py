"""The search in docs/optuna.md, run on a tiny competition by a study that only draws."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.competitions import SHAPES, write_plugin
from tests.docs.pages import ROOT, code_blocks


class _Trial:
    """Suggests the middle of each range, a little further each time."""

    def __init__(self, number: int):
        self.number, self.params = number, dict[str, float]()

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        share = (self.number + 1) / 4
        self.params[name] = low * (high / low) ** share if log else low + share * (high - low)
        return self.params[name]


class _Study:
    """What the page uses of Optuna's."""

    def optimize(self, objective: Callable[[_Trial], float], n_trials: int) -> None:
        trials = [_Trial(number) for number in range(min(n_trials, 2))]
        scores = [objective(trial) for trial in trials]
        self.best_params = trials[scores.index(min(scores))].params


@pytest.fixture
def tiny_dog_breed(tmp_path: Path, shapes_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder whose dog-breed trains in seconds, and a module that stands for optuna."""
    optuna: Any = ModuleType("optuna")
    optuna.create_study = lambda direction: _Study() if direction == "minimize" else None
    monkeypatch.setitem(sys.modules, "optuna", optuna)
    write_plugin(tmp_path, replace(SHAPES, name="dog-breed"))
    data = tmp_path / "data" / "dog-breed"
    shutil.copytree(shapes_folder, data)
    (data / ".complete").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_dog_breed")
def test_the_search_runs_and_its_honest_score_is_of_rows_that_chose_nothing() -> None:
    namespace: dict[str, Any] = {}
    for block in code_blocks(ROOT / "docs" / "optuna.md", "python"):
        exec(compile(block, "docs/optuna.md", "exec"), namespace)
    assert sorted(namespace["folds"]) == ["0", "1", "2", "3", "4"]
    others = [score for fold, score in namespace["folds"].items() if fold != "0"]
    assert namespace["honest"] == pytest.approx(sum(others) / 4)
    assert namespace["best"].recipe.dropout == namespace["study"].best_params["dropout"]
