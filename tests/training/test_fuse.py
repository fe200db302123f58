"""A fused backbone outputs and learns what its original does, in fewer passes over the pixels."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn

from runner.console import set_verbosity
from runner.training import fuse
from runner.training.fuse import ConvNorm, fuse_batchnorm
from runner.training.model import build_network

FAMILIES = ("test_resnet", "mobilenetv2_100", "test_efficientnet", "regnety_002", "densenet121", "resnext50_32x4d")


def backbone_of(name: str, **arguments: Any) -> nn.Module:
    """A backbone whose BatchNorms have statistics."""
    torch.manual_seed(1)
    backbone = timm.create_model(name, pretrained=False, num_classes=0, **arguments)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return backbone


def images(seed: int = 3, side: int = 64) -> Tensor:
    return torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(seed))


def pairs(fused: nn.Module) -> int:
    return sum(isinstance(module, ConvNorm) for module in fused.children())


def close(output: Tensor, expected: Tensor) -> bool:
    return bool((output - expected).abs().max() <= 1e-3 * expected.abs().max())


@pytest.mark.parametrize("name", FAMILIES)
def test_in_eval_mode_the_outputs_are_the_same(name: str) -> None:
    backbone = backbone_of(name).eval()
    fused = fuse_batchnorm(backbone, 3)
    assert pairs(fused) > 0
    with torch.inference_mode():
        for side in (64, 96):
            assert close(fused(images(side=side)), backbone(images(side=side)))


SAME_PADDED = (("test_efficientnet", {"pad_type": "same"}), ("tf_mobilenetv3_small_minimal_100", {}))


@pytest.mark.parametrize(("name", "arguments"), SAME_PADDED)
@pytest.mark.parametrize("gradients", [False, True])
def test_same_padding_of_any_image_size_is_fused(name: str, arguments: dict[str, Any], gradients: bool) -> None:
    backbone = backbone_of(name, **arguments).eval()
    assert any(isinstance(module, Conv2dSame) for module in backbone.modules())
    fused = fuse_batchnorm(backbone, 3)
    assert pairs(fused) == sum(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    with torch.set_grad_enabled(gradients):
        for side in (64, 75, 97):
            assert close(fused(images(side=side)), backbone(images(side=side)))


def test_same_padding_of_oblong_images_and_of_dilated_kernels_is_fused() -> None:
    for kernel, stride, dilation in ((3, 2, 1), (5, 2, 1), (3, (2, 1), 1), (3, 2, 2), (2, 2, 1), (1, 2, 1), (3, 4, 1)):
        torch.manual_seed(0)
        module = nn.Sequential(Conv2dSame(3, 4, kernel, stride, dilation=dilation), nn.BatchNorm2d(4)).eval()
        with torch.inference_mode():
            for height, width in ((16, 18), (17, 16), (19, 21)):
                image = torch.rand(1, 3, height, width)
                assert torch.allclose(ConvNorm(module[0], module[1])(image), module(image), atol=1e-5)


def test_a_backbone_with_drop_path_is_fused() -> None:
    assert pairs(fuse_batchnorm(backbone_of("test_efficientnet", drop_path_rate=0.2), 3)) == 13


def test_what_is_not_fused_is_told_once_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    fuse._tell_once.cache_clear()
    set_verbosity(verbose=True)
    try:
        for _ in range(2):
            fuse_batchnorm(Branching(), 3)
            fuse_batchnorm(SharedOutput(), 3)
    finally:
        set_verbosity()
    branching, shared = capsys.readouterr().err.splitlines()
    assert branching.startswith("Branching: no BatchNorm is fused: ")
    assert shared == "SharedOutput: 1 of 1 BatchNorms are not fused: they do not follow a convolution"


@pytest.mark.parametrize("name", ["test_resnet", "mobilenetv2_100", "test_efficientnet"])
@pytest.mark.parametrize("norms_train", [False, True])
def test_a_training_step_changes_the_same_weights(name: str, norms_train: bool) -> None:
    def step(fuses: bool) -> dict[str, Tensor]:
        backbone = backbone_of(name).train(norms_train)
        optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01)
        output = (fuse_batchnorm(backbone, 3) if fuses else backbone)(images())
        output.square().mean().backward()
        optimizer.step()
        return {key: value for key, value in backbone.state_dict().items() if value.is_floating_point()}

    plain, fused = step(False), step(True)
    assert plain.keys() == fused.keys()
    assert all(torch.allclose(fused[key], plain[key], rtol=1e-3, atol=1e-4) for key in plain)


def test_training_norms_update_their_statistics_once() -> None:
    backbone = backbone_of("test_resnet").train()
    fused = fuse_batchnorm(backbone, 3)
    assert backbone.training
    fused(images())
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in norms} == {1}  # type: ignore[arg-type]


def test_each_norm_keeps_its_training_mode() -> None:
    backbone = backbone_of("test_resnet").train()
    modes = {}
    for number, (name, module) in enumerate(backbone.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            module.train(number % 2 == 0)
        modes[name] = module.training
    fuse_batchnorm(backbone, 3)
    assert {name: module.training for name, module in backbone.named_modules()} == modes
    assert len(set(modes.values())) == 2


def test_a_backbone_is_fused_under_autocast_too() -> None:
    backbone = backbone_of("mobilenetv2_100").eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert pairs(fuse_batchnorm(backbone, 3)) > 0


def test_new_weights_are_used_at_once() -> None:
    backbone, donor = backbone_of("test_resnet").eval(), timm.create_model("test_resnet", num_classes=0).eval()
    fused = fuse_batchnorm(backbone, 3)
    backbone.load_state_dict(donor.state_dict())
    with torch.inference_mode():
        assert close(fused(images()), donor(images()))


class SharedOutput(nn.Module):
    """Its convolution is read by the norm and by the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        output = self.conv(images)
        return (self.norm(output) + output).mean((2, 3))  # type: ignore[no-any-return]


class Branching(nn.Module):
    """Its path depends on the images' values: no trace follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        output = self.norm(self.conv(images))
        return output.mean((2, 3)) if output.sum() > 0 else output.amax((2, 3))  # type: ignore[no-any-return]


class Dropping(nn.Module):
    """It has dropout in training mode only, and a trace would fix one mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images: Tensor) -> Tensor:
        output = self.norm(self.conv(images)).mean((2, 3))
        return nn.functional.dropout(output, 0.5, training=self.training)


@pytest.mark.parametrize("backbone", [SharedOutput(), Branching(), Dropping()])
def test_a_backbone_that_cannot_be_traced_stays_unfused(backbone: Any) -> None:
    assert pairs(fuse_batchnorm(backbone, 3)) == 0
    assert fuse_batchnorm(backbone, 3)(images()).shape == (4, 8)


def test_a_backbone_without_norms_stays_unfused() -> None:
    backbone = timm.create_model("test_vit", num_classes=0)
    assert fuse_batchnorm(backbone, 3) is backbone


def test_fusing_adds_no_names_to_the_state_dict() -> None:
    network = build_network("test_resnet", classes=2, channels=3, pretrained=False, weights=None, dropout=0)
    assert pairs(network.fused_backbone()) > 0
    assert not [name for name in network.state_dict() if "fused" in name or "conv_norm" in name]
