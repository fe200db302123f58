"""What `accelerate launch` starts in the tests: the runner, with a spy in each process, and trouble on demand.

    spying.py NOTES TROUBLE COMMAND... [--then COMMAND...]

NOTES is a folder to write into; TROUBLE is none, fault (process 1 fails in its second epoch) or memory (process 1
has no room for a whole mini-batch).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from runner.cli import run_command
from runner.errors import RunnerError
from runner.training import batch_size as batch_size_module
from runner.training import loop, processes

RANK = int(os.environ.get("RANK", "0"))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def note(folder: Path, kind: str, what: Any) -> None:
    """A line in this process's own notes."""
    with (folder / f"{kind}-{RANK}.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


def watch_writing(folder: Path) -> None:
    """Note every file of the workspace that this process opens for writing, or gives a name."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike) and arguments[2] & _WRITING:
            path = str(arguments[0])
        elif event == "os.rename":
            path = str(arguments[1])
        else:
            return
        if "/workspace/" in path:
            note(folder, "written", path.partition("/workspace/")[2])

    sys.addaudithook(hear)


def watch_reading(folder: Path, trouble: str) -> None:
    """Note which rows this process learns from, an epoch a line."""
    really = loop.read_shares
    epochs = []

    def spy(*arguments: Any) -> Iterator[Any]:
        epochs.append(1)
        if trouble == "fault" and RANK == 1 and len(epochs) == 2:
            raise RunnerError("the second process stumbled", fix="pick it up")
        seen: list[list[int]] = []
        for batch, share in really(*arguments):
            seen.append(batch.rows.tolist())
            yield batch, share
        note(folder, "seen", seen)

    loop.read_shares = spy


def lack_memory(most: int) -> None:
    """Process 1 cannot take more than so many rows through the network."""
    really = batch_size_module._go_through

    def tight(learner: Any, feed: Any, rows: Any) -> None:
        if RANK == 1 and len(rows) > most:
            raise torch.OutOfMemoryError("no room")
        really(learner, feed, rows)

    batch_size_module._go_through = tight


def main() -> int:
    folder, trouble, *words = sys.argv[1:]
    watch_writing(Path(folder))
    watch_reading(Path(folder), trouble)
    if trouble == "memory":
        lack_memory(4)
    part = processes.leave
    processes.leave = lambda: None  # the processes stay together until the last command is done
    code = 0
    while words and not code:
        end = words.index("--then") if "--then" in words else len(words)
        code, words = run_command(words[:end]), words[end + 1 :]
    if not code:
        part()
    return code


if __name__ == "__main__":
    sys.exit(main())
