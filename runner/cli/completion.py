"""What the Tab key offers: competitions and runs, by the names of their files and folders alone."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from runner.cli.global_options import GlobalOptions


def complete_competitions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The competitions that begin so; no file is executed."""
    from competitions import names

    options = ctx.find_object(GlobalOptions) or GlobalOptions()
    return [CompletionItem(name) for name in names(options.plugins_dir) if name.startswith(incomplete)]


def complete_runs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The competition's runs that begin so."""
    options = ctx.find_object(GlobalOptions) or GlobalOptions()
    competition = ctx.parent.info_name if ctx.parent else None
    folder = options.workspace.runs_dir(competition or "")
    runs = sorted(path.parent.name for path in folder.glob("*/recipe.json"))
    return [CompletionItem(name) for name in runs if name.startswith(incomplete)]
