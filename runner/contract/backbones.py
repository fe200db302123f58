"""Counterparts of this decade of the backbones in the shipped recipes, from the hub: `--backbone current`."""

from __future__ import annotations

# Of about the same cost, and all under Apache-2.0; timm knows the licence of each of its weights.
CURRENT_BACKBONES = {
    "mobilenetv2_100": "mobilenetv4_conv_small.e2400_r224_in1k",  # 2024
    "resnet18": "convnext_nano.in12k_ft_in1k",  # 2022
    "resnet34": "convnext_tiny.in12k_ft_in1k",  # 2022
    "resnext50_32x4d": "convnext_small.in12k_ft_in1k",  # 2022
}


def current_backbone(backbone: str) -> str:
    """This decade's counterpart of a backbone; ValueError if there is none in the table."""
    architecture = backbone.partition(".")[0]
    if backbone in CURRENT_BACKBONES.values():
        return backbone
    if architecture not in CURRENT_BACKBONES:
        known = ", ".join(f"{old} ({new})" for old, new in CURRENT_BACKBONES.items())
        raise ValueError(f"no counterpart of {backbone} is listed; there is one of {known}")
    return CURRENT_BACKBONES[architecture]
