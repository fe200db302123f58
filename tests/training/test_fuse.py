"""A folded body says and learns what its original does, in fewer passes over the pixels."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from runner.training.fuse import ConvNorm, fuse_batchnorm
from runner.training.model import build_network

FAMILIES = ("test_resnet", "mobilenetv2_100", "test_efficientnet", "regnety_002", "densenet121", "resnext50_32x4d")


def body_of(name: str) -> nn.Module:
    """A body whose norms have measured something."""
    torch.manual_seed(1)
    body = timm.create_model(name, pretrained=False, num_classes=0)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return body


def images(seed: int = 3, side: int = 64) -> Tensor:
    return torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(seed))


def pairs(folded: nn.Module) -> int:
    return sum(isinstance(module, ConvNorm) for module in folded.children())


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-3 * other.abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_at_rest_it_says_what_the_original_says(name: str) -> None:
    body = body_of(name).eval()
    folded = fuse_batchnorm(body, 3)
    assert pairs(folded) > 0
    with torch.inference_mode():
        for side in (64, 96):
            assert close(folded(images(side=side)), body(images(side=side)))


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_100"])
@pytest.mark.parametrize("norms_learn", [False, True])
def test_it_learns_what_the_original_learns(name: str, norms_learn: bool) -> None:
    def step(folds: bool) -> dict[str, Tensor]:
        body = body_of(name).train(norms_learn)
        optimizer = torch.optim.SGD(body.parameters(), lr=0.01)
        said = (fuse_batchnorm(body, 3) if folds else body)(images())
        said.square().mean().backward()
        optimizer.step()
        return {key: value for key, value in body.state_dict().items() if value.is_floating_point()}

    plain, folded = step(False), step(True)
    assert plain.keys() == folded.keys()
    assert all(torch.allclose(folded[key], plain[key], rtol=1e-3, atol=1e-4) for key in plain)


def test_norms_that_learn_measure_what_they_see_once() -> None:
    body = body_of("test_resnet").train()
    folded = fuse_batchnorm(body, 3)
    assert body.training
    folded(images())
    (counted,) = {int(one.num_batches_tracked) for one in body.modules() if isinstance(one, nn.BatchNorm2d)}  # type: ignore[arg-type]
    assert counted == 1


def test_each_norm_goes_on_learning_or_resting_as_it_did() -> None:
    body = body_of("test_resnet").train()
    modes = {}
    for number, (name, module) in enumerate(body.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.train(number % 2 == 0)
        modes[name] = module.training
    fuse_batchnorm(body, 3)
    assert {name: module.training for name, module in body.named_modules()} == modes
    assert len(set(modes.values())) == 2


def test_it_is_folded_also_while_a_shorter_precision_is_asked_for() -> None:
    body = body_of("mobilenetv2_100").eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert pairs(fuse_batchnorm(body, 3)) > 0


def test_new_weights_count_at_once() -> None:
    body, other = body_of("test_resnet").eval(), timm.create_model("test_resnet", num_classes=0).eval()
    folded = fuse_batchnorm(body, 3)
    body.load_state_dict(other.state_dict())
    with torch.inference_mode():
        assert close(folded(images()), other(images()))


class Branched(nn.Module):
    """Its convolution is read by the norm and by another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        said = self.conv(images)
        return (self.norm(said) + said).mean((2, 3))  # type: ignore[no-any-return]


class Undecided(nn.Module):
    """What it does depends on the images' values: no trace can say."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        said = self.norm(self.conv(images))
        return said.mean((2, 3)) if said.sum() > 0 else said.amax((2, 3))  # type: ignore[no-any-return]


class Forgetful(nn.Module):
    """It drops something while it learns, and a trace would settle whether."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        said = self.norm(self.conv(images)).mean((2, 3))
        return nn.functional.dropout(said, 0.5, training=self.training)


@pytest.mark.parametrize("body", [Branched(), Undecided(), Forgetful()])
def test_what_cannot_be_folded_is_left_as_it_is(body: Any) -> None:
    assert pairs(fuse_batchnorm(body, 3)) == 0
    assert fuse_batchnorm(body, 3)(images()).shape == (4, 8)


def test_a_body_without_norms_is_left_as_it_is() -> None:
    body = timm.create_model("test_vit", num_classes=0)
    assert fuse_batchnorm(body, 3) is body


def test_a_network_keeps_the_names_of_its_weights() -> None:
    network = build_network("test_resnet", classes=2, channels=3, pretrained=False, weights=None, dropout=0)
    assert pairs(network.fold()) > 0
    assert not [name for name in network.state_dict() if "folded" in name or "conv_norm" in name]
