"""The longest plan that fits into the time there is, from what an epoch costs on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from accelerate import Accelerator

from runner.console import log
from runner.contract import Recipe, Stage, TrainMode
from runner.contract.recipe import scale_epochs
from runner.images.center_crop import CenterCrop
from runner.images.views import default_views
from runner.training.fold import FoldRun, Machine, initial_network
from runner.training.learner import Learner, forward, read_shares
from runner.training.loaders import Batch, ImageLoader, shuffled_batches
from runner.training.optimizer import apply_freezing, build_optimizer

Work = Callable[[Batch], float]

_WARM, _MEASURED = 1, 4
# An epoch on activations is matrix products of a megabyte: next to nothing beside anything with an image in it.
_HEAD_EPOCH_SECONDS = 0.5
# Importing, checking, predicting the test rows and writing: what the plan must leave free.
_RESERVE = 0.15
_SCALES = (4.0, 3.0, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Cost:
    """What a stage takes on this machine, in seconds."""

    once: float
    epoch: float


def fit_to_budget(recipe: Recipe, costs: Sequence[Cost], seconds: float) -> Recipe:
    """The recipe with its cycles scaled, and if it must be its last stages left out, to end in time.

    Every cycle that is begun is finished. Where nothing fits, the shortest first stage is left.
    """
    for stages in range(len(recipe.stages), 0, -1):
        for scale in _SCALES:
            plan = _scaled(replace(recipe, stages=recipe.stages[:stages]), scale)
            if seconds_of(plan, costs) <= seconds * (1 - _RESERVE):
                return plan
    log.info("even the shortest plan takes longer than the time budget: it is trained all the same")
    return _scaled(replace(recipe, stages=recipe.stages[:1]), 0.0)


def seconds_of(recipe: Recipe, costs: Sequence[Cost]) -> float:
    """What all folds of a recipe take."""
    stages = sum(cost.once + cost.epoch * stage.epochs for stage, cost in zip(recipe.stages, costs, strict=False))
    return stages * (recipe.folds or 1)


def measure_costs(fold: FoldRun, machine: Machine, accelerator: Accelerator) -> list[Cost]:
    """Train a few mini-batches of each stage and see how long they take; nothing of it is kept."""
    return [_measure(fold, machine, accelerator, stage) for stage in fold.recipe.stages]


def _scaled(recipe: Recipe, scale: float) -> Recipe:
    """Scaled cycles; at scale 0 one cycle of one epoch a stage."""
    if scale:
        return scale_epochs(recipe, scale)
    return replace(recipe, stages=tuple(replace(stage, cycles=1, cycle_len=1) for stage in recipe.stages))


def _measure(fold: FoldRun, machine: Machine, accelerator: Accelerator, stage: Stage) -> Cost:
    network = initial_network(fold, machine).to(accelerator.device)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    answers = fold.answers
    labelled = len(fold.train_rows) + len(fold.valid_rows)
    reader = fold.images("train", stage.size, machine)
    plain = ImageLoader(reader, answers, CenterCrop(fold.competition.preset, stage.size), machine.workers)

    def look(batch: Batch) -> float:
        with torch.inference_mode():
            return float(forward(accelerator, network.eval(), batch).sum())

    inference_autocast = _seconds_a_row(fold, accelerator, plain, look)
    if stage.mode is TrainMode.FEATURES:
        views = len(default_views(fold.competition.preset))
        return Cost(once=inference_autocast * views * labelled, epoch=_HEAD_EPOCH_SECONDS)
    feed = ImageLoader(reader, answers, fold.augmentation(stage.size), machine.workers)
    module, optimizer = accelerator.prepare(network, build_optimizer(network, fold.recipe.weight_decay))
    learner = Learner(accelerator, module, optimizer, fold.competition.labels)
    network.train()
    learning = _seconds_a_row(fold, accelerator, feed, lambda batch: float(learner.step(batch, 1.0)))
    accelerator.free_memory()
    return Cost(once=0.0, epoch=learning * len(fold.train_rows) + inference_autocast * len(fold.valid_rows))


def _seconds_a_row(fold: FoldRun, accelerator: Accelerator, feed: ImageLoader, work: Work) -> float:
    batches = shuffled_batches(fold.train_rows, fold.recipe.batch_size, fold.seed("plan"))
    taken = list(islice(batches, _WARM + _MEASURED))
    ends, rows = [], []
    for batch, _ in read_shares(accelerator, feed, taken, 0):
        work(batch)
        ends.append(time.perf_counter())
        rows.append(len(batch.rows))
    if len(ends) < 2:
        return 0.01
    # The first batch also pays for workers that start and kernels that are chosen.
    return float((ends[-1] - ends[0]) / np.sum(rows[1:]))
