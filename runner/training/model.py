"""The network: normalisation, a timm backbone, and a head of its own."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from torch import Tensor, nn

from runner.commands import again
from runner.console import log
from runner.contract import HeadRecipe, Pool, Recipe
from runner.contract.backbone_args import Argument
from runner.contract.backbones import CURRENT_BACKBONES
from runner.errors import TrainingError, UsageError
from runner.training.distributed import SyncBatchNorm1d
from runner.training.fuse import example_output, fuse_batchnorm, set_single
from runner.training.hub import hub_within_reach
from runner.training.weights_hints import read_hints, warn_of_other_model
from runner.training.weights_kind import check_weights_file

ALL_SINGLE = -1  # of `Network.single_convs`: the whole backbone
_SINGLE_CONVS = "single_convs"  # its name in a file of weights

# Licences under which weights may be used for anything, by timm's names.
_PERMISSIVE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")


class Head(nn.Module):
    """BatchNorm, dropout and one linear layer: from features and tabular values to logits."""

    def __init__(self, width: int, tabular: int, classes: int, dropout: float):
        super().__init__()
        self.norm = SyncBatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width + tabular, classes)

    def forward(self, features: Tensor, tabular: Tensor) -> Tensor:
        """Logits (rows, classes) of features (rows, width) and tabular values (rows, columns)."""
        # In single precision always: in bf16 a logit of 10 is exact to a thirtieth only, which log loss shows.
        with torch.autocast(features.device.type, enabled=False):
            normal = self.dropout(self.norm(features.float()))
            return self.linear(torch.cat([normal, tabular.float()], dim=1))  # type: ignore[no-any-return]


class Network(nn.Module):
    """From images as they are stored (uint8, or float channels) to logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: nn.Module, head: Head, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.backbone = backbone
        self.head = head
        # Saved with the weights: a snapshot loaded with other constants would be silently wrong.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        self.backbone_args: dict[str, Argument] = {}
        self.pool: nn.Module | None = None  # over the backbone's last map, where the backbone itself has none
        self.frozen = False
        self.freeze_bn = False
        # How many of the first convolutions infer in single precision, where the others do in bf16 or fp16. Saved with
        # the weights as well: a head knows the features that it was fitted on.
        self.single_convs = ALL_SINGLE

    def forward(self, images: Tensor, tabular: Tensor) -> Tensor:
        """Logits of a batch of images (rows, channels, height, width)."""
        return self.head(self.forward_features(images), tabular)  # type: ignore[no-any-return]

    def forward_features(self, images: Tensor) -> Tensor:
        """The backbone's pooled features (rows, width) of the images: the head's input."""
        normal = normalise(images, self.mean, self.std)
        backbone, device = self.fused_backbone(), images.device.type
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            single = self.single_convs == ALL_SINGLE and not torch.is_grad_enabled()
            with torch.autocast(device, enabled=False) if single else nullcontext():
                features = backbone(normal)
            return features if self.pool is None else self.pool(features)  # type: ignore[no-any-return]

    def fused_backbone(self) -> nn.Module:
        """The backbone with frozen BatchNorms fused into the convolutions; built once."""
        if "_fused" not in self.__dict__:
            # It shares the backbone's weights: registered as a submodule, they would be saved twice.
            self.__dict__["_fused"] = fuse_batchnorm(self.backbone, self.mean.shape[1])
            set_single(self.__dict__["_fused"], self.single_convs)
        return self.__dict__["_fused"]  # type: ignore[no-any-return]

    def content(self) -> Iterator[bytes]:
        """The backbone's weights and the normalisation, as what a digest is made of."""
        state = self.backbone.state_dict()
        for name, tensor in [*state.items(), ("mean", self.mean), ("std", self.std)]:
            yield name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes()

    def set_single_convs(self, count: int) -> None:
        """Let inference compute this many of the first convolutions in single precision, or all of the backbone."""
        self.single_convs = count
        if "_fused" in self.__dict__:
            set_single(self.__dict__["_fused"], count)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + _SINGLE_CONVS] = torch.tensor(self.single_convs)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # Weights of an earlier version do not have it: their features were in single precision.
        self.set_single_convs(int(state_dict.pop(prefix + _SINGLE_CONVS, ALL_SINGLE)))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def freeze(self, trained: Sequence[str], *, freeze_bn: bool = False) -> None:
        """Train only the named parameters of the backbone; with none of them the backbone is frozen.

        `freeze_bn` keeps the BatchNorm statistics of pretraining.
        """
        self.freeze_bn = freeze_bn
        names = set(trained)
        for name, parameter in self.backbone.named_parameters():
            parameter.requires_grad_(name in names)
        self.frozen = not names
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """Training mode, except for the BatchNorms of frozen layers: they keep their statistics."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        for module in self.backbone.modules():
            parameters = list(module.parameters(recurse=False))
            frozen_bn = self.freeze_bn and isinstance(module, nn.modules.batchnorm._BatchNorm)
            if frozen_bn or (parameters and not any(parameter.requires_grad for parameter in parameters)):
                module.eval()
        return self

    def set_size(self, size: int) -> None:
        """Resize a backbone of fixed input size; most backbones take any size."""
        backbone: Any = self.backbone
        if hasattr(backbone, "set_input_size"):
            backbone.set_input_size(img_size=(size, size))
            self.__dict__.pop("_fused", None)  # it may have new weights


class GeM(nn.Module):
    """The generalised mean of each channel of a map (Radenović et al. 2018): the cube root of the mean cube."""

    def forward(self, maps: Tensor) -> Tensor:
        """One vector (rows, channels) an image."""
        with torch.autocast(maps.device.type, enabled=False):
            return maps.float().clamp(min=1e-6).pow(3).mean((-2, -1)).pow(1 / 3)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Images as floats around 0, channels last, as the backbone was pretrained on."""
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
    backbone_args: Mapping[str, Argument] | None = None,
    head: HeadRecipe = HeadRecipe(),  # noqa: B008  (frozen)
    drop_path: float = 0.0,
    grad_checkpointing: bool = False,
) -> Network:
    """A network for these classes and channels; `normalisation` defaults to that of the pretrained weights."""
    arguments: dict[str, Any] = dict(backbone_args or {}) | _practice_arguments(head, drop_path)
    module = _build_backbone(backbone, channels, pretrained, weights, arguments)
    if grad_checkpointing:
        _checkpoint_gradients(module, backbone)
    mean, std = normalisation or _scaled_to_bytes(module)
    width = _measured_width(module, channels) if arguments else _declared_width(module)
    network = Network(module, Head(width, tabular, classes, dropout), mean, std)
    if head.pool is Pool.GEM:
        network.pool = GeM()
    if head.zero_init:
        nn.init.zeros_(network.head.linear.weight)
        nn.init.zeros_(network.head.linear.bias)
    network.backbone_args = arguments
    return network.to(memory_format=torch.channels_last)


def _practice_arguments(head: HeadRecipe, drop_path: float) -> dict[str, Any]:
    """What a recipe's pooling and drop path are for timm: GeM is our own, over a map that is not pooled."""
    arguments: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    if head.pool is not None:
        arguments["global_pool"] = "" if head.pool is Pool.GEM else head.pool.value
    return arguments


def _checkpoint_gradients(module: nn.Module, backbone: str) -> None:
    """Let the backbone compute its activations again in the backward pass, instead of keeping them."""
    try:
        module.set_grad_checkpointing()  # type: ignore[operator]
    except (AttributeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"{backbone} has no gradient checkpointing in timm", fix=again("--batch-size", "auto")
        ) from error


def _declared_width(module: nn.Module) -> int:
    return int(getattr(module, "head_hidden_size", 0) or getattr(module, "num_features", 0))


def _measured_width(module: nn.Module, channels: int) -> int:
    """The width of the features: of some poolings it is a multiple of what timm declares."""
    with torch.no_grad():
        _, features = example_output(module.eval(), channels)
    module.train()
    return features.shape[1]  # of vectors, and of maps (rows, channels, height, width)


def _build_backbone(
    backbone: str, channels: int, pretrained: bool, weights: Path | None, arguments: dict[str, Any]
) -> nn.Module:
    check_name(backbone)
    overlay: dict[str, Any] | None = None
    hints = read_hints(check_weights_file(weights)) if weights else None
    if weights and hints:
        overlay = {"file": str(weights), **hints.normalisation}
    with hub_within_reach() if pretrained and not weights else nullcontext() as silence:
        try:
            module: nn.Module = timm.create_model(
                backbone,
                pretrained=pretrained or weights is not None,
                pretrained_cfg_overlay=overlay,
                num_classes=0,
                in_chans=channels,
                **arguments,
            )
        except Exception as error:  # timm and the hub's client raise whatever the layer below raised
            reason = silence or str(error) or type(error).__name__
            raise _cannot_load(backbone, weights, reason) from error
    if weights and hints and overlay:
        _check_loaded(module, backbone, channels, weights, overlay, arguments)
        warn_of_other_model(weights, hints, backbone, module, arguments)
    return module


def _check_loaded(
    module: nn.Module,
    backbone: str,
    channels: int,
    weights: Path,
    overlay: dict[str, Any],
    arguments: dict[str, Any],
) -> None:
    """Refuse a file that leaves weights at random: timm loads those that fit and ignores the others silently."""
    # Loaded weights are the same in a second network; random ones are not.
    second = timm.create_model(
        backbone, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=0, in_chans=channels, **arguments
    ).state_dict()
    tensors = {name: tensor for name, tensor in module.state_dict().items() if tensor.ndim > 1}
    missing = [name for name, tensor in tensors.items() if not torch.equal(tensor, second[name])]
    if missing:
        reason = f"it lacks {len(missing)} of {len(tensors)} weights, {missing[0]} among them"
        raise _cannot_load(backbone, weights, reason)


def check_backbone(recipe: Recipe) -> None:
    """A UsageError if timm has no model of this name, or if the model does not take the recipe's arguments."""
    check_name(recipe.backbone)
    arguments = recipe.backbone_args | _practice_arguments(recipe.head, recipe.regularize.drop_path)
    if arguments:
        _check_arguments(recipe.backbone, arguments, dimensions=4 if recipe.head.pool is Pool.GEM else 2)


def tell_licence(recipe: Recipe) -> None:
    """Log the licence of the hub's weights that training begins with; a warning if it restricts their use."""
    if not recipe.pretrained or recipe.weights or recipe.from_run:
        return
    settings = get_pretrained_cfg(recipe.backbone)
    if settings is None or not (settings.hf_hub_id or settings.url):
        return
    name, licence = f"{recipe.backbone.partition('.')[0]}.{settings.tag}", settings.license or "not known"
    if licence in _PERMISSIVE:
        log.info(f"pretrained weights {name}: licence {licence}")
    else:
        log.warning(
            f"pretrained weights {name}: licence {licence}; read it first: many competitions take no such weights\n"
            f"  fix: one under Apache-2.0: `{again('--backbone', 'convnext_tiny.in12k_ft_in1k')}`"
        )


def check_name(backbone: str) -> None:
    """A UsageError if timm has no model of this name."""
    if timm.is_model(backbone.split(".", 1)[0]):
        return
    near = difflib.get_close_matches(backbone, timm.list_models(), n=4, cutoff=0.5)
    raise UsageError(
        f"timm {timm.__version__} has no model named {backbone!r}",
        fix=" or ".join(f"`{again('--backbone', name)}`" for name in near[:3]) or again("--backbone", "resnet34"),
    )


def _check_arguments(backbone: str, arguments: Mapping[str, Any], dimensions: int) -> None:
    """Build the model without weights, and let it see one image: it gives a vector, or for GeM a map."""
    given = " ".join(f"{name}={value}" for name, value in arguments.items())
    try:
        module = timm.create_model(backbone, pretrained=False, num_classes=0, **arguments)
    except Exception as error:  # timm's models raise whatever they meet first
        reason = (str(error) or type(error).__name__).splitlines()[0][:200].replace(".__init__()", "")
        fix = _nearest_argument(backbone, reason)
        raise UsageError(f"{backbone} cannot be built with {given}: {reason}", fix=fix) from error
    try:
        with torch.no_grad():
            _, features = example_output(module.eval(), 3)
        fits = isinstance(features, Tensor) and features.ndim == dimensions
    except (RuntimeError, AssertionError):
        return  # its size is set by a stage
    if not fits:
        raise UsageError(
            f"{backbone} with {given} does not give one {'map' if dimensions == 4 else 'vector'} an image",
            fix="leave out what changes its pooling or output",
        )


def _nearest_argument(backbone: str, reason: str) -> str:
    """A fix for timm's message: the name that was meant, if the message names an unknown one."""
    unknown = reason.rpartition("unexpected keyword argument ")[2].strip("'")
    if unknown == "drop_path_rate":
        return f"leave it out: {backbone} has no drop path in timm"
    model = type(timm.create_model(backbone, pretrained=False, num_classes=0))
    known = [name for name in inspect.signature(model).parameters if not name.startswith("_")]
    near = difflib.get_close_matches(unknown, known, n=1)
    return f"--backbone-arg {near[0]}=VALUE" if near else f"{model.__name__} takes {', '.join(known[:40])}"


def _cannot_load(backbone: str, weights: Path | None, explanation: str) -> TrainingError:
    if weights:
        return TrainingError(
            f"the weights do not fit {backbone}: {_why_not_loaded(explanation)}",
            where=weights,
            fix="name weights of this model with --weights, or the model that these belong to with --backbone",
        )
    reason = explanation.strip().splitlines()[0]
    smaller = next((old for old, new in CURRENT_BACKBONES.items() if new == backbone), None)
    older = f"or take the older backbone: `{again('--backbone', smaller)}`; " if smaller else ""
    return TrainingError(
        f"the pretrained weights of {backbone} are not on this machine, and could not be downloaded: {reason}",
        fix=f"check the network, or name a weights file with --weights; {older}from scratch, with lower scores: "
        f"`{again('--no-pretrained')}`",
    )


def _why_not_loaded(explanation: str) -> str:
    """The reason in torch's message: its first line may be a heading, the next ones may list every weight."""
    first, *others = [line.strip() for line in explanation.strip().splitlines()]
    if "weights_only" in explanation or "invalid load key" in explanation:
        return "it is not a file of weights"
    reason = others[0] if others and first.endswith(":") else first
    heading, _, names = reason.partition(": ")
    listed = names.split(", ")
    if len(listed) <= 3 or "size mismatch" in heading:
        return reason
    return f"{heading}: {', '.join(listed[:2])} and {len(listed) - 2:,} more".replace("key(s) in state_dict", "weights")


def _scaled_to_bytes(backbone: nn.Module) -> tuple[list[float], list[float]]:
    settings: dict[str, Any] = getattr(backbone, "pretrained_cfg", {})
    return [255 * value for value in settings["mean"]], [255 * value for value in settings["std"]]
