"""Two processes that `accelerate launch` starts: one of them is killed, or all; they are started again."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import differences, read_json
from benchmarks.torture.process import Ended, fork_runner
from benchmarks.torture.worlds import copy_world, create_world, shapes

_WORDS = shapes("train", "--run", "a", "--workers", "0")
_MOST_KILLS = 2
_LONGEST = 300.0  # seconds
_START = 0.5  # the share of a launch in which nothing is written yet: it is killed there less often


def prepare(folder: Path, _small: bool) -> None:
    """An unbroken training by two processes, and how long it takes."""
    create_world(folder / "before")
    for words in (shapes("download"), shapes("split", "--folds", "2")):
        fork_runner(folder / "before", words)
    copy_world(folder / "before", folder / "after")
    ended = _start(folder / "after").wait()
    if ended.code:
        raise RuntimeError(ended.describe())
    (folder / "seconds.json").write_text(str(ended.seconds))


def run(trial: Trial) -> None:
    """Kill the launched processes up to twice, let them end, and compare."""
    seconds = read_json(trial.prepared / "seconds.json")
    workspace = trial.folder / "workspace"
    copy_world(trial.prepared / "before", workspace)
    for _ in range(trial.random.randint(1, _MOST_KILLS)):
        launched = _start(workspace)
        ended = launched.kill_after(trial.random.uniform(_START * seconds, seconds), trial.random)
        trial.outcome.title += f"{launched.killed}; "
        trial.take(ended)
        if ended.code == 0:
            break
        trial.outcome.hit = trial.outcome.hit or bool(launched.killed)
    ended = _start(workspace).wait()
    trial.take(ended)
    trial.require_done(ended, "started again")
    compare(trial, workspace)


def compare(trial: Trial, workspace: Path) -> None:
    """Report what differs from the unbroken training."""
    for line in differences(trial.prepared / "after", workspace):
        name, _, kind = line.partition(" ")
        left = kind == "is left over" and ".part" in name
        trial.report(Harm.LEFT if left else Harm.LOST if kind == "is missing" else Harm.CHANGED, line)


@dataclass
class Launched:
    """A launcher and its processes, in a process group of their own."""

    launcher: subprocess.Popen[bytes]
    output: Path
    began: float
    words: tuple[str, ...]
    killed: str = ""
    started: list[psutil.Process] = field(default_factory=list)  # that may outlive a launcher that was killed

    @classmethod
    def start(cls, workspace: Path, *modules: str, words: Sequence[str] = _WORDS) -> Launched:
        """Start `python -m MODULES… --workspace WORKSPACE WORDS…`."""
        output = workspace / ".output.txt"
        with output.open("wb") as file:
            launcher = subprocess.Popen(
                [sys.executable, "-m", *modules, "--workspace", str(workspace), *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return cls(launcher, output, time.monotonic(), tuple(words))

    def kill_after(self, seconds: float, chance: random.Random, *, launcher_alone: bool = False) -> Ended:
        """Kill one of the processes, or all of them (or the launcher alone), after so long; how the launcher ended."""
        try:
            self.launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            children = psutil.Process(self.launcher.pid).children(recursive=True)
            self.started += children
            if children and chance.random() < 0.6:
                victim = chance.choice(children)
                victim.kill()
                self.killed = f"process {children.index(victim)} of {len(children)} after {seconds:.1f} s"
            elif launcher_alone:
                self.launcher.kill()
                self.killed = f"the first process after {seconds:.1f} s"
            else:
                self.launcher.kill()
                self.end_started()
                self.killed = f"all after {seconds:.1f} s"
        return self.wait()

    def end_started(self) -> None:
        """Kill the processes that the launcher had when it was killed."""
        for child in self.started:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def wait(self) -> Ended:
        """How the launcher ended; its processes end with it."""
        over = ""
        try:
            self.launcher.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            over = f"more than {_LONGEST:.0f} s"
            # Not its process group: each of its processes leads one of its own.
            for process in [psutil.Process(self.launcher.pid), *psutil.Process(self.launcher.pid).children(True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        code = self.launcher.wait()
        # The launcher prints a traceback of its own when a process of its is killed.
        output = self.output.read_text(errors="replace").partition("accelerate/commands/launch.py")[0]
        seconds = time.monotonic() - self.began
        kept = output.replace("Traceback (most recent call last)", "") if self.killed else output
        return Ended(self.words, code, kept, seconds, 0.0, out_of_bounds=over)


def _start(workspace: Path) -> Launched:
    flags = ("--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no")
    address = ("--main_process_ip=127.0.0.1", f"--main_process_port={_free_port()}")
    return Launched.start(workspace, "accelerate.commands.launch", *flags, *address, "-m", "runner")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


ATTACK = Attack("processes", 6, run, prepare)
