"""Start-up time: `--help`, the first mini-batch of `train`, and the imports of each command.

python -m benchmarks.startup help|first-batch|commands
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.harness import claim, main, median_seconds, run_runner, write_dataset

MAX_HELP, MAX_FIRST_BATCH = 1.5, 1.0
TRAIN = ["dog-breed", "train", "--no-pretrained", "--backbone", "mobilenetv2_100", "--size", "160", "--run", "first"]
FIRST_BATCH_CODE = 33

# Runs `runner` and exits when a mini-batch reaches a network. The hook waits for torch, so that the command's imports
# keep their order.
FIRST_BATCH = f"""
import importlib.abc, multiprocessing, os, sys

class HookBeforeTimm(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "timm" and "torch" in sys.modules:
            sys.meta_path.remove(self)
            from torch.nn.modules.module import register_module_forward_pre_hook
            register_module_forward_pre_hook(exit_at_first_batch)

def exit_at_first_batch(module, inputs):
    if inputs and getattr(inputs[0], "ndim", 0) == 4 and len(inputs[0]) > 8:
        for worker in multiprocessing.active_children():  # they would hold stderr open for seconds
            worker.kill()
        os._exit({FIRST_BATCH_CODE})

sys.meta_path.insert(0, HookBeforeTimm())
from runner.cli import main
main(sys.argv[1:])
"""

# Compiled modules are kept, as they are for a user, even if this machine is set not to.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def help(repeats: int = 15) -> None:
    """`runner --help` and other short commands beside `python -c "import click"`."""
    script = str(Path(sys.executable).with_name("runner"))
    commands = {
        "import click": [sys.executable, "-c", "import click"],
        "python -m runner --help": [sys.executable, "-m", "runner", "--help"],
        "runner --help": [script, "--help"],
        "runner dog-breed --help": [script, "dog-breed", "--help"],
        "runner dog-breed train --help": [script, "dog-breed", "train", "--help"],
        "runner list": [script, "list"],
    }
    seconds = median_seconds({name: partial(run, command) for name, command in commands.items()}, repeats)
    for name, median in seconds.items():
        print(f"{name:32}{1000 * median:8.1f} ms{median / seconds['import click']:8.2f} x")
    ratio = max(seconds["python -m runner --help"], seconds["runner --help"]) / seconds["import click"]
    claim("runner --help / import click", f"{ratio:.2f} x", f"<= {MAX_HELP} x", ratio <= MAX_HELP)


def first_batch(repeats: int = 5, images: int = 200) -> None:
    """`train` until its first mini-batch, beside `import torch, timm`; the data is split and nothing is cached."""
    with tempfile.TemporaryDirectory() as folder:
        source, workspace = Path(folder) / "source", Path(folder) / "workspace"
        write_dataset(source, images)
        for step in (["download", "--from", source], ["split"]):
            run_runner(workspace, "dog-breed", *step)

        def train() -> None:
            for left in (workspace / "cache", workspace / "runs" / "dog-breed" / "first"):
                shutil.rmtree(left, ignore_errors=True)
            run([sys.executable, "-c", FIRST_BATCH, "--workspace", str(workspace), "-q", *TRAIN], FIRST_BATCH_CODE)

        imports = f"import torch, timm, os; os._exit({FIRST_BATCH_CODE})"
        works = {"imports": partial(run, [sys.executable, "-c", imports], FIRST_BATCH_CODE), "batch": train}
        seconds = median_seconds(works, repeats)
    later = seconds["batch"] - seconds["imports"]
    print(f"import torch, timm {seconds['imports']:.2f} s; first mini-batch after {seconds['batch']:.2f} s")
    claim(
        "first mini-batch after import torch, timm",
        f"{later:+.2f} s",
        f"<= {MAX_FIRST_BATCH} s",
        later <= MAX_FIRST_BATCH,
    )


def commands(images: int = 200) -> None:
    """Seconds of each command from download to check, and how many of them are imports."""
    with tempfile.TemporaryDirectory() as folder:
        source, workspace = Path(folder) / "source", Path(folder) / "workspace"
        write_dataset(source, images)
        steps = {
            "download": ["download", "--from", str(source)],
            "split": ["split"],
            "train": [*TRAIN[1:], "--epochs-scale", "0.5"],
            "predict": ["predict"],
            "check": ["check", str(workspace / "submissions" / "dog-breed" / "first.csv")],
        }
        for name, step in steps.items():
            command = [
                sys.executable,
                "-X",
                "importtime",
                "-m",
                "runner",
                "--workspace",
                str(workspace),
                "-q",
                "dog-breed",
            ]
            started = time.perf_counter()
            stderr = run([*command, *step])
            seconds = time.perf_counter() - started
            print(f"{name:10}{seconds:8.2f} s, of them imports {import_seconds(stderr):.2f} s", flush=True)


def import_seconds(importtime: str) -> float:
    """The sum of each module's own time; that of workers is in it, and small."""
    lines = (line.removeprefix("import time:").split("|") for line in importtime.splitlines() if "|" in line)
    return sum(int(columns[0]) for columns in lines if columns[0].strip().isdigit()) / 1e6


def run(command: list[str], code: int = 0) -> str:
    """Run a process that must end with this code; return its stderr."""
    process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    if process.returncode != code:
        raise RuntimeError(f"{command} ended with {process.returncode}: {process.stderr[-2000:]}")
    return process.stderr


if __name__ == "__main__":
    main(help, first_batch, commands)
