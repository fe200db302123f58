"""Two processes that `accelerate launch` starts: one of them is killed, or all; they are started again."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
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
    ended = _Launched.start(folder / "after").wait()
    if ended.code:
        raise RuntimeError(ended.describe())
    (folder / "seconds.json").write_text(str(ended.seconds))


def run(trial: Trial) -> None:
    """Kill the launched processes up to twice, let them end, and compare."""
    seconds = read_json(trial.prepared / "seconds.json")
    workspace = trial.folder / "workspace"
    copy_world(trial.prepared / "before", workspace)
    for _ in range(trial.random.randint(1, _MOST_KILLS)):
        launched = _Launched.start(workspace)
        ended = launched.kill_after(trial.random.uniform(_START * seconds, seconds), trial.random)
        trial.outcome.title += f"{launched.killed}; "
        trial.take(ended)
        if ended.code == 0:
            break
        trial.outcome.hit = trial.outcome.hit or bool(launched.killed)
    ended = _Launched.start(workspace).wait()
    trial.take(ended)
    trial.require_done(ended, "started again")
    for line in differences(trial.prepared / "after", workspace):
        name, _, kind = line.partition(" ")
        left = kind == "is left over" and ".part" in name
        trial.report(Harm.LEFT if left else Harm.LOST if kind == "is missing" else Harm.CHANGED, line)


@dataclass
class _Launched:
    """A launcher and its two processes, in a process group of their own."""

    launcher: subprocess.Popen[bytes]
    output: Path
    began: float
    killed: str = ""

    @classmethod
    def start(cls, workspace: Path) -> _Launched:
        output = workspace / ".output.txt"
        flags = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
        address = ["--main_process_ip=127.0.0.1", f"--main_process_port={_free_port()}"]
        words = ["--workspace", str(workspace), *_WORDS]
        with output.open("wb") as file:
            launcher = subprocess.Popen(
                [sys.executable, "-m", "accelerate.commands.launch", *flags, *address, "-m", "runner", *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return cls(launcher, output, time.monotonic())

    def kill_after(self, seconds: float, chance: random.Random) -> Ended:
        """Kill one of the processes, or all of them, after so long; how the launcher ended."""
        try:
            self.launcher.wait(seconds)
        except subprocess.TimeoutExpired:
            children = psutil.Process(self.launcher.pid).children(recursive=True)
            if children and chance.random() < 0.6:
                victim = chance.choice(children)
                victim.kill()
                self.killed = f"process {children.index(victim)} of {len(children)} after {seconds:.1f} s"
            else:
                self.launcher.kill()
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                self.killed = f"all after {seconds:.1f} s"
        return self.wait()

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
        return Ended(_WORDS, code, kept, seconds, 0.0, out_of_bounds=over)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


ATTACK = Attack("processes", 6, run, prepare)
