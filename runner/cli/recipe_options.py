"""The flags that change a recipe: the same on every command that trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runner.contract import Recipe
    from runner.training.fold import Machine

Function = TypeVar("Function", bound=Callable[..., Any])


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """Picture sizes, as in 128 or 128,224."""

    name = "N,N,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Whole numbers between commas."""
        if isinstance(value, tuple):
            return value
        try:
            sizes = tuple(int(word) for word in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not of the form 128 or 128,224", param, ctx)
        if not all(16 <= size <= 2048 for size in sizes):
            self.fail(f"{value!r}: sizes lie between 16 and 2048", param, ctx)
        return sizes


_OPTIONS = (
    click.option("--model", "backbone", metavar="NAME", help="Any timm model.  [default: the competition's recipe]"),
    click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Start from this weights file."),
    click.option("--no-pretrained", is_flag=True, help="Start from scratch."),
    click.option("--size", "sizes", type=Sizes(), help="Picture sizes, smallest first."),
    click.option("--batch-size", type=click.IntRange(1, 4096), metavar="N", help="Rows in a mini-batch."),
    click.option("--lr", type=click.FloatRange(0, 100, min_open=True), metavar="X", help="Top rate of the head."),
    click.option(
        "--epochs-scale",
        type=click.FloatRange(0, 100, min_open=True),
        default=1.0,
        metavar="X",
        help="Lengthen or shorten every cycle.",
    ),
    click.option("--seed", type=int, metavar="N", help="Of everything drawn at random, but not of the folds."),
    click.option(
        "--workers",
        type=click.IntRange(0, 64),
        metavar="N",
        help="Processes that read pictures.  [default: by the machine]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
)


def recipe_options(function: Function) -> Function:
    """All recipe flags, in the order in which help shows them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_recipe_options(declared: Recipe, options: dict[str, Any]) -> tuple[Recipe, Machine]:
    """The recipe after the flags, and the machine to train it on."""
    from dataclasses import replace

    from runner.contract.recipe import resize, scale_epochs
    from runner.training.fold import Machine, default_workers

    named = {name: options[name] for name in ("backbone", "batch_size", "lr", "seed") if options[name] is not None}
    recipe = replace(declared, **named)
    if options["no_pretrained"]:
        recipe = replace(recipe, pretrained=False)
    if options["sizes"]:
        recipe = resize(recipe, options["sizes"])
    recipe = scale_epochs(recipe, options["epochs_scale"])
    workers = default_workers() if options["workers"] is None else options["workers"]
    return recipe, Machine(device=options["device"], workers=workers, weights=options["weights"])
