"""What a stage learns from: augmented images, or activations computed before."""

from __future__ import annotations

import numpy as np
from accelerate import Accelerator

from runner.contract import Stage, TrainMode
from runner.images.center_crop import CenterCrop
from runner.images.views import default_views
from runner.training.features import cached_features
from runner.training.fold import FoldRun, Machine
from runner.training.loaders import FeatureLoader, ImageLoader, Loader, Rows
from runner.training.model import Network


def build_feeds(
    fold: FoldRun, machine: Machine, accelerator: Accelerator, network: Network, stage: Stage, batch_size: int
) -> tuple[Loader, Loader]:
    """The feed to train from, and the plain one to validate with."""
    preset, answers = fold.competition.preset, fold.answers
    reader = fold.images("train", stage.size, machine)
    if stage.mode is TrainMode.FEATURES:
        activations = cached_features(
            accelerator,
            network,
            reader,
            preset=preset,
            views=default_views(preset),
            size=stage.size,
            cache=fold.cache,
            batch_size=batch_size,
            workers=machine.workers,
        )
        held = np.asarray(activations)
        return FeatureLoader(held, answers, draws_views=True), FeatureLoader(held, answers, draws_views=False)
    return (
        ImageLoader(reader, answers, fold.augmentation(stage.size), machine.workers),
        ImageLoader(reader, answers, CenterCrop(preset, stage.size), machine.workers),
    )


def oversampled(fold: FoldRun) -> Rows:
    """The training rows; with `oversample`, those of rare classes several times, up to the recipe's bound."""
    bound, rows = fold.recipe.oversample, fold.train_rows
    if bound <= 1:
        return rows
    marked = fold.answers.targets[rows] >= 0.5
    if marked.shape[1] == 1:
        marked = np.hstack([marked, ~marked])
    counts = np.maximum(marked.sum(axis=0), 1)
    # A row is as rare as its rarest class, and shown as often as makes that class as common as the commonest.
    wanted = np.where(marked, counts.max() / counts, 1).max(axis=1)
    times = np.floor(np.minimum(wanted, bound)).astype(np.int64)
    return np.repeat(rows, times)
