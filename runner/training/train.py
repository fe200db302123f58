"""Train one fold by the recipe: stages, then cycles; a snapshot a cycle; each finished epoch is kept.

Every stage starts from what the stage before left on the disk. So going on with a broken-off run is not a
special case: it is how any stage starts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator

from runner.console import say
from runner.training.batch_size import check_shares, halve, remember_batch_size, starting_batch_size
from runner.training.distributed import by_main
from runner.training.fold import Fold, Machine
from runner.training.log import keep_lines
from runner.training.schedule import Epoch, plan_epochs
from runner.training.snapshots import Snapshot, drop_snapshot, read_facts, read_snapshots
from runner.training.stage import train_stage


def train_fold(fold: Fold, machine: Machine, accelerator: Accelerator) -> tuple[Snapshot, ...]:
    """Every snapshot of the fold. What an earlier, broken-off call finished is not done again."""
    epochs = plan_epochs(fold.recipe.stages)
    by_main(accelerator, lambda: _forget_past(fold))
    batch_size = by_main(accelerator, lambda: _batch_size(fold))
    while left := _left(fold, epochs):
        try:
            check_shares(len(fold.train_rows), batch_size, accelerator.num_processes, fold.folder)
            train_stage(fold, machine, accelerator, left, batch_size)
        except torch.OutOfMemoryError as error:
            batch_size = halve(batch_size, fold, error, processes=accelerator.num_processes)
            accelerator.free_memory()
            continue
        if accelerator.is_main_process:
            remember_batch_size(batch_size, fold.recipe, fold.cache)
    if accelerator.is_main_process:
        fold.state_file.unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return read_snapshots(fold.folder)


def _left(fold: Fold, epochs: Sequence[Epoch]) -> list[Epoch]:
    """What is left of the first stage that is not finished."""
    if len(read_snapshots(fold.folder)) == epochs[-1].cycle + 1:
        return []
    first = _first_epoch(fold)
    left = [epoch for epoch in epochs if epoch.number >= first]
    return [epoch for epoch in left if epoch.stage == left[0].stage]


def _first_epoch(fold: Fold) -> int:
    """The epoch to begin with: 0, or the one after the last that finished."""
    return int(read_facts(fold.state_file)["epoch"]) + 1 if fold.state_file.exists() else 0


def _batch_size(fold: Fold) -> int:
    """What the broken-off call had come down to, where there was one."""
    if fold.state_file.exists():
        return int(read_facts(fold.state_file)["batch_size"])
    return starting_batch_size(fold.recipe, fold.cache)


def _forget_past(fold: Fold) -> None:
    """Drop what the disk holds of epochs that were not finished, and will be trained again."""
    ends = {epoch.cycle: epoch.number for epoch in plan_epochs(fold.recipe.stages) if epoch.ends_cycle}
    snapshots = read_snapshots(fold.folder)
    if len(snapshots) == len(ends):
        return
    first = _first_epoch(fold)
    keep_lines(fold.log, lambda line: line["fold"] != fold.number or line["epoch"] < first)
    # A snapshot is written before the state that calls its epoch finished. Killed between the two, the epoch
    # is trained again, and must not start from what it ended with.
    for snapshot in snapshots:
        if ends[snapshot.cycle] >= first:
            drop_snapshot(fold.folder, snapshot)
    if first:
        say(f"fold {fold.number}: going on after epoch {first}")
