"""What a training would do: its recipe, its epochs, and the minutes and the memory that they are expected to take."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from runner.contract import Recipe
from runner.options import TrainOptions
from runner.session import Session
from runner.steps.runs import run_status
from runner.training.distributed import broadcast_from_main, get_accelerator, main_process_first
from runner.training.folds import check_only_fold, preview_fold, resolve_start
from runner.training.model import check_backbone
from runner.training.request import Request, find_requested
from runner.training.run import Run, existing_run
from runner.training.time_budget import fit_to_budget, measure_costs, total_seconds


@dataclass(frozen=True)
class TrainingPlan:
    """A training that was not done."""

    recipe: Recipe  # after the time budget
    folds: int  # that are trained
    train_rows: int  # of the first fold
    valid_rows: int
    minutes: float  # of training, for all folds on this machine
    memory_bytes: int | None  # the most that this process needed for mini-batches of each stage; None if unknown
    gpu_bytes: int | None  # the same of the GPU's memory; None without one
    device: str
    run: str | None = None  # that has been asked for the same already
    status: str = ""  # of that run: such a command goes on with it

    @property
    def epochs(self) -> int:
        """Epochs of all folds."""
        return self.recipe.epochs * self.folds


def plan_training(
    session: Session,
    recipe: Recipe,
    options: TrainOptions = TrainOptions(),
    *,
    name: str | None = None,
    new: bool = False,
) -> TrainingPlan:
    """The plan of `train` with these arguments: some mini-batches of each stage are trained, and nothing is kept."""
    accelerator = get_accelerator(session.compute)
    check_backbone(recipe)
    recipe, options = main_process_first(lambda: resolve_start(session, recipe, options))
    check_only_fold(session, recipe, options)
    run = None if new else broadcast_from_main(lambda: _asked_before(session, recipe, options, name))
    fold = main_process_first(lambda: preview_fold(session, recipe, options, keeps_split=False))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    costs = measure_costs(fold, options)
    costs = broadcast_from_main(lambda: costs)
    if options.time_budget is not None:
        recipe = fit_to_budget(recipe, costs, options.time_budget * 60)
    count = 1 if options.only_fold is not None else recipe.folds or int(fold.fold_of.max()) + 1
    seconds = total_seconds(recipe, costs) / (recipe.folds or 1) * count
    return TrainingPlan(
        recipe,
        count,
        len(fold.train),
        len(fold.valid),
        round(seconds / 60, 2),
        _peak_memory(),
        torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None,
        str(accelerator.device),
        run.name if run else None,
        run_status(session, run)[0] if run else "",
    )


def _asked_before(session: Session, recipe: Recipe, options: TrainOptions, name: str | None) -> Run | None:
    """The run that the command would go on with."""
    if name is not None:
        return existing_run(session.workspace, session.name, name)
    return find_requested(session, Request.of(session, recipe, options))


def _peak_memory() -> int | None:
    """The most memory that this process has had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)
