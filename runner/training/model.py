"""The network: a timm backbone, a head of our own, and the normalisation between images and backbone."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from runner.errors import TrainingError, UsageError
from runner.training.distributed import SyncBatchNorm1d
from runner.training.fuse import fuse_batchnorm


class Head(nn.Module):
    """Logits from activations and tabular. BatchNorm puts what any backbone says on one scale."""

    def __init__(self, width: int, tabular: int, classes: int, dropout: float):
        super().__init__()
        self.norm = SyncBatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width + tabular, classes)

    def forward(self, activations: Tensor, tabular: Tensor) -> Tensor:
        """Logits for a batch of activations (rows, width) and tabular (rows, tabular)."""
        # Whatever the backbone's arithmetic is: a logit of 10 in bf16 is right to a thirtieth, which log loss feels.
        with torch.autocast(activations.device.type, enabled=False):
            normal = self.dropout(self.norm(activations.float()))
            return self.linear(torch.cat([normal, tabular.float()], dim=1))  # type: ignore[no-any-return]


class Network(nn.Module):
    """Takes images as they lie on the disk (uint8, or decibels as float) and gives logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: Head, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.backbone = backbone
        self.head = head
        # Kept with the weights: a snapshot that is loaded with other constants would be wrong in silence.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.frozen = False
        self.freeze_bn = False

    def forward(self, images: Tensor, tabular: Tensor) -> Tensor:
        """Logits for a batch of images (rows, channels, height, width)."""
        return self.head(self.features(images), tabular)  # type: ignore[no-any-return]

    def features(self, images: Tensor) -> Tensor:
        """What the backbone says of the images: the head's input."""
        normal = normalise(images, self.mean, self.std)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.fold()(normal)  # type: ignore[no-any-return]

    def fold(self) -> nn.Module:
        """The backbone with its resting norms folded away: the same function of the same weights. Made once."""
        if "_fused" not in self.__dict__:
            # It has no part of its own, and so no place in torch's books.
            self.__dict__["_fused"] = fuse_batchnorm(self.backbone, self.mean.shape[1])
        return self.__dict__["_fused"]  # type: ignore[no-any-return]

    def freeze(self, learning: Sequence[str], *, freeze_bn: bool = False) -> None:
        """Let only the named parameters of the backbone learn; none: the backbone is frozen as a whole.

        `freeze_bn`: what BatchNorm knows of the images' statistics stays as it was pretrained.
        """
        self.freeze_bn = freeze_bn
        wanted = set(learning)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name in wanted)
        self.frozen = not wanted
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """As torch has it, but the BatchNorm of frozen parts keeps its statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        for module in self.backbone.modules():
            own = list(module.parameters(recurse=False))
            kept = self.freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm)
            if kept or (own and not any(parameter.requires_grad for parameter in own)):
                module.eval()
        return self

    def set_size(self, size: int) -> None:
        """Make a backbone of fixed input size take this one; most bodies take any."""
        backbone: Any = self.backbone
        if hasattr(backbone, "set_input_size"):
            backbone.set_input_size(img_size=(size, size))
            self.__dict__.pop("_fused", None)  # it may have got other weights


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images as the backbone was trained to see them: floats around 0, channels last."""
    # One pass over the batch; (images - mean) / std takes two.
    return torch.addcmul(-mean / std, images.float(), 1 / std).contiguous(memory_format=torch.channels_last)


def build_network(
    backbone: str,
    *,
    classes: int,
    channels: int,
    tabular: int = 0,
    pretrained: bool,
    weights: Path | None,
    dropout: float,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Network:
    """A network for so many classes and bands; `normalisation` defaults to that of the weights."""
    module = _build_backbone(backbone, channels, pretrained, weights)
    mean, std = normalisation or _scaled_to_bytes(module)
    width = int(getattr(module, "head_hidden_size", 0) or getattr(module, "num_features", 0))
    network = Network(module, Head(width, tabular, classes, dropout), mean, std)
    return network.to(memory_format=torch.channels_last)


def _build_backbone(backbone: str, channels: int, pretrained: bool, weights: Path | None) -> nn.Module:
    check_backbone(backbone)
    overlay = {"file": str(check_weights_file(weights))} if weights else None
    try:
        module: nn.Module = timm.create_model(
            backbone,
            pretrained=pretrained or weights is not None,
            pretrained_cfg_overlay=overlay,
            num_classes=0,
            in_chans=channels,
        )
    except Exception as error:  # timm and the hub's client raise whatever the layer below raised
        raise _cannot_load(backbone, weights, str(error) or type(error).__name__) from error
    if overlay:
        _check_loaded(module, backbone, channels, weights, overlay)
    return module


def _check_loaded(
    module: nn.Module, backbone: str, channels: int, weights: Path | None, overlay: dict[str, str]
) -> None:
    """Refuse a file that leaves parts of the backbone at random: timm loads what fits and is silent on the rest."""
    # What was loaded is the same in a second network; what was drawn at random is not.
    other = timm.create_model(
        backbone, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, in_chans=channels
    ).state_dict()
    tensors = {name: tensor for name, tensor in module.state_dict().items() if tensor.ndim > 1}
    missing = [name for name, tensor in tensors.items() if not torch.equal(tensor, other[name])]
    if missing:
        found = f"it lacks {len(missing)} of {len(tensors)} weights, {missing[0]} among them"
        raise _cannot_load(backbone, weights, found)


def check_backbone(backbone: str) -> None:
    """Refuse a name that timm does not know."""
    if timm.is_model(backbone.split(".", 1)[0]):
        return
    near = difflib.get_close_matches(backbone, timm.list_models(), n=4, cutoff=0.5)
    raise UsageError(
        f"timm {timm.__version__} has no model named {backbone!r}",
        fix=f"--model with one of: {', '.join(near)}" if near else "choose a timm model's name, such as resnet34",
    )


def check_weights_file(weights: Path) -> Path:
    """The path, where there is a file."""
    if not weights.is_file():
        raise UsageError(f"there is no weights file at {weights}", fix="--weights FILE with a file that is there")
    return weights


def _cannot_load(backbone: str, weights: Path | None, explanation: str) -> TrainingError:
    reason = explanation.strip().splitlines()[0]
    if weights:
        return TrainingError(
            f"the weights do not fit {backbone}: {reason}",
            where=weights,
            fix="give the weights of this very timm model, or --model with the one they belong to",
        )
    return TrainingError(
        f"the pretrained weights of {backbone} could not be fetched: {reason}",
        fix="check the network, give a file with --weights FILE, or start from scratch with --no-pretrained",
    )


def _scaled_to_bytes(backbone: nn.Module) -> tuple[list[float], list[float]]:
    settings: dict[str, Any] = getattr(backbone, "pretrained_cfg", {})
    return [255 * value for value in settings["mean"]], [255 * value for value in settings["std"]]
