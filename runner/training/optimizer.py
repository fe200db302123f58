"""AdamW over three groups of parameters (early, late, head), each with its own lr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from runner.contract import Recipe, Stage, TrainMode
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


def build_optimizer(network: Network, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters; its groups carry their "group" number.

    No weight decay on biases, norms, and what timm's `no_weight_decay()` names, such as position embeddings.
    """
    group_of, exempt = group_of_parameter(network), _without_decay(network)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in exempt
            groups.setdefault((group_of[name], decays), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "group": group, "weight_decay": weight_decay if decays else 0.0}
        for (group, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    return torch.optim.AdamW(settings, lr=0.0, fused=True)


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
    return [factor * lrs[group["group"]] for group in optimizer.param_groups]
