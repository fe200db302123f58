"""The optimizer over three groups of parameters (early, late, head), or over every layer, each with its own lr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.models import group_parameters
from timm.optim import create_optimizer_v2  # type: ignore[attr-defined]
from torch import nn

from runner.contract import Optimizer, Recipe, Stage, TrainMode
from runner.training.model import Network

EARLY, LATE, HEAD = range(3)


def group_of_parameter(network: Network) -> dict[str, int]:
    """Each parameter's group by name: timm's layer order of the backbone, cut in half, and the head."""
    matcher = getattr(network.backbone, "group_matcher", None)
    if matcher:
        layers: dict[str, int] = group_parameters(network.backbone, matcher(coarse=True), reverse=True)
    else:
        layers = {name: number for number, (name, _) in enumerate(network.backbone.named_parameters())}
    middle = (max(layers.values()) + 1) / 2
    groups = {f"backbone.{name}": EARLY if layer < middle else LATE for name, layer in layers.items()}
    return groups | {f"head.{name}": HEAD for name, _ in network.head.named_parameters()}


def apply_freezing(network: Network, recipe: Recipe, stage: Stage) -> None:
    """Set `requires_grad` for this stage, and which BatchNorms keep their statistics."""
    first = stage.freeze_to if stage.mode is TrainMode.UNFROZEN else HEAD
    trained = [
        name.removeprefix("backbone.")
        for name, group in group_of_parameter(network).items()
        if name.startswith("backbone.") and group >= first
    ]
    # A backbone from scratch has no statistics yet: frozen, its BatchNorms would never normalise.
    network.freeze(trained, freeze_bn=recipe.freeze_bn and not recipe.from_scratch)


def build_optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trainable parameters; its groups carry their "group" number.

    No weight decay on biases, norms, and what timm's `no_weight_decay()` names, such as position embeddings. With an
    lr for each layer, a group carries its share of the head's lr as "lr_scale".
    """
    group_of, exempt = group_of_parameter(network), _without_decay(network)
    scale_of = _layer_scales(network, recipe.layer_decay) if recipe.optimizer.layerwise else {}
    groups: dict[tuple[int, float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in exempt
            groups.setdefault((group_of[name], scale_of.get(name, 0.0), decays), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "group": group, "weight_decay": recipe.weight_decay if decays else 0.0}
        | ({"lr_scale": scale} if scale_of else {})
        for (group, scale, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    return _build(recipe.optimizer, settings)


def _build(optimizer: Optimizer, settings: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """torch's fused AdamW, or timm's optimizer of this name."""
    more: dict[str, Any] = {} if optimizer.betas is None else {"betas": optimizer.betas}
    if optimizer.eps is not None:
        more["eps"] = optimizer.eps
    if optimizer.name == "adamw":
        return torch.optim.AdamW(settings, lr=0.0, fused=True, **more)
    built: torch.optim.Optimizer = create_optimizer_v2(settings, opt=optimizer.name, lr=1.0, **more)
    return built


def _layer_scales(network: Network, layer_decay: float) -> dict[str, float]:
    """Each parameter's share of the head's lr: `layer_decay` for each layer between them, as timm counts layers."""
    matcher = getattr(network.backbone, "group_matcher", None)
    if matcher:
        layers: dict[str, int] = group_parameters(network.backbone, matcher(coarse=False), reverse=True)
    else:
        layers = {name: number for number, (name, _) in enumerate(network.backbone.named_parameters())}
    last = max(layers.values()) + 1
    scales = {f"backbone.{name}": layer_decay ** (last - layer) for name, layer in layers.items()}
    return scales | {f"head.{name}": 1.0 for name, _ in network.head.named_parameters()}


def _without_decay(network: Network) -> set[str]:
    """Parameters of two or more dimensions that must not shrink, by timm's own list."""
    named = getattr(network.backbone, "no_weight_decay", None)
    return {f"backbone.{name}" for name in named()} if named else set()


def group_lrs_for(recipe: Recipe, stage: Stage, found: float | None = None) -> tuple[float, float, float]:
    """Peak lr of early, late and head in a stage; `found` by the LR finder replaces the recipe's."""
    if recipe.group_lrs:
        return recipe.group_lrs
    peak = found if found is not None else recipe.lr * stage.lr_scale
    # Divided by 1 / layer_decay, which is exactly 10 for 0.1 and 3 for 1/3: a product would round differently.
    divisor = 1 / recipe.layer_decay
    return (peak / divisor**2, peak / divisor, peak)


def scaled_lrs(optimizer: torch.optim.Optimizer, lrs: Sequence[float], factor: float) -> list[float]:
    """The lr of each of the optimizer's groups at a factor of the peak."""
    return [
        factor * (lrs[HEAD] * group["lr_scale"] if "lr_scale" in group else lrs[group["group"]])
        for group in optimizer.param_groups
    ]
