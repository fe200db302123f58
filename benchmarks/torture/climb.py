"""Kill a climb up to three times at random moments: a submission that was at hand stays, and the climb goes on.

What a climb buys depends on the machine's speed, so it is not compared with an unbroken one; its laws are checked.
"""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.process import Interruption, fork_runner
from benchmarks.torture.worlds import NAME, copy_world, create_world, shapes

_MOST_KILLS = 3
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_NETWORKS = ("test_resnet", "test_efficientnet")
_FIRST_MINUTES, _MORE_MINUTES = 0.5, 0.4  # of the killed climb; of the one that goes on, for each kill


def prepare(folder: Path, small: bool) -> None:
    """A workspace with its data, and two networks' weights."""
    world, weights = folder / "world", folder / "weights"
    create_world(world)
    ended = fork_runner(world, shapes("download"))
    if ended.code:
        raise RuntimeError(ended.describe())
    weights.mkdir()
    for seed, name in enumerate(_NETWORKS[: 1 if small else 2]):
        torch.manual_seed(seed)
        save_file(timm.create_model(name, num_classes=3).state_dict(), weights / f"{name}.safetensors")


def run(trial: Trial) -> None:
    """Kill the climb some times, look at what it keeps after each, and let it end."""
    copy_world(trial.prepared / "world", trial.folder)
    kills = [_interruption(trial.random) for _ in range(trial.random.randint(1, _MOST_KILLS))]
    trial.outcome.title = ", ".join(map(str, kills))
    minutes = _FIRST_MINUTES
    for kill in kills:
        ended = trial.runner(*_climb(trial, minutes), interruption=kill)
        minutes += _MORE_MINUTES
        check_kept(trial)
        if ended.code not in (-kill.signal, 130):
            break
        trial.outcome.hit = True
    ended = trial.runner(*_climb(trial, minutes))
    if ended.code == 2 and "the first step takes about" in ended.output:
        ended = trial.runner(*_climb(trial, 4 * minutes))  # a machine that slow needs more
    trial.require_done(ended, "called again")
    steps = check_kept(trial)
    trial.must(bool(steps), Harm.LOST, "the climb that ended has no step")
    left = [path.name for path in trial.folder.rglob(".*.part*")]
    trial.must(not left, Harm.LEFT, f"left over: {', '.join(left[:3])}")


def check_kept(trial: Trial) -> list[dict[str, object]]:
    """The steps in climb.json; a submission that it names is there, and would be accepted."""
    path = trial.folder / "practice" / "runs" / NAME / "climb.json"
    if not path.exists():
        return []
    record = json.loads(path.read_text(encoding="utf-8"))
    steps: list[dict[str, object]] = record["steps"]
    numbers = [step["number"] for step in steps]
    trial.must(numbers == list(range(1, len(steps) + 1)), Harm.DOUBLED, f"steps are numbered {numbers}")
    made = [(step["kind"], step["run"]) for step in steps if step["decision"] not in ("stopped", "failed")]
    trial.must(len(made) == len(set(made)), Harm.DOUBLED, f"a step was taken twice: {made}")
    ensembles = [step["ensemble"] for step in steps if step["ensemble"]]
    if ensembles:
        file = trial.folder / "practice" / "submissions" / NAME / f"{ensembles[-1]}.csv"
        trial.must(file.exists(), Harm.LOST, f"the submission of {ensembles[-1]} is gone")
        checked = trial.runner(*shapes("check", str(file)))
        trial.must(checked.code == 0, Harm.LOST, f"the submission at hand: {checked.describe()}")
    return steps


def _climb(trial: Trial, minutes: float) -> tuple[str, ...]:
    weights = str(trial.prepared / "weights")
    return shapes("climb", "--time-budget", f"{minutes:g}", "--weights", weights, "--workers", "0")


def _interruption(chance: random.Random) -> Interruption:
    """A signal by the clock, or before a change of the disk."""
    number = chance.choice(_SIGNALS)
    if chance.random() < 0.5:
        return Interruption(number, change=chance.randint(1, 300))
    return Interruption(number, seconds=chance.uniform(0, 60 * _FIRST_MINUTES))


ATTACK = Attack("climb", 20, run, prepare)
