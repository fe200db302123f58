"""How many rows a batch has: what was asked for, or what fits and is remembered to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from runner.console import log
from runner.contract import Recipe
from runner.errors import TrainingError
from runner.training.distributed import any_process
from runner.training.learner import Learner, forward
from runner.training.loaders import Loader, Rows
from runner.training.losses import loss_of
from runner.workspace import read_json, write_json

if TYPE_CHECKING:
    from runner.training.fold import FoldRun


def starting_batch_size(recipe: Recipe, cache: Path) -> int:
    """The recipe's; with `auto_batch` no more than what fitted this recipe on this device before."""
    if not recipe.auto_batch:
        return recipe.batch_size
    fitted = _read(cache).get(_key(recipe))
    return min(recipe.batch_size, fitted) if fitted else recipe.batch_size


def remember_batch_size(batch_size: int, recipe: Recipe, cache: Path) -> None:
    """Keep what fitted, for the next run."""
    if recipe.auto_batch and _read(cache).get(_key(recipe)) != batch_size:
        write_json(_file(cache), {**_read(cache), _key(recipe): batch_size})


def check_shares(rows: int, batch_size: int, processes: int, where: Path) -> None:
    """Refuse batches that do not give every process a row."""
    smallest = rows // max(1, -(-rows // batch_size))
    if smallest < processes:
        raise TrainingError(
            f"{processes} processes cannot share a mini-batch of {smallest}",
            where=where,
            fix=f"--batch-size {2 * processes} or more in a new run, or fewer processes",
        )


class BatchTooLarge(torch.OutOfMemoryError):
    """A batch does not fit into the memory of some process, and all of them know it."""


def dry_run_batch(learner: Learner, feed: Loader, rows: Rows) -> None:
    """Let every process take its share of a batch through the network alone, and all hear whether it fitted.

    In the midst of learning, a process that runs out of memory cannot tell those that wait for its gradients.
    """
    accelerator = learner.accelerator
    full = False
    try:
        _go_through(learner, feed, np.array_split(rows, accelerator.num_processes)[accelerator.process_index])
    except torch.OutOfMemoryError:
        full = True
    learner.optimizer.zero_grad(set_to_none=True)
    if any_process(accelerator, full):
        raise BatchTooLarge(f"a batch of {len(rows)} rows")


def _go_through(learner: Learner, feed: Loader, rows: Rows) -> None:
    module = learner.accelerator.unwrap_model(learner.module)
    module.train()
    for part in module.modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
            part.eval()  # neither to learn from this, nor to wait for the other processes
    for batch in feed.read([rows]):
        targets = batch.targets.to(learner.accelerator.device)
        loss = loss_of(learner.labels, forward(learner.accelerator, module, batch).float(), targets)
        loss.backward()  # type: ignore[no-untyped-call]


def halve_batch_size(batch_size: int, fold: FoldRun, error: Exception, *, processes: int = 1) -> int:
    """Half the batch, said; a TrainingError where that was not asked for, or nothing is left to halve_batch_size."""
    if processes > 1 and not isinstance(error, BatchTooLarge):
        raise TrainingError(
            f"one of {processes} processes ran out of memory in the midst of an epoch",
            where=fold.folder,
            fix=f"--batch-size {max(processes, batch_size // 2)} in a new run",
        ) from error
    if not fold.recipe.auto_batch or batch_size == 1:
        raise TrainingError(
            f"the memory of the device does not hold a batch of {batch_size}",
            where=fold.folder,
            fix="--batch-size auto, or a smaller --size or --model",
        ) from error
    log.info(f"a batch of {batch_size} does not fit into memory: going on with {batch_size // 2} from the last epoch")
    return batch_size // 2


def _key(recipe: Recipe) -> str:
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return f"{recipe.backbone} {max(stage.size for stage in recipe.stages)} {device}"


def _file(cache: Path) -> Path:
    return cache / "batch_size.json"


def _read(cache: Path) -> dict[str, int]:
    return read_json(_file(cache)) if _file(cache).exists() else {}
