"""`runner COMPETITION check`."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json


@command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(options: GlobalOptions, file: Path) -> None:
    """Check whether the host would accept FILE: ids, columns, values, encoding."""
    from runner.steps.check import check as check_file

    rows = check_file(options.session(), file)
    if options.as_json:
        print_json({"file": file, "rows": rows, "valid": True})
    else:
        click.echo(f"{file}: {rows:,} rows, the format is valid")
