"""Three groups of parameters, early, late and head, so that each can learn at its own rate."""

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
    """For each parameter's name which group it is in: timm says in what order the body's parts follow."""
    matcher = getattr(network.backbone, "group_matcher", None)
    if matcher:
        order: dict[str, int] = group_parameters(network.backbone, matcher(coarse=True), reverse=True)
    else:
        order = {name: place for place, (name, _) in enumerate(network.backbone.named_parameters())}
    middle = (max(order.values()) + 1) / 2
    depths = {f"backbone.{name}": EARLY if place < middle else LATE for name, place in order.items()}
    return depths | {f"head.{name}": HEAD for name, _ in network.head.named_parameters()}


def apply_freezing(network: Network, recipe: Recipe, stage: Stage) -> None:
    """Let that learn which learns in the stage."""
    depths = group_of_parameter(network)
    lowest = stage.freeze_to if stage.mode is TrainMode.UNFROZEN else HEAD
    learning = [
        name.removeprefix("backbone.")
        for name, depth in depths.items()
        if name.startswith("backbone.") and depth >= lowest
    ]
    # Of random weights a norm knows nothing: kept, it would never normalise.
    network.freeze(learning, freeze_bn=recipe.freeze_bn and not recipe.from_scratch)


def build_optimizer(network: Network, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over what learns in the network; each group bears its depth.

    Biases and the scales of normalisation are left out of the decay: shrinking them helps nothing.
    """
    depths = group_of_parameter(network)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((depths[name], parameter.ndim > 1), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {"params": parameters, "depth": depth, "weight_decay": weight_decay if decays else 0.0}
        for (depth, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    return torch.optim.AdamW(settings, lr=0.0, fused=True)


def group_lrs_for(recipe: Recipe, stage: Stage, found: float | None = None) -> tuple[float, float, float]:
    """The top rates of early, late and head in a stage; `found` by the finder takes the declared one's place."""
    if recipe.group_lrs:
        return recipe.group_lrs
    top = found if found is not None else recipe.lr * stage.lr_scale
    # Divided by 1 / layer_decay, which is exactly 10 for 0.1 and 3 for 1/3: a product would round differently.
    step = 1 / recipe.layer_decay
    return (top / step**2, top / step, top)


def lrs_of_groups(optimizer: torch.optim.Optimizer, rates: Sequence[float], share: float) -> list[float]:
    """The rate of each of the optimizer's groups at a share of the top."""
    return [share * rates[group["depth"]] for group in optimizer.param_groups]
