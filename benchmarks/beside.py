"""The runner beside a peer, fastai or AutoGluon, on photographs: time to a log loss, total time, test scores.

Each side is a process of its own, timed from outside and from its first moment, imports included. The runner's is
`runner COMPETITION run --no-submit`, with copying and splitting the data, which a peer does not need.
"""

from __future__ import annotations

import csv
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.grading import grade, read_labels
from benchmarks.harness import children_cpu_seconds, claim, main, write_csv
from competitions import load
from runner.session import Session
from runner.workspace import Workspace

ROOT = Path(__file__).parent.parent
POLL_SECONDS = 0.05

Figure = Callable[["Turn"], float | None]


@dataclass(frozen=True)
class Peer:
    """Another library, in an environment of its own; `flags` are its settings of the comparison."""

    name: str  # of its module in `benchmarks.peers`
    environment: str
    target: str  # of `make`
    flags: str = ""
    ratio_to_reach: float | None = None

    @property
    def python(self) -> Path:
        return ROOT / self.environment / "bin" / "python"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastai", ".venv-peers", "peers", "--channels-last", 10),  # its fastest settings on two cores
        Peer("autogluon", ".venv-autogluon", "peers-autogluon", "--time-limit 1800"),
    )
}


@dataclass(frozen=True)
class Options:
    """The same for both sides."""

    folder: Path
    competition: str
    peer: Peer
    model: str
    weights: Path | None
    size: int
    threads: int | None

    def flags(self, seed: int) -> list[str]:
        weights = ["--weights", str(self.weights.resolve())] if self.weights else []
        return [*weights, "--size", str(self.size), "--seed", str(seed)]

    @property
    def environment(self) -> dict[str, str]:
        threads = {"OMP_NUM_THREADS": str(self.threads)} if self.threads else {}
        return {**os.environ, "PYTHONUNBUFFERED": "1", **threads}


@dataclass
class Turn:
    """One side, once."""

    side: str
    load: float  # of the machine, just before
    steps: dict[str, float] = field(default_factory=dict)  # seconds
    losses: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the start, validation loss)
    cpu_seconds: float = 0.0
    test_scores: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(self.steps.values())

    @property
    def best_loss(self) -> float:
        return min(loss for _, loss in self.losses)

    def seconds_to(self, loss: float) -> float | None:
        """Seconds until the validation loss was first this low; None if it never was."""
        return min((seconds for seconds, value in self.losses if value <= loss), default=None)

    def run(self, command: Sequence[str], environment: dict[str, str], log: Path | None = None) -> None:
        """Run a process to its end; note when each validation loss appears in the log that it writes."""
        started, cpu_before = time.perf_counter(), children_cpu_seconds()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                for loss in _read_losses(log)[len(self.losses) :]:
                    self.losses.append((time.perf_counter() - started, loss))
            self.steps["all"] = time.perf_counter() - started
            output.seek(0)
            if process.returncode:
                text = output.read()[-3000:]
                sys.exit(f"{shlex.join(command)}\n{text}\n{self.side}: exit code {process.returncode}")
        self.cpu_seconds = children_cpu_seconds() - cpu_before


def _read_losses(log: Path | None) -> list[float]:
    """The validation loss of every finished epoch of the first fold."""
    if log is None or not log.exists():
        return []
    text = log.read_text(encoding="utf-8").splitlines(keepends=True)
    epochs = [json.loads(line) for line in text if line.endswith("\n")]
    return [
        epoch["valid_loss"] for epoch in epochs if epoch.get("valid_loss") is not None and epoch.get("fold", 0) == 0
    ]


def beside(
    folder: Path,
    peer: str = "fastai",
    competition: str = "dog-breed",
    model: str = "mobilenetv2_100",
    weights: Path | None = None,
    size: int = 160,
    repeats: int = 1,
    threads: int | None = None,
    loss: float | None = None,
    train: str = ";--linear-probe;--linear-probe --size 128",
    peer_flags: str | None = None,
    out: Path | None = None,
    peer_turns: Path | None = None,
) -> None:
    """Compare with a peer: the same backbone, weights, size, rows and validation rows; medians over the repeats.

    FOLDER is laid out as the competition, one class a row. --peer: fastai or autogluon. --train: flags of `runner
    COMPETITION run`, a column for each, separated by semicolons. --peer-flags: likewise flags of peers/PEER.py; ratios
    are to the first. --loss: the log loss to reach, by default what the peer reaches in every turn. --out: write the
    turns as JSON lines; --peer-turns: read the peer's from such a file instead of running it. --threads:
    OMP_NUM_THREADS of both.
    """
    if peer not in PEERS:
        sys.exit(f"--peer {peer}: one of {', '.join(PEERS)}")
    options = Options(folder, competition, PEERS[peer], model, weights, size, threads)
    if not options.peer.python.exists() and not peer_turns:
        sys.exit(f"{peer} is not there: {options.peer.python}\nmake {options.peer.target}   (downloads some gigabytes)")
    columns = [] if peer_turns else (options.peer.flags if peer_flags is None else peer_flags).split(";")
    turns = [turn for number in range(repeats) for turn in run_sides(options, number, train.split(";"), columns)]
    if peer_turns:
        lines = [Turn(**json.loads(line)) for line in peer_turns.read_text(encoding="utf-8").splitlines()]
        turns += [turn for turn in lines if turn.side.startswith(peer)]
    if out:
        out.write_text("".join(json.dumps(vars(turn)) + "\n" for turn in turns), encoding="utf-8")
    report(options, turns, loss)


def run_sides(options: Options, number: int, train: list[str], peer: list[str]) -> Iterator[Turn]:
    """A turn of the runner for each of its flags, then of the peer, with the same validation rows."""
    with tempfile.TemporaryDirectory() as folder:
        for column, flags in enumerate(train):
            yield run_runner_turn(options, number, flags, Path(folder) / str(column))
        session, tables = open_session(options, Path(folder) / "0"), Path(folder) / "tables"
        if peer:
            write_tables(session, tables)
        for column, flags in enumerate(peer):
            out = Path(folder) / f"{options.peer.name}-{column}"
            turn = run_peer_turn(options, number, flags, tables, out)
            turn.test_scores = score_hidden(options.folder, out / "submission.csv")
            yield turn


def run_runner_turn(options: Options, number: int, flags: str, workspace: Path) -> Turn:
    """`runner COMPETITION run`, from the raw folder to a submission, in an empty workspace."""
    turn, competition = Turn(f"runner {flags}".strip(), os.getloadavg()[0]), options.competition
    run = workspace / "runs" / competition / "versus"
    command = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q", competition, "run", "--no-submit"]
    source = ["--from", str(options.folder.resolve()), "--run", "versus", "--backbone", options.model]
    words = [*source, *options.flags(42 + number), *shlex.split(flags)]
    turn.run([*command, *words], options.environment, run / "log.jsonl")
    # The submission's own CV counts too: an ensemble may reach what no epoch did.
    turn.losses.append((turn.seconds, json.loads((run / "score.json").read_text())["cv"]["value"]))
    submission = workspace / "submissions" / competition / "versus.csv"
    turn.test_scores = score_hidden(options.folder, submission)
    turn.settings = {name: json.loads((run / f"{name}.json").read_text()) for name in ("recipe", "environment")}
    return turn


def run_peer_turn(options: Options, number: int, flags: str, tables: Path, out: Path) -> Turn:
    """The peer's training as its documentation has it, then its prediction of the test images."""
    peer = options.peer
    turn = Turn(f"{peer.name} {flags}".strip(), os.getloadavg()[0])
    out.mkdir()
    # As a module: a script's own folder is on the path, and has files with the names of the peers.
    command = [str(peer.python), "-m", f"benchmarks.peers.{peer.name}", str(tables), "--out", str(out)]
    words = ["--model", options.model, *options.flags(42 + number), *shlex.split(flags)]
    # As the runner sets it for itself: a spinning thread holds the core that another process waits for.
    own = {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    turn.run([*command, *words], {**options.environment, **own})
    result = json.loads((out / "result.json").read_text())
    turn.losses = [(epoch["seconds"], epoch["valid_loss"]) for epoch in result["epochs"]]
    turn.steps = {"train": result["train_seconds"], "predict": turn.seconds - result["train_seconds"]}
    turn.settings = {"epochs": result["epochs"], "environment": result["settings"]}
    return turn


# --- rows ---------------------------------------------------------------------------------------


def open_session(options: Options, workspace: Path) -> Session:
    return Session(load(options.competition), Workspace.at(workspace))


def write_tables(session: Session, folder: Path) -> None:
    """Write what a peer reads: train.csv (image,label,fold) with the runner's folds, and test.csv (id,image)."""
    index = session.index
    folder.mkdir()
    with session.folds_file.open(encoding="utf-8", newline="") as file:
        fold_of = {row["id"]: row["fold"] for row in csv.DictReader(file)}
    train = index.train[["id", "path", "label"]].itertuples(index=False)
    rows = [[str(index.data_dir / path), label, fold_of[id]] for id, path, label in train]
    write_csv(folder / "train.csv", ["image", "label", "fold"], rows)
    test = index.test[["id", "path"]].itertuples(index=False)
    write_csv(folder / "test.csv", ["id", "image"], [[id, str(index.data_dir / path)] for id, path in test])


def score_hidden(folder: Path, submission: Path) -> dict[str, float]:
    """Log loss and accuracy by `test_solution.csv`, each with its standard error; empty if the folder has none."""
    label_of = read_labels(folder)
    return grade(label_of, submission).scores() if label_of else {}


# --- report -------------------------------------------------------------------------------------


def report(options: Options, turns: list[Turn], loss: float | None) -> None:
    """Print a column for each side, medians over its turns, and how many times longer the peer takes."""
    sides: dict[str, list[Turn]] = {}
    name = options.peer.name
    for turn in sorted(turns, key=lambda turn: not turn.side.startswith(name)):
        sides.setdefault(turn.side, []).append(turn)
    peer, *ours = sides
    if not peer.startswith(name):
        sys.exit(f"there are no turns of {name} to compare with")
    ours = [side for side in ours if not side.startswith(name)]
    target = loss if loss is not None else max(turn.best_loss for turn in sides[peer])
    print_conditions(options, sides, turns)
    times: dict[str, Figure] = {
        f"s to validation log loss {target:.4f}": lambda turn: turn.seconds_to(target),
        "s in all, to the submission": lambda turn: turn.seconds,
        **{f"   of it {step}": _step_seconds(step) for turn in turns for step in turn.steps},
        "CPU s": lambda turn: turn.cpu_seconds,
    }
    scores: dict[str, Figure] = {
        "best validation log loss": lambda turn: turn.best_loss,
        **{f"test {name}": _test_score(name) for turn in turns for name in turn.test_scores},
    }
    width = max(12, *(len(side) + 2 for side in sides))
    print(f"{'':<34}" + "".join(f"{side:>{width}}" for side in sides) + "".join(f"{f'{name} / it':>16}" for _ in ours))
    for title, figure in (times | scores).items():
        medians = {side: _median(map(figure, side_turns)) for side, side_turns in sides.items()}
        cells = "".join(_cell(value, width, 1 if title in times else 4) for value in medians.values())
        ratios = [_ratio(medians[peer], medians[side]) for side in ours] if title in times else []
        print(f"{title:<34}{cells}{''.join(ratios)}".rstrip())
    claim_speed(options.peer, sides[peer], [sides[side] for side in ours], target)


def print_conditions(options: Options, sides: dict[str, list[Turn]], turns: list[Turn]) -> None:
    versions = next(iter(sides.values()))[0].settings["environment"]
    print(", ".join(f"{name} {versions[name]}" for name in (options.peer.name, "torch", "timm", "threads")), end="; ")
    counts = ", ".join(f"{len(side_turns)} {side}" for side, side_turns in sides.items())
    print(f"{options.model} at {options.size} px; turns: {counts}")
    print("load before each: " + ", ".join(f"{turn.side} {turn.load:.1f}" for turn in turns))


def claim_speed(peer: Peer, theirs: list[Turn], ours: list[list[Turn]], loss: float) -> None:
    """Claim how many times longer the peer takes than the runner's fastest way that reaches the loss in every turn."""
    seconds = {
        turns[0].side: statistics.median(turn.seconds for turn in turns)
        for turns in ours
        if all(turn.losses[-1][1] <= loss for turn in turns)
    }
    figure = f"raw files to a submission with log loss {loss:.3f}: {peer.name} / "
    least = peer.ratio_to_reach
    target = f">= {least:g} x" if least else ""
    if not seconds:
        claim(f"{figure}runner", "not reached", target, False if least else None)
        return
    fastest = min(seconds, key=seconds.__getitem__)
    ratio = statistics.median(turn.seconds for turn in theirs) / seconds[fastest]
    claim(f"{figure}{fastest}", f"{ratio:.1f} x", target, ratio >= least if least else None)


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def _ratio(peer: float | None, ours: float | None) -> str:
    return f"{peer / ours:>14.1f} x" if peer and ours else " " * 16


def _step_seconds(step: str) -> Figure:
    return lambda turn: turn.steps.get(step)


def _test_score(name: str) -> Figure:
    return lambda turn: turn.test_scores.get(name)


def _median(values: Iterator[float | None]) -> float | None:
    """The median; None if any turn has no value, because a median of the others would look better than it is."""
    known = list(values)
    return None if None in known else statistics.median(value for value in known if value is not None)


if __name__ == "__main__":
    main(beside)
