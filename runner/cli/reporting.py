"""Commands that draw what runs left on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.settings import HOSTS, Settings, command
from runner.console import log, sparkline
from runner.errors import PluginError

if TYPE_CHECKING:
    from runner.report.run.page import Essentials

_WORST = 5  # rows of the table of what is confused most

open_option = click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")


@command("report")
@click.argument("name", metavar="[RUN]", required=False)
@open_option
@click.option(
    "--figures",
    "figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write every figure alone too, as SVG and PNG.",
)
def report(settings: Settings, name: str | None, opens: bool, figures: Path | None) -> None:
    """Draw a run, the newest or the named one, into one page: training, score, confusions, images, standing."""
    from runner.report.run.page import save_figures, write_report
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    made = write_report(competition, workspace, find_run(workspace, competition.name, name))
    _print(made.essentials)
    if figures is not None:
        click.echo(f"{len(save_figures(made, figures))} figure files: {figures}")
    click.echo(f"report: {made.path}")
    if opens:
        show(made.path)


def _print(told: Essentials) -> None:
    from runner.cli.tables import print_table

    click.echo(f"{told.brief}\n{_plain(told.summary)}\n")
    if told.facts:
        print_table(["what", "value", ""], told.facts)
        click.echo()
    for name, losses in told.losses.items():
        if losses:
            click.echo(
                f"{name} loss".ljust(17) + f"{sparkline(losses, top=max(losses))}  {losses[0]:.3f} to {losses[-1]:.3f}"
            )
    if told.worst is not None and told.worst.rows:
        click.echo()
        print_table(told.worst.header, told.worst.rows[:_WORST])
    click.echo("".join(f"\ntry: {_plain(step)}" for step in told.steps))


def _plain(text: str) -> str:
    return text.replace("`", "")


@command("board")
@open_option
def board(settings: Settings, opens: bool) -> None:
    """Draw every run and submission of every competition into one page, and link their reports."""
    from competitions import load, names
    from runner.report.board import board_file, read_known, write_board

    known = []
    for name in names(settings.plugins):
        try:
            competition = load(name, settings.plugins)
        except PluginError as error:
            log.info(f"{name}: {error}")
            continue
        known += [read_known(competition, host, settings.base.for_host(host)) for host in HOSTS]
    path = write_board(known, board_file(settings.base))
    for one in known:
        if one.runs or one.entries:
            click.echo(f"{one.title}: {len(one.runs)} runs, {len(one.entries)} submissions")
    click.echo(f"board: {path}")
    if opens:
        show(path)


def show(path: Path) -> None:
    """Open a page in the person's browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())
