"""Run the trials of attacks in two processes, and print the table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Outcome

_PROCESSES = 2
_NICENESS = 10


@dataclass(frozen=True)
class Plan:
    """How long a campaign is: trials of each attack (None: its own number), minutes for each (None: no limit)."""

    seed: int
    trials: int | None = None
    minutes: float | None = None
    small: bool = False  # the suite's: the cheapest preparation
    first: int = 0  # the number of the first trial: `--first N --trials 1` repeats one


def run_attack(attack: Attack, plan: Plan) -> list[Outcome]:
    """The outcomes of the attack's trials, by number. Each harm is printed as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix=f"torture-{attack.name}-") as temporary:
        top = Path(temporary)
        prepared = top / "prepared"
        prepared.mkdir()
        if not _in_child(lambda: attack.prepare(prepared, plan.small)):
            sys.exit(f"{attack.name}: the preparation failed")
        stop = time.monotonic() + 60 * plan.minutes if plan.minutes else None
        numbers = range(plan.first, plan.first + (plan.trials or attack.trials))
        outcomes = []
        for outcome in _outcomes(attack, plan.seed, numbers, top, stop):
            outcomes.append(outcome)
            for harm, details in outcome.harms:
                print(f"\n{attack.name} {outcome.number}, {outcome.title}: {harm.upper()}\n  {details}", flush=True)
    return sorted(outcomes, key=lambda outcome: outcome.number)


def _outcomes(attack: Attack, seed: int, numbers: range, top: Path, stop: float | None) -> Iterator[Outcome]:
    """The outcomes as they come; trials are dealt to the processes by turns."""
    reading, writing = os.pipe()
    children = []
    for process in range(_PROCESSES):
        child = os.fork()
        if child == 0:
            os.close(reading)
            _leave(lambda mine: _work(attack, seed, mine, top, writing, stop), numbers[process::_PROCESSES])
        children.append(child)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        for line in pipe:
            yield Outcome(**json.loads(line))
    for child in children:
        os.waitpid(child, 0)


def _work(attack: Attack, seed: int, numbers: Sequence[int], top: Path, writing: int, stop: float | None) -> None:
    with os.fdopen(writing, "w", encoding="utf-8") as pipe:
        for number in numbers:
            if stop is not None and time.monotonic() > stop:
                break
            folder = top / f"trial-{number}"
            folder.mkdir()
            outcome = attack.make(number, seed, folder, top / "prepared")
            shutil.rmtree(folder, ignore_errors=True)
            # One write of a line shorter than a pipe's buffer is not mixed with another's.
            outcome.harms = [(harm, details[:1800]) for harm, details in outcome.harms[:1]]
            pipe.write(json.dumps(outcome.to_dict()) + "\n")
            pipe.flush()


def _in_child(work: object) -> bool:
    """Whether the work ended well in a child: this process computes nothing, so that it can fork."""
    child = os.fork()
    if child == 0:
        _leave(lambda _: work(), None)  # type: ignore[operator]
    return os.waitpid(child, 0)[1] == 0


def _leave(work: object, argument: object) -> None:
    """Work in this child, and end it."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.nice(_NICENESS)
        work(argument)  # type: ignore[operator]
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


_COLUMNS = ("class", "trials", "hit", *(harm.value for harm in Harm), "memory MB", "seconds")


def table(outcomes: Sequence[Outcome]) -> str:
    """A line for each attack: trials, really hit, trials with each harm, worst memory and time."""
    lines = [_COLUMNS]
    for name in dict.fromkeys(outcome.attack for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.attack == name]
        harms = (str(sum(any(kind == harm.value for kind, _ in outcome.harms) for outcome in mine)) for harm in Harm)
        hit = str(sum(outcome.hit for outcome in mine))
        memory, seconds = max(outcome.memory_mb for outcome in mine), max(outcome.seconds for outcome in mine)
        lines.append((name, str(len(mine)), hit, *harms, f"{memory:.0f}", f"{seconds:.1f}"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
