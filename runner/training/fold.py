"""Train one fold by the recipe: stages, then cycles; a snapshot a cycle; each finished epoch is kept.

Every stage starts from what the stage before left on the disk. So going on with a broken-off run is not a
special case: it is how any stage starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import say
from runner.contract import Competition, Metric, Recipe
from runner.data.index import Index
from runner.data.pictures import PictureReader, open_pictures
from runner.data.scalars import fill_missing, read_scalars
from runner.errors import TrainingError, UsageError
from runner.training.batch_size import check_shares, halve, remember_batch_size, starting_batch_size
from runner.training.batches import Answers, Rows
from runner.training.log import keep_lines
from runner.training.model import Network, build_network
from runner.training.processes import by_main
from runner.training.schedule import Epoch, plan_epochs
from runner.training.seeds import seed_for
from runner.training.snapshots import Snapshot, drop_snapshot, load_weights, read_facts, read_snapshots


@dataclass(frozen=True)
class Fold:
    """What one fold trains on, and where it keeps what comes of it."""

    competition: Competition
    recipe: Recipe
    index: Index
    number: int
    train_rows: Rows  # rows of index.train
    valid_rows: Rows
    folder: Path
    log: Path
    cache: Path
    start: Path | None = None  # a snapshot's weights, in the place of pretrained ones

    def seed(self, *place: object) -> int:
        """A seed for one place in this fold."""
        return seed_for(self.recipe.seed, "fold", self.number, *place)

    @property
    def state_file(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (self.competition.metric, *self.competition.also_report)

    @cached_property
    def reader(self) -> PictureReader:
        """The labelled pictures."""
        return open_pictures(self.index.raw, self.index.train["path"].tolist())

    @cached_property
    def answers(self) -> Answers:
        """Scalars and targets of the labelled rows."""
        return Answers(self.scalars("train"), self.index.targets())

    def scalars(self, part: str) -> NDArray[np.float32]:
        """The scalars of the labelled ("train") or the test rows, on the scale of this fold's training rows."""
        known = read_scalars(self.competition, self.index, "train")
        wanted = known if part == "train" else read_scalars(self.competition, self.index, part)
        return fill_missing(wanted, known[self.train_rows], self.seed("scalars", part))


@dataclass(frozen=True)
class Machine:
    """What the person at the keyboard has: nothing here changes what is learned."""

    device: str = "auto"
    workers: int = 0
    weights: Path | None = None
    compiles: bool = False
    tracker: str | None = None
    minutes: float | None = None  # plan for no longer than this
    only_fold: int | None = None


def default_workers() -> int:
    """Processes that read pictures: beside a GPU as many as help, beside a busy processor two."""
    cores = os.cpu_count() or 1
    return min(cores, 8 if torch.cuda.is_available() else 2)


def train_fold(fold: Fold, machine: Machine, accelerator: Accelerator) -> tuple[Snapshot, ...]:
    """Every snapshot of the fold. What an earlier, broken-off call finished is not done again."""
    from runner.training.stage import train_stage

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


def build_start(fold: Fold, machine: Machine) -> Network:
    """The network before its first step: the same for the same seed."""
    if fold.recipe.weights and machine.weights is None and fold.start is None:
        raise UsageError(
            f"the run starts from a weights file: {fold.recipe.weights}", cure="name it again with --weights FILE"
        )
    torch.manual_seed(fold.seed("network"))
    channels = fold.reader.channels
    network = build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=channels,
        scalars=fold.answers.scalars.shape[1],
        pretrained=fold.recipe.pretrained and fold.start is None,
        weights=machine.weights if fold.start is None else None,
        dropout=fold.recipe.dropout,
        normalisation=_measure_bands(fold.reader, fold.train_rows) if channels != 3 else None,
    )
    if fold.start is not None:
        load_weights(fold.start, network)
    return network


def load_snapshot(fold: Fold, snapshot: Snapshot) -> Network:
    """The network as a snapshot has it; nothing is fetched or measured for it."""
    network = build_empty(fold)
    network.set_size(snapshot.size)
    load_weights(fold.folder / f"{snapshot.name}.safetensors", network)
    return network


def build_empty(fold: Fold) -> Network:
    """A network of the fold's shape, to put weights into."""
    channels = fold.reader.channels
    return build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=channels,
        scalars=fold.answers.scalars.shape[1],
        pretrained=False,
        weights=None,
        dropout=fold.recipe.dropout,
        normalisation=([0.0] * channels, [1.0] * channels),
    )


def _measure_bands(reader: PictureReader, rows: Rows) -> tuple[list[float], list[float]]:
    """Mean and spread of each band over this fold's training rows, and no others."""
    pixels = np.stack([reader[int(row)] for row in rows]).reshape(-1, reader.channels).astype(np.float64)
    return pixels.mean(axis=0).tolist(), pixels.std(axis=0).tolist()


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


def broken_by(fold: Fold, found: str, cure: str) -> TrainingError:
    """A fault of the training itself, told with the run it happened in."""
    return TrainingError(found, where=fold.folder, cure=cure)
