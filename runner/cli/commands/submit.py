"""`runner COMPETITION submit`."""

from __future__ import annotations

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.console import log
from runner.options import SubmitOptions


@command("submit")
@click.argument("what", metavar="[FILE|RUN]", required=False, shell_complete=complete_runs)
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
@click.option("--resubmit", is_flag=True, help="Submit it even if the host has this very file already.")
@click.option(
    "--best",
    type=click.IntRange(1),
    metavar="N",
    help="The N best runs by CV that are not submitted yet, within today's limit.",
)
def submit(
    options: GlobalOptions, what: str | None, message: str, no_wait: bool, resubmit: bool, best: int | None
) -> None:
    """Check, submit, wait for the score, and write it in the ledger. Without a name: the newest run."""
    from runner.cli.messages import format_submission, plain_submission
    from runner.steps.submit import best_unsubmitted, find_submission
    from runner.steps.submit import submit as submit_file

    session = options.session()
    submit_options = SubmitOptions(message, wait=not no_wait, resubmit=resubmit)
    if best is None:
        result = submit_file(session, find_submission(session, what), submit_options)
        if options.as_json:
            print_json(plain_submission(result))
        else:
            click.echo(format_submission(result))
        return
    runs = best_unsubmitted(session, best)
    if not runs:
        log.info("every run that has a submission file is submitted")
    submitted = []
    for run in runs:
        result = submit_file(session, run, submit_options)
        submitted.append({"run": run.name, **plain_submission(result)})
        if not options.as_json:
            click.echo(f"{run.name}: {format_submission(result)}")
    if options.as_json:
        print_json(submitted)
