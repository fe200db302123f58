"""The command that looks at the images before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.settings import Settings, command, json_option

if TYPE_CHECKING:
    from runner.explore.explore import Exploration

_MOST_CLASSES = 20
_BAR = 30


@command("explore")
@click.option("--open", "opens", is_flag=True, help="Show the page in the browser.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Each figure alone too, as SVG and PNG.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=12_000,
    show_default=True,
    metavar="N",
    help="How many images to decode at most; headers are read of all.",
)
@json_option
def explore(settings: Settings, opens: bool, figures: Path | None, sample: int, as_json: bool) -> None:
    """Look at the images: counts, sizes, copies, train against test. Nothing is trained."""
    from runner.data.folds import shared_folds
    from runner.explore.explore import explore as look
    from runner.pipeline import read_index
    from runner.report.explore import write_exploration

    competition, workspace = settings.competition, settings.workspace
    index = read_index(competition, workspace)
    found = look(competition, index, shared_folds(workspace, competition), most=sample)
    # Beside folds.csv: it tells of the rows that all runs share, and `clean` must not take it.
    page = workspace.runs_dir(competition.name) / "explore.html"
    for drawn in write_exploration(competition, found, page):
        for suffix in ("svg", "png") if figures else ():
            drawn.save(figures, suffix)  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps({**found.to_dict(), "page": str(page)}, indent=2, ensure_ascii=False))
    else:
        _print(found)
        click.echo(page)
    if opens:
        import webbrowser

        webbrowser.open(page.as_uri())


def _print(found: Exploration) -> None:
    from runner.cli.tables import print_table
    from runner.report.explore_summary import findings

    counts = sorted(found.classes, key=lambda one: -one.rows)
    most = max(counts[0].rows, 1)
    bars = [[one.name, one.rows, "█" * max(round(_BAR * one.rows / most), one.rows > 0)] for one in counts]
    print_table(["tag" if found.cooccurrence is not None else "class", "images", ""], bars[:_MOST_CLASSES])
    if len(bars) > _MOST_CLASSES:
        least = counts[-1]
        click.echo(f"... and {len(bars) - _MOST_CLASSES} more, down to {least.name} with {least.rows:,}")
    click.echo()
    _print_measures(found)
    if found.fold_rows:
        click.echo()
        total = sum(found.fold_rows.values())
        print_table(["rows", "count", "share"], [[n, r, f"{r / total:.1%}"] for n, r in found.fold_rows.items()])
    click.echo()
    for line in findings(found):
        click.echo(f"* {line}")


def _print_measures(found: Exploration) -> None:
    from runner.cli.tables import print_table
    from runner.explore.explore import Quantiles

    rows = []
    for measure in found.differences:
        train, test = Quantiles.of(measure.train), Quantiles.of(measure.test)
        cells = [f"{one.low:.4g} .. {one.median:.4g} .. {one.high:.4g}" if one else None for one in (train, test)]
        rows.append([measure.name, *cells, measure.verdict])
    print_table(["low .. middle .. high", "labelled", "test", "train and test"], rows)
