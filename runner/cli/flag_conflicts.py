"""Flags that contradict each other, or that a command would have to ignore: what was asked is what is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from runner.cli.wrong_usage import FlagConflict, UnusedFlags

if TYPE_CHECKING:
    from runner.contract import Recipe


_TYPED = ParameterSource.COMMANDLINE
# The flags that decide what is trained.
_RECIPE_FLAGS = (
    "--recipe-of",
    "--recipe",
    "--set",
    "--backbone-arg",
    "--backbone",
    "--no-pretrained",
    "--from-run",
    "--size",
    "--batch-size",
    "--lr",
    "--freeze-to",
    "--dropout",
    "--oversample",
    "--augment",
    "--mixup",
    "--cutmix",
    "--label-smoothing",
    "--ema",
    "--accumulate",
    "--folds",
    "--epochs",
    "--epochs-scale",
    "--quick",
    "--linear-probe",
    "--solver",
    "--time-budget",
    "--seed",
    "--skip-unreadable",
)


_LISTING = ("--sort", "--reverse", "--filter")


@dataclass(frozen=True)
class Conflict:
    """A flag with those that it excludes, and why."""

    flag: str
    excluded: tuple[str, ...]
    reason: str


_CONFLICTS = (
    Conflict("--recipe", ("--recipe-of",), "training begins with one recipe"),
    Conflict("--weights", ("--no-pretrained",), "training starts from a file, or from scratch"),
    Conflict("--from-run", ("--weights", "--no-pretrained"), "training starts from the run's snapshot"),
    Conflict("--quick", ("--linear-probe",), "the one trains the backbone, the other does not"),
    Conflict("--linear-probe", ("--freeze-to",), "the backbone is not trained at all"),
    Conflict("--time-budget", ("--epochs", "--epochs-scale"), "the time decides how many epochs there are"),
    Conflict("--epochs", ("--epochs-scale",), "both set how many epochs there are"),
    Conflict("--resume", (*_RECIPE_FLAGS, "--new", "--all-data"), "a run goes on by its own recipe"),
    Conflict("--all-data", (*_RECIPE_FLAGS, "--new", "--only-fold"), "a refit repeats the run's own recipe"),
    Conflict("--on", ("--device", "--engine", "--track", "--dry-run"), "they are about this machine"),
    Conflict("--no-submit", ("--message",), "the note is for a submission"),
    Conflict("--mirror", ("--from",), "the data comes from one place"),
    Conflict("--accept-changes", ("--from", "--mirror", "--force", "--skip-unreadable"), "it takes the data as it is"),
    Conflict("--folds", ("--holdout",), "rows are split in one way"),
    Conflict("--best", ("FILE|RUN",), "it chooses the runs itself"),
    Conflict("--all", ("COMPETITION",), "it is every competition"),
    Conflict("--dry-run", ("--best",), "one notebook is built, of the run that is named"),
    Conflict("--dry-run", ("--resume", "--all-data"), "only a new training is planned"),
    Conflict("--images", ("--tta", "--snapshots", "--size"), "other images are predicted as the run is"),
    Conflict("--rename", ("--annotate", "--delete", *_LISTING), "a run is renamed, and nothing is listed"),
    Conflict("--annotate", ("--delete", *_LISTING), "a run is annotated, and nothing is listed"),
    Conflict("--delete", _LISTING, "runs are deleted, and nothing is listed"),
    Conflict("--quiet", ("--verbose",), "the one prints less, the other more"),
)


def check_flags(ctx: click.Context) -> None:
    """A FlagConflict if two flags of a command contradict each other."""
    given = _given(ctx)
    for conflict in _CONFLICTS:
        excluded = [flag for flag in conflict.excluded if flag in given]
        if conflict.flag in given and excluded:
            raise FlagConflict(ctx, conflict.flag, excluded, conflict.reason)


def conflicts_among(flags: Sequence[str]) -> list[tuple[str, str, str]]:
    """Every two of these flags that contradict each other, and why."""
    return [
        (conflict.flag, flag, conflict.reason)
        for conflict in _CONFLICTS
        if conflict.flag in flags
        for flag in conflict.excluded
        if flag in flags
    ]


def check_unused(flags: Sequence[str]) -> None:
    """An UnusedFlags if one of these flags was given, which the current command has no use for."""
    ctx = click.get_current_context()
    given = _given(ctx)
    if unused := [flag for flag in flags if flag in given]:
        raise UnusedFlags(ctx, unused)


def check_effect(recipe: Recipe, options: dict[str, Any]) -> None:
    """A click.UsageError if a flag does not change the recipe that the others made."""
    from runner.contract import TrainMode

    sizes = {stage.size for stage in recipe.stages}
    unused = [size for size in options["sizes"] or () if size not in sizes]
    if unused:
        trained = ",".join(map(str, sorted(sizes)))
        raise click.UsageError(f"nothing is trained at {', '.join(map(str, unused))} px: --size {trained}")
    if options["solver"] is not None and all(stage.mode is not TrainMode.FEATURES for stage in recipe.stages):
        raise click.UsageError("--solver: this recipe has no features stage; --linear-probe is one")
    given = _given(click.get_current_context())
    if all(stage.is_regression for stage in recipe.stages):
        for flag in ("--lr", "--epochs", "--epochs-scale", "--label-smoothing", "--ema", "--accumulate"):
            if flag in given:
                raise click.UsageError(f"{flag}: this recipe solves a regression, which has none; --solver sgdr has")
    if all(stage.mode is TrainMode.FEATURES for stage in recipe.stages):
        for flag in ("--augment", "--mixup", "--cutmix"):
            if flag in given:
                raise click.UsageError(f"{flag}: this recipe trains on cached features, and sees no image")
    if any(stage.mode is TrainMode.UNFROZEN for stage in recipe.stages):
        return
    if options["freeze_to"] is not None:
        raise click.UsageError("--freeze-to: this recipe trains the head alone, the backbone stays frozen")
    if isinstance(options["lr"], tuple) and len(options["lr"]) > 1:
        raise click.UsageError("--lr: this recipe trains the head alone, which has one learning rate")


def _given(ctx: click.Context) -> set[str]:
    """The first long name of each flag on the command line, and the metavar of each argument."""
    typed = (each for each in ctx.command.params if ctx.get_parameter_source(str(each.name)) is _TYPED)
    return {_typed_name(each, ctx) for each in typed}


def _typed_name(param: click.Parameter, ctx: click.Context) -> str:
    if isinstance(param, click.Argument):
        return param.make_metavar(ctx).strip("[].")
    return next(name for name in param.opts if name.startswith("--"))
