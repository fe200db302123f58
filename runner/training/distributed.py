"""The processes that `accelerate launch` starts for one command: who does what alone, and what they agree on.

All of them read the same workspace. What a file holds is decided by the main process, and the others wait
until it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor, nn

from runner.console import log
from runner.errors import RunnerError, TrainingError
from runner.training.memory import keep_freed_memory

Made = TypeVar("Made")

# What torch calls the instructions that multiply in bf16. Without them it is slower than single precision.
_NATIVE_BF16 = ("avx512_bf16", "amx_bf16")

# How long one process waits for another. The longest wait is for a download, and whoever launched the
# processes ends them all when one of them fails: this is only for the case that nobody does.
_PATIENCE = timedelta(hours=6)


def build_accelerator(device: str) -> Accelerator:
    """The device, bf16 where it is native, and the processes that `accelerate launch` started."""
    keep_freed_memory()
    _remark_on_launcher()
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    precision = "bf16" if not on_cpu and torch.cuda.is_bf16_supported() else "no"
    waiting = InitProcessGroupKwargs(timeout=_PATIENCE)
    return Accelerator(cpu=on_cpu, mixed_precision=precision, kwargs_handlers=[waiting])


def inference_dtype(accelerator: Accelerator) -> str:
    """The arithmetic for what only looks and never learns: bf16 on processors that have it, too; else as ever."""
    if accelerator.device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in _NATIVE_BF16):
        return "bf16"
    return str(accelerator.mixed_precision)


@contextmanager
def inference_autocast(accelerator: Accelerator) -> Iterator[None]:
    """In the block the network looks, without gradients, by the arithmetic for it."""
    on_cpu = accelerator.device.type == "cpu"
    chosen = torch.autocast("cpu", torch.bfloat16, enabled=inference_dtype(accelerator) == "bf16")
    with torch.inference_mode(), chosen if on_cpu else accelerator.autocast():
        yield


def broadcast_from_main(accelerator: Accelerator, step: Callable[[], Made]) -> Made:
    """What the main process makes of a step, on every process. Its fault is everyone's, so nobody waits for ever."""
    if accelerator.num_processes == 1:
        return step()
    box: list[Any] = [None, None]
    fault: Exception | None = None
    if accelerator.is_main_process:
        try:
            box[0] = step()
        except Exception as error:
            fault, box[1] = error, _portable(error)
    broadcast_object_list(box)
    if fault or box[1]:
        raise fault or box[1]
    return box[0]  # type: ignore[no-any-return]


def main_process_first(accelerator: Accelerator, step: Callable[[], Made]) -> Made:
    """A step that every process takes for itself, and the main process first: it fetches or writes, they find."""
    if accelerator.num_processes == 1:
        return step()
    made: list[Made] = []
    broadcast_from_main(accelerator, lambda: made.append(step()))
    return made[0] if made else step()


def any_process(accelerator: Accelerator, mine: bool) -> bool:
    """Whether it is so on any process; every process gets the same answer."""
    votes = torch.tensor([float(mine)], device=accelerator.device)
    return float(accelerator.reduce(votes, reduction="sum")) > 0


def mean_buffers(accelerator: Accelerator, module: nn.Module) -> None:
    """Give every process the same running statistics: in the last step each has seen a share of its own."""
    if accelerator.num_processes == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.copy_(accelerator.reduce(buffer, reduction="mean"))


def leave() -> None:
    """Take leave of the other processes, where there are any: all of them are done."""
    if _are_several():
        torch.distributed.destroy_process_group()


class SyncBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm over the rows of all processes: what the head learns does not depend on how many there are."""

    shares = True  # False: every process has all the rows itself

    def forward(self, rows: Tensor) -> Tensor:
        """As torch has it; while learning, with the mean and variance of the whole mini-batch."""
        if not (self.training and self.shares and _are_several()):
            return super().forward(rows)
        exact = rows.double()
        count = torch.full((1,), float(len(rows)), dtype=torch.float64, device=rows.device)
        sums: Tensor = _SumOverProcesses.apply(torch.cat([exact.sum(0), exact.square().sum(0), count]))
        total = sums[-1]
        mean, mean_square = (sums[:-1] / total).chunk(2)
        variance = (mean_square - mean.square()).clamp(min=0)
        self._note(mean.detach(), (variance * total / (total - 1)).detach())
        normal = (exact - mean) * (variance + self.eps).rsqrt()
        return (normal * self.weight + self.bias).to(rows.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_ctx: Any, mine: Tensor) -> Tensor:
        total = mine.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


@cache
def _remark_on_launcher() -> None:
    """Say it where several processes were wanted, and accelerate, told `--cpu`, started one."""
    wanted = os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_PORT" in os.environ
    if wanted and "RANK" not in os.environ and "OMPI_COMM_WORLD_RANK" not in os.environ:
        log.info(
            "accelerate starts one process with --cpu; several: accelerate launch --multi_gpu --num_processes N ..."
        )


def _are_several() -> bool:
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return there and torch.distributed.get_world_size() > 1


def _portable(error: Exception) -> Exception:
    """A fault that can be sent; of the others, what they say."""
    if isinstance(error, RunnerError):
        return error
    return TrainingError(f"the main process failed: {type(error).__name__}: {error}")
