"""Small convolutional networks for the baselines, trained from scratch on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional

from runner.contract.presets import Preset, Symmetry
from runner.practice.features import Features
from runner.practice.models import Matrix, Predict, Task

Build = Callable[[int, int], nn.Module]  # from channels and classes

_BATCH = 32
_MAX_LR = 4e-3
_WIDTHS = (12, 24, 48, 96)


def build_plain(channels: int, classes: int) -> nn.Module:
    """Four convolutions."""
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise((channels, *_WIDTHS))):
        layers += [nn.Conv2d(inputs, outputs, 3, 2 if index == 0 else 1, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        if index in (1, 2):
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_WIDTHS[-1], classes))


def build_resnet(channels: int, classes: int) -> nn.Module:
    """timm's smallest ResNet, as the demo trains it."""
    network: nn.Module = timm.create_model("test_resnet", in_chans=channels, num_classes=classes)
    return network


def fit_network(
    images: Features, targets: Matrix, task: Task, *, epochs: int, build: Build = build_plain, seed: int = 0
) -> Predict:
    """Train on images shaped (rows, channels, side, side) with one learning rate cycle; predict with TTA."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(images.shape[1], targets.shape[1]).to(memory_format=torch.channels_last)
        _train(network, torch.from_numpy(images), torch.from_numpy(targets.astype(np.float32)), task, epochs)
    network.eval()
    return lambda images: _predict(network, torch.from_numpy(images), task)


def _train(network: nn.Module, images: torch.Tensor, targets: torch.Tensor, task: Task, epochs: int) -> None:
    loss = functional.cross_entropy if task.one_class else functional.binary_cross_entropy_with_logits
    optimizer = torch.optim.AdamW(network.parameters(), lr=_MAX_LR, weight_decay=0.05)
    batches = -(-len(images) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _MAX_LR, total_steps=epochs * batches)
    network.train()
    for _ in range(epochs):
        # Equal batches: BatchNorm cannot learn from one image.
        for rows in torch.randperm(len(images)).tensor_split(batches):
            optimizer.zero_grad()
            torch.autograd.backward(loss(network(_augment(images[rows], task.preset)), targets[rows]))
            optimizer.step()
            schedule.step()


def _augment(batch: torch.Tensor, preset: Preset) -> torch.Tensor:
    """Each image turned, mirrored, zoomed, shifted and lit at random, as far as the preset allows."""
    count = len(batch)
    angle = torch.deg2rad(preset.max_rotate * _between_minus_one_and_one(count))
    if preset.symmetry is Symmetry.D4:
        angle = angle + torch.randint(4, (count,)) * math.pi / 2
    zoom = 1 + (preset.max_zoom - 1) * torch.rand(count)
    mirror = torch.ones(count) if preset.symmetry is Symmetry.NONE else 2.0 * torch.randint(2, (count,)) - 1
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = mirror * angle.cos() / zoom, -mirror * angle.sin() / zoom
    affine[:, 1, 0], affine[:, 1, 1] = angle.sin() / zoom, angle.cos() / zoom
    # The coordinates of an image go from -1 to 1.
    affine[:, :, 2] = 2 * preset.max_shift * _between_minus_one_and_one(count, 2)
    grid = functional.affine_grid(affine, list(batch.shape), align_corners=False)
    batch = functional.grid_sample(batch, grid, padding_mode="reflection", align_corners=False)
    contrast, brightness = (preset.max_lighting * _between_minus_one_and_one(2, count, 1, 1, 1)).unbind()
    return (batch * (1 + contrast) + brightness).contiguous(memory_format=torch.channels_last)


def _between_minus_one_and_one(*shape: int) -> torch.Tensor:
    return 2 * torch.rand(*shape) - 1


def _predict(network: nn.Module, images: torch.Tensor, task: Task) -> Matrix:
    """The mean probabilities of all views that the symmetry allows."""
    predicted = []
    with torch.inference_mode():
        for batch in torch.split(images, 256):
            logits = [network(view).double().numpy() for view in _views(batch, task.preset.symmetry)]
            predicted.append(np.mean([task.probabilities(one) for one in logits], axis=0))
    return np.concatenate(predicted)


def _views(images: torch.Tensor, symmetry: Symmetry) -> Iterator[torch.Tensor]:
    turns = range(4) if symmetry is Symmetry.D4 else range(1)
    mirrors = (False,) if symmetry is Symmetry.NONE else (False, True)
    for turn, mirror in product(turns, mirrors):
        view = images.rot90(turn, (2, 3))
        yield (view.flip(3) if mirror else view).contiguous(memory_format=torch.channels_last)
