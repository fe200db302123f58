"""`runner board`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runner.cli.commands.report import open_in_browser, open_option
from runner.cli.global_options import HOSTS, GlobalOptions, command
from runner.cli.print_json import print_json
from runner.commands import command as command_line
from runner.console import log

if TYPE_CHECKING:
    from runner.report.board import CompetitionHistory


@command("board")
@open_option
def board(options: GlobalOptions, open_browser: bool) -> None:
    """One page over every run and submission of every competition, linked to their reports."""
    from runner.report.board import board_file, read_history, write_board

    base = options.existing_workspace
    known = [read_history(plugin, base.for_host(host), host) for plugin in options.summaries() for host in HOSTS]
    path = write_board(known, board_file(base))
    if options.as_json:
        print_json({"page": path, "competitions": [_counts(each) for each in known if each.runs or each.entries]})
        return
    for competition in known:
        if competition.runs or competition.entries:
            click.echo(f"{competition.title}: runs {len(competition.runs)}, submissions {len(competition.entries)}")
    if not any(competition.runs for competition in known):
        log.info(f"no run yet; everything on practice data: `{command_line('demo')}`")
    click.echo(f"board: {path}")
    if open_browser:
        open_in_browser(path)


def _counts(known: CompetitionHistory) -> dict[str, Any]:
    return {
        "competition": known.plugin.name,
        "host": known.host,
        "runs": len(known.runs),
        "submissions": len(known.entries),
    }
