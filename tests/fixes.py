"""Every fix that the program tells, against the real command line: its commands must parse as they stand."""

from __future__ import annotations

import re
import shlex
from functools import cache

import click

from runner.cli.command_groups import CompetitionGroup, LazyGroup, RootGroup
from runner.cli.flag_conflicts import check_flags
from runner.commands import TYPED, split_commands
from runner.errors import UsageError

# Words that stand for a value which the program knows where it writes a fix.
_PLACEHOLDER = re.compile(r"COMPETITION|NAME|RUN|NEW|NEW-NAME|SLUG|K|N|X")
_COMMAND_IN_PROSE = re.compile(r"\brunner (?=[a-z-])(?!reads|here|can|is )")


def find_faults(fix: str) -> list[str]:
    """What keeps a fix from being pasted; nothing if all is well."""
    faults: list[str] = []
    for part in split_commands(fix):
        if part.is_command:
            faults += _command_faults(part.text)
        elif _COMMAND_IN_PROSE.search(part.text):
            faults.append(f"a command without backticks in: {fix}")
    return faults


@cache
def _command_faults(command: str) -> tuple[str, ...]:
    first, *words = shlex.split(command)
    # A test may read folds or a sample submission without a competition; the program never does: see test_fixes.py.
    named = words[1:] if words[:1] == ["COMPETITION"] else words
    placeholders = [word for word in named if _PLACEHOLDER.fullmatch(word)]
    if placeholders:
        return (f"{placeholders[0]} is no value in: {command}",)
    try:
        if first == TYPED:
            _check_flags(words)
        else:
            parse(words)
    except click.exceptions.Exit:  # --help
        return ()
    except (click.ClickException, UsageError) as error:
        return (f"{command}: {error}",)
    return ()


def parse(words: list[str]) -> None:
    """Parse a command line as `runner` does, whatever competitions there are; nothing is called."""
    root = RootGroup("runner")
    context = root.make_context("runner", list(words))
    name, *arguments = [*context._protected_args, *context.args] or [""]
    if name in root.table:
        _parse_in(root, name, arguments, context)
    else:
        group = CompetitionGroup(name)
        inner = group.make_context(name, arguments, parent=context)
        name, *arguments = [*inner._protected_args, *inner.args]
        _parse_in(group, name, arguments, inner)


def _parse_in(group: LazyGroup, name: str, arguments: list[str], context: click.Context) -> None:
    command = group.get_command(context, name)
    if command is None:
        raise click.UsageError(f"there is no command {name!r}")
    command.make_context(name, arguments, parent=context)


def _check_flags(words: list[str]) -> None:
    """What follows the typed command must be flags of some command, with values that it takes."""
    context = click.Context(RootGroup("runner"))
    last: click.ClickException | None = None
    for group in (RootGroup("runner"), CompetitionGroup("any")):
        for name in group.table:
            command = group.get_command(context, name)
            assert command is not None
            options = click.Command(name, params=[each for each in command.params if isinstance(each, click.Option)])
            try:
                check_flags(options.make_context(name, list(words)))
            except click.NoSuchOption as error:
                last = last or error  # what is wrong with a value is worth more
            except click.ClickException as error:
                last = error
            else:
                return
    assert last is not None
    raise last
