"""One epoch of training, and one pass of inference, on however many processes there are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import extract_model_from_parallel, gather_object
from torch import Tensor, nn

from runner.console import progress, shows_progress
from runner.contract import Outputs, Stage, TrainMode
from runner.training.distributed import get_accelerator, mean_buffers
from runner.training.fold import FoldRun
from runner.training.loaders import Batch, Loader, Rows, balanced_batches
from runner.training.losses import label_loss
from runner.training.model import Network
from runner.training.optimizer import build_optimizer

Item = TypeVar("Item")
BatchLRs = Callable[[int], Sequence[float]]  # the lr of every group at a mini-batch

# Losses are read from the device this often: each reading makes the CPU wait for it.
_READ_EVERY = 10


class NonFiniteLoss(Exception):  # noqa: N818  # a state of the training; the trainer turns it into an error
    """The loss became NaN or infinite at a mini-batch of an epoch."""

    def __init__(self, batch: int, lr: float):
        super().__init__(f"mini-batch {batch}, lr {lr:.3g}")
        self.batch, self.lr = batch, lr


@dataclass(frozen=True)
class EpochStats:
    """Losses and times of an epoch of training."""

    loss: float
    seconds: float
    losses: tuple[float, ...]  # of each mini-batch
    lrs: tuple[float, ...]  # of the last group, at each mini-batch
    data_seconds: float = 0.0  # waiting for a batch, the first one included


@dataclass(frozen=True)
class Learner:
    """A module in training (the network, or its head) as accelerate wraps it, and its optimizer."""

    accelerator: Accelerator
    module: nn.Module
    optimizer: torch.optim.Optimizer
    outputs: Outputs

    def step(self, batch: Batch, weight: float) -> Tensor:
        """One optimizer step; the weighted loss, on the device. `weight` evens out unequal shards."""
        targets = batch.targets.to(self.accelerator.device, non_blocking=True)
        loss = label_loss(self.outputs, forward(self.module, batch).float(), targets)
        # Gradients are averaged over processes; the weight makes every row count the same when the
        # processes have one row more or less.
        self.accelerator.backward(loss * weight)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach() * weight


def build_learner(fold: FoldRun, network: Network, stage: Stage) -> Learner:
    """The stage's learner with a fresh optimizer, not yet prepared for several processes."""
    module = network.head if stage.mode is TrainMode.FEATURES else network
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    return Learner(get_accelerator(fold.session.compute), module, optimizer, fold.outputs)


def prepared(learner: Learner) -> Learner:
    """The learner with module and optimizer wrapped by accelerate, in its precision and for its processes."""
    module, optimizer = learner.accelerator.prepare(learner.module, learner.optimizer)
    return Learner(learner.accelerator, module, optimizer, learner.outputs)


def forward(module: nn.Module, batch: Batch) -> Tensor:
    """The module's logits of a batch."""
    device = PartialState().device
    inputs, tabular = (tensor.to(device, non_blocking=True) for tensor in (batch.inputs, batch.tabular))
    return module(inputs, tabular)  # type: ignore[no-any-return]


def train_epoch(
    learner: Learner, loader: Loader, batches: Sequence[Rows], *, seed: int, lrs: BatchLRs, title: str
) -> EpochStats:
    """One pass over the batches, the lrs set before each."""
    started, timer = time.perf_counter(), _DataTimer()
    learner.module.train()
    pending: list[Tensor] = []  # on the device, since the last reading
    losses: list[float] = []
    peaks: list[float] = []
    with progress(title, len(batches)) as advance:
        shards = timer.timed(read_shards(loader, batches, seed))
        for number, (batch, weight) in enumerate(shards):
            peaks.append(set_lrs(learner.optimizer, lrs(number)))
            pending.append(learner.step(batch, weight))
            if number % _READ_EVERY == 0:
                _read_losses(learner.accelerator, pending, losses)
                _raise_if_not_finite(losses, peaks)
                note = _note(losses[-1], peaks[-1], sum(map(len, batches[: number + 1])), started)
            advance(1, note)
    _read_losses(learner.accelerator, pending, losses)
    _raise_if_not_finite(losses, peaks)
    mean_buffers(learner.module)
    mean = np.average(losses, weights=[len(rows) for rows in batches])
    return EpochStats(float(mean), time.perf_counter() - started, tuple(losses), tuple(peaks), timer.seconds)


class _DataTimer:
    """Seconds spent waiting for items."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items, each wait added to `seconds`."""
        while True:
            started = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - started
            if item is None:
                return
            yield item


def predict_logits(module: nn.Module, loader: Loader, rows: Rows, batch_size: int, *, title: str) -> Tensor:
    """Logits of these rows, in their order, in single precision, on every process."""
    # Processes may have different numbers of batches here: the wrapper, which synchronises at each, must go.
    module = extract_model_from_parallel(module)
    module.eval()
    state = PartialState()
    shard = rows[state.process_index :: state.num_processes]
    logits: list[Tensor] = []
    with torch.inference_mode(), progress(title, len(shard)) as advance:
        for batch in loader.read(balanced_batches(shard, batch_size) if len(shard) else []):
            logits.append(forward(module, batch).float().cpu())
            advance(len(batch.rows))
    return gather_rows(logits, len(rows))


def gather_rows(parts: Sequence[Tensor], rows: int) -> Tensor:
    """The rows of all processes, each of which has every n-th, in order."""
    gathered: list[Tensor] = gather_object([torch.cat(list(parts))] if parts else [])
    whole = torch.empty(rows, *gathered[0].shape[1:])
    for process, part in enumerate(gathered):
        whole[process :: PartialState().num_processes] = part
    return whole


def read_shards(loader: Loader, batches: Sequence[Rows], seed: int) -> Iterator[tuple[Batch, float]]:
    """This process's shard of each batch, and its weight: its rows over those of an even shard."""
    state = PartialState()
    shards = [np.array(np.array_split(rows, state.num_processes)[state.process_index]) for rows in batches]
    for rows, batch in zip(batches, loader.read(shards, seed), strict=True):
        yield batch, len(batch.rows) * state.num_processes / len(rows)


def set_lrs(optimizer: torch.optim.Optimizer, lrs: Sequence[float]) -> float:
    """Set every group's lr; the last group's is returned, for the log."""
    for group, lr in zip(optimizer.param_groups, lrs, strict=True):
        group["lr"] = lr
    return lrs[-1]


def _raise_if_not_finite(losses: Sequence[float], lrs: Sequence[float]) -> None:
    if math.isfinite(losses[-1]):
        return
    first = next(number for number, loss in enumerate(losses) if not math.isfinite(loss))
    raise NonFiniteLoss(first, lrs[first])


def _note(loss: float, lr: float, images: int, started: float) -> str:
    if not shows_progress():
        return ""
    return f"loss {loss:.4f}  lr {lr:.2e}  {images / (time.perf_counter() - started):.0f} images/s"


def _read_losses(accelerator: Accelerator, pending: list[Tensor], losses: list[float]) -> None:
    """Move the pending losses to `losses`, averaged over processes: all of them then stop at the same batch."""
    if pending:
        losses += accelerator.reduce(torch.stack(pending), reduction="mean").tolist()
        pending.clear()
