"""What `accelerate launch` starts in the tests: the runner, recording in each process, with failures on demand.

    launched.py RECORDS FAILURE COMMAND... [--then COMMAND...]

RECORDS is a folder to write into; FAILURE is none, error (process 1 fails in its second epoch) or memory (process 1
cannot hold its shard of a mini-batch).
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
from runner.training import distributed, learner

RANK = int(os.environ.get("RANK", "0"))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def record(folder: Path, kind: str, value: Any) -> None:
    """Append a line to this process's records."""
    with (folder / f"{kind}-{RANK}.jsonl").open("a") as file:
        file.write(json.dumps(value) + "\n")


def record_written_files(folder: Path) -> None:
    """Record every file of the workspace that this process opens for writing, or renames to."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike) and arguments[2] & _WRITING:
            path = str(arguments[0])
        elif event == "os.rename":
            path = str(arguments[1])
        else:
            return
        if "/workspace/" in path:
            record(folder, "written", path.partition("/workspace/")[2])

    sys.addaudithook(hook)


def record_trained_rows(folder: Path, failure: str) -> None:
    """Record the rows that this process trains on, an epoch a line."""
    read_shards = learner.read_shards
    epochs = []

    def recorded(*arguments: Any) -> Iterator[Any]:
        epochs.append(1)
        if failure == "error" and RANK == 1 and len(epochs) == 2:
            raise RunnerError("the second process failed", fix="start it again")
        batches: list[list[int]] = []
        for batch, weight in read_shards(*arguments):
            batches.append(batch.rows.tolist())
            yield batch, weight
        record(folder, "rows", batches)

    learner.read_shards = recorded


def limit_memory(rows: int) -> None:
    """Process 1 runs out of memory above this many rows."""
    forward_and_backward = batch_size_module._forward_and_backward

    def limited(learner: Any, loader: Any, shard: Any) -> None:
        if RANK == 1 and len(shard) > rows:
            raise torch.OutOfMemoryError("out of memory")
        forward_and_backward(learner, loader, shard)

    batch_size_module._forward_and_backward = limited


def main() -> int:
    """Run the commands; the processes stay together until the last is done."""
    folder, failure, *words = sys.argv[1:]
    record_written_files(Path(folder))
    record_trained_rows(Path(folder), failure)
    if failure == "memory":
        limit_memory(4)
    shutdown = distributed.shutdown
    distributed.shutdown = lambda: None
    code = 0
    while words and not code:
        end = words.index("--then") if "--then" in words else len(words)
        code, words = run_command(words[:end]), words[end + 1 :]
    if not code:
        shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main())
