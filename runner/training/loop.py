"""One epoch of training, and one pass of predicting, on however many processes there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor, nn

from runner.console import is_live, progress
from runner.contract import Labels
from runner.training.batches import Batch, Feed, cut_batches
from runner.training.outputs import loss_of

Rates = Callable[[int], Sequence[float]]  # the rate of every group at a mini-batch


@dataclass(frozen=True)
class Trained:
    """What an epoch of training leaves to tell."""

    loss: float
    seconds: float
    losses: tuple[float, ...]
    rates: tuple[float, ...]  # of the last group


def build_accelerator(device: str) -> Accelerator:
    """The device, bf16 where it is native, and the processes that `accelerate launch` started."""
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    precision = "bf16" if not on_cpu and torch.cuda.is_bf16_supported() else "no"
    return Accelerator(cpu=on_cpu, mixed_precision=precision)


def train_epoch(
    accelerator: Accelerator,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    labels: Labels,
    feed: Feed,
    batches: Sequence[NDArray[np.int64]],
    *,
    seed: int,
    rates: Rates,
    title: str,
) -> Trained:
    """One pass over the batches, the rates set before each."""
    started = time.perf_counter()
    network.train()
    held: list[Tensor] = []  # on the device: reading a loss makes the processor wait for it
    tops: list[float] = []
    seen = 0
    with progress(title, len(batches)) as advance:
        for number, batch in enumerate(feed.read([_share(accelerator, rows) for rows in batches], seed)):
            tops.append(_set_rates(optimizer, rates(number)))
            share = len(batch.rows) * accelerator.num_processes / len(batches[number])
            held.append(_train_batch(accelerator, network, optimizer, labels, batch, share))
            seen += len(batches[number])
            if is_live() and number % 10 == 0:
                pace = seen / (time.perf_counter() - started)
                note = f"loss {float(held[-1]):.4f}  rate {tops[-1]:.2e}  {pace:.0f} pictures/s"
            advance(1, note if is_live() else "")
    losses = torch.stack(held).tolist()
    mean = _mean_over_processes(accelerator, losses, [len(rows) for rows in batches])
    return Trained(mean, time.perf_counter() - started, tuple(losses), tuple(tops))


def predict_logits(
    accelerator: Accelerator,
    network: nn.Module,
    feed: Feed,
    rows: NDArray[np.int64],
    batch_size: int,
    *,
    title: str,
) -> Tensor:
    """Logits of these rows, in their order, on every process."""
    network.eval()
    mine = rows[accelerator.process_index :: accelerator.num_processes]
    parts: list[Tensor] = []
    with torch.inference_mode(), progress(title, len(mine)) as advance:
        for batch in feed.read(cut_batches(mine, batch_size) if len(mine) else []):
            parts.append(network(_to_device(accelerator, batch.pictures)).float().cpu())
            advance(len(batch.rows))
    gathered: list[Tensor] = gather_object([torch.cat(parts)] if parts else [])
    logits = torch.empty(len(rows), gathered[0].shape[1])
    for process, part in enumerate(gathered):
        logits[process :: accelerator.num_processes] = part
    return logits


def _train_batch(
    accelerator: Accelerator,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    labels: Labels,
    batch: Batch,
    share: float,
) -> Tensor:
    logits = network(_to_device(accelerator, batch.pictures))
    loss = loss_of(labels, logits.float(), batch.targets.to(accelerator.device, non_blocking=True))
    # Gradients are averaged over processes; the share gives every row the same say when the
    # processes hold one row more or less.
    accelerator.backward(loss * share)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.detach() * share


def _share(accelerator: Accelerator, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array(np.array_split(rows, accelerator.num_processes)[accelerator.process_index])


def _set_rates(optimizer: torch.optim.Optimizer, rates: Sequence[float]) -> float:
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    return rates[-1]


def _mean_over_processes(accelerator: Accelerator, losses: Sequence[float], sizes: Sequence[int]) -> float:
    mine = torch.tensor([float(np.average(losses, weights=sizes))], dtype=torch.float64, device=accelerator.device)
    return float(accelerator.reduce(mine, reduction="mean")[0])


def _to_device(accelerator: Accelerator, pictures: Tensor) -> Tensor:
    return pictures.to(accelerator.device, non_blocking=True)
