"""The longest plan that fits into a time budget, from the measured cost of an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from runner.console import log
from runner.contract import Recipe, Stage, TrainMode
from runner.contract.recipe import scale_epochs
from runner.images.center_crop import CenterCrop
from runner.images.views import default_views
from runner.options import TrainOptions
from runner.training.distributed import get_accelerator, inference_context
from runner.training.fold import FoldRun, initial_network, worker_count
from runner.training.learner import build_learner, forward, prepared, read_shards
from runner.training.loaders import Batch, ImageLoader, shuffled_batches
from runner.training.optimizer import apply_freezing
from runner.training.rounding import keep_precise

_WARM_UP, _MEASURED = 1, 4
# An epoch on features multiplies matrices of a megabyte: nearly nothing beside any epoch on images.
_FEATURES_EPOCH_SECONDS = 0.5
# A regression is solved a hundred times on a part of the rows: about as many passes over all features.
_REGRESSION_PASSES = 400
_PASS_SECONDS = 2e-11  # for a row, view, feature and column
# The plan leaves this share free for imports, checks, and predicting and writing the test rows.
_RESERVE = 0.15
_SCALES = (4.0, 3.0, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0)


@dataclass(frozen=True)
class Cost:
    """Seconds of a stage on this machine."""

    once: float  # for the features
    epoch: float


def fit_to_budget(recipe: Recipe, costs: Sequence[Cost], seconds: float) -> Recipe:
    """The recipe with its cycles scaled, and if need be its last stages left out, to end in time.

    Every cycle is finished. If nothing fits, the shortest first stage remains.
    """
    for stages in range(len(recipe.stages), 0, -1):
        for scale in _SCALES:
            plan = _scaled(replace(recipe, stages=recipe.stages[:stages]), scale)
            if total_seconds(plan, costs) <= seconds * (1 - _RESERVE):
                return plan
    log.warning("even the shortest plan takes longer than the time budget; training it all the same")
    return _scaled(replace(recipe, stages=recipe.stages[:1]), 0.0)


def total_seconds(recipe: Recipe, costs: Sequence[Cost]) -> float:
    """Seconds for all folds of a recipe."""
    stages = sum(cost.once + cost.epoch * stage.epochs for stage, cost in zip(recipe.stages, costs, strict=False))
    return stages * (recipe.folds or 1)


def measure_costs(fold: FoldRun, options: TrainOptions) -> list[Cost]:
    """Train a few mini-batches of each stage and time them; nothing of it is kept."""
    return [_measure_stage(fold, options, stage) for stage in fold.recipe.stages]


def _scaled(recipe: Recipe, scale: float) -> Recipe:
    """The recipe with scaled cycles; at scale 0 one cycle of one epoch a stage."""
    if scale:
        return scale_epochs(recipe, scale)
    return replace(recipe, stages=tuple(replace(stage, cycles=1, cycle_len=1) for stage in recipe.stages))


def _measure_stage(fold: FoldRun, options: TrainOptions, stage: Stage) -> Cost:
    accelerator = get_accelerator(fold.session.compute)
    network = initial_network(fold, options).to(accelerator.device)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    keep_precise(fold, network, stage.size)
    preset, images, targets = fold.competition.preset, fold.train.images(stage.size), fold.train.targets
    workers = worker_count(fold.session.compute)
    plain = ImageLoader(images, targets, CenterCrop(preset, stage.size), workers)

    def infer(batch: Batch) -> float:
        with inference_context():
            return float(forward(network.eval(), batch).sum())

    inference = _seconds_per_row(fold, plain, infer)
    if stage.mode is TrainMode.FEATURES:
        views, rows = len(default_views(preset)), len(fold.train) + len(fold.valid)
        seconds = _FEATURES_EPOCH_SECONDS
        if stage.is_regression:
            seconds += regression_seconds(len(fold.train), views, network.head.linear.weight.numel())
        return Cost(once=inference * views * rows, epoch=seconds)
    augmented = ImageLoader(images, targets, fold.augmentation(stage), workers)
    learner = prepared(build_learner(fold, network, stage))
    network.train()
    training = _seconds_per_row(fold, augmented, lambda batch: float(learner.step(batch, 1.0)))
    accelerator.free_memory()
    return Cost(once=0.0, epoch=training * len(fold.train) + inference * len(fold.valid))


def regression_seconds(rows: int, views: int, weights: int) -> float:
    """About how long a regression takes, the search for its strength included."""
    return _REGRESSION_PASSES * _PASS_SECONDS * rows * views * weights


def _seconds_per_row(fold: FoldRun, loader: ImageLoader, work: Callable[[Batch], float]) -> float:
    batches = shuffled_batches(fold.train.rows, fold.recipe.batch_size, fold.seed("plan"))
    measured = list(islice(batches, _WARM_UP + _MEASURED))
    ends, rows = [], []
    for batch, _ in read_shards(loader, measured, 0):
        work(batch)
        ends.append(time.perf_counter())
        rows.append(len(batch.rows))
    if len(ends) < 2:
        return 0.01
    # The first batch also pays for starting workers and choosing kernels.
    return float((ends[-1] - ends[0]) / np.sum(rows[1:]))
