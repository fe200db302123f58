"""The flags that change a recipe: the same on every command that trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli.machine_options import MACHINE_OPTIONS, read_machine_options

if TYPE_CHECKING:
    from runner.contract import Recipe
    from runner.training.fold import Machine

Function = TypeVar("Function", bound=Callable[..., Any])


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """Image sizes, as in 128 or 128,224."""

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


class Rate(click.ParamType):  # type: ignore[type-arg]
    """A learning rate, three of them, or the word find."""

    name = "X|X,X,X|find"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A number above 0, three between commas (early, late, head), or "find"."""
        if value == "find" or isinstance(value, tuple):
            return value
        try:
            rates = tuple(float(word) for word in str(value).split(","))
        except ValueError:
            rates = ()
        if len(rates) not in (1, 3) or not all(0 < rate <= 100 for rate in rates):
            self.fail(f"{value!r} is not a rate above 0, three of them between commas, or find", param, ctx)
        return rates


class BatchSize(click.ParamType):  # type: ignore[type-arg]
    """A number of rows, or the word auto."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A whole number, or "auto"."""
        if value == "auto":
            return value
        if not str(value).isdecimal() or not 1 <= int(value) <= 4096:
            self.fail(f"{value!r} is not a number from 1 to 4096, or auto", param, ctx)
        return int(value)


_OPTIONS = (
    click.option("--model", "backbone", metavar="NAME", help="Any timm model.  [default: the competition's recipe]"),
    click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="Start from this weights file."),
    click.option("--no-pretrained", is_flag=True, help="Start from scratch."),
    click.option("--from-run", metavar="RUN[:SNAPSHOT]", help="Start from a snapshot of another run."),
    click.option("--size", "sizes", type=Sizes(), help="Image sizes, smallest first."),
    click.option("--batch-size", type=BatchSize(), help="Rows in a mini-batch; auto halves what does not fit."),
    click.option("--lr", type=Rate(), help="Top rate of the head; or of early, late and head; or find it."),
    click.option(
        "--freeze-to", type=click.IntRange(0, 2), metavar="N", help="Keep the first N groups of three frozen."
    ),
    click.option(
        "--oversample",
        type=click.FloatRange(1, 100),
        metavar="X",
        help="Show rows of rare classes up to X times an epoch.",
    ),
    click.option("--folds", type=click.IntRange(2), metavar="N", help="Train N networks, each with a fold held out."),
    click.option("--only-fold", type=click.IntRange(0), metavar="K", help="Train this fold alone, from 0."),
    click.option(
        "--on", metavar="ray[:ADDRESS]", help="Quantiles the folds over Ray: on this machine, or on a cluster."
    ),
    click.option(
        "--epochs-scale",
        type=click.FloatRange(0, 100, min_open=True),
        default=1.0,
        metavar="X",
        help="Lengthen or shorten every cycle.",
    ),
    click.option(
        "--quick", is_flag=True, help="The short way: find the rate, one frozen epoch, three unfrozen cycles."
    ),
    click.option(
        "--heads-only", is_flag=True, help="Leave out the stages that train the body: seconds instead of minutes."
    ),
    click.option(
        "--time-budget",
        type=click.FloatRange(0, min_open=True),
        metavar="MIN",
        help="The longest plan that fits, measured on the first mini-batches.",
    ),
    click.option("--seed", type=int, metavar="N", help="Of everything drawn at random, but not of the folds."),
    *MACHINE_OPTIONS,
    click.option("--compile", "compiles", is_flag=True, help="Compile the network first: slow to start, then faster."),
    click.option(
        "--track", type=click.Choice(["tensorboard", "wandb", "mlflow"]), help="Hand the log to this tracker too."
    ),
)


def recipe_options(function: Function) -> Function:
    """All recipe flags, in the order in which help shows them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_recipe_options(declared: Recipe, options: dict[str, Any]) -> tuple[Recipe, Machine]:
    """The recipe after the flags, and the machine to train it on."""
    machine = read_machine_options(
        options,
        weights=options["weights"],
        compiles=options["compiles"],
        tracker=options["track"],
        minutes=options["time_budget"],
        only_fold=options["only_fold"],
        on=options["on"],
    )
    return changed_recipe(declared, options), machine


def changed_recipe(declared: Recipe, options: dict[str, Any]) -> Recipe:
    """The declared recipe as the flags change it."""
    if options["quick"] and options["heads_only"]:
        raise click.UsageError("--quick trains the body, --heads-only leaves it as it is: choose")
    from dataclasses import replace

    from runner.contract.recipe import linear_probe, quick_recipe, scale_epochs, with_freeze_to, with_sizes

    same_names = ("backbone", "seed", "oversample", "from_run", "folds")
    recipe = replace(declared, **{name: options[name] for name in same_names if options[name] is not None})
    if options["no_pretrained"]:
        recipe = replace(recipe, pretrained=False)
    if options["sizes"]:
        recipe = with_sizes(recipe, options["sizes"])
    if options["quick"]:
        recipe = quick_recipe(recipe)
    if options["heads_only"]:
        recipe = linear_probe(recipe)
    if options["freeze_to"] is not None:
        recipe = with_freeze_to(recipe, options["freeze_to"])
    return scale_epochs(_with_batch(_with_rate(recipe, options["lr"]), options["batch_size"]), options["epochs_scale"])


def _with_rate(recipe: Recipe, lr: Any) -> Recipe:
    from dataclasses import replace

    if lr is None:
        return recipe
    if lr == "find":
        return replace(recipe, find_lr=True)
    return replace(recipe, lr=lr[0]) if len(lr) == 1 else replace(recipe, lr=lr[-1], group_lrs=lr)


def _with_batch(recipe: Recipe, batch_size: Any) -> Recipe:
    from dataclasses import replace

    if batch_size is None:
        return recipe
    return replace(recipe, auto_batch=True) if batch_size == "auto" else replace(recipe, batch_size=batch_size)
