"""One fold of a run: its rows, its files, and the networks and loaders that it trains with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from runner.commands import again
from runner.contract import Competition, Metric, Outputs, Recipe, Stage, TrainMode
from runner.contract.outputs import outputs_of
from runner.contract.targets import Targets, are_class_numbers, target_means
from runner.data.by_id import mean_by_id
from runner.data.checksums import digest_of_files
from runner.data.folds import assignment_digest
from runner.data.image_names import all_files_of
from runner.data.tabular import read_tabular, standardise_and_impute
from runner.errors import DataError, TrainingError, UsageError
from runner.images.augment import build_augmentation
from runner.images.cache import CacheOptions
from runner.images.cached import open_cached_images
from runner.images.center_crop import CenterCrop
from runner.images.readers import ImageReader, layout_of_first, open_images
from runner.images.views import default_views
from runner.options import Compute, TrainOptions
from runner.session import Session
from runner.training.features import FeatureSpec, cached_features
from runner.training.loaders import FeatureLoader, ImageLoader, Loader, Rows, RowTargets, Transform
from runner.training.losses import NumberScale, to_predictions
from runner.training.model import Network, build_network
from runner.training.run import Run
from runner.training.seeds import seed_for
from runner.training.snapshots import (
    CheckpointMeta,
    Snapshot,
    load_weights,
    read_checkpoint_meta,
    read_snapshots,
    weights_file,
)
from runner.training.unreadable import SkippedImages, blank_skipped
from runner.training.weights_files import missing_weights_error

# Images whose values are measured before bands are normalised by them: all of a small set, some of large images.
_MAX_MEASURED, _MIN_MEASURED = 2_000, 100
_MAX_MEASURED_VALUES = 250_000_000


@dataclass(frozen=True, eq=False)
class RowSet:
    """The training, validation or test rows, with their images and targets.

    `rows`, `targets` and the image readers number the rows of `table`: folds then share one cache of images.
    """

    session: Session
    table: pd.DataFrame  # the index's labelled or test rows
    rows: Rows
    targets: RowTargets  # of every row of the table; none for test rows
    skipped: frozenset[int] = frozenset()  # rows of the table whose image cannot be read

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, each once: one may have several images."""
        return tuple(dict.fromkeys(self.table["id"].iloc[self.rows]))

    def mean_by_id(self, values: NDArray[Any]) -> NDArray[Any]:
        """The mean over the images of each id, of values with a row an image."""
        return mean_by_id(self.table["id"].iloc[self.rows].tolist(), values)

    @property
    def images_digest(self) -> str:
        """A digest of the rows' images as they arrived; empty if it is not known."""
        return digest_of_files(self.session.index.data_dir, all_files_of(self.table["path"].iloc[self.rows]))

    def images(self, size: int) -> ImageReader:
        """The table's images, reduced to what a network of this input size needs; skipped ones are black."""
        options = CacheOptions(self.session.cache_dir / "images", self.session.compute.cache_bytes)
        preset, paths = self.session.competition.preset, self.table["path"].tolist()
        # Test images are read as the training images are: the network knows no others.
        index = self.session.index
        layout = layout_of_first(index.data_dir, index.train["path"].tolist())
        images = open_cached_images(index.data_dir, paths, preset, size, options, layout)
        if images.layout != layout:
            message = f"the test images have {images.layout}, and the training images {layout}"
            raise DataError(message, where=index.data_dir, fix="correct the images in the competition file")
        return blank_skipped(images, self.skipped, size)


@dataclass(frozen=True)
class StartWeights:
    """The weights file of another run's snapshot, its checksum, and the image size of its stage."""

    file: Path
    sha256: str
    size: int


@dataclass(frozen=True, eq=False)
class FoldRun:
    """What one fold trains on, and the folder for its results."""

    session: Session
    run: Run
    recipe: Recipe
    number: int
    fold_of: NDArray[np.int64]  # the fold of each labelled row: those of this fold are its validation rows
    start: StartWeights | None = None  # to start from, instead of pretrained ones
    skipped: SkippedImages = SkippedImages()  # noqa: RUF009  (frozen)

    def seed(self, *names: object) -> int:
        """A seed for one random draw of this fold."""
        return seed_for(self.recipe.seed, "fold", self.number, *names)

    @property
    def competition(self) -> Competition:
        return self.session.competition

    @property
    def folder(self) -> Path:
        return self.run.fold_dir(self.number)

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @cached_property
    def folds_digest(self) -> str:
        """A digest of the split: weights that were trained with another one have learned from other rows."""
        return assignment_digest(dict(zip(self.session.index.train["id"], self.fold_of.tolist(), strict=True)))

    def read_snapshots(self) -> tuple[Snapshot, ...]:
        """The fold's finished snapshots, oldest first; a TrainingError if they were trained with another split."""
        snapshots = read_snapshots(self.folder)
        for snapshot in snapshots:
            self._check_split(snapshot.folds, snapshot.name)
        return snapshots

    def read_checkpoint(self) -> CheckpointMeta | None:
        """What is known of the checkpoint; None if there is none."""
        if not self.checkpoint_file.exists():
            return None
        meta = read_checkpoint_meta(self.checkpoint_file)
        self._check_split(meta.folds, "the checkpoint")
        return meta

    def _check_split(self, trained_with: str, name: str) -> None:
        if trained_with in ("", self.folds_digest):  # files of an earlier version do not tell
            return
        raise TrainingError(
            f"{name} of fold {self.number} was trained with another split: it would be scored on rows that it knows",
            where=self.run.folds_file,
            fix="put the folds.csv and folds.json back that the run was trained with, or train a new one: "
            f"`{self.session.command('train')}`",
        )

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (self.competition.metric, *self.competition.extra_metrics)

    @cached_property
    def train(self) -> RowSet:
        return self._labelled_rows(self.fold_of != self.number)

    @cached_property
    def valid(self) -> RowSet:
        return self._labelled_rows(self.fold_of == self.number)

    @cached_property
    def test(self) -> RowSet:
        """The test rows, with the skipped ids: each needs a prediction. Single images of an id may be left out."""
        table = self.session.index.test
        targets = RowTargets.none(len(table), self._tabular("test"))
        left_out = table["path"].isin(self.skipped.images).to_numpy()
        skipped = np.flatnonzero(table["id"].isin(self.skipped.test) | left_out)
        return RowSet(self.session, table, np.flatnonzero(~left_out), targets, frozenset(skipped.tolist()))

    @cached_property
    def outputs(self) -> Outputs:
        """The columns of the network's output."""
        return outputs_of(self.competition.labels, len(self.session.index.classes))

    @cached_property
    def index_targets(self) -> Targets:
        """The targets of every labelled row as the index has them: numbers in their own unit."""
        return self.session.index.targets()

    @cached_property
    def number_scale(self) -> NumberScale | None:
        """The scale of the numbers to predict, by this fold's training rows; None for classes and tags."""
        if not self.outputs.are_numbers:
            return None
        return NumberScale.of(self.index_targets[self.fold_of != self.number])

    def to_predictions(self, logits: torch.Tensor) -> NDArray[np.float64]:
        """Probabilities or numbers of these logits."""
        return to_predictions(self.competition.labels, self.outputs, logits, self.number_scale)

    @property
    def mean_target(self) -> NDArray[np.float64]:
        """The mean of the training targets: (columns,)."""
        return target_means(self.index_targets[self.train.rows], self.outputs.columns)

    @cached_property
    def full_images(self) -> ImageReader:
        """The labelled images at full resolution."""
        return open_images(self.session.index.data_dir, self.session.index.train["path"].tolist())

    def augmentation(self, stage: Stage) -> Transform:
        """The random transform of a stage's training images."""
        is_rgb, augment = self.full_images.layout.is_rgb, stage.augment
        if augment.policy is not None and not is_rgb:
            raise UsageError(
                f"{augment.policy.value} augmentation changes colours, and the images of {self.competition.name} are "
                f"{self.full_images.layout}",
                fix=f"leave Augment(policy=...) and --augment out; {again('--mixup', '0.2')} takes images of any kind",
            )
        return build_augmentation(self.competition.preset, stage.size, is_rgb=is_rgb, augment=augment)

    def _labelled_rows(self, chosen: NDArray[np.bool_]) -> RowSet:
        table = self.session.index.train
        skipped = self.skipped.labelled_rows(table)
        rows = np.flatnonzero(chosen & ~skipped)
        return RowSet(self.session, table, rows, self._targets, frozenset(np.flatnonzero(skipped).tolist()))

    @cached_property
    def _targets(self) -> RowTargets:
        scale = self.number_scale
        targets = self.index_targets if scale is None else scale.standardise(self.index_targets)
        return RowTargets(self._tabular("train"), targets)

    def _tabular(self, subset: str) -> NDArray[np.float32]:
        """Tabular values of the labelled ("train") or the test rows, standardised by this fold's training rows."""
        labelled = read_tabular(self.competition, self.session.index, "train")
        values = labelled if subset == "train" else read_tabular(self.competition, self.session.index, subset)
        known = labelled[np.flatnonzero(self.fold_of != self.number)]
        return standardise_and_impute(values, known, self.seed("scalars", subset))


def worker_count(compute: Compute) -> int:
    """Data-loading processes: as many as help beside a GPU, two beside a busy CPU, if none are asked for."""
    if compute.workers is not None:
        return compute.workers
    # Beside an H100, a network waited for eight workers a third of the time, with half of the cores idle.
    return min(os.cpu_count() or 1, 16 if torch.cuda.is_available() else 2)


def initial_network(fold: FoldRun, options: TrainOptions) -> Network:
    """The network before its first step: the same for the same seed."""
    if fold.recipe.weights and options.weights is None and fold.start is None:
        raise missing_weights_error(fold.session, fold.recipe.weights)
    torch.manual_seed(fold.seed("network"))
    layout = fold.full_images.layout
    network = build_network(
        fold.recipe.backbone,
        classes=len(fold.session.index.classes),
        channels=layout.channels,
        tabular=fold.train.targets.tabular.shape[1],
        pretrained=fold.recipe.pretrained and fold.start is None,
        weights=options.weights if fold.start is None else None,
        dropout=fold.recipe.dropout,
        backbone_args=fold.recipe.backbone_args,
        head=fold.recipe.head,
        drop_path=fold.recipe.regularize.drop_path,
        grad_checkpointing=fold.recipe.grad_checkpointing,
        normalisation=None if layout.is_rgb else _channel_statistics(fold.full_images, fold.train.rows),
    )
    if fold.start is not None:
        # A backbone of fixed input size has weights of that size; the stage then sets its own.
        network.set_size(fold.start.size)
        load_weights(fold.start.file, network, fold.start.sha256)
    return network


def load_snapshot(fold: FoldRun, snapshot: Snapshot) -> Network:
    """The network with a snapshot's weights; nothing is downloaded or measured."""
    network = uninitialised_network(fold)
    network.set_size(snapshot.size)
    load_weights(weights_file(fold.folder, snapshot), network, snapshot.sha256)
    return network


def uninitialised_network(fold: FoldRun) -> Network:
    """A network of the fold's shape, to load weights into."""
    channels = fold.full_images.channels
    return build_network(
        fold.recipe.backbone,
        classes=len(fold.session.index.classes),
        channels=channels,
        tabular=fold.train.targets.tabular.shape[1],
        pretrained=False,
        weights=None,
        dropout=fold.recipe.dropout,
        backbone_args=fold.recipe.backbone_args,
        head=fold.recipe.head,
        drop_path=fold.recipe.regularize.drop_path,
        grad_checkpointing=fold.recipe.grad_checkpointing,
        normalisation=([0.0] * channels, [1.0] * channels),
    )


def stage_loaders(fold: FoldRun, network: Network, stage: Stage, batch_size: int) -> tuple[Loader, Loader]:
    """A stage's training loader, and the loader of plain images for validation."""
    preset, targets, workers = fold.competition.preset, fold.train.targets, worker_count(fold.session.compute)
    images = fold.train.images(stage.size)
    if stage.mode is TrainMode.FEATURES:
        spec = FeatureSpec(network, images, preset, default_views(preset), stage.size)
        mapped = cached_features(spec, fold.session.cache_dir, batch_size=batch_size, workers=workers)
        features = np.asarray(mapped)
        return (
            FeatureLoader(features, targets, draws_views=True),
            FeatureLoader(features, targets, draws_views=False),
        )
    return (
        ImageLoader(images, targets, fold.augmentation(stage), workers),
        ImageLoader(images, targets, CenterCrop(preset, stage.size), workers),
    )


def oversampled_rows(rows: Rows, targets: Targets, limit: float) -> Rows:
    """The rows, those of rare classes repeated up to `limit` times; `targets` are of the whole table."""
    if limit <= 1:
        return rows
    # A row is as rare as its rarest class, and repeated until that class is as common as the commonest.
    if are_class_numbers(targets):
        sizes = np.bincount(targets[rows])
        wanted = sizes.max() / sizes[targets[rows]]
    else:
        positive = targets[rows] >= 0.5
        if positive.shape[1] == 1:
            positive = np.hstack([positive, ~positive])
        counts = np.maximum(positive.sum(axis=0), 1)
        wanted = np.where(positive, counts.max() / counts, 1).max(axis=1)
    times = np.floor(np.minimum(wanted, limit)).astype(np.int64)
    return np.repeat(rows, times)


def _channel_statistics(images: ImageReader, rows: Rows) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over this fold's training rows, and no others."""
    most = min(_MAX_MEASURED, max(_MIN_MEASURED, _MAX_MEASURED_VALUES // images[int(rows[0])].size))
    count, mean, squares = 0, np.zeros(images.channels), np.zeros(images.channels)
    for row in rows[:: -(-len(rows) // most)]:
        pixels = images[int(row)].reshape(-1, images.channels).astype(np.float64)
        # The sums of two sets are joined by their means: a sum of squares alone would lose digits.
        change = pixels.mean(axis=0) - mean
        squares += pixels.var(axis=0) * len(pixels) + change**2 * count * len(pixels) / (count + len(pixels))
        count += len(pixels)
        mean += change * len(pixels) / count
    std = np.sqrt(squares / count)
    return mean.tolist(), np.where(std > 0, std, 1).tolist()
