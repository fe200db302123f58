"""Commands that draw what runs left on the disk."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.settings import Settings, command

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
    """Draw a run, the newest or the named one, into one page: training, score, confusions, pictures, standing."""
    from runner.report.report import save_figures, write_report
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    made = write_report(competition, workspace, find_run(workspace, competition.name, name))
    click.echo(made.essentials)
    if figures is not None:
        click.echo(f"{len(save_figures(made, figures))} figure files: {figures}")
    click.echo(f"report: {made.path}")
    if opens:
        show(made.path)


def show(path: Path) -> None:
    """Open a page in the person's browser."""
    import webbrowser

    webbrowser.open(path.resolve().as_uri())
