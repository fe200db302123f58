"""Write the command reference in docs/commands.md from the real command line; `make docs` runs it.

The page above the marker is written by hand. A test fails if the rest is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from runner.cli.command_groups import CompetitionGroup, LazyGroup, RootGroup
from runner.cli.global_options import global_parameters
from runner.cli.options import predict_options, recipe_options

PAGE = Path(__file__).with_name("commands.md")
MARKER = "<!-- Everything below is written by `make docs`. -->\n"

_GROUPS: dict[str, tuple[LazyGroup, tuple[str, ...]]] = {
    "Commands over all competitions": (RootGroup("runner"), ("runner",)),
    "Commands of one competition": (CompetitionGroup("dog-breed"), ("runner", "COMPETITION")),
}


def update(page: str) -> str:
    """The page with a new reference below the marker."""
    return page[: page.index(MARKER) + len(MARKER)] + "\n" + "\n\n".join(_blocks()) + "\n"


def _blocks() -> Iterator[str]:
    """The reference in Markdown blocks: a section a command, and one a set of flags that several commands share."""
    shared = {"Recipe flags": _options_of(recipe_options), "Prediction flags": _options_of(predict_options)}
    for title, (group, words) in _GROUPS.items():
        yield f"## {title}"
        for name in group.table:
            yield from _command_blocks((*words, name), find_command(group, name), shared)
    for title, options in shared.items():
        yield f"## {title}"
        group = _GROUPS["Commands of one competition"][0]
        yield "Of " + ", ".join(f"`{name}`" for name in group.table if _takes(find_command(group, name), options)) + "."
        yield from _table(options)


def _command_blocks(
    words: tuple[str, ...], command: click.Command, shared: dict[str, list[click.Option]]
) -> Iterator[str]:
    yield f"### {' '.join(words)}"
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    context = click.Context(command)
    yield f"```\n{' '.join([*words, '[OPTIONS]', *(argument.make_metavar(context) for argument in arguments)])}\n```"
    yield from (" ".join(paragraph.split()) for paragraph in (command.help or "").split("\n\n"))
    taken = {title: options for title, options in shared.items() if _takes(command, options)}
    elsewhere = _names(global_parameters()) | {name for options in taken.values() for name in _names(options)}
    yield from _table([option for option in _options(command) if option.name not in elsewhere])
    if taken:
        links = " and the ".join(f"[{title.lower()}](#{title.lower().replace(' ', '-')})" for title in taken)
        yield f"It takes the {links} too."


def find_command(group: LazyGroup, name: str) -> click.Command:
    """A command of a group, by its name."""
    command = group.get_command(click.Context(group), name)
    assert command is not None, name
    return command


def _options_of(decorate: Callable[[Any], Any]) -> list[click.Option]:
    return _options(click.command()(decorate(lambda **_options: None)))


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _takes(command: click.Command, options: Sequence[click.Option]) -> bool:
    return _names(options) <= _names(command.params)


def _names(parameters: Sequence[click.Parameter]) -> set[str | None]:
    return {parameter.name for parameter in parameters}


def _table(options: Sequence[click.Option]) -> Iterator[str]:
    context = click.Context(click.Command("any"))
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records]
    if rows:
        yield "\n".join(["| flag | what it does |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
