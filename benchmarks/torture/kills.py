"""Kill every command at random moments, start it again until it is done, and compare with an unbroken one."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import differences, read_json
from benchmarks.torture.process import Interruption
from benchmarks.torture.worlds import STEPS, Step, copy_world, record_steps

_MOST_KILLS = 3
_SMALL = ("download", "split")  # what a small campaign kills
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def prepare(folder: Path, small: bool) -> None:
    """Run every command unbroken, and keep how long it takes and how often it changes the disk."""
    ended = record_steps(folder, tuple(step for step in STEPS if step.name in _SMALL) if small else STEPS)
    lengths = {name: [one.seconds, one.changes] for name, one in ended.items()}
    (folder / "lengths.json").write_text(json.dumps(lengths))


def run(trial: Trial) -> None:
    """Kill one command up to three times, let it end, and compare."""
    lengths = read_json(trial.prepared / "lengths.json")
    steps = [step for step in STEPS if step.name in lengths]
    # Quick commands more often than slow ones: there is time for more of them.
    (step,) = trial.random.choices(steps, [(0.1 + lengths[step.name][0]) ** -0.5 for step in steps])
    copy_world(trial.prepared / "before" / step.name, trial.folder)
    kills = [_interruption(trial.random, *lengths[step.name]) for _ in range(trial.random.randint(1, _MOST_KILLS))]
    trial.outcome.title = f"{step.name}: {', '.join(map(str, kills))}"
    is_done = False
    for kill in kills:
        ended = trial.runner(*step.words, interruption=kill, before=step.before)
        if ended.code not in (-kill.signal, 130):
            is_done = ended.code == 0
            break
        trial.outcome.hit = True
    finish(trial, step, call_again=not (is_done and step.goes_further))
    compare(trial, step)


def finish(trial: Trial, step: Step, *, call_again: bool) -> None:
    """Run the command to its end; it must not need anything but to be called again."""
    if call_again:
        trial.require_done(trial.runner(*step.words, before=step.before), "called again")
    if step.after_kill:
        trial.require_done(trial.runner(*step.after_kill), "completed")


def compare(trial: Trial, step: Step) -> None:
    """Report what differs from the unbroken run."""
    for line in differences(trial.prepared / "after" / step.name, trial.folder):
        name, _, kind = line.partition(" ")
        if kind == "is left over":
            trial.report(Harm.LEFT if ".part" in name else Harm.DOUBLED, line)
        else:
            trial.report(Harm.LOST if kind == "is missing" else Harm.CHANGED, line)


def _interruption(chance: random.Random, seconds: float, changes: int) -> Interruption:
    """A signal by the clock, which also strikes within a system call, or before a change of the disk."""
    number = chance.choice(_SIGNALS)
    if changes and chance.random() < 0.7:
        return Interruption(number, change=chance.randint(1, changes))
    return Interruption(number, seconds=chance.uniform(0, seconds))


ATTACK = Attack("kills", 200, run, prepare)
