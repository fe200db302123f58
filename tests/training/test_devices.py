"""Devices and precision: what is chosen for a GPU or a CPU, and the error for one that is missing."""

from __future__ import annotations

import platform
from typing import Any

import psutil
import pytest
import torch

from runner.errors import UsageError
from runner.options import Compute
from runner.training import distributed
from runner.training.distributed import (
    broadcast_from_main,
    get_accelerator,
    gpu_precision,
    main_process_first,
    release_freed_memory,
)
from runner.training.fold import worker_count
from tests.training.conftest import CPU


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp16")])
def test_a_gpu_that_only_emulates_bf16_trains_in_fp16(
    native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert gpu_precision() == precision


def test_cuda_without_a_gpu_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as caught:
        get_accelerator(Compute(device="cuda"))
    assert caught.value.message == "torch finds no CUDA GPU"
    assert caught.value.fix == "install a torch build for your GPU, or: `... --device auto`"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps no memory for us")
def test_freed_memory_is_kept_for_the_next_batch_and_can_be_released() -> None:
    get_accelerator(CPU)
    process = psutil.Process()
    tensors = [torch.ones(1 << 20) for _ in range(64)]  # 256 MB
    last = torch.ones(1000)  # above them in memory: they are no end that could be cut off
    del tensors
    kept = process.memory_info().rss
    release_freed_memory()
    assert kept - process.memory_info().rss > 200e6
    assert last.sum() == 1000


def test_mps_without_an_apple_gpu_is_an_error_with_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no Apple GPU") as caught:
        get_accelerator(Compute(device="mps"))
    assert "... --device auto" in str(caught.value.fix)


def test_an_apple_gpu_is_used_where_it_is_asked_for_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    built: list[dict[str, Any]] = []
    monkeypatch.setattr(distributed, "Accelerator", lambda **options: built.append(options))
    distributed._build_accelerator.cache_clear()
    try:
        for device in ("mps", "auto"):
            get_accelerator(Compute(device=device))
    finally:
        distributed._build_accelerator.cache_clear()
    assert [(options["cpu"], options["mixed_precision"]) for options in built] == [(False, "no"), (True, "no")]


def test_the_accelerator_is_built_once_a_process() -> None:
    assert get_accelerator(CPU) is get_accelerator(Compute(device="cpu", workers=3))


def test_one_process_runs_each_step_itself() -> None:
    get_accelerator(CPU)
    assert broadcast_from_main(lambda: 3) == 3
    assert main_process_first(lambda: 4) == 4


@pytest.mark.parametrize(("gpu", "cores", "workers"), [(False, 16, 2), (True, 16, 16), (True, 4, 4), (False, 1, 1)])
def test_default_workers_depend_on_cores_and_gpu(
    gpu: bool, cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert worker_count(Compute()) == workers
    assert worker_count(Compute(workers=0)) == 0


@pytest.mark.parametrize(
    ("capabilities", "convolves", "precision"),
    [
        ({"avx512_bf16": True}, True, "bf16"),
        ({"amx_bf16": True}, True, "bf16"),
        ({"avx512_bf16": True}, False, "no"),
        ({"avx2": True}, True, "no"),
    ],
)
def test_a_cpu_infers_in_bf16_only_with_its_instructions_and_convolutions(
    capabilities: dict[str, bool], convolves: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_accelerator(CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(distributed, "supports_bf16_conv", lambda: convolves)
    distributed.cpu_has_bf16.cache_clear()
    try:
        assert distributed.inference_precision() == precision
    finally:
        distributed.cpu_has_bf16.cache_clear()
