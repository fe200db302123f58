"""`runner COMPETITION train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import new_option, read_compute, read_recipe, read_train_options, recipe_options
from runner.cli.print_json import print_json
from runner.console import log

if TYPE_CHECKING:
    from runner.session import Session
    from runner.training.run import Run


@command("train", all_processes=True)
@click.option(
    "--run",
    "name",
    metavar="NAME",
    shell_complete=complete_runs,
    help="The run's name.  [default: the backbone and a number]",
)
@click.option("--resume", is_flag=True, help="Go on with the named run, or the newest, by its own recipe.")
@click.option("--all-data", is_flag=True, help="Refit the named run, or the newest, on all labelled rows.")
@new_option
@recipe_options
def train(options: GlobalOptions, name: str | None, resume: bool, all_data: bool, new: bool, **flags: Any) -> None:
    """Train by the competition's recipe, changed by the flags. The same command again goes on with its run."""
    from runner.steps.runs import next_command

    session = options.session(read_compute(flags))
    run = train_run(session, name=name, resume=resume, all_data=all_data, new=new, **flags)
    if options.as_json:
        print_json({"run": run.name, "folder": run.folder})
    else:
        click.echo(run.name)
    log.info(f"next: {next_command(session, run)}")


def train_run(session: Session, *, name: str | None, resume: bool, all_data: bool, new: bool, **flags: Any) -> Run:
    """The run that was trained, resumed or refitted."""
    from runner.steps.train import refit, train
    from runner.steps.train import resume as resume_run
    from runner.training.run import find_run

    train_options = read_train_options(flags)
    if all_data:
        return refit(session, find_run(session.workspace, session.name, name), train_options)
    if resume:
        run = find_run(session.workspace, session.name, name)
        resume_run(session, run, train_options)
        return run
    return train(session, read_recipe(session, flags), train_options, name=name, new=new)
