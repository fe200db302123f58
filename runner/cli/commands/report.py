"""`runner COMPETITION report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.tables import print_table
from runner.console import sparkline

if TYPE_CHECKING:
    from runner.report.run.page import Essentials

_MOST_CONFUSED_ROWS = 5

open_option = click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")


@command("report")
@click.argument("name", metavar="[RUN]", required=False)
@open_option
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write every figure as SVG and PNG.",
)
def report(options: GlobalOptions, name: str | None, opens: bool, figures: Path | None) -> None:
    """One page about a run, the newest or the named one: training, score, confusion matrix, examples, standing."""
    from runner.report.run.page import save_figures, write_report
    from runner.training.run import find_run

    session = options.session()
    page = write_report(session.competition, session.workspace, find_run(session.workspace, session.name, name))
    _print_essentials(page.essentials)
    if figures is not None:
        click.echo(f"{len(save_figures(page, figures))} figure files: {figures}")
    click.echo(f"report: {page.path}")
    if opens:
        show(page.path)


def _print_essentials(essentials: Essentials) -> None:
    click.echo(f"{essentials.brief}\n{_without_backticks(essentials.summary)}\n")
    if essentials.facts:
        print_table(["what", "value", ""], essentials.facts)
        click.echo()
    for name, losses in essentials.losses.items():
        if losses:
            line = sparkline(losses, top=max(losses))
            click.echo(f"{name} loss".ljust(17) + f"{line}  {losses[0]:.3f} to {losses[-1]:.3f}")
    if essentials.worst is not None and essentials.worst.rows:
        click.echo()
        print_table(essentials.worst.header, essentials.worst.rows[:_MOST_CONFUSED_ROWS])
    click.echo("".join(f"\ntry: {_without_backticks(step)}" for step in essentials.steps))


def _without_backticks(text: str) -> str:
    return text.replace("`", "")


def show(path: Path) -> None:
    """Open a page in the browser."""
    webbrowser.open(path.resolve().as_uri())
