"""The table of commands, and the groups that import a command only when it is called, so that `--help` is fast."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from competitions import EXAMPLE, files
from runner.cli.checked_command import check_values
from runner.cli.flag_conflicts import check_flags
from runner.cli.global_options import GlobalOptions, global_parameters
from runner.commands import command
from runner.errors import UsageError

# name: (module, attribute, the line that help shows)
Table = dict[str, tuple[str, str, str]]

_ROOT: Table = {
    "list": ("list", "list_competitions", "Competitions with their data, best CV and best rank."),
    "doctor": ("doctor", "doctor", "Check account, data and machine, and say what fixes each problem."),
    "board": ("board", "board", "One page over every run and submission."),
    "demo": ("demo", "demo", "Everything on practice data: no account, no GPU, no network."),
    "new": ("new", "new", "Write a competition file from a competition's files."),
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
    "compare": ("compare", "compare", "Runs beside each other: scores on the same rows, recipes, time, classes."),
    "export": ("export", "export", "A run in one folder that works without this package."),
    "run": ("run", "run", "All of the above in order; an interrupted run goes on."),
    "remote": ("remote", "remote", "What runs on Kaggle's machines: list, follow, fetch, cancel."),
    "rehearse": ("rehearse", "rehearse", "Everything on a part of the labelled rows, scored on the rest."),
    "climb": ("climb", "climb", "The best submission within a time, step by step."),
    "clean": ("clean", "clean", "Delete caches; never data, runs or submissions."),
}


_HELP = ("help", "usage", "man")


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    table: ClassVar[Table] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the flags before the command; an empty value is an error."""
        if ctx.resilient_parsing or not args:
            return super().parse_args(ctx, args)
        check_values(self, ctx, args)
        rest = super().parse_args(ctx, args)
        check_flags(ctx)
        return rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the table's order, which is the order of use."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None if there is none."""
        if cmd_name not in self.table:
            return None
        module, attribute, _ = self.table[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"runner.cli.commands.{module}"), attribute)
        return found

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
            raise _no_such_command(self.name or "", args)
        return super().resolve_command(ctx, args)


class RootGroup(LazyGroup):
    """`runner`: the commands over all competitions, and every competition's name."""

    table = _ROOT

    def __init__(self, name: str):
        summary = "A workbench for Kaggle image competitions: from archives to a scored submission."
        super().__init__(
            name=name,
            help=summary,
            params=global_parameters(),
            no_args_is_help=True,
            context_settings={"help_option_names": ["-h", "--help"]},  # those of its commands too
        )
        click.version_option(package_name="competition-runner", prog_name="runner")(self)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """A context with new GlobalOptions."""
        return super().make_context(info_name, args, *rest, **{"obj": GlobalOptions(), **extra})

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands, flags and competitions that begin so; no competition file is executed."""
        found = super().shell_complete(ctx, incomplete)
        return [*found, *(CompletionItem(name) for name in _competition_files(ctx) if name.startswith(incomplete))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command of the table, else the group of the competition of that name."""
        found = super().get_command(ctx, cmd_name)
        if found is None and (name := _competition_name(ctx, cmd_name)):
            return CompetitionGroup(name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command or competition of that name; a UsageError with the nearest names if there is none."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise _no_such_name(args, list(_competition_files(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, then the competitions that are used here, and how many more there are."""
        super().format_commands(ctx, formatter)
        known, options = _competition_files(ctx), ctx.find_object(GlobalOptions) or GlobalOptions()
        used = {name: path for name, path in known.items() if options.is_used(name, path)}
        with formatter.section("Competitions"):
            if used:
                formatter.write_dl([(name, _first_line(path)) for name, path in used.items()])
            formatter.write_text(f"{len(known) - len(used)} {'more' if used else 'are known'}: runner list --all")


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


def _nearest(word: str, known: Sequence[str]) -> str | None:
    """The known name that a typed one means: in other case, with other signs, as a path, or misspelt; else None."""
    import difflib  # `--help` needs none of it

    from runner.cli.nearest_value import COMMAND_SYNONYMS

    name = word.rstrip("/").rpartition("/")[2].removesuffix(".py").lower().replace("_", "-").replace(" ", "-")
    if COMMAND_SYNONYMS.get(name) in known:
        return COMMAND_SYNONYMS[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.65)
    return near[0] if near else None


def _no_such_command(competition: str, args: list[str]) -> UsageError:
    """The error of `runner dog-breed trian`: the nearest command, or that of another place, with the typed flags."""
    word, *rest = args
    near = _nearest(word, list(_COMPETITION))
    if word in _HELP:
        fix = command(competition, *_commands_of(rest), "--help")
    elif word in ("doctor", "demo"):
        fix = command(word, competition, *rest)
    elif word in _ROOT:
        fix = command(word, *rest)
    else:
        fix = command(competition, near, *rest) if near else command(competition, "--help")
    return UsageError(f"{competition} has no command {word!r}", fix=fix)


def _commands_of(words: Sequence[str]) -> list[str]:
    """The first of the words that is a competition's command, or is near one."""
    return [near for word in words if (near := _exact_or_nearest(word, list(_COMPETITION)))][:1]


def _help_of(words: Sequence[str], competitions: Sequence[str]) -> str:
    """The command that shows the help that `runner help WORDS` was typed for."""
    if roots := [word for word in words if word in _ROOT][:1]:
        return command(*roots, "--help")
    named, commands = [word for word in words if word in competitions][:1], _commands_of(words)
    if commands and not named:
        named = [EXAMPLE]
    return command(*named, *commands, "--help")


def _no_such_name(args: list[str], competitions: Sequence[str]) -> UsageError:
    """The error of a first word that is neither a command nor a competition: the command that was meant."""
    word, *rest = args
    if word in _HELP:
        return UsageError("help is a flag", fix=_help_of(rest, competitions))
    verb = word if word in _COMPETITION else _nearest(word, list(_COMPETITION))
    if verb and (verb == word or not _nearest(word, [*_ROOT, *competitions])):
        return _verb_first(word, verb, rest, competitions)
    near = _nearest(word, [*_ROOT, *competitions])
    fix = "runner list"
    if near in competitions and rest:
        verb = rest[0] if rest[0].startswith("-") else _nearest(rest[0], list(_COMPETITION))
        fix = command(near, verb, *rest[1:]) if verb else command(near, "--help")
        if rest[0] in _ROOT:
            fix = command(*rest)
    elif near:
        fix = command(near, *rest)
    return UsageError(f"there is no command or competition {word!r}", fix=fix)


def _verb_first(word: str, verb: str, rest: list[str], competitions: Sequence[str]) -> UsageError:
    """The error of `runner train dog-breed`: the competition comes first."""
    names = [(position, near) for position, each in enumerate(rest) if (near := _exact_or_nearest(each, competitions))]
    message = f"{word!r} is a command of a competition, whose name comes first"
    if not names:
        fix = f"for example: `{command(EXAMPLE, verb, *rest)}`; all competitions: `runner list`"
        return UsageError(message, fix=fix)
    position, name = names[0]
    return UsageError(message, fix=command(name, verb, *rest[:position], *rest[position + 1 :]))


def _exact_or_nearest(word: str, known: Sequence[str]) -> str | None:
    return word if word in known else None if word.startswith("-") else _nearest(word, known)
