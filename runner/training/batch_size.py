"""The batch size: the recipe's, or with `auto_batch` the largest that fits, which is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import extract_model_from_parallel

from runner.commands import again, command
from runner.console import log
from runner.contract import Recipe
from runner.errors import RunnerError, TrainingError
from runner.fields import checked
from runner.training.distributed import any_process
from runner.training.fold import FoldRun
from runner.training.learner import Learner
from runner.training.loaders import Loader, Rows
from runner.workspace import read_json, write_json

_FORMAT = 1


def starting_batch_size(recipe: Recipe, cache_dir: Path) -> int:
    """The recipe's; with `auto_batch` no more than what fitted this recipe on this device before."""
    if not recipe.auto_batch:
        return recipe.batch_size
    fitted = _read(cache_dir).get(_key(recipe))
    return min(recipe.batch_size, fitted) if fitted else recipe.batch_size


def remember_batch_size(batch_size: int, recipe: Recipe, cache_dir: Path) -> None:
    """Keep what fitted, for the next run."""
    if recipe.auto_batch and _read(cache_dir).get(_key(recipe)) != batch_size:
        write_json(_file(cache_dir), {**_read(cache_dir), _key(recipe): batch_size}, format=_FORMAT)


def check_shards(rows: int, batch_size: int, folder: Path) -> None:
    """Refuse batches that do not give every process a row."""
    processes = PartialState().num_processes
    if not rows:
        split = command(folder.parent.parent.name, "split", "--holdout", "0.2", "--force")
        raise TrainingError("the split leaves no row to train on", where=folder, fix=f"`{split}`, then: `{again()}`")
    smallest = rows // max(1, -(-rows // batch_size))
    if smallest < processes:
        raise TrainingError(
            f"{processes} processes cannot share a mini-batch of {smallest} rows",
            where=folder,
            fix=f"start fewer processes, or train a new run: `{again('--batch-size', 2 * processes)}`",
        )


class BatchTooLarge(torch.OutOfMemoryError):
    """A batch does not fit into the memory of some process; raised on all of them."""


def dry_run_batch(learner: Learner, loader: Loader, rows: Rows) -> None:
    """Pass each process's shard of a batch through the network; BatchTooLarge on all if one runs out of memory.

    During an epoch, a process that runs out of memory could not tell the others, which wait for its gradients.
    """
    state = PartialState()
    full = False
    try:
        _forward_and_backward(learner, loader, np.array_split(rows, state.num_processes)[state.process_index])
    except torch.OutOfMemoryError:
        full = True
    learner.optimizer.zero_grad(set_to_none=True)
    if any_process(full):
        raise BatchTooLarge(f"a batch of {len(rows)} rows")


def _forward_and_backward(learner: Learner, loader: Loader, rows: Rows) -> None:
    module = extract_model_from_parallel(learner.module)
    module.train()
    for layer in module.modules():
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.eval()  # neither update its statistics, nor wait for the other processes
    for batch in loader.read([rows]):
        loss, _ = learner.losses(module, batch, seed=0)
        loss.backward()  # type: ignore[no-untyped-call]


def halve_batch_size(batch_size: int, fold: FoldRun, error: Exception) -> int:
    """Half the batch size; a TrainingError if the recipe fixes it, or one row does not fit."""
    processes = PartialState().num_processes
    if processes > 1 and not isinstance(error, BatchTooLarge):
        raise TrainingError(
            f"one of {processes} processes ran out of memory during an epoch",
            where=fold.folder,
            fix=f"train a new run: `{again('--batch-size', max(processes, batch_size // 2))}`",
        ) from error
    if not fold.recipe.auto_batch or batch_size == 1:
        raise TrainingError(
            f"out of memory at batch size {batch_size}",
            where=fold.folder,
            fix=f"train a new run: `{again('--batch-size', 'auto')}`; or with a smaller --size or --backbone",
        ) from error
    log.warning(
        f"out of memory at batch size {batch_size}; retrying with {batch_size // 2} from the last finished epoch"
    )
    return batch_size // 2


def _key(recipe: Recipe) -> str:
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return f"{recipe.backbone} {max(stage.size for stage in recipe.stages)} {device}"


def _file(cache_dir: Path) -> Path:
    return cache_dir / "batch_size.json"


def _read(cache_dir: Path) -> dict[str, int]:
    try:
        fitted = read_json(_file(cache_dir), format=_FORMAT)
        return {name: checked(int, size, name) for name, size in fitted.items()}
    except (RunnerError, OSError, ValueError):
        return {}  # a cache: what is missing or damaged is found out again
