"""`runner COMPETITION run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import (
    new_option,
    on_host_options,
    predict_options,
    read_compute,
    read_notebook_options,
    read_predict_options,
    read_recipe,
    read_train_options,
    recipe_options,
    source_option,
)
from runner.cli.print_json import print_json
from runner.options import SubmitOptions


@command("run", all_processes=True)
@click.option("--run", "name", metavar="NAME", help="The run's name.  [default: the backbone and a number]")
@source_option
@click.option("--no-submit", is_flag=True, help="End with the checked submission file. Needs no account.")
@click.option("--no-refit", is_flag=True, help="Submit the scored run itself, where a refit on all rows takes seconds.")
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@new_option
@on_host_options
@recipe_options
@predict_options
def run(
    options: GlobalOptions,
    name: str | None,
    source: Path | None,
    no_submit: bool,
    no_refit: bool,
    message: str,
    new: bool,
    on: str | None,
    **flags: Any,
) -> None:
    """Download, split, train, predict, check, submit, and show the standing. The same command again goes on.

    With --on kaggle the run is trained and predicted there.
    """
    from runner.cli.messages import format_score, format_score_details, format_submission, plain_run, plain_submission
    from runner.workflow import RunOptions, run_and_submit, run_until_submission

    session = options.session(read_compute(flags), creates=True)
    recipe = read_recipe(session, flags)
    run_options = RunOptions(
        read_train_options(flags),
        read_predict_options(flags),
        SubmitOptions(message),
        source,
        new,
        not no_refit,
        read_notebook_options(flags),
        on_host=on is not None,
    )
    result = None
    if no_submit:
        finished = run_until_submission(session, recipe, run_options, name=name)
        last = f"{finished.path}\nto submit it: {session.command('submit', finished.run.name)}"
    else:
        finished = submitted = run_and_submit(session, recipe, run_options, name=name)
        result = submitted.result
        last = format_submission(result)
    if options.as_json:
        print_json({**plain_run(session, finished.run), **plain_submission(result)})
        return
    click.echo(format_score(session.competition, finished.run))
    click.echo(format_score_details(finished.run))
    click.echo(last)
