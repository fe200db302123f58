"""Record the scores of all practice teams: fit them on the default practice data, several at a time.

python -m runner.practice.record [NAME ...]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from competitions import load
from runner.console import log, track
from runner.hosts.grading import Grader
from runner.practice.baselines import Baseline, BaselineModels, Predictions
from runner.practice.build import create_grader, generate, practice_names
from runner.practice.leaderboard import Fingerprint, recorded_file, score_teams, write_recorded
from runner.practice.teams import TEAMS

_FITTED = [team for team in TEAMS if isinstance(team, Baseline)]


def record(names: Sequence[str]) -> None:
    """Write the recorded scores of these competitions."""
    tasks = [(name, position) for position in reversed(range(len(_FITTED))) for name in names]
    fitted = {name: BaselineModels(load(name), generate(load(name))) for name in names}
    spawn = multiprocessing.get_context("spawn")  # a fork of a process with torch's threads can hang
    with ProcessPoolExecutor(os.cpu_count(), spawn, _use_one_thread) as pool:
        predictions = pool.map(_fit, tasks)
        for (name, position), predicted in zip(tasks, track("fitting", predictions, len(tasks)), strict=True):
            fitted[name].remember(_FITTED[position], predicted)
    for name, models in fitted.items():
        with tempfile.TemporaryDirectory() as folder:
            grader = create_grader(load(name), models.data, Path(folder))
            _write(name, models, grader)


def _write(name: str, models: BaselineModels, grader: Grader) -> None:
    scores = score_teams(models, load(name), grader, TEAMS)
    write_recorded(name, Fingerprint.of(models.data, grader), scores)
    log.info(f"{len(scores)} teams: {recorded_file(name)}")


def _use_one_thread() -> None:
    import torch  # here: only the fitting processes need it

    torch.set_num_threads(1)


@cache
def _models(name: str) -> BaselineModels:
    return BaselineModels(load(name), generate(load(name)))


def _fit(task: tuple[str, int]) -> Predictions:
    name, position = task
    return _models(name).predict(_FITTED[position])


if __name__ == "__main__":
    record(sys.argv[1:] or practice_names())
