"""What the global flags say. They may stand before the command or behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.console import is_first_process, set_verbosity

if TYPE_CHECKING:
    from runner.contract import Competition
    from runner.hosts.protocol import Host
    from runner.workspace import Workspace

Command = TypeVar("Command", bound=Callable[..., Any])

# http is the practice host again, behind a server on this machine that speaks as Kaggle does.
HOSTS = ("kaggle", "practice", "http")


@dataclass
class Settings:
    """Filled by the flags as click meets them, read by the command."""

    folder: str | None = None
    host_name: str = "kaggle"
    quiet: bool = False
    verbose: bool = False
    competition_name: str = ""

    @property
    def workspace(self) -> Workspace:
        """The workspace of the chosen host."""
        return self.base.for_host(self.host_name)

    @property
    def base(self) -> Workspace:
        """The workspace that was named, whatever the host."""
        from runner.workspace import Workspace

        return Workspace.at(self.folder)

    @property
    def plugins(self) -> Path:
        """The workspace's own competition files."""
        return self.base.plugins_dir

    @property
    def competition(self) -> Competition:
        """The competition of the command line, loaded now."""
        from competitions import load

        return load(self.competition_name, self.plugins)

    def name_of(self, word: str) -> str | None:
        """The command name of the competition with this slug, or at this address."""
        from runner.contract.competition import slug_from_url

        return self._names_by_slug.get(slug_from_url(word))

    @cached_property
    def _names_by_slug(self) -> dict[str, str]:
        from competitions import load, names
        from runner.errors import PluginError

        found = {}
        for name in names(self.plugins):
            try:
                found[load(name, self.plugins).slug] = name
            except PluginError:
                continue  # told by `runner list`
        return found

    @property
    def host(self) -> Host:
        """The chosen host."""
        from runner.hosts.open_host import open_host

        return open_host(self.host_name, self.competition, self.workspace)


def everywhere() -> list[click.Parameter]:
    """The global flags, as parameters of one command."""
    return [
        _flag(
            ("--workspace",),
            "folder",
            "Where data, runs and submissions live.  [default: the current folder]",
            metavar="DIR",
        ),
        _flag(
            ("--host",),
            "host_name",
            "Who holds the data and scores.  [default: kaggle]",
            type=click.Choice(HOSTS),
        ),
        _flag(("-v", "--verbose"), "verbose", "Say more, and show where a fault arose.", is_flag=True),
        _flag(("-q", "--quiet"), "quiet", "Say nothing but results and faults.", is_flag=True),
    ]


def command(name: str, *, together: bool = False) -> Callable[[Command], click.Command]:
    """A command with the global flags, called with the settings first.

    Of several processes that `accelerate launch` started, the first alone runs it, unless all work `together`.
    """

    def decorate(function: Command) -> click.Command:
        made = click.command(name)(click.pass_obj(function if together or is_first_process() else _nothing))
        made.params.extend(everywhere())
        return made

    return decorate


def _nothing(*_settings: Any, **_options: Any) -> None:
    """What the other processes do for a command that is one process's work."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _flag(names: tuple[str, ...], field: str, text: str, **more: Any) -> click.Option:
    def note(ctx: click.Context, _option: click.Parameter, value: Any) -> None:
        settings = ctx.find_object(Settings)
        if settings is not None and value not in (None, False):
            setattr(settings, field, value)
            set_verbosity(quiet=settings.quiet, verbose=settings.verbose)

    return click.Option([*names, field], help=text, expose_value=False, callback=note, is_eager=True, **more)
