"""Train one fold by the recipe: stages, then cycles; a snapshot a cycle; each finished epoch is kept.

Every stage starts from what the stage before left on the disk. So going on with a broken-off run is not a
special case: it is how any stage starts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator

from runner.console import log
from runner.training.batch_size import check_shares, halve_batch_size, remember_batch_size, starting_batch_size
from runner.training.distributed import broadcast_from_main
from runner.training.fold import FoldRun, Machine
from runner.training.log import keep_lines
from runner.training.schedule import Epoch, plan_epochs
from runner.training.snapshots import Snapshot, drop_snapshot, read_checkpoint_meta, read_snapshots
from runner.training.stage import train_stage


def train_fold(fold: FoldRun, machine: Machine, accelerator: Accelerator) -> tuple[Snapshot, ...]:
    """Every snapshot of the fold. What an earlier, broken-off call finished is not done again."""
    epochs = plan_epochs(fold.recipe.stages)
    broadcast_from_main(accelerator, lambda: _forget_past(fold))
    batch_size = broadcast_from_main(accelerator, lambda: _batch_size(fold))
    while left := _left(fold, epochs):
        try:
            check_shares(len(fold.train_rows), batch_size, accelerator.num_processes, fold.folder)
            train_stage(fold, machine, accelerator, left, batch_size)
        except torch.OutOfMemoryError as error:
            batch_size = halve_batch_size(batch_size, fold, error, processes=accelerator.num_processes)
            accelerator.free_memory()
            continue
        if accelerator.is_main_process:
            remember_batch_size(batch_size, fold.recipe, fold.cache)
    if accelerator.is_main_process:
        fold.checkpoint_file.unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return read_snapshots(fold.folder)


def _left(fold: FoldRun, epochs: Sequence[Epoch]) -> list[Epoch]:
    """What is left of the first stage that is not finished."""
    if len(read_snapshots(fold.folder)) == epochs[-1].cycle + 1:
        return []
    first = _first_epoch(fold)
    left = [epoch for epoch in epochs if epoch.number >= first]
    return [epoch for epoch in left if epoch.stage == left[0].stage]


def _first_epoch(fold: FoldRun) -> int:
    """The epoch to begin with: 0, or the one after the last that finished."""
    return int(read_checkpoint_meta(fold.checkpoint_file)["epoch"]) + 1 if fold.checkpoint_file.exists() else 0


def _batch_size(fold: FoldRun) -> int:
    """What the broken-off call had come down to, where there was one."""
    if fold.checkpoint_file.exists():
        return int(read_checkpoint_meta(fold.checkpoint_file)["batch_size"])
    return starting_batch_size(fold.recipe, fold.cache)


def _forget_past(fold: FoldRun) -> None:
    """Drop what the disk holds of epochs that were not finished, and will be trained again."""
    ends = {epoch.cycle: epoch.number for epoch in plan_epochs(fold.recipe.stages) if epoch.ends_cycle}
    snapshots = read_snapshots(fold.folder)
    if len(snapshots) == len(ends):
        return
    first = _first_epoch(fold)
    keep_lines(fold.log_file, lambda line: line["fold"] != fold.number or line["epoch"] < first)
    # A snapshot is written before the state that calls its epoch finished. Killed between the two, the epoch
    # is trained again, and must not start from what it ended with.
    for snapshot in snapshots:
        if ends[snapshot.cycle] >= first:
            drop_snapshot(fold.folder, snapshot)
    if first:
        log.info(f"fold {fold.number}: going on after epoch {first}")
