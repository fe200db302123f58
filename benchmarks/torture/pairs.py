"""Two commands at once on one workspace, then those again that were refused.

The workspace ends as after one command and then the other, in one of the two orders.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import differences
from benchmarks.torture.process import Ended, fork_runner, start_runner
from benchmarks.torture.worlds import NAME, STEPS, copy_world, record_steps, shapes

Words = tuple[str, ...]

_SHORT = ("--epochs-scale", "0.4", "--workers", "0")
_LAST_STEP = "submit best"  # runs a, b and e, predicted; e is not submitted
_MOST_DELAY = 1.5  # seconds between the two

COMMANDS: tuple[Words, ...] = (
    shapes("train", "--run", "n", *_SHORT),
    shapes("train", "--run", "m", *_SHORT),
    shapes("run", "--run", "n", *_SHORT),
    shapes("train", "--run", "a", "--all-data", "--workers", "0"),
    shapes("predict", "--run", "a", "--workers", "0"),
    shapes("predict", "--run", "b", "--workers", "0", "--tta", "none"),
    shapes("ensemble", "a", "b", "--name", "e"),
    shapes("ensemble", "a", "b", "--name", "n"),
    shapes("split", "--folds", "3", "--force"),
    shapes("download", "--force"),
    shapes("submit", "e", "-m", "one"),
    shapes("submit", "e", "-m", "other"),
    shapes("submit", "--best", "2"),
    shapes("standings", "--refresh"),
    shapes("report", "a"),
    shapes("explore"),
    shapes("find-lr", "--workers", "0"),
    shapes("rehearse", "--hidden", "0.3", *_SHORT),
    shapes("clean"),
    ("board",),
)
_CHEAP = tuple(words for words in COMMANDS if words[3:4] in (("split",), ("download",)))


def prepare(folder: Path, small: bool) -> None:
    """A finished workspace, or only its data."""
    names = [step.name for step in STEPS]
    steps = tuple(step for step in STEPS if step.name in ("download", "split"))
    record_steps(folder, steps if small else STEPS[: names.index(_LAST_STEP) + 1])
    (folder / "after" / ("split" if small else _LAST_STEP)).rename(folder / "finished")
    if small:
        (folder / "small").touch()


def run(trial: Trial) -> None:
    """Start two commands; then compare with both orders."""
    commands = _CHEAP if (trial.prepared / "small").exists() else COMMANDS
    first = trial.random.choice(commands)
    second = first if trial.random.random() < 0.25 else trial.random.choice(commands)
    delay = trial.random.choice((0.0, 0.05, trial.random.uniform(0, _MOST_DELAY)))
    trial.outcome.title = f"`{' '.join(first)}` and {delay:.2f} s later `{' '.join(second)}`"
    together = trial.folder / "together"
    copy_world(trial.prepared / "finished", together)
    both = _both(trial, together, first, second, delay)
    for (words, ended), (other, _) in zip(both, reversed(both), strict=True):
        if ended.code:
            trial.require_explained(ended)
            again = trial.runner(*words, workspace=together)
            if again.code and _is_refused_after(trial, other, words):
                return  # both want one name: the second is refused however long it waits
            trial.require_done(again, "called again")
    if not trial.outcome.harms:
        _compare(trial, together, first, second)


def _both(trial: Trial, workspace: Path, first: Words, second: Words, delay: float) -> list[tuple[Words, Ended]]:
    """Both commands with how they ended; the second starts when the first has run for a while."""
    one = start_runner(workspace, first, output_name=".output-1.txt")
    time.sleep(delay)
    trial.outcome.hit = not one.has_ended()
    other = start_runner(workspace, second, output_name=".output-2.txt")
    ended = [(first, one.wait(trial.bounds)), (second, other.wait(trial.bounds))]
    for _, command in ended:
        trial.take(command)
    return ended


def _is_refused_after(trial: Trial, first: Words, second: Words) -> bool:
    """Whether the second command is refused when the first has ended before."""
    workspace = trial.folder / "refused"
    copy_world(trial.prepared / "finished", workspace)
    return not fork_runner(workspace, first).code and bool(fork_runner(workspace, second).code)


def _compare(trial: Trial, together: Path, first: Words, second: Words) -> None:
    found: list[list[str]] = []
    for number, order in enumerate(((first, second), (second, first))):
        workspace = trial.folder / f"in-turn-{number}"
        copy_world(trial.prepared / "finished", workspace)
        for words in order:
            ended = fork_runner(workspace, words)
            if ended.code:
                return  # they cannot follow each other either: what is right is not known
        found.append(differences(workspace, together))
        if not found[-1]:
            return
    line = min(found, key=len)[0]
    name, _, kind = line.partition(" ")
    doubled = f"/{NAME}/submissions/" in name and kind == "is left over"
    harm = (
        Harm.LEFT if ".part" in name else Harm.DOUBLED if doubled else Harm.LOST if "missing" in kind else Harm.CHANGED
    )
    trial.report(harm, f"{line}; in the other order: {max(found, key=len)[0]}")


ATTACK = Attack("pairs", 50, run, prepare)
