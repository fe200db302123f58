"""`runner COMPETITION ensemble`."""

from __future__ import annotations

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.console import log


@command("ensemble")
@click.argument("names", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--name", metavar="NAME", help="The ensemble's name.  [default: ensemble and a number]")
def ensemble(options: GlobalOptions, names: tuple[str, ...], name: str | None) -> None:
    """Blend runs from their prediction files alone: weights fitted on out-of-fold rows, a run of its own.

    One RUN without a name gets its postprocess fitted again, with the folds that are there now.
    """
    from runner.cli.messages import format_score, format_score_details, plain_run
    from runner.steps.ensemble import ensemble as blend
    from runner.steps.runs import next_command
    from runner.training.run import find_run

    session = options.session()
    runs = [find_run(session.workspace, session.name, member) for member in names]
    run = blend(session, runs, name=name)
    if options.as_json:
        print_json(plain_run(session, run))
        return
    click.echo(format_score(session.competition, run))
    click.echo(format_score_details(run))
    click.echo(session.submission_file(run.name))
    log.info(f"next: {next_command(session, run)}")
