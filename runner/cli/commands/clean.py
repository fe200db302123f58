"""`runner COMPETITION clean`."""

from __future__ import annotations

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json


@command("clean")
def clean(options: GlobalOptions) -> None:
    """Delete the competition's cache, made again when needed, and what killed commands left half written."""
    from runner.steps.clean import clean as clean_workspace

    name = options.load(options.competition_name).name
    folder = options.workspace.cache_dir(name)
    size = clean_workspace(options.workspace, name)
    if options.as_json:
        print_json({"freed_bytes": size, "folder": folder})
    else:
        click.echo(f"{size / 1e6:.1f} MB freed: {folder}")
