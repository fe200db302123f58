"""`runner COMPETITION remote`."""

from __future__ import annotations

from dataclasses import asdict

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import print_table
from runner.console import log

_ACTIONS = ("list", "follow", "fetch", "cancel")


@command("remote")
@click.argument("action", metavar="[list|follow|fetch|cancel]", type=click.Choice(_ACTIONS), default="list")
@click.argument("job", metavar="[RUN]", required=False, shell_complete=complete_runs)
def remote(options: GlobalOptions, action: str, job: str | None) -> None:
    """What runs on the host: list it, follow a log, fetch a trained run, or cancel a session.

    RUN is a run, or a job as the list names it; without one, the only job that is not fetched yet.
    """
    from pathlib import Path

    from runner.remote.jobs import cancel_job, fetch_job, find_job, follow_job
    from runner.steps.runs import next_command

    session = options.session()
    if action == "list":
        _list(options)
        return
    found = find_job(session, job)
    if action == "cancel":
        cancel_job(session, found)
        return
    came = follow_job(session, found) if action == "follow" else fetch_job(session, found)
    if isinstance(came, Path):
        click.echo(came)
    elif came is not None:
        if options.as_json:
            print_json({"run": came.name, "is_complete": came.is_complete})
        else:
            click.echo(came.name)
        if came.run is not None:
            log.info(f"next: {next_command(session, came.run)}")


def _list(options: GlobalOptions) -> None:
    from runner.remote.jobs import list_jobs

    session = options.session()
    rows = list_jobs(session)
    if options.as_json:
        print_json([asdict(row) for row in rows])
        return
    header = ["job", "state", "version", "on", "hours", "kernel"]
    cells = [
        [
            row.job,
            f"{row.state}: {row.note}" if row.note else row.state,
            *(row.version, row.accelerator or "CPU", row.hours or None, row.url or row.kernel),
        ]
        for row in rows
    ]
    if rows:
        print_table(header, cells)
    else:
        log.info(f"nothing was sent to the host from here; next: `{session.command('train', '--on', 'kaggle')}`")
