"""`runner COMPETITION clean`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json


@command("clean")
def clean(options: GlobalOptions) -> None:
    """Delete the competition's cache, made again when needed, and what killed commands left half written."""
    from runner.workspace import remove_leftovers_below

    name = options.load(options.competition_name).name
    folder = options.workspace.cache_dir(name)
    remove_leftovers_below(options.workspace.result_dirs(name))
    # Blocks on the disk, not file sizes: the image cache is a sparse file.
    stats = map(Path.lstat, folder.rglob("*"))
    size = sum(getattr(stat, "st_blocks", stat.st_size / 512) * 512 for stat in stats)
    shutil.rmtree(folder, ignore_errors=True)
    if options.as_json:
        print_json({"freed_bytes": int(size), "folder": folder})
    else:
        click.echo(f"{size / 1e6:.1f} MB freed: {folder}")
