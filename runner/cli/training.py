"""The command that trains."""

from __future__ import annotations

from typing import Any

import click

from runner.cli.recipe_options import read_recipe_options, recipe_options
from runner.cli.settings import Settings, command


@command("train")
@click.option("--run", "name", metavar="NAME", help="The run's name.  [default: the backbone and a number]")
@click.option("--resume", is_flag=True, help="Go on with the named run, or the newest, by its own recipe.")
@recipe_options
def train(settings: Settings, name: str | None, resume: bool, **options: Any) -> None:
    """Train by the competition's recipe, as the flags change it. Each finished epoch is kept."""
    from dataclasses import replace

    from runner.pipeline import train as train_run
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    recipe, machine = read_recipe_options(competition.recipe, options)
    if resume:
        found = find_run(workspace, competition.name, name)
        name, recipe = found.name, found.read_recipe()
    run = train_run(competition, workspace, replace(recipe), name=name, machine=machine)
    click.echo(run.name)
