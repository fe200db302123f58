"""The command line that was typed, and commands completed by it: what a fix suggests can be pasted as it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import click

from runner.cli.global_options import HOSTS, GlobalOptions
from runner.commands import TYPED

# These are about all hosts, or choose one themselves.
_WITHOUT_HOST = {"list", "board", "demo"}
# A download with one of these says where the data is: there, or here already.
_SOURCE_FLAGS = ("--from", "--mirror", "--accept-changes")


class Invocation:
    """The words behind `runner`, and what they chose."""

    def __init__(self, root: click.Group, words: Sequence[str], chosen: GlobalOptions):
        self.words = tuple(words)
        self.chosen = chosen  # filled in while click parses the words
        self._root = root

    @property
    def wants_json(self) -> bool:
        """Whether results and errors are printed as JSON."""
        return "--json" in self.words

    @property
    def wants_traceback(self) -> bool:
        """Whether an error shows its traceback too."""
        return "-v" in self.words or "--verbose" in self.words

    def complete(self, command: str) -> str:
        """A command of a text, with workspace, host, data source and typed flags as they are in effect."""
        try:
            first, *words = shlex.split(command)
        except ValueError:  # an odd quote: better as it is than not at all
            return command
        if first == TYPED:
            return shlex.join(["runner", *self._with_flags(words)])
        flags = [*self._missing_flags(words), *self._as_typed(words)]
        return shlex.join(["runner", *self._missing_source(flags)])

    def without(self, *flags: str, words: Sequence[str] = (), then: Sequence[str] = ()) -> str:
        """The typed command without these flags and words, and with others behind it."""
        dropped = [option for option in self.options if any(name in flags for name in option.opts)]
        kept = list(_without(self.words, dropped))
        # Words without a place are the last ones that are no flag's value.
        for word in reversed(words):
            positions = [at for at, each in enumerate(kept) if each == word and not self._is_value(kept, at)]
            del kept[positions[-1] : positions[-1] + 1]
        return shlex.join(["runner", *kept, *then])

    def _is_value(self, words: Sequence[str], at: int) -> bool:
        names_of_values = {name for option in self.options if not option.is_flag for name in option.opts}
        return at > 0 and words[at - 1] in names_of_values

    @cached_property
    def options(self) -> tuple[click.Option, ...]:
        """The options of the command that the words call."""
        command: click.Command | None = self._root
        for word in self._positional():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command, obj=self.chosen), word)
        return tuple(each for each in command.params if isinstance(each, click.Option)) if command else ()

    def commands_with(self, flag: str) -> tuple[str, ...]:
        """The commands beside the one that was typed that have this flag."""
        words = list(self._positional())
        group = self._root.get_command(click.Context(self._root, obj=self.chosen), words[0]) if words else None
        if not isinstance(group, click.Group):
            return ()
        context = click.Context(group, obj=self.chosen)
        commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
        return tuple(name for name, each in commands.items() if each and any(flag in p.opts for p in each.params))

    def typed(self, flag: str) -> str | None:
        """The last value that was typed for a flag; None if it was not typed."""
        found = [value for name, value in pairwise(self.words) if name == flag]
        found += [word.partition("=")[2] for word in self.words if word.startswith(f"{flag}=")]
        return found[-1] if found else None

    @property
    def _host(self) -> str:
        """The typed host, even if click has not come to it; one that there is not is of no use in a command."""
        typed = self.typed("--host")
        return typed if typed in HOSTS else self.chosen.host_name

    def _missing_flags(self, words: Sequence[str]) -> list[str]:
        """The global flags in effect that a command does not name itself."""
        flags = []
        workspace, host = self.typed("--workspace"), self._host
        if workspace and workspace.strip() and not names(words, "--workspace"):
            flags += ["--workspace", workspace]
        if host != "kaggle" and not names(words, "--host") and not (words and words[0] in _WITHOUT_HOST):
            flags += ["--host", host]
        return flags

    def _as_typed(self, words: Sequence[str]) -> Iterator[str]:
        """The words, with the workspace written as it was typed."""
        typed = self.typed("--workspace")
        for before, word in pairwise(["", *words]):
            is_same = before == "--workspace" and typed and Path(typed).expanduser().resolve() == Path(word)
            yield str(typed) if is_same else word

    def _missing_source(self, words: Sequence[str]) -> list[str]:
        """The words; a download of data that came from this disk or a mirror takes it from there again."""
        positional = [word for word in _without(words, _value_options(self._root)) if not word.startswith("-")]
        if positional[1:2] != ["download"] or any(names(words, flag) for flag in _SOURCE_FLAGS):
            return list(words)
        from runner.data.source import read_source

        return [*words, *read_source(self.chosen.workspace.data_dir(positional[0]))]

    def _with_flags(self, flags: Sequence[str]) -> list[str]:
        """The typed words, with these flags in the place of those of the same options."""
        given = [option for option in self.options if any(names(flags, name) for name in option.opts)]
        return [*_without(self.words, given), *flags]

    def _positional(self) -> Iterator[str]:
        """The typed words that are neither a flag nor the value of a global flag."""
        return (word for word in _without(self.words, _value_options(self._root)) if not word.startswith("-"))


def names(words: Sequence[str], flag: str) -> bool:
    """Whether one of the words is this flag, with or without its value."""
    return any(word == flag or word.startswith(f"{flag}=") for word in words)


def _value_options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option) and not each.is_flag]


def _without(words: Sequence[str], options: Sequence[click.Option]) -> Iterator[str]:
    """The words without these options and their values."""
    rest = iter(words)
    for word in rest:
        option = next((each for each in options if any(names([word], name) for name in each.opts)), None)
        if option is None:
            yield word
        elif not option.is_flag:
            for _ in range(option.nargs - ("=" in word)):
                next(rest, None)
