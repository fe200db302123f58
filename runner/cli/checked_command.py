"""A command that refuses what it would have to ignore: words without a place, empty values, contradicting flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from runner.cli.flag_conflicts import check_flags
from runner.cli.wrong_usage import EmptyValue, ExtraWords

_SIZES = re.compile(r"\d{2,4}([,x]\d{2,4})*(px)?")
_COUNT = re.compile(r"\d{1,2}")
_FRACTION = re.compile(r"0?[.,]\d+")
# What a bare word was meant for, by its form: the first of these flags that the command has.
_FLAGS_BY_FORM = (
    (_FRACTION, ("--holdout", "--hidden", "--lr")),
    (_COUNT, ("--epochs", "--folds", "--best", "--watch")),
    (_SIZES, ("--size",)),
)
_PATH = re.compile(r".*[/\\].*|.*\.(zip|7z|tar|t?gz|csv|pth?|safetensors|svg|png)")
_PATH_FLAGS = ("--from", "--leaderboard", "--weights", "--figure", "--figures")


class CheckedCommand(click.Command):
    """Everything that was typed has an effect, or is an error that names the command that was meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, then refuse what the command does not use."""
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        check_values(self, ctx, args)
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest:
            raise ExtraWords(ctx, rest, list(_flags_for(rest, ctx)))
        check_flags(ctx)
        return rest


def check_values(command: click.Command, ctx: click.Context, args: Sequence[str]) -> None:
    """A click.UsageError if a flag's value is nothing, as of a shell variable that is not set, or the next flag."""
    try:
        typed, _, _ = command.make_parser(ctx).parse_args(list(args))
    except click.UsageError as error:
        error.ctx = error.ctx or ctx
        raise
    flags = _flags_of(ctx)
    for parameter in command.get_params(ctx):
        values = typed.get(parameter.name or "")
        for value in values if isinstance(values, tuple | list) else (values,):
            if isinstance(value, str) and not value.strip() and parameter.default != "":
                raise EmptyValue(ctx, parameter)
            if isinstance(parameter, click.Option) and isinstance(value, str) and value in flags:
                raise click.BadOptionUsage(parameter.opts[0], f"{value} stands where its value belongs", ctx)


def _flags_of(ctx: click.Context) -> set[str]:
    return {name for each in ctx.command.params if isinstance(each, click.Option) for name in each.opts}


def _flags_for(words: Sequence[str], ctx: click.Context) -> Iterator[str]:
    """The flags that the words were meant for; a word that none fits is left out."""
    flags, rest = _flags_of(ctx), list(words)
    while rest:
        word = rest.pop(0)
        name, has_value, _ = word.lstrip("-").partition("=")
        if f"--{name}" in flags:  # typed without its dashes
            yield f"--{word.lstrip('-')}"
            if rest and not has_value and _takes_value(ctx, f"--{name}"):
                yield rest.pop(0)
        elif flag := _flag_by_form(word, ctx, flags):
            yield from (flag, word)


def _flag_by_form(word: str, ctx: click.Context, flags: set[str]) -> str | None:
    names: Sequence[str] | None = next((names for form, names in _FLAGS_BY_FORM if form.fullmatch(word)), None)
    if names is None:
        named = ("--run", "--backbone") if _has_run(word, ctx) else ("--backbone", "--run")
        names = _PATH_FLAGS if _PATH.fullmatch(word) or Path(word).is_dir() else (*named, "--from", "--leaderboard")
    return next((name for name in names if name in flags), None)


def _has_run(name: str, ctx: click.Context) -> bool:
    options: Any = ctx.obj  # the GlobalOptions, whose module imports this one
    return bool(options) and (options.workspace.runs_dir(options.competition_name) / name / "recipe.json").exists()


def _takes_value(ctx: click.Context, flag: str) -> bool:
    return any(isinstance(each, click.Option) and flag in each.opts and not each.is_flag for each in ctx.command.params)
