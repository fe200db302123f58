"""`runner COMPETITION find-lr`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runner.cli.flag_conflicts import check_unused
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import read_compute, read_recipe, read_train_options, recipe_options
from runner.cli.print_json import print_json
from runner.commands import again
from runner.console import is_first_process
from runner.errors import UsageError

# Flags of a recipe that say how long or where is trained: the finder trains nothing.
UNUSED = ("--only-fold", "--engine", "--epochs", "--epochs-scale", "--time-budget", "--track")


@command("find-lr", all_processes=True)
@recipe_options
@click.option("--figure", type=click.Path(path_type=Path), metavar="FILE", help="Draw the curves as SVG or PNG.")
def find_lr(options: GlobalOptions, figure: Path | None, **flags: Any) -> None:
    """Raise the learning rate batch by batch and suggest one for the head. No training is kept."""
    from runner.report.run.curves import save_lr_finder_figure
    from runner.report.run.data import LrFinderCurve
    from runner.steps.find_lr import find_lr as find_session_lr
    from runner.training.lr_finder import describe

    check_unused(UNUSED)
    if figure is not None and figure.suffix.lower() not in (".svg", ".png"):
        fix = again("--figure", figure.with_suffix(".svg"))
        raise UsageError(f"a figure is an SVG or a PNG, not {figure.suffix or 'a file without a suffix'}", fix=fix)
    session = options.session(read_compute(flags))
    recipe = read_recipe(session, flags)
    results = find_session_lr(session, recipe, read_train_options(flags))
    if not is_first_process():
        return
    figure = figure or session.workspace.runs_dir(session.name) / "find-lr.svg"
    curves = [(f"{found.stage.size} px, {found.stage.mode.value}", LrFinderCurve.of(found.result)) for found in results]
    save_lr_finder_figure(curves, figure)
    if options.as_json:
        plain = [
            {"size": found.stage.size, "mode": found.stage.mode.value, **asdict(found.result)} for found in results
        ]
        print_json(plain)
        return
    for found in results:
        click.echo(f"{found.stage.size} px, {found.stage.mode.value}: {describe(found.result)}")
    click.echo(figure)
