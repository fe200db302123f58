"""One epoch of training, and one pass of inference, on however many processes there are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import extract_model_from_parallel, gather_object
from torch import Tensor, nn

from runner.console import progress, shows_progress
from runner.contract import Augment, Stage, TrainMode
from runner.training.distributed import get_accelerator, mean_buffers
from runner.training.ema import WeightEMA
from runner.training.fold import FoldRun
from runner.training.loaders import Batch, Loader, Rows, balanced_batches
from runner.training.losses import TrainLoss, build_train_loss
from runner.training.mixing import Mixed, mix
from runner.training.model import Network
from runner.training.optimizer import build_optimizer
from runner.training.seeds import seed_for

Item = TypeVar("Item")
BatchLRs = Callable[[int], Sequence[float]]  # the lr of every group at an optimizer step

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
    train_loss: TrainLoss
    augment: Augment = Augment()  # noqa: RUF009  (frozen)
    clip_grad: float | None = None
    ema: WeightEMA | None = None

    def step(self, batch: Batch, weight: float, *, seed: int = 0, share: float = 1.0, last: bool = True) -> Tensor:
        """Gradients of one mini-batch, and the optimizer's step after the `last` one of those that share a step.

        Returns the plain loss, weighted, on the device. `weight` evens out unequal shards; `share` is the part of the
        step's rows that are in this batch; `seed` decides how rows are mixed.
        """
        loss, plain = self.losses(self.module, batch, seed)
        # Gradients are averaged over processes; the weight makes every row count the same when the
        # processes have one row more or less.
        self.accelerator.backward(loss * (weight * share))
        if last:
            if self.clip_grad is not None:  # accelerate divides fp16 gradients by their scale first
                self.accelerator.clip_grad_norm_(self.module.parameters(), self.clip_grad)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.ema is not None:
                self.ema.update()
        return plain.detach() * weight

    def losses(self, module: nn.Module, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
        """The loss of a mini-batch that is minimised, and the plain loss of the same logits."""
        mixed = mix(_on_device(batch), self.augment, seed)
        logits = forward(module, mixed.batch).float()
        loss = _loss_of(self.train_loss, logits, mixed)
        if self.train_loss.is_plain:
            return loss, loss
        with torch.no_grad():
            return loss, _loss_of(TrainLoss(self.train_loss.outputs), logits, mixed)

    def averaged(self) -> AbstractContextManager[None]:
        """The module has its averaged weights within the block, if an average is kept."""
        return nullcontext() if self.ema is None else self.ema.applied()


def _loss_of(loss: TrainLoss, logits: Tensor, mixed: Mixed) -> Tensor:
    own = loss(logits, mixed.batch.targets)
    if mixed.partners is None:
        return own
    return mixed.share * own + (1 - mixed.share) * loss(logits, mixed.partners)


def build_learner(fold: FoldRun, network: Network, stage: Stage) -> Learner:
    """The stage's learner with a fresh optimizer, not yet prepared for several processes."""
    recipe = fold.recipe
    ema = None
    if recipe.regularize.ema and not stage.is_regression:
        ema = WeightEMA(network.head if network.frozen else network, recipe.regularize.ema)
    return Learner(
        get_accelerator(fold.session.compute),
        network.head if stage.mode is TrainMode.FEATURES else network,
        build_optimizer(network, recipe),
        build_train_loss(fold.outputs, recipe.loss, fold.train.targets.targets[fold.train.rows]),
        stage.augment,
        recipe.optimizer.clip_grad,
        ema,
    )


def prepared(learner: Learner) -> Learner:
    """The learner with module and optimizer wrapped by accelerate, in its precision and for its processes."""
    module, optimizer = learner.accelerator.prepare(learner.module, learner.optimizer)
    return replace(learner, module=module, optimizer=optimizer)


def _on_device(batch: Batch) -> Batch:
    device = PartialState().device
    inputs, tabular, targets = (
        tensor.to(device, non_blocking=True) for tensor in (batch.inputs, batch.tabular, batch.targets)
    )
    return Batch(batch.rows, inputs, tabular, targets)


def forward(module: nn.Module, batch: Batch) -> Tensor:
    """The module's logits of a batch."""
    device = PartialState().device
    inputs, tabular = (tensor.to(device, non_blocking=True) for tensor in (batch.inputs, batch.tabular))
    return module(inputs, tabular)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class StepPart:
    """A mini-batch's part in an optimizer step: the number of the step, its share of the rows, whether it ends it."""

    step: int
    share: float
    last: bool


def step_parts(sizes: Sequence[int], accumulate: int) -> list[StepPart]:
    """The parts of mini-batches of these sizes in steps of `accumulate` each; the last step of all may have fewer."""
    parts = []
    for number, size in enumerate(sizes):
        step = number // accumulate
        rows = sum(sizes[step * accumulate : (step + 1) * accumulate])
        last = number % accumulate == accumulate - 1 or number == len(sizes) - 1
        parts.append(StepPart(step, size / rows, last))
    return parts


def train_epoch(
    learner: Learner,
    loader: Loader,
    batches: Sequence[Rows],
    *,
    seed: int,
    lrs: BatchLRs,
    title: str,
    accumulate: int = 1,
) -> EpochStats:
    """One pass over the batches, the lrs set before each; an optimizer step after every `accumulate` of them."""
    started, timer = time.perf_counter(), _DataTimer()
    learner.module.train()
    pending: list[Tensor] = []  # on the device, since the last reading
    losses: list[float] = []
    peaks: list[float] = []
    with progress(title, len(batches)) as advance:
        shards = timer.timed(read_shards(loader, batches, seed))
        parts = step_parts(list(map(len, batches)), accumulate)
        for number, ((batch, weight), part) in enumerate(zip(shards, parts, strict=True)):
            peaks.append(set_lrs(learner.optimizer, lrs(part.step)))
            mixing = seed_for(seed, "mix", number)
            pending.append(learner.step(batch, weight, seed=mixing, share=part.share, last=part.last))
            if number % _READ_EVERY == 0:
                _read_losses(learner.accelerator, pending, losses)
                _raise_if_not_finite(losses, peaks)
                note = _note(losses[-1], peaks[-1], sum(map(len, batches[: number + 1])), started)
            advance(1, note)
    _read_losses(learner.accelerator, pending, losses)
    _raise_if_not_finite(losses, peaks)
    mean_buffers(learner.module)
    if learner.ema is not None:
        learner.ema.average_buffers()
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
