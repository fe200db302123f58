"""`runner COMPETITION check`."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json


@command("check")
@click.argument("what", metavar="[FILE|RUN]", required=False, shell_complete=complete_runs)
@click.option("--strict", is_flag=True, help="Refuse what is only a warning, such as rows that do not sum to 1.")
def check(options: GlobalOptions, what: str | None, strict: bool) -> None:
    """Check whether the host would accept a file, or a run's submission: ids, columns, values, encoding.

    Without a name: the submission of the newest run.
    """
    from runner.steps.check import check as check_file
    from runner.steps.submit import find_submission

    session = options.session()
    file = find_submission(session, what)
    file = file if isinstance(file, Path) else session.submission_file(file.name)
    rows = check_file(session, file, strict=strict)
    if options.as_json:
        print_json({"file": file, "rows": rows, "valid": True})
    else:
        click.echo(f"{file}: {rows:,} rows, the format is valid")
