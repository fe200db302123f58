"""`runner COMPETITION submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import notebook_options, read_notebook_options
from runner.cli.print_json import print_json
from runner.console import log
from runner.options import NotebookOptions, SubmitOptions

if TYPE_CHECKING:
    from runner.session import Session
    from runner.training.run import Run


@command("submit")
@click.argument("what", metavar="[FILE|RUN]", required=False, shell_complete=complete_runs)
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
@click.option("--resubmit", is_flag=True, help="Submit it even if the host has this very file already.")
@click.option("--dry-run", is_flag=True, help="Only build the notebook and its dataset, in a folder.")
@notebook_options
@click.option(
    "--best",
    type=click.IntRange(1),
    metavar="N",
    help="The N best runs by CV that are not submitted yet, within today's limit.",
)
def submit(
    options: GlobalOptions,
    what: str | None,
    message: str,
    no_wait: bool,
    resubmit: bool,
    best: int | None,
    dry_run: bool,
    **flags: Any,
) -> None:
    """Check, submit, wait for the score, and write it in the ledger. Without a name: the newest run.

    Where only notebooks may submit, one is uploaded that predicts with the run on the hidden test set.
    """
    from runner.cli.messages import format_submission, plain_submission
    from runner.remote.route import submit_file_or_notebook as submit_file
    from runner.steps.submit import begin_best, end_best, find_submission

    session = options.session()
    notebook = read_notebook_options(flags)
    submit_options = SubmitOptions(message, wait=not no_wait, resubmit=resubmit)
    if dry_run:
        _print_dry_run(options, session, find_submission(session, what), notebook)
        return
    if best is None:
        result = submit_file(session, find_submission(session, what), submit_options, notebook)
        if options.as_json:
            print_json(plain_submission(result))
        else:
            click.echo(format_submission(result))
        return
    runs = begin_best(session, best)
    if not runs:
        log.info("every run that has a submission file is submitted")
    submitted = []
    for run in runs:
        result = submit_file(session, run, submit_options, notebook)
        submitted.append({"run": run.name, **plain_submission(result)})
        if not options.as_json:
            click.echo(f"{run.name}: {format_submission(result)}")
    end_best(session)
    if options.as_json:
        print_json(submitted)


def _print_dry_run(options: GlobalOptions, session: Session, what: Path | Run, notebook: NotebookOptions) -> None:
    """Build the notebook of a run, and print where it is and the official commands that push it."""
    from runner.remote.submit import commands_by_hand, owner_here, prepare

    if isinstance(what, Path):
        raise click.UsageError("--dry-run builds a notebook, which predicts with a run: name a run, not a file")
    prepared = prepare(session, what, owner_here(session), notebook)
    commands = commands_by_hand(prepared, session.competition.slug, notebook.hours)
    if options.as_json:
        print_json({"folder": prepared.folder, "digest": prepared.package.digest, "commands": commands})
        return
    click.echo(prepared.folder)
    log.info("nothing is sent; by hand, one after another, each when the one before is done:")
    for command_line in commands:
        log.info(f"  {command_line}")
