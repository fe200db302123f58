"""`runner COMPETITION report`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import print_table
from runner.commands import wrap
from runner.console import sparkline

if TYPE_CHECKING:
    from runner.report.run.page import TerminalReport

_MOST_CONFUSED_ROWS = 5

open_option = click.option("--open", "open_browser", is_flag=True, help="Show the page in the browser.")


@command("report")
@click.argument("name", metavar="[RUN]", required=False, shell_complete=complete_runs)
@open_option
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write every figure as SVG and PNG.",
)
def report(options: GlobalOptions, name: str | None, open_browser: bool, figures: Path | None) -> None:
    """One page about a run, the newest or the named one: training, score, confusion matrix, examples, standing."""
    from runner.report.run.page import save_figures, write_report
    from runner.training.run import find_run

    session = options.session()
    page = write_report(session, find_run(session.workspace, session.name, name))
    files = [] if figures is None else save_figures(page, figures)
    if options.as_json:
        terminal = page.terminal
        print_json(
            {
                "page": page.path,
                "figures": files,
                "recipe": terminal.recipe,
                "summary": terminal.summary,
                "key_figures": terminal.key_figures,
                "next_steps": terminal.next_steps,
            }
        )
    else:
        _print_report(page.terminal)
        if figures is not None:
            click.echo(f"{len(files)} figure files: {figures}")
        click.echo(f"report: {page.path}")
    if open_browser:
        open_in_browser(page.path)


def _print_report(report: TerminalReport) -> None:
    click.echo(_shown(f"{report.recipe}\n{report.summary}\n"))
    if report.key_figures:
        print_table(["what", "value", ""], report.key_figures)
        click.echo()
    for name, losses in report.losses.items():
        if losses:
            line = sparkline(losses, top=max(losses))
            click.echo(f"{name} loss".ljust(17) + f"{line}  {losses[0]:.3f} to {losses[-1]:.3f}")
    if report.worst is not None and report.worst.rows:
        click.echo()
        print_table(report.worst.header, report.worst.rows[:_MOST_CONFUSED_ROWS])
    click.echo("".join(f"\n{_shown(f'try: {step}')}" for step in report.next_steps))


def _shown(text: str) -> str:
    """The text as messages are shown; its commands stay whole, and without backticks."""
    return wrap(text).replace("`", "")


def open_in_browser(path: Path) -> None:
    """Open a page in the browser."""
    webbrowser.open(path.resolve().as_uri())
