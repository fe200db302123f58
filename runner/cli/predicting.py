"""Commands that predict, and that check what would be submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.machine_options import machine_options, read_machine_options
from runner.cli.predict_options import predict_options, read_predict_options
from runner.cli.settings import Settings, command


@command("predict", together=True)
@click.option("--run", "name", metavar="NAME", help="The run to predict with.  [default: the newest]")
@machine_options
@predict_options
def predict(settings: Settings, name: str | None, **options: Any) -> None:
    """Predict the held-out and the test rows, score the first, write a submission of the second."""
    from runner.cli.telling import tell_parts, tell_score
    from runner.pipeline import predict as predict_run
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    run = find_run(workspace, competition.name, name)
    machine = read_machine_options(options)
    path = predict_run(competition, workspace, run, machine=machine, asked=read_predict_options(options))
    click.echo(tell_score(competition, run))
    click.echo(tell_parts(run))
    click.echo(path)


@command("ensemble")
@click.argument("names", metavar="RUN...", nargs=-1, required=True)
@click.option("--name", metavar="NAME", help="The ensemble's name.  [default: ensemble and a number]")
def ensemble(settings: Settings, names: tuple[str, ...], name: str | None) -> None:
    """Blend runs from their prediction files alone: weights fitted on common held-out rows, a run of its own.

    One RUN without a name is fitted anew itself, with whatever folds are there now.
    """
    from runner.cli.telling import tell_parts, tell_score
    from runner.pipeline import ensemble as blend
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    runs = [find_run(workspace, competition.name, one) for one in dict.fromkeys(names)]
    run = blend(competition, workspace, runs, name=name)
    click.echo(tell_score(competition, run))
    click.echo(tell_parts(run))
    click.echo(workspace.submissions_dir(competition.name) / f"{run.name}.csv")


@command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(settings: Settings, file: Path) -> None:
    """Whether the host would accept the FILE's form: ids, columns, values, encoding."""
    from runner.pipeline import check as check_file

    rows = check_file(settings.competition, settings.workspace, file)
    click.echo(f"{file}: {rows:,} rows, nothing wrong with its form")
