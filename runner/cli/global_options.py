"""The flags that every command takes, before or after its name, and the decorator that adds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli.checked_command import CheckedCommand
from runner.console import is_first_process, log, set_verbosity
from runner.errors import PluginError, UsageError

if TYPE_CHECKING:
    from competitions._parse import PluginSummary
    from runner.contract import Competition
    from runner.options import Compute
    from runner.session import Session
    from runner.workspace import Workspace

Command = TypeVar("Command", bound=Callable[..., Any])
OfSession = TypeVar("OfSession", bound="Session")

HOSTS = ("kaggle", "practice")


@dataclass
class GlobalOptions:
    """Filled in while click parses the flags; read by the command. Imports nothing until a property is read."""

    folder: str | None = None
    host_name: str = "kaggle"
    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    competition_name: str = ""

    @property
    def root_workspace(self) -> Workspace:
        """The workspace that was named, whatever the host."""
        from runner.workspace import Workspace

        return Workspace.at(self.folder)

    @property
    def workspace(self) -> Workspace:
        """The workspace of the chosen host."""
        return self.root_workspace.for_host(self.host_name)

    @property
    def existing_workspace(self) -> Workspace:
        """The named workspace; a UsageError if there is no such folder, since nothing can be listed of it."""
        workspace = self.root_workspace
        if workspace.root.is_dir():
            return workspace
        raise UsageError("there is no such workspace", where=workspace.root, fix="name another folder with --workspace")

    @property
    def plugins_dir(self) -> Path:
        """The workspace's own competition files."""
        return self.root_workspace.plugins_dir

    def load(self, name: str) -> Competition:
        """The competition of that name."""
        from competitions import load

        return load(name, self.plugins_dir)

    def is_used(self, name: str, path: Path) -> bool:
        """Whether the competition has a file, data or results in the workspace, on any host."""
        workspaces = (self.root_workspace.for_host(host) for host in HOSTS)
        return path.parent == self.plugins_dir or any(workspace.has_files_of(name) for workspace in workspaces)

    def summaries(self) -> Iterator[PluginSummary]:
        """Every competition as its file's text describes it; files that cannot be one are named on stderr."""
        from competitions import summaries

        for summary in summaries(self.plugins_dir):
            if isinstance(summary, PluginError):
                log.warning(f"{summary.message}\n  where: {summary.where}\n  fix: {summary.fix}")
            else:
                yield summary

    def session(
        self, compute: Compute | None = None, *, competition: Competition | None = None, creates: bool = False
    ) -> Session:
        """The session of the command's competition, or of another one; only some commands create a workspace."""
        from runner.options import Compute
        from runner.session import Session

        if not creates:
            _ = self.existing_workspace
        if competition is not None:
            return Session(competition, self.workspace, self.host_name, compute or Compute())
        loaded = self.load(self.competition_name)
        return self.configured(Session(loaded, self.workspace, self.host_name, compute or Compute()))

    def configured(self, session: OfSession) -> OfSession:
        """The session with its competition's recipe as the workspace's runner.toml changes it."""
        root = self.root_workspace.root
        if not (root / "runner.toml").is_file():
            return session
        from runner.cli.config_file import configured  # it needs all flags of a recipe

        return configured(session, root)

    def name_from_slug(self, word: str) -> str | None:
        """The command name of the competition with this slug or address; None if there is none."""
        from runner.contract.competition import slug_from_url

        return self._names_by_slug.get(slug_from_url(word))

    @cached_property
    def _names_by_slug(self) -> dict[str, str]:
        from competitions import summaries

        found = (summary for summary in summaries(self.plugins_dir) if not isinstance(summary, PluginError))
        return {summary.slug: summary.name for summary in found if summary.slug}


def global_parameters() -> list[click.Parameter]:
    """The global flags, as parameters of one command."""
    return [
        _flag(
            ("--workspace",),
            "folder",
            "Where data, runs and submissions live.  [default: RUNNER_WORKSPACE, else the current folder]",
            metavar="DIR",
        ),
        _flag(("--host",), "host_name", "Who holds the data and scores.  [default: kaggle]", type=click.Choice(HOSTS)),
        _flag(("-v", "--verbose"), "verbose", "Print more, and the traceback of an error.", is_flag=True),
        _flag(("-q", "--quiet"), "quiet", "Print only results and errors.", is_flag=True),
        _flag(("--json",), "as_json", "Print the result, or the error, as JSON.", is_flag=True),
    ]


def command(name: str, *, all_processes: bool = False) -> Callable[[Command], click.Command]:
    """A command with the global flags; its function gets the GlobalOptions first.

    Of several processes that `accelerate launch` started, only the first runs it, unless `all_processes`.
    """

    def decorate(function: Command) -> click.Command:
        runs_here = all_processes or is_first_process()
        made = click.command(name, cls=CheckedCommand)(click.pass_obj(function if runs_here else _do_nothing))
        made.params.extend(global_parameters())
        return made

    return decorate


def _do_nothing(*_arguments: Any, **_options: Any) -> None:
    """The command of a process that takes no part in it."""


def _flag(names: tuple[str, ...], field: str, text: str, **more: Any) -> click.Option:
    def store(ctx: click.Context, _option: click.Parameter, value: Any) -> None:
        options = ctx.find_object(GlobalOptions)
        if options is not None and value not in (None, False):
            setattr(options, field, value)
            set_verbosity(quiet=options.quiet, verbose=options.verbose)

    return click.Option([*names, field], help=text, expose_value=False, callback=store, is_eager=True, **more)
