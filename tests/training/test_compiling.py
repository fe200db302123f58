"""--compile: the compiler gets a network that is fused already, for it would trace the fusing at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from runner.training import model
from runner.training.fold import FoldRun
from runner.training.trainer import train_fold
from tests.training.conftest import CPU


def test_the_backbone_is_fused_before_it_is_compiled(
    make_fold: Callable[..., FoldRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused: list[torch.nn.Module] = []
    compiled: list[torch.nn.Module] = []
    fuse_batchnorm = model.fuse_batchnorm

    def fuse(backbone: torch.nn.Module, channels: int) -> torch.nn.Module:
        assert all(backbone is not network.backbone for network in compiled), "fused after it was compiled"
        fused.append(backbone)
        return fuse_batchnorm(backbone, channels)

    def compile_nothing(module: torch.nn.Module) -> torch.nn.Module:
        compiled.append(module)
        return module

    monkeypatch.setattr(model, "fuse_batchnorm", fuse)
    monkeypatch.setattr(torch, "compile", compile_nothing)
    fold = make_fold(tmp_path, compute=replace(CPU, compile=True))
    train_fold(fold)
    assert len(compiled) == len(fold.recipe.stages)
    assert [network.backbone for network in compiled] == fused
