"""What a weights file tells of the model that it belongs to, beyond its tensors: their shapes show no padding.

The metadata of safetensors, and the `config.json` that the hub keeps beside a model, name normalisation and arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from runner.commands import again
from runner.console import log
from runner.contract.backbone_args import Argument, write_argument

_NORMALISATION = ("mean", "std")
_MAX_CONFIG_BYTES = 1 << 20
_SAME_PADDING = re.compile(r"same[-_]?pad|pad[-_]?same", re.IGNORECASE)


@dataclass(frozen=True)
class WeightsHints:
    """What is told; nothing of it must be there."""

    architecture: str | None = None
    normalisation: dict[str, tuple[float, ...]] = field(default_factory=dict)  # "mean" and "std", for values 0 to 1
    arguments: dict[str, Argument] = field(default_factory=dict)  # of timm's create_model


def read_hints(weights: Path) -> WeightsHints:
    """The hints in the file's metadata, those in the config.json beside it, and padding in its name."""
    told: dict[str, Any] = {**_read_config(weights), **_read_metadata(weights)}
    settings = told.get("pretrained_cfg")
    settings = {**settings, **told} if isinstance(settings, Mapping) else told
    arguments = told.get("model_args")
    arguments = dict(arguments) if isinstance(arguments, Mapping) else {}
    if isinstance(told.get("pad_type"), str):
        arguments["pad_type"] = told["pad_type"]
    elif _SAME_PADDING.search(weights.name):
        arguments.setdefault("pad_type", "same")
    numbers = {name: _numbers(settings.get(name)) for name in _NORMALISATION}
    return WeightsHints(
        architecture=told["architecture"] if isinstance(told.get("architecture"), str) else None,
        normalisation={name: values for name, values in numbers.items() if values},
        arguments={name: value for name, value in arguments.items() if isinstance(value, bool | int | float | str)},
    )


def warn_of_other_model(
    weights: Path, hints: WeightsHints, backbone: str, module: nn.Module, given: Mapping[str, Argument]
) -> None:
    """Warn if the file was made for another architecture, or with arguments that are not given."""
    if hints.architecture and hints.architecture != backbone.partition(".")[0]:
        log.warning(
            f"{weights.name} says that it holds {hints.architecture}, not {backbone}\n"
            f"  fix: {again('--backbone', hints.architecture)}"
        )
    for name, value in hints.arguments.items():
        is_padded = name == "pad_type" and any(isinstance(part, Conv2dSame) for part in module.modules())
        if name in given or (is_padded and value == "same"):
            continue
        told = write_argument(name, value)
        log.warning(f"{weights.name} says that it was trained with {told}\n  fix: {again('--backbone-arg', told)}")


def _read_metadata(weights: Path) -> dict[str, Any]:
    """The metadata of safetensors: texts, some of them JSON."""
    if weights.suffix != ".safetensors":
        return {}
    try:
        with safe_open(weights, framework="pt") as file:
            metadata = file.metadata() or {}
    except Exception:  # a damaged file is told where its tensors are read
        return {}
    return {name: _from_json(text) for name, text in metadata.items()}


def _read_config(weights: Path) -> dict[str, Any]:
    path = weights.with_name("config.json")
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            return {}
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _numbers(values: Any) -> tuple[float, ...]:
    """Three channels' numbers between 0 and 1, or nothing."""
    is_list = isinstance(values, list) and len(values) == 3
    return tuple(map(float, values)) if is_list and all(_is_share(value) for value in values) else ()


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1
