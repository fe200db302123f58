"""The weights of the last stage's snapshots averaged into one network: one more candidate for the ensemble.

Snapshots of one stage lie in one basin, and the middle of a basin is flatter, and often better, than its rim. What
BatchNorm knows of the activations is then nobody's, and is measured anew on the rows that the fold trains on. Where
only a head was trained there is nothing of this to gain: its snapshots are as good averaged as they speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import Tensor, nn

from runner.console import progress
from runner.contract import TrainMode
from runner.prediction.predict import Asked, choose_snapshots, fingerprint
from runner.training.distributed import SyncBatchNorm1d, broadcast_from_main
from runner.training.fold import FoldRun, Machine, empty_network
from runner.training.learner import forward
from runner.training.loaders import ImageLoader, shuffled_batches
from runner.training.model import Network
from runner.training.optimizer import apply_freezing
from runner.training.snapshots import Snapshot, read_snapshots, write_snapshot
from runner.workspace import read_json

NAME = "average"


@dataclass(frozen=True)
class Averaged(Snapshot):
    """A network that is the mean of snapshots; `of` tells which, by their weights."""

    of: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return NAME


def choose_models(fold: FoldRun, machine: Machine, accelerator: Accelerator, asked: Asked) -> tuple[Snapshot, ...]:
    """The networks that are to speak: snapshots, and before them their average; the last snapshot comes last."""
    chosen = choose_snapshots(read_snapshots(fold.folder), asked)
    if not asked.names or NAME in asked.wanted:
        chosen = with_average(fold, machine, accelerator, chosen)
    return tuple(one for one in chosen if not asked.wanted or one.name in asked.wanted)


def with_average(
    fold: FoldRun, machine: Machine, accelerator: Accelerator, snapshots: Sequence[Snapshot]
) -> tuple[Snapshot, ...]:
    """The snapshots, and before them the average of those of the last stage where there is one to make."""
    last = snapshots[-1]
    alike = [one for one in snapshots if one.stage == last.stage]
    if len(alike) < 2 or fold.recipe.stages[last.stage].mode is not TrainMode.UNFROZEN:
        return tuple(snapshots)
    averaged = Averaged(last.cycle, last.stage, last.size, None, {}, tuple(fingerprint(fold, one) for one in alike))
    if not broadcast_from_main(accelerator, lambda: _is_there(fold, averaged)):
        network = _mean_network(fold, alike).to(accelerator.device)
        update_bn(fold, machine, accelerator, network, last)
        if accelerator.is_main_process:
            write_snapshot(fold.folder, averaged, network)
        accelerator.wait_for_everyone()
    return (averaged, *snapshots)


def _is_there(fold: FoldRun, averaged: Averaged) -> bool:
    """Whether it was made of these very weights; where the snapshots' are gone, none other can be made."""
    facts = fold.folder / f"{NAME}.json"
    return facts.exists() and ("" in averaged.of or tuple(read_json(facts)["of"]) == averaged.of)


def _mean_network(fold: FoldRun, snapshots: Sequence[Snapshot]) -> Network:
    network = empty_network(fold)
    network.set_size(snapshots[-1].size)
    total: dict[str, Tensor] = {}
    for snapshot in snapshots:
        for name, tensor in load_file(fold.folder / f"{snapshot.name}.safetensors").items():
            # Counts and the like are whole numbers: of those the last one's stay.
            added = tensor.double() / len(snapshots) if tensor.is_floating_point() else tensor
            total[name] = total[name] + added if name in total and tensor.is_floating_point() else added
    network.load_state_dict(total)
    return network


def update_bn(fold: FoldRun, machine: Machine, accelerator: Accelerator, network: Network, snapshot: Snapshot) -> None:
    """Let every BatchNorm that had learned measure its activations anew, in one pass over the training rows.

    Every process makes the whole pass: they then hold the same network.
    """
    stage = fold.recipe.stages[snapshot.stage]
    apply_freezing(network, fold.recipe, stage)
    network.train()
    norms = [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.training]
    network.eval()
    if not norms:
        return
    images = fold.images("train", snapshot.size, machine)
    feed = ImageLoader(images, fold.answers, fold.augmentation(snapshot.size), machine.workers)
    batches = shuffled_batches(fold.train_rows, fold.recipe.batch_size, fold.seed("norms"))
    for norm in norms:
        norm.train()
        if isinstance(norm, SyncBatchNorm1d):
            norm.shares = False
    with torch.inference_mode(), accelerator.autocast(), progress("measuring the average", len(batches)) as advance:
        for number, batch in enumerate(feed.read(batches, fold.seed("norms"))):
            for norm in norms:
                norm.momentum = 1 / (number + 1)  # the mean over all batches, whichever came last
            forward(accelerator, network, batch)
            advance(1)
    network.eval()
