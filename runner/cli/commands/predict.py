"""`runner COMPETITION predict`."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import compute_options, predict_options, read_compute, read_predict_options
from runner.cli.print_json import print_json
from runner.console import log


@command("predict", all_processes=True)
@click.option(
    "--run",
    "name",
    metavar="NAME",
    shell_complete=complete_runs,
    help="The run to predict with.  [default: the newest]",
)
@compute_options
@predict_options
def predict(options: GlobalOptions, name: str | None, **flags: Any) -> None:
    """Predict validation and test rows, score the first, write a submission from the second."""
    from runner.cli.messages import format_score, format_score_details, plain_run
    from runner.steps.predict import predict as predict_session
    from runner.steps.runs import next_command
    from runner.training.run import find_run

    session = options.session(read_compute(flags))
    run = find_run(session.workspace, session.name, name)
    path = predict_session(session, run, read_predict_options(flags))
    if options.as_json:
        print_json(plain_run(session, run))
        return
    click.echo(format_score(session.competition, run))
    click.echo(format_score_details(run))
    click.echo(path)
    log.info(f"next: {next_command(session, run)}")
