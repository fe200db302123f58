"""Which commands there are. A command's module is imported when it runs, so `--help` costs nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, ClassVar

import click

from runner.cli.settings import Settings, everywhere
from runner.errors import UsageError

# name: (module, attribute, the line that help shows)
Table = dict[str, tuple[str, str, str]]

_ROOT: Table = {
    "list": (
        "overview",
        "list_competitions",
        "Competitions, whether their data is here, best CV, best standing.",
    ),
    "doctor": ("doctor", "doctor", "What is wrong with account, data or machine, and the fix."),
    "board": ("reporting", "board", "One page over every run and submission; the one to keep open."),
    "demo": ("whole", "demo", "The whole line on practice data: no account, no GPU, no network."),
}

_COMPETITION: Table = {
    "download": ("data", "download", "Bring the data in: fetched, verified, unpacked."),
    "explore": ("exploring", "explore", "Look at the images: counts, sizes, copies, train against test."),
    "split": ("data", "split", "Say which rows are held out, in folds.csv."),
    "find-lr": ("training", "find_lr", "Look for the learning rate; nothing is trained."),
    "train": ("training", "train", "Train by the recipe; go on with a broken-off run."),
    "predict": ("predicting", "predict", "Predict held-out and test rows, score them, write the submission."),
    "ensemble": ("predicting", "ensemble", "Blend runs from their prediction files alone."),
    "check": ("predicting", "check", "Whether the host would accept a submission's form."),
    "submit": ("submitting", "submit", "Submit a run or a file, and wait for its score."),
    "standings": ("submitting", "standings", "Where your submissions stand on the leaderboard."),
    "runs": ("overview", "runs", "Every run: recipe in brief, CV, public, private, standing."),
    "report": ("reporting", "report", "One page about a run: training, score, confusions, images."),
    "run": ("whole", "run", "Everything above, in order; a broken-off one goes on."),
    "rehearse": ("whole", "rehearse", "The whole line on a part of the labelled rows, graded on the rest."),
    "clean": ("data", "clean", "Delete caches only; never data, runs or submissions."),
}


class LazyGroup(click.Group):
    """A group that knows its commands from a table and imports only the one that is called."""

    table: ClassVar[Table] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table's order: the order in which they are used."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"runner.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing what is in it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in self.table.items()])


class CompetitionGroup(LazyGroup):
    """The commands of one competition."""

    table = _COMPETITION

    def __init__(self, competition: str):
        super().__init__(
            name=competition,
            help=f"Everything about {competition}.",
            params=everywhere(),
            no_args_is_help=True,
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Note which competition is meant, then go on to its command."""
        ctx.find_object(Settings).competition_name = self.name or ""  # type: ignore[union-attr]
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it, with the nearest names where there is no such command."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise _unknown(f"{self.name} has no command {args[0]!r}", args[0], list(self.table), f"{self.name} ")
        return super().resolve_command(ctx, args)


class Root(LazyGroup):
    """`runner`: the commands over all competitions, and every competition's name."""

    table = _ROOT

    def __init__(self, name: str):
        summary = "A workbench for Kaggle image competitions: from archives to a graded submission."
        version = click.version_option(package_name="competition-runner", prog_name="runner")
        super().__init__(name=name, help=summary, params=everywhere(), no_args_is_help=True)
        version(self)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """A fresh context holds fresh settings."""
        return super().make_context(info_name, args, *rest, **{"obj": Settings(), **extra})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of the table, else the group of that competition."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (name := _competition_named(ctx, cmd_name)):
            return CompetitionGroup(name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click has it, with the nearest names where there is no such command or competition."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise _unknown(
                f"there is no command or competition {args[0]!r}", args[0], [*self.table, *_competitions(ctx)]
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, then the competitions."""
        super().format_commands(ctx, formatter)
        with formatter.section("Competitions"):
            formatter.write_dl([(name, _first_line(path)) for name, path in _competitions(ctx).items()])


def _competition_named(ctx: click.Context, word: str) -> str | None:
    """The competition of that name; or with that slug, or at that address: people paste what the browser shows."""
    if word in _competitions(ctx):
        return word
    settings = ctx.find_object(Settings)
    # Only what looks like one: to read the slugs, every competition's file is loaded.
    return settings.name_of(word) if settings and ("kaggle.com/" in word or word.count("-") > 1) else None


def _competitions(ctx: click.Context) -> dict[str, Path]:
    from competitions import files

    settings = ctx.find_object(Settings)
    return files(settings.plugins if settings else None)


def _first_line(path: Path) -> str:
    """What the file says it is, read and not imported: help must cost nothing, and a broken file break nothing."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().strip().strip('"')


def _unknown(found: str, word: str, known: list[str], before: str = "") -> UsageError:
    import difflib

    near = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    fix = " or ".join(f"`runner {before}{name}`" for name in near) or f"`runner {before}--help`"
    return UsageError(found, where=f"known: {', '.join(known)}", fix=fix)
