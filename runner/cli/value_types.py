"""The values that flags take: each is checked before anything is imported or read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

from runner.commands import again
from runner.contract.backbone_args import Argument, check_arguments, parse_argument
from runner.options import DEVICES

_DEVICES_MEANT = {
    "gpu": "cuda",
    "cuda:0": "cuda",
    "nvidia": "cuda",
    "rocm": "cuda",  # as torch calls AMD's GPUs
    "hip": "cuda",
    "metal": "mps",
    "apple": "mps",
    "m1": "mps",
}
_VIEWS = re.compile(r"none|default|all|random:[1-9]\d{0,3}")


class WrongValue(click.BadParameter):
    """A value that a flag does not take, with a fix of its own."""

    def __init__(self, message: str, param: click.Parameter | None, ctx: click.Context | None, *, fix: str | None):
        super().__init__(message, ctx, param)
        self.fix = fix


class Device(click.Choice[str]):
    """Where to compute; the field's other words for a GPU are understood as a question."""

    def __init__(self) -> None:
        super().__init__(DEVICES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of the names; for `gpu`, `cuda:1` and the like the fix names it."""
        meant = _DEVICES_MEANT.get(str(value).lower())
        if number := re.fullmatch(r"(?:cuda|gpu):?([1-9]\d*)", str(value).lower()):
            chosen = f"choose that GPU before the command, with CUDA_VISIBLE_DEVICES={number[1]}"
            raise WrongValue(f"{value!r} is not taken: {chosen}", param, ctx, fix=again("--device", "cuda"))
        if meant and meant != value:
            raise WrongValue(f"{value!r} is called {meant} here", param, ctx, fix=again("--device", meant))
        return super().convert(value, param, ctx)


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """Image sizes, as in 128 or 128,224."""

    name = "N,N,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Whole numbers separated by commas."""
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(word) for word in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not of the form 128 or 128,224", param, ctx)
        if not all(16 <= size <= 2048 for size in sizes):
            self.fail(f"{value!r}: sizes must be between 16 and 2048", param, ctx)
        if list(sizes) != sorted(sizes):
            right = ",".join(map(str, sorted(sizes)))
            raise WrongValue(f"{value!r}: the smallest size comes first", param, ctx, fix=again("--size", right))
        return sizes


class LearningRate(click.ParamType):  # type: ignore[type-arg]
    """A learning rate, three of them, or the word find."""

    name = "X|X,X,X|find"
    words = ("find",)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A tuple of one lr, or of three (early, late, head); or "find"."""
        if value == "find" or isinstance(value, tuple):
            return value
        try:
            lrs = tuple(float(word) for word in str(value).split(","))
        except ValueError:
            lrs = ()
        if len(lrs) not in (1, 3):
            self.fail(f"{value!r} is not a learning rate, three separated by commas, or find", param, ctx)
        if not all(0 < lr <= 100 for lr in lrs):
            self.fail(f"{value!r}: a learning rate must be above 0 and at most 100", param, ctx)
        return lrs


class BatchSize(click.ParamType):  # type: ignore[type-arg]
    """A number of rows, or the word auto."""

    name = "N|auto"
    words = ("auto",)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A whole number, or "auto"."""
        if value == "auto":
            return value
        if not str(value).isdecimal() or not 1 <= int(value) <= 4096:
            self.fail(f"{value!r} is not a number from 1 to 4096, or auto", param, ctx)
        return int(value)


class BackboneArg(click.ParamType):  # type: ignore[type-arg]
    """A keyword argument of timm's create_model."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Argument]:
        """Its name, and its value as a bool, None, a number or a text."""
        if isinstance(value, tuple):
            return value
        try:
            name, parsed = parse_argument(value)
            check_arguments({name: parsed})
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return name, parsed


class Number(click.FloatRange):
    """A finite number between limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; nan and infinity are none."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number, such as 0.2", param, ctx)
        return number


class LocalPath(click.Path):
    """A path on this disk; an address is none."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path as it was typed."""
        if "://" in str(value):
            self.fail(f"{value} is an address: download it, and name the file", param, ctx)
        return super().convert(value, param, ctx)


class Views(click.ParamType):  # type: ignore[type-arg]
    """Which views of an image are predicted; how many random ones there may be is checked with the preset."""

    name = "none|default|all|random:N"
    words = ("none", "default", "all")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The choice as it was typed."""
        if not _VIEWS.fullmatch(str(value)):
            random = f"random:{value}"
            fix = again("--tta", random) if _VIEWS.fullmatch(random) else None
            message = f"{value!r} is not none, default, all or random:N, with a number such as random:8"
            raise WrongValue(message, param, ctx, fix=fix)
        return str(value)
