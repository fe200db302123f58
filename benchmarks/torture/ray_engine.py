"""Folds that Ray trains side by side: one of its processes is killed, or the first, or all; it is started again."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from benchmarks.torture.attack import Attack, Trial
from benchmarks.torture.contents import read_json
from benchmarks.torture.process import fork_runner
from benchmarks.torture.processes import Launched, compare
from benchmarks.torture.worlds import copy_world, create_world, shapes

_WORDS = shapes("train", "--run", "a", "--workers", "0")
_ON_RAY = (*_WORDS, "--engine", "ray")
_MOST_KILLS = 2
_START = 0.4  # the share of a training in which Ray starts and nothing is written yet


def prepare(folder: Path, _small: bool) -> None:
    """An unbroken training by one process, and how long the same takes on Ray."""
    if importlib.util.find_spec("ray") is None:
        sys.exit("ray is not installed: pip install 'competition-runner[ray]'")
    create_world(folder / "before")
    for words in (shapes("download"), shapes("split", "--folds", "2")):
        fork_runner(folder / "before", words)
    copy_world(folder / "before", folder / "after")
    copy_world(folder / "before", folder / "timed")
    done = fork_runner(folder / "after", _WORDS)
    timed = Launched.start(folder / "timed", "runner", words=_ON_RAY).wait()
    for ended in (done, timed):
        if ended.code:
            raise RuntimeError(ended.describe())
    (folder / "seconds.json").write_text(str(timed.seconds))


def run(trial: Trial) -> None:
    """Kill up to twice, let it end, and compare with the training by one process."""
    seconds = read_json(trial.prepared / "seconds.json")
    workspace = trial.folder / "workspace"
    copy_world(trial.prepared / "before", workspace)
    killed = []
    for _ in range(trial.random.randint(1, _MOST_KILLS)):
        launched = Launched.start(workspace, "runner", words=_ON_RAY)
        moment = trial.random.uniform(_START * seconds, seconds)
        ended = launched.kill_after(moment, trial.random, launcher_alone=trial.random.random() < 0.5)
        killed.append(launched)
        trial.outcome.title += f"{launched.killed}; "
        trial.take(ended)
        if ended.code == 0:
            break
        trial.outcome.hit = trial.outcome.hit or bool(launched.killed)
    # At once: what the killed ones have left may still be at work.
    ended = Launched.start(workspace, "runner", words=_ON_RAY).wait()
    trial.take(ended)
    trial.require_done(ended, "started again")
    for launched in killed:
        launched.end_started()
    compare(trial, workspace)


ATTACK = Attack("ray_engine", 6, run, prepare)
