"""The processes that `accelerate launch` starts for one command: devices, precision, and what they agree on.

All of them read the same workspace. The main process decides what a file holds, and the others wait until it is there.
`get_accelerator` is called once, by the step; afterwards `PartialState()` gives process and device anywhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, reduce
from torch import Tensor, nn

from runner.commands import again
from runner.console import log
from runner.errors import RunnerError, TrainingError, UsageError
from runner.options import Compute

Result = TypeVar("Result")

# torch's names of the instructions that multiply in bf16. Without them bf16 is slower than single precision.
_NATIVE_BF16 = ("avx512_bf16", "amx_bf16")

# How long one process waits for another. The longest wait is for a download, and the launcher ends all processes
# when one of them fails: this is only for the case that nobody does.
_PROCESS_TIMEOUT = timedelta(hours=6)

# From <malloc.h>: how much may be free at the top of the heap before it is returned to the system, and how many
# blocks may be mapped directly, to be unmapped when they are freed.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER, _NONE = 2**31 - 1, 0


def get_accelerator(compute: Compute) -> Accelerator:
    """The Accelerator of this process, built by the first call; a UsageError if the device is not there."""
    if compute.device == "cuda" and not torch.cuda.is_available():
        fix = f"install a torch build for your GPU, or: `{again('--device', 'auto')}`"
        raise UsageError("torch finds no CUDA GPU", fix=fix)
    if compute.device == "mps" and not torch.backends.mps.is_available():
        fix = f"torch has it on Apple silicon with macOS 12.3 or newer; else: `{again('--device', 'auto')}`"
        raise UsageError("torch finds no Apple GPU (mps)", fix=fix)
    on_mps = compute.device == "mps"
    return _build_accelerator(compute.device == "cpu" or not (on_mps or torch.cuda.is_available()), on_mps)


@cache
def _build_accelerator(on_cpu: bool, on_mps: bool) -> Accelerator:
    """accelerate chooses CUDA, else Apple's GPU, unless it is told to stay on the CPU."""
    keep_freed_memory()
    _warn_of_single_process()
    timeout = InitProcessGroupKwargs(timeout=_PROCESS_TIMEOUT)
    precision = "no" if on_cpu or on_mps else gpu_precision()
    return Accelerator(cpu=on_cpu, mixed_precision=precision, kwargs_handlers=[timeout])


def set_scaler(accelerator: Accelerator, state: dict[str, float] | None) -> None:
    """Give the scaler of fp16 gradients, if there is one, a state that it had; or, if None, the state of a new one.

    It would else go on from the stage or fold before, which a resumed run does not train again.
    """
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state or torch.amp.GradScaler(accelerator.device.type).state_dict())


def gpu_precision() -> str:
    """Mixed precision for training: "bf16" where the GPU computes in it, "fp16" where it would be emulated."""
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def inference_precision() -> str:
    """Precision of inference: "bf16" on a CPU that has it, else the training precision ("no", "fp16", "bf16")."""
    if PartialState().device.type == "cpu":
        return "bf16" if cpu_has_bf16() else "no"
    return str(AcceleratorState().mixed_precision)


@cache
def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies and convolves in bf16 natively."""
    return any(torch.cpu.get_capabilities().get(name) for name in _NATIVE_BF16) and supports_bf16_conv()


def supports_bf16_conv() -> bool:
    """Whether oneDNN has convolutions in bf16 for this CPU; without them they raise."""
    return torch.backends.mkldnn.is_available() and bool(  # type: ignore[no-untyped-call]
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


@contextmanager
def inference_context(precision: str | None = None) -> Iterator[None]:
    """No gradients, and the inference precision or the given one, within the block."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision or inference_precision())
    with torch.inference_mode(), torch.autocast(PartialState().device.type, dtype, enabled=dtype is not None):
        yield


def broadcast_from_main(step: Callable[[], Result]) -> Result:
    """The main process's result of a step, on every process; if it raises, all of them raise."""
    state = PartialState()
    if state.num_processes == 1:
        return step()
    box: list[Any] = [None, None]
    raised: Exception | None = None
    if state.is_main_process:
        try:
            box[0] = step()
        except Exception as error:
            raised, box[1] = error, _picklable(error)
    broadcast_object_list(box)
    if raised or box[1]:
        raise raised or box[1]
    return box[0]  # type: ignore[no-any-return]


def main_process_first(step: Callable[[], Result]) -> Result:
    """Each process's own result of a step; the main process runs it first, to download or write for the others."""
    if PartialState().num_processes == 1:
        return step()
    results: list[Result] = []
    broadcast_from_main(lambda: results.append(step()))
    return results[0] if results else step()


@contextmanager
def entered_by_main(context: Callable[[], AbstractContextManager[Result]]) -> Iterator[Result]:
    """What the main process gets when it enters a context, such as a lock, on every process; all raise if it cannot."""
    with ExitStack() as stack:
        yield broadcast_from_main(lambda: stack.enter_context(context()))


def any_process(condition: bool) -> bool:
    """Whether the condition holds on any process; the same answer on each."""
    votes = torch.tensor([float(condition)], device=PartialState().device)
    return float(reduce(votes, reduction="sum")) > 0


def mean_buffers(module: nn.Module) -> None:
    """Average BatchNorm's running statistics over processes; each updated them from its own rows."""
    if PartialState().num_processes == 1:
        return
    for buffer in module.buffers():
        if buffer.is_floating_point():
            buffer.copy_(reduce(buffer, reduction="mean"))


def shutdown() -> None:
    """Leave the process group, if there is one: every process has finished."""
    if _is_distributed():
        torch.distributed.destroy_process_group()


def lost_process_error(error: Exception) -> TrainingError | None:
    """What to tell of an error that another process caused by its end; None for any other error."""
    is_of_network = isinstance(error, torch.distributed.DistError) or any(
        word in str(error) for word in ("gloo", "NCCL", "closed by peer", "reset by peer")
    )
    if not (_is_distributed() and isinstance(error, RuntimeError) and is_of_network):
        return None
    return TrainingError(
        "another of the processes has ended",
        fix="read its own message, then start the same command again: finished work is kept",
    )


def keep_freed_memory() -> None:
    """Let the C library keep freed memory: the next mini-batch asks for exactly that again.

    By default every tensor above 32 MB is mapped again and zeroed by the system, page by page. Measured on two cores
    with mobilenetv2 at 160 px, half of the processor time of inference and a third of that of training went into it.
    Nothing happens if the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, _NONE)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)


def release_freed_memory() -> None:
    """Give the system back what is kept by `keep_freed_memory`: what comes next has other sizes, and asks for more.

    Measured in a climb over four backbones, it would else grow to nine gigabytes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class SyncBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm over the rows of all processes: training the head does not depend on their number."""

    synced = True  # False: every process has all the rows itself

    def forward(self, rows: Tensor) -> Tensor:
        """Normalised rows; in training mode by the mean and variance of the mini-batch over all processes."""
        if not (self.training and self.synced and _is_distributed()):
            return super().forward(rows)
        exact = rows.double()
        count = torch.full((1,), float(len(rows)), dtype=torch.float64, device=rows.device)
        sums: Tensor = _SumOverProcesses.apply(torch.cat([exact.sum(0), exact.square().sum(0), count]))
        total = sums[-1]
        mean, mean_square = (sums[:-1] / total).chunk(2)
        variance = (mean_square - mean.square()).clamp(min=0)
        self._update_statistics(mean.detach(), (variance * total / (total - 1)).detach())
        normal = (exact - mean) * (variance + self.eps).rsqrt()
        return (normal * self.weight + self.bias).to(rows.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


def _warn_of_single_process() -> None:
    """Warn if several processes were wanted and accelerate started one, because of its `--cpu`."""
    wanted = os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_PORT" in os.environ
    if wanted and "RANK" not in os.environ and "OMPI_COMM_WORLD_RANK" not in os.environ:
        log.warning(
            "accelerate starts one process with --cpu; fix: accelerate launch --multi_gpu --num_processes N ..."
        )


def _is_distributed() -> bool:
    initialized = torch.distributed.is_available() and torch.distributed.is_initialized()
    return initialized and torch.distributed.get_world_size() > 1


def _picklable(error: Exception) -> Exception:
    """An error that can be sent to other processes; of a foreign one its type and message."""
    if isinstance(error, RunnerError):
        return error
    return TrainingError(f"the main process failed: {type(error).__name__}: {error}")
