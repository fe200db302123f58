"""Wrong usage that click does not know of; each error knows how the typed command has to change."""

from __future__ import annotations

from collections.abc import Sequence

import click


class ExtraWords(click.UsageError):
    """Words that the command does not take; `flags` are those that were meant, with the words as their values."""

    def __init__(self, ctx: click.Context, words: Sequence[str], flags: Sequence[str]):
        self.words, self.flags = tuple(words), tuple(flags)
        taken = [each.make_metavar(ctx).strip("[].") for each in ctx.command.params if isinstance(each, click.Argument)]
        takes = f"takes one {taken[0]}, and not also" if taken else "takes flags and their values, but not"
        super().__init__(f"{ctx.info_name} {takes} {', '.join(map(repr, words))}", ctx)


class EmptyValue(click.BadParameter):
    """A value that is nothing: a shell variable that is not set."""

    def __init__(self, ctx: click.Context, param: click.Parameter):
        super().__init__("the value is empty; is a variable of the shell not set?", ctx, param)


class FlagConflict(click.UsageError):
    """A flag, and those that contradict it; an argument stands among them by its metavar."""

    def __init__(self, ctx: click.Context, flag: str, excluded: Sequence[str], reason: str):
        self.flag, self.excluded = flag, tuple(excluded)
        super().__init__(f"{flag} excludes {', '.join(excluded)}: {reason}; choose one", ctx)


class UnusedFlags(click.UsageError):
    """Flags that the command shares with others and has no use for."""

    def __init__(self, ctx: click.Context, flags: Sequence[str]):
        self.flags = tuple(flags)
        super().__init__(f"{ctx.info_name} does not use {', '.join(flags)}", ctx)
