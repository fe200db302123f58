"""The protocol of a class of trials.

    ATTACK = Attack("kills", trials=200, prepare=prepare, run=run)

`prepare(folder, small)` runs once a campaign, in a process of its own, and leaves on disk what all trials start from;
`small` is set by the suite, for which seconds count.
`run(trial)` makes one trial: it draws everything random from `trial.random`, works in `trial.folder` (empty, deleted
afterwards), reads `trial.prepared` (and changes nothing there), runs commands by `trial.runner(...)`, and reports what
went wrong by `trial.report(...)`. A command that prints a traceback or "a bug in the runner", or that takes too much
time or memory, is reported by `trial.runner` itself.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from benchmarks.torture.process import Bounds, Ended, Interruption, fork_runner


class Harm(Enum):
    """What a trial must never do."""

    LOST = "lost"  # work or data is gone, or a command cannot be brought to its end
    DOUBLED = "doubled"  # a submission, a ledger line or a file is there twice
    CHANGED = "silently changed"  # another result, and no word about it
    LEFT = "left over"  # a file that no command will use again, and none removes
    UNCLEAR = "unclear"  # an error without the file's name, or without a fix
    TRACEBACK = "traceback"
    BUG = "bug in the runner"
    BOUNDS = "out of bounds"  # time, memory, or bytes on the disk


@dataclass
class Outcome:
    """What came of one trial."""

    attack: str
    number: int
    title: str = ""  # what was done, in a line
    hit: bool = False  # the attack met something: a kill that came before the end, a flipped file that was read
    harms: list[tuple[str, str]] = field(default_factory=list)  # Harm's value, details
    memory_mb: float = 0.0  # of the largest process
    seconds: float = 0.0  # of the longest command

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass
class Trial:
    """One trial of an attack: seeded by the campaign's seed, the attack's name and its own number."""

    attack: str
    number: int
    seed: int
    folder: Path
    prepared: Path
    bounds: Bounds = field(default_factory=Bounds)
    outcome: Outcome = field(init=False)
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.outcome = Outcome(self.attack, self.number)
        self.random = random.Random(f"{self.seed} {self.attack} {self.number}")

    def runner(
        self,
        *words: object,
        workspace: Path | None = None,
        interruption: Interruption | None = None,
        before: Callable[[], None] | None = None,
        bounds: Bounds | None = None,
    ) -> Ended:
        """Run a `runner` command in a forked child, after `before`; what it must not do is reported."""
        workspace = workspace or self.folder
        ended = fork_runner(workspace, words, interruption=interruption, before=before, bounds=bounds or self.bounds)
        self.take(ended)
        return ended

    def take(self, ended: Ended) -> None:
        """Report what this command did and must not, and keep its memory and time."""
        self.outcome.memory_mb = max(self.outcome.memory_mb, ended.memory_mb)
        self.outcome.seconds = max(self.outcome.seconds, ended.seconds)
        if ended.has_traceback:
            self.report(Harm.TRACEBACK, ended.describe())
        elif ended.is_bug:
            self.report(Harm.BUG, ended.describe())
        if ended.out_of_bounds:
            self.report(Harm.BOUNDS, f"{ended.out_of_bounds}: {ended.describe()}")

    def report(self, harm: Harm, details: str) -> None:
        """Record a harm."""
        self.outcome.harms.append((harm.value, details))

    def must(self, condition: bool, harm: Harm, details: str) -> None:
        """Record a harm unless the condition holds."""
        if not condition:
            self.report(harm, details)

    def require_done(self, ended: Ended, what: str) -> bool:
        """Whether the command ended with 0; else what it should have done is reported as lost."""
        self.must(ended.code == 0, Harm.LOST, f"{what}: {ended.describe()}")
        return ended.code == 0

    def require_explained(self, ended: Ended, *names: str) -> None:
        """Report an error whose message lacks a fix, or names none of these files."""
        if ended.code == 0 or ended.is_bug or ended.has_traceback:
            return
        named = not names or any(name in ended.output for name in names)
        self.must(named, Harm.UNCLEAR, f"{' or '.join(names)} is not named: {ended.describe()}")
        self.must("fix:" in ended.output, Harm.UNCLEAR, f"no fix: {ended.describe()}")


def _nothing(_folder: Path, _small: bool) -> None:
    """Nothing to prepare."""


@dataclass(frozen=True)
class Attack:
    """A class of trials."""

    name: str
    trials: int  # of a whole campaign
    run: Callable[[Trial], None]
    prepare: Callable[[Path, bool], None] = _nothing

    def make(self, number: int, seed: int, folder: Path, prepared: Path) -> Outcome:
        """The outcome of one trial; an error of the trial itself is reported, too."""
        trial = Trial(self.name, number, seed, folder, prepared)
        try:
            self.run(trial)
        except Exception:
            trial.report(Harm.LOST, f"the trial itself failed: {traceback.format_exc()}")
        return trial.outcome
