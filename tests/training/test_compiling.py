"""What the compiler is given: a network whose folding is done, for it would follow that too, at every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from runner.training import model
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine
from runner.training.train import train_fold


def test_the_compiler_meets_no_folding(
    make_fold: Callable[..., FoldRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folded: list[torch.nn.Module] = []
    given: list[torch.nn.Module] = []
    fuse_batchnorm = model.fuse_batchnorm

    def fold_and_note(body: torch.nn.Module, channels: int) -> torch.nn.Module:
        assert all(body is not network.backbone for network in given), "folded after it was compiled"
        folded.append(body)
        return fuse_batchnorm(body, channels)

    def compile_nothing(module: torch.nn.Module) -> torch.nn.Module:
        given.append(module)
        return module

    monkeypatch.setattr(model, "fuse_batchnorm", fold_and_note)
    monkeypatch.setattr(torch, "compile", compile_nothing)
    fold = make_fold(tmp_path)
    train_fold(fold, Machine(compiles=True), build_accelerator("cpu"))
    assert len(given) == len(fold.recipe.stages)
    assert [network.backbone for network in given] == folded
