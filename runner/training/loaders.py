"""Mini-batches: which rows in which order, read, augmented and stacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from runner.images.decode import ImageReader
from runner.training.seeds import seed_for

Rows = NDArray[np.int64]
Transform = Callable[[NDArray[Any], int], NDArray[Any]]


def shuffled_batches(rows: Sequence[int] | Rows, batch_size: int, seed: int) -> list[Rows]:
    """All rows once, shuffled, in batches whose sizes differ by at most one.

    Evenly cut, so that no last batch of one row upsets BatchNorm and no row is dropped.
    """
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(np.asarray(rows, dtype=np.int64))
    return even_batches(shuffled, batch_size)


def inference_batch_size(batch_size: int, views: int) -> int:
    """How many rows, each through so many views, make a batch that is only looked at.

    Without gradients twice the looks take less memory than a mini-batch that is learned from, and half the waiting.
    """
    return max(1, 2 * batch_size // views)


def even_batches(rows: Rows, batch_size: int) -> list[Rows]:
    """The rows in their order, in the fewest even batches that are no larger than `batch_size`."""
    return np.array_split(rows, max(1, -(-len(rows) // batch_size)))


@dataclass(frozen=True)
class Batch:
    """Some rows, stacked: what the network takes in, and their targets."""

    rows: Rows
    inputs: Tensor  # images (rows, channels, height, width) as stored; activations (rows, width) for a head
    tabular: Tensor  # (rows, tabular), none for most competitions
    targets: Tensor


class Loader(Protocol):
    """Where batches come from: images from the disk, or activations from the cache."""

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order; the seed decides all that is drawn."""


@dataclass(frozen=True)
class RowTargets:
    """What goes with every image, by row."""

    tabular: NDArray[np.float32]
    targets: NDArray[np.float32]

    @classmethod
    def none(cls, rows: int) -> RowTargets:
        """For images that are only looked at."""
        nothing = np.zeros((rows, 0), dtype=np.float32)
        return cls(nothing, nothing)

    def batch(self, rows: Rows, inputs: Tensor) -> Batch:
        """The inputs with what belongs to their rows."""
        return Batch(rows, inputs, torch.from_numpy(self.tabular[rows]), torch.from_numpy(self.targets[rows]))


class ImageDataset(Dataset[Batch]):
    """One item is one whole batch: a worker hands over one tensor, not a list to be collated."""

    def __init__(self, reader: ImageReader, answers: RowTargets, transform: Transform):
        self.reader, self.answers, self.transform = reader, answers, transform

    def __getitem__(self, order: tuple[Rows, int]) -> Batch:
        rows, seed = order
        return self.answers.batch(rows, self._seen(rows, seed).movedim(-1, -3))

    def _seen(self, rows: Rows, seed: int) -> Tensor:
        """The rows as the transform shows them, channels last, each written to its place in the batch at once."""
        whole = torch.empty(0)
        for place, row in enumerate(rows):
            seen = self.transform(self.reader[row], seed_for(seed, row))
            if place == 0:
                whole = _empty_batch((len(rows), *seen.shape), seen.dtype)
                pixels = whole.numpy()
            pixels[place] = seen
        return whole


def _empty_batch(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """Room for a batch; in a worker, in memory that the main process sees without a copy."""
    whole = torch.from_numpy(np.empty(shape, dtype))
    if get_worker_info() is not None:
        whole.share_memory_()  # type: ignore[no-untyped-call]
    return whole


class EpochSampler(Sampler[tuple[Rows, int]]):
    """What the workers are to read next. Walked in the main process, so it may change between epochs."""

    def __init__(self) -> None:
        self.batches: Sequence[Rows] = ()
        self.seed = 0

    def __iter__(self) -> Iterator[tuple[Rows, int]]:
        return ((rows, self.seed) for rows in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ImageLoader:
    """Batches from the disk through a transform, by workers that start once.

    Each image's random numbers come from its own seed, so the number of workers changes nothing.
    """

    def __init__(self, reader: ImageReader, answers: RowTargets, transform: Transform, workers: int):
        self._orders = EpochSampler()
        self._loader = DataLoader(
            ImageDataset(reader, answers, transform),
            sampler=self._orders,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
            # It draws a seed for workers at every start of theirs. From the common generator, dropout would then
            # depend on how many workers there are.
            generator=torch.Generator(),
        )

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order."""
        self._orders.batches, self._orders.seed = batches, seed
        return iter(self._loader)


class FeatureLoader:
    """Batches of precomputed activations; each row seen through a view drawn anew each epoch, or the plain one."""

    def __init__(self, activations: NDArray[np.float32], answers: RowTargets, *, draws_views: bool):
        self._activations, self._answers, self._draws_views = activations, answers, draws_views

    def read(self, batches: Sequence[Rows], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order."""
        count, views = self._activations.shape[:2]
        draws: Rows = np.asarray(np.random.Generator(np.random.PCG64(seed)).integers(0, views, count))
        chosen: Rows = draws if self._draws_views else np.zeros(count, dtype=np.int64)
        for rows in batches:
            yield self._answers.batch(rows, torch.from_numpy(self._activations[rows, chosen[rows]]))
