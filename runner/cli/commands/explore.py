"""`runner COMPETITION explore`."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import print_table

if TYPE_CHECKING:
    from runner.explore.explore import Exploration

_MAX_CLASSES = 20
_BAR_LENGTH = 30


@command("explore")
@click.option("--open", "open_browser", is_flag=True, help="Show the page in the browser.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write every figure as SVG and PNG.",
)
@click.option(
    "--sample",
    type=click.IntRange(1),
    default=12_000,
    show_default=True,
    metavar="N",
    help="How many images to decode at most; the headers of all are read.",
)
def explore(options: GlobalOptions, open_browser: bool, figures: Path | None, sample: int) -> None:
    """Look at the data: counts, sizes, duplicates, train/test shift. Nothing is trained."""
    from runner.steps.explore import explore as explore_session

    explored = explore_session(options.session(), sample=sample)
    exploration, page = explored.exploration, explored.page
    for figure in explored.figures:
        for suffix in ("svg", "png") if figures else ():
            figure.save(figures, suffix)  # type: ignore[arg-type]
    if options.as_json:
        print_json({**exploration.to_dict(), "page": page})
    else:
        _print_exploration(exploration)
        click.echo(page)
    if open_browser:
        webbrowser.open(page.as_uri())


def _print_exploration(exploration: Exploration) -> None:
    from runner.report.explore.summary import class_word, findings

    counts = sorted(exploration.classes, key=lambda count: -count.rows)
    most = max(counts[0].rows, 1)
    bars = [
        [count.name, count.rows, "█" * max(round(_BAR_LENGTH * count.rows / most), count.rows > 0)] for count in counts
    ]
    print_table([class_word(exploration), "images", ""], bars[:_MAX_CLASSES])
    if len(bars) > _MAX_CLASSES:
        rarest = counts[-1]
        click.echo(f"... and {len(bars) - _MAX_CLASSES} more, down to {rarest.name} with {rarest.rows:,}")
    click.echo()
    _print_shifts(exploration)
    if exploration.fold_rows:
        click.echo()
        total = sum(exploration.fold_rows.values())
        rows = [[name, count, f"{count / total:.1%}"] for name, count in exploration.fold_rows.items()]
        print_table(["rows", "count", "share"], rows)
    click.echo()
    for line in findings(exploration):
        click.echo(f"* {line}")


def _print_shifts(exploration: Exploration) -> None:
    from runner.explore.explore import Quantiles

    rows = []
    for measure in exploration.measures:
        quantiles = [Quantiles.of(measure.train), Quantiles.of(measure.test)]
        cells = [f"{each.p5:.4g} .. {each.median:.4g} .. {each.p95:.4g}" if each else None for each in quantiles]
        rows.append([measure.name, *cells, measure.shift])
    print_table(["5th pct .. median .. 95th pct", "train", "test", "shift"], rows)
