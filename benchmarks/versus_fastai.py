"""Ours and fastai in turn on a dog-breed-shaped folder: time to a log loss, time in all, scores on the test rows.

Each side is a process of its own, timed from the outside and from the first moment: imports, activations and all.
Ours is `runner dog-breed run --no-submit`, with the copying and splitting of the data, which fastai has no need of.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.claims import claim
from runner.contract import ACCURACY, LOG_LOSS

HERE = Path(__file__).parent
PEER = "fastai"
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
# The least processor time of what was tried on two cores; its own defaults are `--peer=''`.
BEST = "--channels-last"
# Dog-breed's recipe at the one size, its short way, and the shortest that is still as good as fastai's best.
OURS = ("", "--heads-only", "--heads-only --size 128")
_LOOK_EVERY = 0.05  # seconds between two looks at a log that another process writes


@dataclass
class Side:
    """What one side did in one turn."""

    name: str
    load: float  # of the machine, just before
    steps: dict[str, float] = field(default_factory=dict)  # seconds of each process
    losses: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the first process, held-out loss)
    processor: float = 0.0  # seconds of all cores together
    tests: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.steps.values())

    @property
    def best(self) -> float:
        return min(loss for _, loss in self.losses)

    def reaches(self, loss: float) -> float | None:
        """Seconds until the held-out loss was first that low."""
        return min((at for at, seen in self.losses if seen <= loss), default=None)

    def run(self, step: str, command: list[str], environment: dict[str, str], log: Path | None = None) -> None:
        """Run one process to its end, and look at the log that it writes meanwhile."""
        begun, before, used = time.perf_counter(), self.total, _processor_seconds()
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
            seen = 0
            while process.poll() is None:
                time.sleep(_LOOK_EVERY)
                for loss in _losses(log)[seen:]:
                    self.losses.append((before + time.perf_counter() - begun, loss))
                    seen += 1
            self.steps[step] = time.perf_counter() - begun
            said.seek(0)
            if process.returncode:
                sys.exit(
                    f"{shlex.join(command)}\n{said.read()[-3000:]}\n{self.name}, {step}: exit {process.returncode}"
                )
        self.processor += _processor_seconds() - used


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _losses(log: Path | None) -> list[float]:
    """The held-out loss of every finished epoch of the first fold."""
    if log is None or not log.exists():
        return []
    written = log.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [json.loads(line) for line in written if line.endswith("\n")]
    return [line["valid_loss"] for line in lines if line.get("valid_loss") is not None and line.get("fold", 0) == 0]


def main() -> None:
    options = parse_options()
    if not PEERS.exists():
        sys.exit(f"fastai's environment is not there: {PEERS}\nmake peers   (downloads some gigabytes)")
    turns = [side for number in range(options.refit_of) for side in take_turns(options, number)]
    if options.peer_told:
        turns += read_peer(options.peer_told)
    if options.out:
        options.out.write_text("".join(json.dumps(vars(side)) + "\n" for side in turns), encoding="utf-8")
    print_table(options, turns)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus_fastai", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="train/, test/, labels.csv, sample_submission.csv [test_solution.csv]"
    )
    parser.add_argument("--model", required=True, metavar="M", help="a timm model, the same for both")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its weights, the same for both")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="OMP_NUM_THREADS of both  [default: torch takes_decisions]"
    )
    parser.add_argument(
        "--loss", type=float, metavar="X", help="the log loss to reach  [default: what fastai reaches in every turn]"
    )
    parser.add_argument("--refit_of", type=int, default=1, metavar="N", help="turns of both; medians are printed")
    parser.add_argument(
        "--train",
        action="append",
        metavar="FLAGS",
        help="further flags of `runner dog-breed run`, written --train='--quick'; given again, one more column  "
        f"[default: none; {'; '.join(OURS[1:])}]",
    )
    parser.add_argument(
        "--peer",
        action="append",
        metavar="FLAGS",
        help=f"flags of fastai_peer.py, as above; the ratios are to the first column  [default: {BEST}]",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep what was measured, a JSON line a turn")
    parser.add_argument(
        "--peer-told", type=Path, metavar="FILE", help="do not run fastai: take its lines from such a file"
    )
    return parser.parse_args()


def take_turns(options: argparse.Namespace, number: int) -> Iterator[Side]:
    """Ours, by each way of training, and fastai, on the same held-out rows; ours from an empty workspace each."""
    with tempfile.TemporaryDirectory() as folder:
        for place, flags in enumerate(options.train or OURS):
            yield run_ours(options, number, flags, Path(folder) / str(place))
        held_out = Path(folder) / "0" / "runs" / "dog-breed" / "folds.csv"
        for flags in [] if options.peer_told else options.peer or [BEST]:
            yield run_peer(options, number, flags, held_out, Path(folder))


def run_ours(options: argparse.Namespace, number: int, flags: str, workspace: Path) -> Side:
    """The whole line by the command that a person types, from the raw folder to a submission."""
    side = Side(f"ours {flags}".strip(), os.getloadavg()[0])
    weights = ["--weights", str(options.weights.resolve())] if options.weights else []
    recipe = ["--model", options.model, *weights, "--size", str(options.size), "--seed", str(42 + number)]
    run = workspace / "runs" / "dog-breed" / "versus"
    runner = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q", "dog-breed", "run", "--no-submit"]
    words = ["--from", str(options.folder.resolve()), "--run", "versus", *recipe, *shlex.split(flags)]
    side.run("all", [*runner, *words], _environment(options), run / "log.jsonl")
    # What is submitted is scored on the held-out rows too: an ensemble may reach what no epoch did.
    side.losses.append((side.total, json.loads((run / "score.json").read_text())["cv"]["value"]))
    side.tests = grade(options.folder, workspace / "submissions" / "dog-breed" / "versus.csv")
    environment_file = json.loads((run / "environment.json").read_text())
    side.facts = {"recipe": json.loads((run / "recipe.json").read_text()), "environment": environment_file}
    return side


def run_peer(options: argparse.Namespace, number: int, flags: str, held_out: Path, folder: Path) -> Side:
    """fastai: one frozen and three unfrozen epochs, then TTA of the test images."""
    side = Side(f"{PEER} {flags}".strip(), os.getloadavg()[0])
    weights = ["--weights", str(options.weights)] if options.weights else []
    settings = ["--model", options.model, *weights, "--size", str(options.size), "--seed", str(42 + number)]
    script = [str(PEERS), str(HERE / "fastai_peer.py"), str(options.folder), "--held-out", str(held_out)]
    command = [*script, *settings, "--out", str(folder), *shlex.split(flags)]
    # As the runner sets it for us: a spinning thread holds the core that another process waits for.
    side.run("all", command, {**_environment(options), "OMP_WAIT_POLICY": "PASSIVE"})
    told = json.loads((folder / "told.json").read_text())
    side.losses = [(epoch["at"], epoch["valid_loss"]) for epoch in told["epochs"]]
    side.steps = {"train": told["trained_at"], "tta": side.total - told["trained_at"]}
    side.tests = grade(options.folder, folder / "submission.csv")
    side.facts = {"epochs": told["epochs"], "environment": told["settings"]}
    return side


def read_peer(path: Path) -> list[Side]:
    """The turns of fastai in a file that `--out` left."""
    sides = [Side(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return [side for side in sides if side.name.startswith(PEER)]


def _environment(options: argparse.Namespace) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    return {**os.environ, "PYTHONUNBUFFERED": "1", **threads}


def grade(folder: Path, submission: Path) -> dict[str, float]:
    """Accuracy and log loss of a submission; nothing where the folder has no answers."""
    answers = folder / "test_solution.csv"
    if not answers.exists():
        return {}
    with submission.open(encoding="utf-8", newline="") as file:
        (_, *classes), *rows = csv.reader(file)
    with answers.open(encoding="utf-8-sig", newline="") as file:
        truth = dict(list(csv.reader(file))[1:])
    targets = np.array([[name == truth[row[0]] for name in classes] for row in rows], dtype=np.float64)
    probabilities = np.array([row[1:] for row in rows], dtype=np.float64)
    return {
        "accuracy": ACCURACY.score(targets, probabilities),
        "log loss": LOG_LOSS.score(targets, probabilities),
    }


def print_table(options: argparse.Namespace, turns: list[Side]) -> None:
    """A column a side, medians over the turns, and how many times longer fastai takes."""
    names = sorted(dict.fromkeys(side.name for side in turns), key=lambda name: not name.startswith(PEER))
    sides = {name: [side for side in turns if side.name == name] for name in names}
    peer, ours = sides[names[0]], [name for name in names if not name.startswith(PEER)]
    if names[0] in ours:
        sys.exit("there are no turns of fastai to compare with")
    loss = options.loss if options.loss is not None else max(side.best for side in peer)
    rows: dict[str, Callable[[Side], float | None]] = {
        f"s to held-out log loss {loss:.4f}": lambda side: side.reaches(loss),
        "s in all, to the submission": lambda side: side.total,
        **{f"   of it {step}": _step(step) for side in turns for step in side.steps},
        "processor s": lambda side: side.processor,
    }
    scores: dict[str, Callable[[Side], float | None]] = {
        "best held-out log loss": lambda side: side.best,
        **{f"test {key}": _test(key) for side in turns for key in side.tests},
    }
    versions = peer[0].facts["environment"]
    print(", ".join(f"{name} {versions[name]}" for name in ("fastai", "torch", "timm", "threads")), end="; ")
    print(f"{options.model} at {options.size} px; turns: {', '.join(f'{len(sides[name])} {name}' for name in names)}")
    print("load of the machine before each: " + ", ".join(f"{side.name} {side.load:.1f}" for side in turns))
    width = max(12, *(len(name) + 2 for name in names))
    print(f"{'':<34}" + "".join(f"{name:>{width}}" for name in names) + "".join(f"{'fastai / it':>14}" for _ in ours))
    for title, figure in (rows | scores).items():
        medians = {name: _median(map(figure, sides[name])) for name in names}
        shown = "".join(_shown(value, width, 1 if title in rows else 4) for value in medians.values())
        ratios = [_ratio(medians[names[0]], medians[name]) for name in ours] if title in rows else []
        print(f"{title:<34}{shown}{''.join(ratios)}".rstrip())
    claim_line(peer, [sides[name] for name in ours], loss)


def claim_line(peer: list[Side], ours: list[list[Side]], loss: float) -> None:
    """How many times longer fastai takes from raw files to a submission than our shortest way that is as good."""
    theirs = statistics.median(side.total for side in peer)
    good = {
        turns[0].name: statistics.median(side.total for side in turns)
        for turns in ours
        if all(side.losses[-1][1] <= loss for side in turns)
    }
    if not good:
        claim(f"raw files to a submission with log loss {loss:.3f}", "not reached", ">= 10 x", False)
        return
    name = min(good, key=good.__getitem__)
    ratio = theirs / good[name]
    of = f"raw files to a submission with log loss {loss:.3f}: fastai / {name}"
    claim(of, f"{ratio:.1f} x", ">= 10 x", ratio >= 10)


def _shown(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def _ratio(theirs: float | None, ours: float | None) -> str:
    return f"{theirs / ours:>12.1f} x" if theirs and ours else " " * 14


def _step(step: str) -> Callable[[Side], float | None]:
    return lambda side: side.steps.get(step)


def _test(key: str) -> Callable[[Side], float | None]:
    return lambda side: side.tests.get(key)


def _median(values: Iterator[float | None]) -> float | None:
    known = list(values)
    # Where one turn did not get there, a median of the others would flatter.
    return None if None in known else statistics.median(value for value in known if value is not None)


if __name__ == "__main__":
    main()
