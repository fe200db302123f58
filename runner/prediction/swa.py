"""SWA: the weights of the last stage's snapshots averaged into one model, one more candidate for the ensemble.

Snapshots of one stage lie in one basin, and its middle generalises at least as well as its rim (Izmailov et al. 2018).
BatchNorm statistics do not average; they are re-estimated on the training rows. Snapshots of heads are not averaged:
the mean of their weights predicts as their mean does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from runner.console import progress
from runner.contract import TrainMode
from runner.errors import RunnerError
from runner.options import PredictOptions
from runner.prediction.predict import RefitModels, weights_digest
from runner.training.distributed import SyncBatchNorm1d, broadcast_from_main, get_accelerator
from runner.training.fold import FoldRun, uninitialised_network, worker_count
from runner.training.learner import forward
from runner.training.loaders import ImageLoader, shuffled_batches
from runner.training.model import Network
from runner.training.optimizer import apply_freezing
from runner.training.snapshot_list import choose_snapshots
from runner.training.snapshots import (
    Snapshot,
    file_sha256,
    read_snapshot,
    read_weights,
    weights_file,
    write_snapshot,
)

NAME = "swa"


@dataclass(frozen=True)
class AveragedSnapshot(Snapshot):
    """The mean of snapshots; `of` holds the digests of their weights."""

    of: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return NAME


def choose_models(fold: FoldRun, choice: PredictOptions | RefitModels) -> tuple[Snapshot, ...]:
    """The models to predict with: the SWA model, if there is one, then snapshots; the last snapshot comes last."""
    snapshots = fold.read_snapshots()
    if isinstance(choice, PredictOptions):
        return build_swa(fold, choose_snapshots(snapshots, choice))
    repeated = tuple(snapshot for snapshot in snapshots if snapshot.name in choice.names)
    if NAME in choice.weighted:
        repeated = build_swa(fold, repeated)
    return tuple(model for model in repeated if model.name in choice.weighted)


def build_swa(fold: FoldRun, snapshots: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """The snapshots, and before them the average of those of the last stage if there are two or more."""
    last = snapshots[-1]
    averaged = [snapshot for snapshot in snapshots if snapshot.stage == last.stage]
    if len(averaged) < 2 or fold.recipe.stages[last.stage].mode is not TrainMode.UNFROZEN:
        return tuple(snapshots)
    digests = tuple(weights_digest(fold, snapshot) for snapshot in averaged)
    swa = AveragedSnapshot(last.cycle, last.stage, last.size, None, {}, last.folds, of=digests)
    if not broadcast_from_main(lambda: _is_current(fold, swa)):
        accelerator = get_accelerator(fold.session.compute)
        network = _mean_network(fold, averaged).to(accelerator.device)
        update_bn(fold, network, last)
        if accelerator.is_main_process:
            write_snapshot(fold.folder, swa, network)
        accelerator.wait_for_everyone()
    return (read_snapshot(_json_file(fold), AveragedSnapshot), *snapshots)


def _is_current(fold: FoldRun, swa: AveragedSnapshot) -> bool:
    """Whether the file is the average of these weights; if snapshots were deleted, no other can be made."""
    try:
        written = read_snapshot(_json_file(fold), AveragedSnapshot)
    except (RunnerError, OSError):
        return False
    if "" in swa.of:
        return True
    path = weights_file(fold.folder, written)
    is_whole = path.exists() and written.sha256 in ("", file_sha256(path))
    return is_whole and (written.of, written.folds) == (swa.of, swa.folds)


def _json_file(fold: FoldRun) -> Path:
    return fold.folder / f"{NAME}.json"


def _mean_network(fold: FoldRun, snapshots: Sequence[Snapshot]) -> Network:
    network = uninitialised_network(fold)
    network.set_size(snapshots[-1].size)
    total: dict[str, Tensor] = {}
    for snapshot in snapshots:
        for name, tensor in read_weights(weights_file(fold.folder, snapshot), snapshot.sha256).items():
            # Counters are integers: the last snapshot's stay.
            share = tensor.double() / len(snapshots) if tensor.is_floating_point() else tensor
            total[name] = total[name] + share if name in total and tensor.is_floating_point() else share
    network.load_state_dict(total)
    return network


def update_bn(fold: FoldRun, network: Network, snapshot: Snapshot) -> None:
    """Re-estimate the statistics of every BatchNorm that was trained, in one pass over the training rows.

    Every process makes the whole pass: they then have the same network.
    """
    norms = _trained_norms(fold, network, snapshot)
    network.eval()
    if not norms:
        return
    images, workers = fold.train.images(snapshot.size), worker_count(fold.session.compute)
    loader = ImageLoader(images, fold.train.targets, fold.augmentation(fold.recipe.stages[snapshot.stage]), workers)
    batches = shuffled_batches(fold.train.rows, fold.recipe.batch_size, fold.seed("norms"))
    for norm in norms:
        norm.train()
        if isinstance(norm, SyncBatchNorm1d):
            norm.synced = False
    autocast = get_accelerator(fold.session.compute).autocast()
    with torch.inference_mode(), autocast, progress("updating BatchNorm", len(batches)) as advance:
        for number, batch in enumerate(loader.read(batches, fold.seed("norms"))):
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # the mean over all batches
            forward(network, batch)
            advance(1)
    network.eval()


def _trained_norms(fold: FoldRun, network: Network, snapshot: Snapshot) -> list[nn.modules.batchnorm._BatchNorm]:
    """The BatchNorms that were in training mode in the snapshot's stage."""
    apply_freezing(network, fold.recipe, fold.recipe.stages[snapshot.stage])
    network.train()
    modules = network.modules()
    return [module for module in modules if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training]
