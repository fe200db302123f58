"""Commands that train, or look for the rate to train with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from runner.cli.recipe_options import read_recipe_options, recipe_options
from runner.cli.settings import Settings, command, json_option
from runner.console import is_first_process


@command("train", together=True)
@click.option("--run", "name", metavar="NAME", help="The run's name.  [default: the backbone and a number]")
@click.option("--resume", is_flag=True, help="Go on with the named run, or the newest, by its own recipe.")
@click.option("--all-data", is_flag=True, help="Repeat the named run, or the newest, with no rows held back.")
@recipe_options
def train(settings: Settings, name: str | None, resume: bool, all_data: bool, **options: Any) -> None:
    """Train by the competition's recipe, as the flags change it. Each finished epoch is kept."""
    from runner.pipeline import train as train_run
    from runner.pipeline import train_all_data
    from runner.training.run import find_run

    if resume and all_data:
        raise click.UsageError("--resume goes on with a run, --all-data refit_of one: choose")
    competition, workspace = settings.competition, settings.workspace
    recipe, machine = read_recipe_options(competition.recipe, options)
    if all_data:
        run = train_all_data(competition, workspace, find_run(workspace, competition.name, name), machine=machine)
    else:
        if resume:
            if recipe != competition.recipe:
                raise click.UsageError("--resume goes on by the run's own recipe: leave the other recipe flags out")
            found = find_run(workspace, competition.name, name)
            name, recipe = found.name, found.read_recipe()
        run = train_run(competition, workspace, recipe, name=name, machine=machine)
    click.echo(run.name)


@command("find-lr", together=True)
@recipe_options
@click.option("--figure", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves into an SVG or PNG.")
@json_option
def find_lr(settings: Settings, figure: Path | None, as_json: bool, **options: Any) -> None:
    """Raise the rate batch by batch, and say which to use. Nothing is trained. The rate is the head's."""
    from dataclasses import asdict

    from runner.pipeline import find_lr as sweep
    from runner.training.lr_finder import tell

    competition, workspace = settings.competition, settings.workspace
    recipe, machine = read_recipe_options(competition.recipe, options)
    found = sweep(competition, workspace, recipe, machine=machine)
    if not is_first_process():
        return
    figure = figure or workspace.runs_dir(competition.name) / "find-lr.svg"
    from runner.report.lr_finder import draw_findings

    draw_findings([(f"{one.stage.size} px, {one.stage.mode.value}", one.finding) for one in found], figure)
    if as_json:
        told = [{"size": one.stage.size, "mode": one.stage.mode.value, **asdict(one.finding)} for one in found]
        click.echo(json.dumps(told, indent=2))
        return
    for one in found:
        click.echo(f"{one.stage.size} px, {one.stage.mode.value}: {tell(one.finding)}")
    click.echo(figure)
