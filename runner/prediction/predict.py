"""Probabilities for the held-out rows and the test rows, a file for each snapshot and part, through every view."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from runner.console import log
from runner.contract import TrainMode
from runner.errors import RunnerError
from runner.images.decode import ImageReader
from runner.images.views import MultiView, View, default_views
from runner.prediction.predictions import ViewPredictions, path_of, read_view_predictions, write_view_predictions
from runner.training.distributed import broadcast_from_main, inference_autocast
from runner.training.features import cached_features
from runner.training.fold import FoldRun, Machine, load_snapshot
from runner.training.learner import predict_logits
from runner.training.loaders import Batch, ImageLoader, Loader, Rows, RowTargets, inference_batch_size
from runner.training.losses import to_probabilities
from runner.training.model import Network
from runner.training.snapshots import Snapshot, read_snapshots

PARTS = ("valid", "test")

# Of the last stage: those of earlier ones saw smaller images, and each costs a pass over the test rows.
MOST_SNAPSHOTS = 3


@dataclass(frozen=True)
class Asked:
    """Through which views to predict, and with how many of the last snapshots (None: the last stage's, at most 3)."""

    views: str = "default"
    snapshots: int | None = None
    names: tuple[str, ...] = ()  # these networks and no others, whatever else is asked
    wanted: tuple[str, ...] = ()  # of those named, the ones that are to speak; the others may be averaged


def choose_snapshots(known: Sequence[Snapshot], asked: Asked) -> tuple[Snapshot, ...]:
    """The snapshots to predict with, oldest first."""
    if asked.names:
        return tuple(one for one in known if one.name in asked.names)
    if asked.snapshots is not None:
        return tuple(known[-asked.snapshots :])
    return tuple([one for one in known if one.stage == known[-1].stage][-MOST_SNAPSHOTS:])


def trained_folds(folds: Sequence[FoldRun]) -> tuple[FoldRun, ...]:
    """The folds that have come furthest; the others are named. A fold may have been trained elsewhere."""
    counts = [len(read_snapshots(fold.folder)) for fold in folds]
    name, run = folds[0].competition.name, folds[0].folder.parent
    if not max(counts):
        raise RunnerError(
            f"{run.name} has no snapshot to predict with",
            where=run,
            fix=f"runner {name} train --run {run.name} --resume",
        )
    for fold, count in zip(folds, counts, strict=True):
        if count < max(counts):
            state = f"has {count} of {max(counts)} snapshots" if count else "is not trained"
            log.info(f"fold {fold.number} {state} and is left out (runner {name} train --run {run.name} --resume)")
    return tuple(fold for fold, count in zip(folds, counts, strict=True) if count == max(counts))


def predict_fold(
    fold: FoldRun, machine: Machine, accelerator: Accelerator, snapshots: Sequence[Snapshot], views: Sequence[View]
) -> None:
    """Write what each snapshot says of both parts through each view; what is there already is left alone."""
    for snapshot in snapshots:
        network: Network | None = None
        for part in PARTS if len(fold.valid_rows) else PARTS[1:]:
            known = broadcast_from_main(accelerator, partial(_known, fold, snapshot, part))
            missing = [view for view in views if known is None or repr(view) not in known.keys]
            if missing:
                network = network or load_snapshot(fold, snapshot).to(accelerator.device)
                said = _predict(fold, machine, accelerator, network, snapshot, part, missing)
                if accelerator.is_main_process:
                    write_view_predictions(path_of(fold.folder, snapshot.name, part), _joined(known, said, views))
                accelerator.wait_for_everyone()


def _known(fold: FoldRun, snapshot: Snapshot, part: str) -> ViewPredictions | None:
    """What the file holds, if these rows, classes and weights are the ones it was made of."""
    path = path_of(fold.folder, snapshot.name, part)
    if not path.exists():
        return None
    try:
        known = read_view_predictions(path)
    except RunnerError:
        return None  # cut off while it was copied: it is written anew
    weights = fingerprint(fold, snapshot)
    same = (known.ids, known.classes) == (_ids(fold, part), fold.index.classes)
    # Where the weights are gone, nothing better can come, and the file is believed.
    return known if same and weights in (known.weights, "") else None


def fingerprint(fold: FoldRun, snapshot: Snapshot) -> str:
    """What tells a snapshot's weights from all others; empty where they are gone."""
    path = fold.folder / f"{snapshot.name}.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.exists() else ""


def _ids(fold: FoldRun, part: str) -> tuple[str, ...]:
    table = fold.index.train.iloc[fold.valid_rows] if part == "valid" else fold.index.test
    return tuple(table["id"])


def _joined(known: ViewPredictions | None, said: ViewPredictions, wanted: Sequence[View]) -> ViewPredictions:
    """Old views and new in one, those that are wanted now first and in their order."""
    if known is None:
        return said
    # A name that means another look now takes the old one's place.
    kept = [place for place, name in enumerate(known.names) if name not in said.names]
    whole = replace(
        said,
        names=(*(known.names[place] for place in kept), *said.names),
        keys=(*(known.keys[place] for place in kept), *said.keys),
        probabilities=np.concatenate([known.probabilities[:, kept], said.probabilities], axis=1),
    )
    first = [whole.names.index(view.name) for view in wanted]
    order = [*first, *(place for place in range(len(whole.names)) if place not in first)]
    return replace(
        whole,
        names=tuple(whole.names[place] for place in order),
        keys=tuple(whole.keys[place] for place in order),
        probabilities=whole.probabilities[:, order],
    )


def _predict(
    fold: FoldRun,
    machine: Machine,
    accelerator: Accelerator,
    network: Network,
    snapshot: Snapshot,
    part: str,
    views: Sequence[View],
) -> ViewPredictions:
    on_activations = fold.recipe.stages[snapshot.stage].mode is TrainMode.FEATURES
    feed = _activations if on_activations else _images
    rows, looks = feed(fold, machine, accelerator, network, snapshot, part, views)
    module = EachView(network.head if on_activations else network)
    size = inference_batch_size(fold.recipe.batch_size, len(views))
    with inference_autocast(accelerator):
        title = f"fold {fold.number} {snapshot.name} {part}"
        logits = predict_logits(accelerator, module, looks, rows, size, title=title)
    probabilities = to_probabilities(fold.competition.labels, logits.flatten(0, 1)).astype(np.float32)
    return ViewPredictions(
        _ids(fold, part),
        fold.index.classes,
        tuple(view.name for view in views),
        tuple(map(repr, views)),
        probabilities.reshape(logits.shape),
        fingerprint(fold, snapshot),
    )


class EachView(nn.Module):
    """Logits shaped (rows, views, classes) for inputs shaped (rows, views, ...)."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor, tabular: Tensor) -> Tensor:
        """Every view as if it were a row."""
        views = inputs.shape[1]
        logits: Tensor = self.module(inputs.flatten(0, 1), tabular.repeat_interleave(views, dim=0))
        return logits.reshape(len(inputs), views, logits.shape[1])


def _images(
    fold: FoldRun,
    machine: Machine,
    _accelerator: Accelerator,
    _network: Network,
    snapshot: Snapshot,
    part: str,
    views: Sequence[View],
) -> tuple[Rows, Loader]:
    """Images, each read and decoded once for all its views."""
    looks = MultiView(fold.competition.preset, views, snapshot.size)
    reader, rows, answers = _part(fold, machine, snapshot, part)
    return rows, ImageLoader(reader, answers, looks, machine.workers)


def _activations(
    fold: FoldRun,
    machine: Machine,
    accelerator: Accelerator,
    network: Network,
    snapshot: Snapshot,
    part: str,
    views: Sequence[View],
) -> tuple[Rows, Loader]:
    """Activations that the cache has, where the head alone was trained: all snapshots and folds share them."""
    preset = fold.competition.preset
    usual = default_views(preset)
    seen = usual if set(views) <= set(usual) else tuple(views)
    reader, rows, answers = _part(fold, machine, snapshot, part)
    array = cached_features(
        accelerator,
        network,
        reader,
        preset=preset,
        views=seen,
        size=snapshot.size,
        cache=fold.cache,
        batch_size=fold.recipe.batch_size,
        workers=machine.workers,
    )
    return rows, _AllViews(array, [seen.index(view) for view in views], answers)


def _part(fold: FoldRun, machine: Machine, snapshot: Snapshot, part: str) -> tuple[ImageReader, Rows, RowTargets]:
    """Images, the rows of them that are predicted, and what goes with them."""
    if part == "valid":
        return fold.images("train", snapshot.size, machine), fold.valid_rows, fold.answers
    nothing = np.zeros((len(fold.index.test), len(fold.index.classes)), dtype=np.float32)
    reader = fold.images("test", snapshot.size, machine)
    return reader, np.arange(len(reader)), RowTargets(fold.tabular("test"), nothing)


class _AllViews:
    """Batches of activations shaped (rows, views, width), read from the map a batch at a time."""

    def __init__(self, activations: NDArray[Any], views: Sequence[int], answers: RowTargets):
        self._activations, self._views, self._answers = activations, list(views), answers

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        for rows in batches:
            yield self._answers.batch(rows, torch.from_numpy(self._activations[rows][:, self._views]))
