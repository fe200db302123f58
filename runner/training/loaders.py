"""Mini-batches: rows in a seeded order, their images read, augmented and stacked, or their features looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from runner.contract.targets import Targets
from runner.errors import RunnerError, TrainingError
from runner.images.readers import ImageReader
from runner.training.seeds import seed_for

Rows = NDArray[np.int64]
Transform = Callable[[NDArray[Any], int], NDArray[Any]]


def shuffled_batches(rows: Sequence[int] | Rows, batch_size: int, seed: int) -> list[Rows]:
    """All rows once, shuffled, in batches whose sizes differ by at most one.

    So no last batch of one row upsets BatchNorm, and no row is dropped.
    """
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(np.asarray(rows, dtype=np.int64))
    return balanced_batches(shuffled, batch_size)


def inference_batch_size(batch_size: int, views: int) -> int:
    """Rows per inference batch, each in that many views.

    Inference keeps no activations for backward: twice the images fit, and the device is busier.
    """
    return max(1, 2 * batch_size // views)


def balanced_batches(rows: Rows, batch_size: int) -> list[Rows]:
    """The rows in their order, in the fewest even batches that are no larger than `batch_size`."""
    return np.array_split(rows, max(1, -(-len(rows) // batch_size)))


@dataclass(frozen=True)
class Batch:
    """Some rows, stacked: the network's inputs, and their targets."""

    rows: Rows
    inputs: Tensor  # images (rows, channels, height, width) as stored; features (rows, width) for a head
    tabular: Tensor  # (rows, columns), no column for most competitions
    targets: Tensor  # class numbers (rows,), or (rows, columns)


class Loader(Protocol):
    """A source of batches: images from the disk, or features from the cache."""

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order; the seed decides every random draw."""


@dataclass(frozen=True)
class RowTargets:
    """Targets and tabular values by row."""

    tabular: NDArray[np.float32]  # (rows, columns)
    targets: Targets

    @classmethod
    def none(cls, rows: int, tabular: NDArray[np.float32] | None = None) -> RowTargets:
        """For images whose targets are not known, or whose features alone are wanted."""
        nothing = np.zeros((rows, 0), dtype=np.float32)
        return cls(nothing if tabular is None else tabular, nothing)

    def batch(self, rows: Rows, inputs: Tensor) -> Batch:
        """The inputs with the targets and tabular values of their rows."""
        return Batch(rows, inputs, torch.from_numpy(self.tabular[rows]), torch.from_numpy(self.targets[rows]))


class ImageDataset(Dataset[Batch | RunnerError]):
    """One item is one whole batch: a worker returns one tensor, not a list to be collated.

    An error that a message explains is returned as the item: raised in a worker it would become a traceback.
    """

    def __init__(self, images: ImageReader, targets: RowTargets, transform: Transform):
        self._images, self._targets, self._transform = images, targets, transform

    def __getitem__(self, order: tuple[Rows, int]) -> Batch | RunnerError:
        rows, seed = order
        try:
            return self._targets.batch(rows, self._stack(rows, seed).movedim(-1, -3))
        except RunnerError as error:
            return error
        except RuntimeError as error:
            if "shared memory" not in str(error):
                raise
            return TrainingError(
                f"the shared memory is full, which brings images from the workers: {error}",
                where="/dev/shm",
                fix="the same command with --workers 0; in a container, more of it: docker run --shm-size 2g",
            )

    def _stack(self, rows: Rows, seed: int) -> Tensor:
        """The transformed images, channels last, each written into the batch at once."""
        batch = torch.empty(0)
        for index, row in enumerate(rows):
            image = self._transform(self._images[row], seed_for(seed, row))
            if index == 0:
                batch = _empty_batch((len(rows), *image.shape), image.dtype)
                pixels = batch.numpy()
            pixels[index] = image
        return batch


def _empty_batch(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """An uninitialised batch; in a worker, in memory that the main process reads without a copy."""
    batch = torch.from_numpy(np.empty(shape, dtype))
    if get_worker_info() is not None:
        batch.share_memory_()  # type: ignore[no-untyped-call]
    return batch


class EpochSampler(Sampler[tuple[Rows, int]]):
    """The batches of an epoch and its seed. Iterated in the main process, so it may change between epochs."""

    def __init__(self) -> None:
        self.batches: Sequence[Rows] = ()
        self.seed = 0

    def __iter__(self) -> Iterator[tuple[Rows, int]]:
        return ((rows, self.seed) for rows in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageLoader:
    """Batches of transformed images, by workers that start once.

    Each image's random numbers come from its own seed, so the number of workers changes nothing.
    """

    def __init__(self, images: ImageReader, targets: RowTargets, transform: Transform, workers: int):
        self._sampler = EpochSampler()
        self._loader = DataLoader(
            ImageDataset(images, targets, transform),
            sampler=self._sampler,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
            # DataLoader draws a seed for its workers at every start. From the global generator, dropout would then
            # depend on the number of workers.
            generator=torch.Generator(),
        )

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order; a DataError if an image cannot be read."""
        self._sampler.batches, self._sampler.seed = batches, seed
        for item in self._loader:
            if isinstance(item, RunnerError):
                raise item
            yield item


class FeatureLoader:
    """Batches of precomputed features; each row in a view drawn again each epoch, or in the plain one."""

    def __init__(self, features: NDArray[np.float32], targets: RowTargets, *, draws_views: bool):
        self.features, self._targets, self._draws_views = features, targets, draws_views

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order, as (rows, width)."""
        count, views = self.features.shape[:2]
        draws: Rows = np.asarray(np.random.Generator(np.random.PCG64(seed)).integers(0, views, count))
        chosen: Rows = draws if self._draws_views else np.zeros(count, dtype=np.int64)
        for rows in batches:
            yield self._targets.batch(rows, torch.from_numpy(self.features[rows, chosen[rows]]))


class AllViewsFeatureLoader:
    """Batches of precomputed features in several views, read from the memory map a batch at a time."""

    def __init__(self, features: NDArray[np.float32], views: Sequence[int], targets: RowTargets):
        self._features, self._views, self._targets = features, list(views), targets

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order, as (rows, views, width)."""
        for rows in batches:
            yield self._targets.batch(rows, torch.from_numpy(self._features[rows][:, self._views]))
