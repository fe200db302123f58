"""`runner doctor`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_competitions
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json

if TYPE_CHECKING:
    from runner.checks import CheckResult

_WIDTH = 80
_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@command("doctor")
@click.argument("name", metavar="[COMPETITION]", required=False, shell_complete=complete_competitions)
def doctor(options: GlobalOptions, name: str | None) -> None:
    """Check credentials, host, rules, submissions left, data, GPU, memory, disk, versions; say what fixes each."""
    competition = options.load(options.name_from_slug(name) or name) if name else None
    from runner.checks import Status, run_checks  # behind the line that tells a misspelt name

    results = run_checks(options.workspace, options.host_name, competition)
    if options.as_json:
        print_json(results)
    else:
        print_results(results)
    if any(result.status is Status.ERROR for result in results):
        raise click.exceptions.Exit(1)


def print_results(results: list[CheckResult]) -> None:
    """A row a check, wrapped at 80 columns; its fix has a line of its own, unwrapped, to paste."""
    click.echo(f"{'check':<13}{'status':<9}detail")
    for result in results:
        status = click.style(f"{result.status.value:<9}", fg=_COLOURS[result.status.value])
        first, *more = textwrap.wrap(result.detail, _WIDTH - 22) or [""]
        click.echo(f"{result.check:<13}{status}{first}")
        for line in more:
            click.echo(f"{'':<22}{line}")
        if result.fix:
            click.echo(f"  fix: {result.fix}")
