"""Mini-batches: which rows in which order, read, augmented and stacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from runner.data.pictures import PictureReader
from runner.training.seeds import seed_for

Transform = Callable[[NDArray[Any], int], NDArray[Any]]


def order_batches(rows: Sequence[int] | NDArray[np.int64], batch_size: int, seed: int) -> list[NDArray[np.int64]]:
    """All rows once, shuffled, in batches whose sizes differ by at most one.

    Evenly cut, so that no last batch of one row upsets BatchNorm and no row is dropped.
    """
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(np.asarray(rows, dtype=np.int64))
    return cut_batches(shuffled, batch_size)


def cut_batches(rows: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """The rows in their order, in the fewest even batches that are no larger than `batch_size`."""
    return np.array_split(rows, max(1, -(-len(rows) // batch_size)))


@dataclass(frozen=True)
class Batch:
    """Some rows, stacked: pictures (rows, channels, height, width) as stored, and their targets."""

    rows: NDArray[np.int64]
    pictures: Tensor
    targets: Tensor


class _Reading(Dataset[Batch]):
    """One item is one whole batch: a worker hands over one tensor, not a list to be collated."""

    def __init__(self, reader: PictureReader, targets: NDArray[np.float32], transform: Transform):
        self.reader, self.targets, self.transform = reader, targets, transform

    def __getitem__(self, order: tuple[NDArray[np.int64], int]) -> Batch:
        rows, seed = order
        pictures = [self.transform(self.reader[row], seed_for(seed, row)) for row in rows]
        stacked = torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))
        return Batch(rows, stacked, torch.from_numpy(self.targets[rows]))


class _Orders(Sampler[tuple[NDArray[np.int64], int]]):
    """What the workers are to read next. Walked in the main process, so it may change between epochs."""

    def __init__(self) -> None:
        self.batches: Sequence[NDArray[np.int64]] = ()
        self.seed = 0

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        return ((rows, self.seed) for rows in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Feed:
    """Batches from the disk through a transform, by workers that start once.

    Each picture's random numbers come from its own seed, so the number of workers changes nothing.
    """

    def __init__(self, reader: PictureReader, targets: NDArray[np.float32], transform: Transform, workers: int):
        self._orders = _Orders()
        self._loader = DataLoader(
            _Reading(reader, targets, transform),
            sampler=self._orders,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            prefetch_factor=4 if workers else None,
        )

    def read(self, batches: Sequence[NDArray[np.int64]], seed: int = 0) -> Iterator[Batch]:
        """These batches, in this order."""
        self._orders.batches, self._orders.seed = batches, seed
        return iter(self._loader)
