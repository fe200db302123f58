"""One epoch of training, and one pass of predicting, on however many processes there are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from runner.console import is_live, progress
from runner.contract import Labels
from runner.training.distributed import mean_buffers
from runner.training.loaders import Batch, Loader, Rows, even_batches
from runner.training.losses import loss_of

Item = TypeVar("Item")
Rates = Callable[[int], Sequence[float]]  # the rate of every group at a mini-batch

# A loss is read from the device this often: each reading makes the processor wait for it.
_READ_EVERY = 10


class NonFiniteLoss(Exception):  # noqa: N818  # a state of the training, told to the user by whoever catches it
    """The loss is no number any more."""

    def __init__(self, batch: int, rate: float):
        super().__init__(f"at mini-batch {batch}, rate {rate:.3g}")
        self.batch, self.rate = batch, rate


@dataclass(frozen=True)
class EpochStats:
    """What an epoch of training leaves to tell."""

    loss: float
    seconds: float
    losses: tuple[float, ...]
    rates: tuple[float, ...]  # of the last group
    waited: float = 0.0  # seconds without a batch to learn from, the first one's making among them


@dataclass(frozen=True)
class Learner:
    """What learns: a module (the network, or its head alone) as accelerate wraps it, and its optimizer."""

    accelerator: Accelerator
    module: nn.Module
    optimizer: torch.optim.Optimizer
    labels: Labels

    def step(self, batch: Batch, share: float) -> Tensor:
        """One step on one batch; the loss stays on the device. `share` is the batch's weight in the whole's."""
        targets = batch.targets.to(self.accelerator.device, non_blocking=True)
        loss = loss_of(self.labels, forward(self.accelerator, self.module, batch).float(), targets)
        # Gradients are averaged over processes; the share gives every row the same say when the
        # processes hold one row more or less.
        self.accelerator.backward(loss * share)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach() * share


def forward(accelerator: Accelerator, module: nn.Module, batch: Batch) -> Tensor:
    """What a module says of a batch."""
    inputs, tabular = (one.to(accelerator.device, non_blocking=True) for one in (batch.inputs, batch.tabular))
    return module(inputs, tabular)  # type: ignore[no-any-return]


def train_epoch(
    learner: Learner, feed: Loader, batches: Sequence[Rows], *, seed: int, rates: Rates, title: str
) -> EpochStats:
    """One pass over the batches, the rates set before each."""
    started, patience = time.perf_counter(), _DataTimer()
    learner.module.train()
    held: list[Tensor] = []  # on the device, since the last reading
    losses: list[float] = []
    tops: list[float] = []
    with progress(title, len(batches)) as advance:
        shares = patience.measured(read_shares(learner.accelerator, feed, batches, seed))
        for number, (batch, share) in enumerate(shares):
            tops.append(set_rates(learner.optimizer, rates(number)))
            held.append(learner.step(batch, share))
            if number % _READ_EVERY == 0:
                _read_losses(learner.accelerator, held, losses)
                _stop_if_no_number(losses, tops)
                note = _note(losses[-1], tops[-1], sum(map(len, batches[: number + 1])), started)
            advance(1, note)
    _read_losses(learner.accelerator, held, losses)
    _stop_if_no_number(losses, tops)
    mean_buffers(learner.accelerator, learner.module)
    mean = np.average(losses, weights=[len(rows) for rows in batches])
    return EpochStats(float(mean), time.perf_counter() - started, tuple(losses), tuple(tops), patience.seconds)


class _DataTimer:
    """How long whoever takes items has waited for them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def measured(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items, in their time."""
        while True:
            asked = time.perf_counter()
            item = next(items, None)
            self.seconds += time.perf_counter() - asked
            if item is None:
                return
            yield item


def predict_logits(
    accelerator: Accelerator, module: nn.Module, feed: Loader, rows: Rows, batch_size: int, *, title: str
) -> Tensor:
    """Logits of these rows, in their order, in single precision, on every process."""
    # Processes may have unlike numbers of batches here: the wrapper, which lets them meet at each, must go.
    module = accelerator.unwrap_model(module)
    module.eval()
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    parts: list[Tensor] = []
    with torch.inference_mode(), progress(title, len(mine)) as advance:
        for batch in feed.read(even_batches(mine, batch_size) if len(mine) else []):
            parts.append(forward(accelerator, module, batch).float().cpu())
            advance(len(batch.rows))
    return gather_rows(accelerator, parts, len(rows))


def gather_rows(accelerator: Accelerator, parts: Sequence[Tensor], rows: int) -> Tensor:
    """What every process has of its every n-th row, put together in order."""
    gathered: list[Tensor] = gather_object([torch.cat(list(parts))] if parts else [])
    whole = torch.empty(rows, *gathered[0].shape[1:])
    for process, part in enumerate(gathered):
        whole[process :: accelerator.num_processes] = part
    return whole


def read_shares(
    accelerator: Accelerator, feed: Loader, batches: Sequence[Rows], seed: int
) -> Iterator[tuple[Batch, float]]:
    """This process's part of each batch, and its weight: its rows over an even part's."""
    processes, place = accelerator.num_processes, accelerator.process_index
    mine = [np.array(np.array_split(rows, processes)[place]) for rows in batches]
    for rows, batch in zip(batches, feed.read(mine, seed), strict=True):
        yield batch, len(batch.rows) * processes / len(rows)


def set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> float:
    """Give every group its rate; the last group's is the one that is told."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    return rates[-1]


def _stop_if_no_number(losses: Sequence[float], tops: Sequence[float]) -> None:
    if math.isfinite(losses[-1]):
        return
    first = next(place for place, loss in enumerate(losses) if not math.isfinite(loss))
    raise NonFiniteLoss(first, tops[first])


def _note(loss: float, rate: float, seen: int, started: float) -> str:
    if not is_live():
        return ""
    return f"loss {loss:.4f}  rate {rate:.2e}  {seen / (time.perf_counter() - started):.0f} images/s"


def _read_losses(accelerator: Accelerator, held: list[Tensor], losses: list[float]) -> None:
    """Take what is held to the losses, each that of a whole mini-batch: all processes then stop where one must."""
    if held:
        losses += accelerator.reduce(torch.stack(held), reduction="mean").tolist()
        held.clear()
