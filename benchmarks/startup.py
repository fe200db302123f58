"""How soon `runner` answers, and how soon `train` is at work: processes against processes, in turns, medians.

1. `runner --help`, `python -m runner --help` and others beside `python -c "import click"`: what a command line costs at
   the least.
2. `runner dog-breed train` until its first mini-batch reaches the network, beside `import torch, timm`; on painted
   JPEGs of 500 x 375, `mobilenetv2_100` at 160 px, the data split, nothing in the cache.
3. What each command of a short line takes, and how much of it are imports.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.claims import claim

HELP_CEILING, BATCH_CEILING = 1.5, 1.0
TRAIN = ["dog-breed", "train", "--no-pretrained", "--model", "mobilenetv2_100", "--size", "160", "--run", "first"]

# Runs `train` and leaves when a mini-batch arrives. The hook is put in as soon as torch is there; the order of imports
# is the command's own.
FIRST_BATCH = """
import importlib.abc, multiprocessing, os, sys

class WhenTimmIsWanted(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "timm" and "torch" in sys.modules:
            sys.meta_path.remove(self)
            from torch.nn.modules.module import register_module_forward_pre_hook
            register_module_forward_pre_hook(leave_with_a_batch)

def leave_with_a_batch(module, inputs):
    if inputs and getattr(inputs[0], "ndim", 0) == 4 and len(inputs[0]) > 8:
        for worker in multiprocessing.active_children():  # they would hold stderr open for seconds
            worker.kill()
        os._exit(33)

sys.meta_path.insert(0, WhenTimmIsWanted())
from runner.cli import main
main(sys.argv[1:])
"""


# Compiled modules are kept, as they are for everybody; a machine may be set not to.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> int:
    """0 where both targets are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    print(f"load before {os.getloadavg()[0]:.1f}")
    slow_help = measure_help(options.turns)
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks.scratch import paint_competition

        raw, workspace = Path(folder) / "raw", Path(folder) / "workspace"
        paint_competition(raw, options.images)
        call = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q"]
        for step in (["download", "--from", str(raw)], ["split"]):
            subprocess.run([*call, "dog-breed", *step], check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        late = measure_first_batch(workspace, max(3, options.turns // 3))
        measure_line(raw, Path(folder) / "line")
    return int(slow_help or late)


def measure_help(turns: int) -> bool:
    """A line a command; whether `--help` takes more than its share."""
    script = Path(sys.executable).with_name("runner")
    commands = {
        "import click": [sys.executable, "-c", "import click"],
        "python -m runner --help": [sys.executable, "-m", "runner", "--help"],
        "runner --help": [str(script), "--help"],
        "runner dog-breed --help": [str(script), "dog-breed", "--help"],
        "runner dog-breed train --help": [str(script), "dog-breed", "train", "--help"],
        "runner list": [str(script), "list"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(turns):
        for name, command in commands.items():
            seconds[name].append(seconds_of(command))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name, median in medians.items():
        print(f"{name:32}{1000 * median:8.1f} ms{median / medians['import click']:8.2f} x")
    ratio = max(medians["python -m runner --help"], medians["runner --help"]) / medians["import click"]
    claim("runner --help / import click", f"{ratio:.2f} x", f"<= {HELP_CEILING} x", ratio <= HELP_CEILING)
    return ratio > HELP_CEILING


def measure_first_batch(workspace: Path, turns: int) -> bool:
    """The first mini-batch against the bare imports; whether it is later than it may be."""
    bare, first = [], []
    for _ in range(turns):
        bare.append(seconds_of([sys.executable, "-c", "import torch, timm, os; os._exit(33)"], code=33))
        for left in (workspace / "cache", workspace / "runs" / "dog-breed" / "first"):
            shutil.rmtree(left, ignore_errors=True)
        command = [sys.executable, "-c", FIRST_BATCH, "--workspace", str(workspace), "-q", *TRAIN]
        first.append(seconds_of(command, code=33))
    imports, batch = statistics.median(bare), statistics.median(first)
    print(f"import torch, timm {imports:.2f} s; first mini-batch after {batch:.2f} s: {batch - imports:+.2f} s")
    late = batch - imports
    claim("first mini-batch after import torch, timm", f"{late:+.2f} s", f"<= {BATCH_CEILING} s", late <= BATCH_CEILING)
    return late > BATCH_CEILING


def measure_line(raw: Path, workspace: Path) -> None:
    """Seconds of each command of a short line, in all and of its imports."""
    steps = {
        "download": ["download", "--from", str(raw)],
        "split": ["split"],
        "train": [*TRAIN[1:], "--epochs-scale", "0.5"],
        "predict": ["predict"],
        "check": ["check", str(workspace / "submissions" / "dog-breed" / "first.csv")],
    }
    for name, step in steps.items():
        command = [sys.executable, "-X", "importtime", "-m", "runner", "--workspace", str(workspace), "-q", "dog-breed"]
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, *step], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        seconds, imports = time.perf_counter() - begun, seconds_of_imports(done.stderr)
        print(f"{name:10}{seconds:8.2f} s, of them imports {imports:.2f} s")


def seconds_of_imports(told: str) -> float:
    """The sum of what each module took by itself; workers tell theirs too, which are few."""
    lines = (line.removeprefix("import time:").split("|") for line in told.splitlines() if "|" in line)
    return sum(int(parts[0]) for parts in lines if parts[0].strip().isdigit()) / 1e6


def seconds_of(command: list[str], code: int = 0) -> float:
    """The wall time of a process that must end with this code."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    seconds = time.perf_counter() - begun
    if done.returncode != code:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
