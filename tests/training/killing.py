"""Kill a training again and again, resume it each time, and compare its end with that of an uninterrupted one.

A script of its own: it imports everything once, computes nothing itself, and forks a child for each attempt.
So an attempt costs no imports, and no child inherits threads.
"""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import runner
import runner.workflow
from runner.cli import run_command
from tests.epoch_log import without_times

_TRACED = tuple(
    str(Path(runner.__file__).parent / name) for name in ("training", "prediction", "steps", "workspace", "workflow")
)
# Every n-th kill comes by the clock, from outside: it also strikes within a system call.
_BY_CLOCK = 4


@dataclass(frozen=True)
class Moment:
    """A line or a function call of the runner, and the how many-th time that it is reached."""

    line: str  # file.py:12, or file.py:function()
    time: int

    def __str__(self) -> str:
        return f"{self.line} ({self.time})"


class Trace:
    """Counts the runner's lines as they are reached, and kills its process at one of them."""

    def __init__(self, deadly: Moment | None) -> None:
        self.reached: Counter[str] = Counter()
        self._deadly = deadly

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_TRACED):
            return None
        self._reach(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}()")
        return self._line

    def _line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self._reach(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}")
        return self._line

    def _reach(self, line: str) -> None:
        self.reached[line] += 1
        if self._deadly == Moment(line, self.reached[line]):
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(folder: Path, deadly: Moment | None = None, seconds: float | None = None) -> tuple[int, Counter[str]]:
    """Train and predict in a child, to the end or to its death: the exit code, and the lines that were reached."""
    assert threading.active_count() == 1
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run_child(folder, deadly, writing)
    os.close(writing)
    output = _read_output(reading, child, seconds)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), Counter(json.loads(output or "{}"))


def _run_child(folder: Path, deadly: Moment | None, writing: int) -> None:
    """Train and predict under the trace, write what was reached to the pipe, and exit."""
    with (folder / "output.txt").open("a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    trace = Trace(deadly)
    sys.settrace(trace)
    # Without a name: the repeated command has to find its run itself, and must not begin a second one.
    code = run_command(["--workspace", str(folder), "shapes", "run", "--no-submit", "--workers", "0"])
    sys.settrace(None)
    with os.fdopen(writing, "w") as pipe:
        json.dump(trace.reached, pipe)
    os._exit(code)


def _read_output(reading: int, child: int, seconds: float | None) -> str:
    """What the child writes at its end; after `seconds` it is killed."""
    with os.fdopen(reading) as pipe:
        if seconds is not None and not select.select([pipe], [], [], seconds)[0]:
            os.kill(child, signal.SIGKILL)
        return pipe.read()


def differences(first: Path, second: Path) -> list[str]:
    """The files of two workspaces that differ; of the log, all but times."""
    names = {path.relative_to(top) for top in (first, second) for path in _result_files(top)}
    return sorted(str(name) for name in names if _content(first / name) != _content(second / name))


def _result_files(top: Path) -> list[Path]:
    paths = [*top.glob("runs/**/*"), *top.glob("submissions/**/*"), *top.glob("cache/**/*.npy")]
    # A temporary file or a lock that a killed process left behind is no result.
    return [path for path in paths if path.is_file() and ".part" not in path.name and not path.name.endswith(".lock")]


def _content(path: Path) -> Any:
    if not path.exists():
        return None
    if path.suffix == ".npz":  # an archive, which holds the time of its writing
        import numpy as np

        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays.files}
    if path.name == "log.jsonl":
        return without_times(path.read_bytes())
    return path.read_bytes()


@dataclass
class Hunt:
    """An uninterrupted run, one that is killed, and the files in which they ended differently."""

    unbroken: Path
    killed: Path
    kills: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _since: int = 0  # how many kills came before the present run

    def resume(self, deadly: Moment | None = None, seconds: float | None = None) -> bool:
        """One more attempt; True if it ended: it is then compared, and the next one starts from nothing."""
        code, _ = attempt(self.killed, deadly, seconds)
        if code == -signal.SIGKILL:
            self.kills.append(str(deadly or f"after {seconds:.3f} s"))
            return False
        assert code == 0, (self.killed / "output.txt").read_text()
        past = self.kills[self._since :]
        self.wrong += [f"{name} after {past}" for name in differences(self.unbroken, self.killed)]
        self._since = len(self.kills)
        for name in ("runs", "submissions", "cache"):
            shutil.rmtree(self.killed / name)
        return True


def hunt(top: Path, calls: Sequence[str], kills: int, seed: int) -> Hunt:
    """Kill a run at each call of each of these functions, in turn; then `kills` times at random moments."""
    hunted = Hunt(top / "unbroken", top / "killed")
    started = time.perf_counter()
    code, reached = attempt(hunted.unbroken)
    assert code == 0, (hunted.unbroken / "output.txt").read_text()
    length = time.perf_counter() - started
    for call in calls:
        assert reached[call] > 1, f"{call} is not called"
        # What was finished before the call is not repeated: so the second call is the next one's turn.
        ended, before = hunted.resume(Moment(call, 1)), len(hunted.kills)
        while not ended:
            assert len(hunted.kills) - before < reached[call], f"killed at {call}, it makes no progress"
            ended = hunted.resume(Moment(call, 2))
    chance, wanted, ended = random.Random(seed), len(hunted.kills) + kills, True
    while len(hunted.kills) < wanted:
        if len(hunted.kills) % _BY_CLOCK == 0:
            ended = hunted.resume(seconds=chance.uniform(0, length))
        else:
            line = chance.choice(sorted(reached))
            ended = hunted.resume(Moment(line, chance.randint(1, reached[line])))
    if not ended:
        hunted.resume()
    return hunted


if __name__ == "__main__":
    result = hunt(Path(sys.argv[1]), sys.argv[4:], kills=int(sys.argv[2]), seed=int(sys.argv[3]))
    sys.stdout.write(json.dumps({"kills": result.kills, "wrong": result.wrong}))
