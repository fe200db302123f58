"""`runner COMPETITION train`."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import read_compute, read_recipe, read_train_options, recipe_options


@command("train", all_processes=True)
@click.option("--run", "name", metavar="NAME", help="The run's name.  [default: the backbone and a number]")
@click.option("--resume", is_flag=True, help="Go on with the named run, or the newest, by its own recipe.")
@click.option("--all-data", is_flag=True, help="Refit the named run, or the newest, on all labelled rows.")
@recipe_options
def train(options: GlobalOptions, name: str | None, resume: bool, all_data: bool, **flags: Any) -> None:
    """Train by the competition's recipe, changed by the flags. Every finished epoch is kept."""
    from runner.steps.train import refit
    from runner.steps.train import train as train_session
    from runner.training.run import find_run

    if resume and all_data:
        raise click.UsageError("--resume goes on with a run, --all-data refits one: choose one")
    session = options.session(read_compute(flags))
    declared, train_options = session.competition.recipe, read_train_options(flags)
    recipe = read_recipe(declared, flags)
    if all_data:
        run = refit(session, find_run(session.workspace, session.name, name), train_options)
    else:
        if resume:
            if recipe != declared:
                raise click.UsageError("--resume goes on by the run's own recipe: leave the other recipe flags out")
            begun = find_run(session.workspace, session.name, name)
            name, recipe = begun.name, begun.read_recipe()
        run = train_session(session, recipe, train_options, name=name)
    click.echo(run.name)
