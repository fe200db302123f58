"""One fold of a run: its rows, its folder, and the network that it starts from or has come to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from runner.contract import Competition, Metric, Recipe
from runner.data.index import Index
from runner.data.tabular import read_tabular, standardise_and_impute
from runner.errors import TrainingError, UsageError
from runner.images.cache import CacheOptions
from runner.images.cached import open_cached_images
from runner.images.decode import ImageReader, open_images
from runner.training.loaders import Rows, RowTargets, Transform
from runner.training.model import Network, build_network
from runner.training.seeds import seed_for
from runner.training.snapshots import Snapshot, load_weights

# Dog-breed's 20,000 images at three sizes, or planet's 100,000 at one.
DEFAULT_CACHE_BYTES = 20 * 10**9


@dataclass(frozen=True)
class FoldRun:
    """What one fold trains on, and where it keeps what comes of it."""

    competition: Competition
    recipe: Recipe
    index: Index
    number: int
    train_rows: Rows  # rows of index.train
    valid_rows: Rows
    folder: Path
    log_file: Path
    cache: Path
    start: Path | None = None  # a snapshot's weights, in the place of pretrained ones

    def seed(self, *place: object) -> int:
        """A seed for one place in this fold."""
        return seed_for(self.recipe.seed, "fold", self.number, *place)

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (self.competition.metric, *self.competition.extra_metrics)

    @cached_property
    def reader(self) -> ImageReader:
        """The labelled images as they are."""
        return open_images(self.index.data_dir, self.index.train["path"].tolist())

    def images(self, part: str, size: int, machine: Machine) -> ImageReader:
        """The labelled ("train") or the test images, as a network of this size needs them."""
        table = self.index.train if part == "train" else self.index.test
        keeping = CacheOptions(self.cache / "images", machine.cache_bytes)
        return open_cached_images(self.index.data_dir, table["path"].tolist(), self.competition.preset, size, keeping)

    def augmentation(self, size: int) -> Transform:
        """How the images are changed to be learned from."""
        from runner.images.augment import build_augmentation

        light = self.reader.channels == 3
        return build_augmentation(self.competition.preset, size, is_rgb=light)

    @cached_property
    def answers(self) -> RowTargets:
        """Scalars and targets of the labelled rows."""
        return RowTargets(self.tabular("train"), self.index.targets())

    def tabular(self, part: str) -> NDArray[np.float32]:
        """The tabular of the labelled ("train") or the test rows, on the scale of this fold's training rows."""
        known = read_tabular(self.competition, self.index, "train")
        wanted = known if part == "train" else read_tabular(self.competition, self.index, part)
        return standardise_and_impute(wanted, known[self.train_rows], self.seed("scalars", part))


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
    on: str | None = None  # the engine that folds are spread over: ray, or ray:ADDRESS
    cache_bytes: int = DEFAULT_CACHE_BYTES  # what resized images may take of the disk


def default_workers() -> int:
    """Processes that read images: beside a GPU as many as help, beside a busy processor two."""
    cores = os.cpu_count() or 1
    return min(cores, 8 if torch.cuda.is_available() else 2)


def initial_network(fold: FoldRun, machine: Machine) -> Network:
    """The network before its first step: the same for the same seed."""
    if fold.recipe.weights and machine.weights is None and fold.start is None:
        raise UsageError(
            f"the run starts from a weights file: {fold.recipe.weights}", fix="name it again with --weights FILE"
        )
    torch.manual_seed(fold.seed("network"))
    channels = fold.reader.channels
    network = build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=channels,
        tabular=fold.answers.tabular.shape[1],
        pretrained=fold.recipe.pretrained and fold.start is None,
        weights=machine.weights if fold.start is None else None,
        dropout=fold.recipe.dropout,
        normalisation=_measure_bands(fold.reader, fold.train_rows) if channels != 3 else None,
    )
    if fold.start is not None:
        load_weights(fold.start, network)
    return network


def load_snapshot(fold: FoldRun, snapshot: Snapshot) -> Network:
    """The network as a snapshot has it; nothing is fetched or measured for it."""
    network = empty_network(fold)
    network.set_size(snapshot.size)
    load_weights(fold.folder / f"{snapshot.name}.safetensors", network)
    return network


def empty_network(fold: FoldRun) -> Network:
    """A network of the fold's shape, to put weights into."""
    channels = fold.reader.channels
    return build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=channels,
        tabular=fold.answers.tabular.shape[1],
        pretrained=False,
        weights=None,
        dropout=fold.recipe.dropout,
        normalisation=([0.0] * channels, [1.0] * channels),
    )


def _measure_bands(reader: ImageReader, rows: Rows) -> tuple[list[float], list[float]]:
    """Mean and spread of each band over this fold's training rows, and no others."""
    pixels = np.stack([reader[int(row)] for row in rows]).reshape(-1, reader.channels).astype(np.float64)
    return pixels.mean(axis=0).tolist(), pixels.std(axis=0).tolist()


def training_error(fold: FoldRun, found: str, fix: str) -> TrainingError:
    """A fault of the training itself, told with the run it happened in."""
    return TrainingError(found, where=fold.folder, fix=fix)
