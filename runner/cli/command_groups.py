"""The table of commands, and the groups that import a command only when it is called, so that `--help` is fast."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar

import click

from competitions import files
from runner.cli.global_options import GlobalOptions, global_parameters
from runner.errors import UsageError

# name: (module, attribute, the line that help shows)
Table = dict[str, tuple[str, str, str]]

_ROOT: Table = {
    "list": ("list", "list_competitions", "Competitions with their data, best CV and best rank."),
    "doctor": ("doctor", "doctor", "Check account, data and machine, and say what fixes each problem."),
    "board": ("board", "board", "One page over every run and submission."),
    "demo": ("demo", "demo", "Everything on practice data: no account, no GPU, no network."),
}

_COMPETITION: Table = {
    "download": ("download", "download", "Download, verify and extract the data."),
    "explore": ("explore", "explore", "Look at the data: counts, sizes, duplicates, train/test shift."),
    "split": ("split", "split", "Choose the validation rows: folds.csv."),
    "find-lr": ("find_lr", "find_lr", "Suggest a learning rate; no training is kept."),
    "train": ("train", "train", "Train by the recipe, or go on with an interrupted run."),
    "predict": ("predict", "predict", "Predict validation and test rows, score, write the submission."),
    "ensemble": ("ensemble", "ensemble", "Blend runs from their prediction files alone."),
    "check": ("check", "check", "Check whether the host would accept a submission file."),
    "submit": ("submit", "submit", "Submit a run or a file, and wait for its score."),
    "standings": ("standings", "standings", "Your submissions and their ranks on the leaderboard."),
    "runs": ("runs", "runs", "Every run: recipe, CV, public, private, rank."),
    "report": ("report", "report", "One page about a run: training, score, confusion matrix, examples."),
    "run": ("run", "run", "All of the above in order; an interrupted run goes on."),
    "rehearse": ("rehearse", "rehearse", "Everything on a part of the labelled rows, scored on the rest."),
    "clean": ("clean", "clean", "Delete caches; never data, runs or submissions."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    table: ClassVar[Table] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table's order, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"runner.cli.commands.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table without importing its modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.table.items()])


class CompetitionGroup(LazyGroup):
    """The commands of one competition."""

    table = _COMPETITION

    def __init__(self, competition: str):
        super().__init__(
            name=competition,
            help=f"Everything about {competition}.",
            params=global_parameters(),
            no_args_is_help=True,
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Store the competition's name, then call its command."""
        ctx.find_object(GlobalOptions).competition_name = self.name or ""  # type: ignore[union-attr]
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of that name; a UsageError with the nearest names if there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise _unknown(f"{self.name} has no command {args[0]!r}", args[0], list(self.table), f"{self.name} ")
        return super().resolve_command(ctx, args)


class RootGroup(LazyGroup):
    """`runner`: the commands over all competitions, and every competition's name."""

    table = _ROOT

    def __init__(self, name: str):
        summary = "A workbench for Kaggle image competitions: from archives to a scored submission."
        super().__init__(name=name, help=summary, params=global_parameters(), no_args_is_help=True)
        click.version_option(package_name="competition-runner", prog_name="runner")(self)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """A context with new GlobalOptions."""
        return super().make_context(info_name, args, *rest, **{"obj": GlobalOptions(), **extra})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of the table, else the group of the competition of that name."""
        command = super().get_command(ctx, cmd_name)
        if command is None and (name := _competition_name(ctx, cmd_name)):
            return CompetitionGroup(name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command or competition of that name; a UsageError with the nearest names if there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = [*self.table, *_competition_files(ctx)]
            raise _unknown(f"there is no command or competition {args[0]!r}", args[0], known)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, then the competitions."""
        super().format_commands(ctx, formatter)
        with formatter.section("Competitions"):
            formatter.write_dl([(name, _first_line(path)) for name, path in _competition_files(ctx).items()])


def _competition_name(ctx: click.Context, word: str) -> str | None:
    """The competition of that name, slug or address, since people paste what the browser shows."""
    if word in _competition_files(ctx):
        return word
    options = ctx.find_object(GlobalOptions)
    # Only for what looks like a slug: reading the slugs loads every competition's file.
    return options.name_from_slug(word) if options and ("kaggle.com/" in word or word.count("-") > 1) else None


def _competition_files(ctx: click.Context) -> dict[str, Path]:
    options = ctx.find_object(GlobalOptions)
    return files(options.plugins_dir if options else None)


def _first_line(path: Path) -> str:
    """The first line of a plugin's docstring, read without executing the file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline().strip().strip('"')
    except OSError:  # `runner list` names it
        return ""


def _unknown(message: str, word: str, known: list[str], before: str = "") -> UsageError:
    import difflib  # `--help` needs none of it

    near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    fix = " or ".join(f"`runner {before}{name}`" for name in near) or f"`runner {before}--help`"
    return UsageError(message, where=f"known: {', '.join(known)}", fix=fix)
