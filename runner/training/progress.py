"""How far the training of a run has come, from its files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.contract import Recipe
from runner.data.folds import read_folds
from runner.training.log import read_log
from runner.training.run import Run
from runner.training.snapshot_list import list_snapshots


@dataclass(frozen=True)
class Progress:
    """Finished epochs of those that the recipe plans, over all folds."""

    done: int
    planned: int

    @property
    def is_finished(self) -> bool:
        return self.done >= self.planned

    def __str__(self) -> str:
        return f"{self.done} of {self.planned} epochs"


def read_progress(run: Run, folds: Sequence[int] | None = None) -> Progress:
    """The progress of these folds of a run; of all of them if none are named."""
    recipe = run.read_recipe()
    numbers = range(fold_count(run, recipe)) if folds is None else folds
    cycles = sum(len(stage.cycle_epochs) for stage in recipe.stages)
    logged = [line["fold"] for line in read_log(run.log_file)]
    done = 0
    for number in numbers:
        # The log stays on the machine that trained the fold; snapshots are copied. A finished fold has no checkpoint.
        folder = run.fold_dir(number)
        is_finished = len(list_snapshots(folder)) == cycles and not (folder / "checkpoint.safetensors").exists()
        done += recipe.epochs if is_finished else min(logged.count(number), recipe.epochs - 1)
    return Progress(done, recipe.epochs * len(numbers))


def fold_count(run: Run, recipe: Recipe) -> int:
    """The number of folds that the run trains."""
    if recipe.all_data:
        return 1
    if run.folds_file.exists():
        return read_folds(run.folds_file, competition=run.competition).count
    return recipe.folds or 1
