"""`runner COMPETITION compare`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.commands.report import open_in_browser, open_option
from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import print_table
from runner.commands import wrap
from runner.console import log

if TYPE_CHECKING:
    from runner.report.compare.comparison import ComparedRun, Comparison, Pair
    from runner.report.page.page import Table

_CLASSES = 5  # rows in the terminal


@command("compare")
@click.argument("names", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@open_option
def compare(options: GlobalOptions, names: tuple[str, ...], open_browser: bool) -> None:
    """Runs beside the first: difference of CV scores on the same rows with its standard error, recipes, time, classes.

    The page also shows the images that only one of two gets right.
    """
    from runner.report.compare.page import write_comparison
    from runner.training.run import find_run

    session = options.session()
    report = write_comparison(session, [find_run(session.workspace, session.name, name) for name in names])
    if options.as_json:
        print_json({"page": report.path, **_plain(report.comparison)})
    else:
        _print(report.comparison)
        click.echo(f"comparison: {report.path}")
    if open_browser:
        open_in_browser(report.path)


def _print(comparison: Comparison) -> None:
    from runner.report.compare.page import classes_table, describe_only_right, recipes_table, runs_table, sentences

    for problem in comparison.problems:
        log.warning(problem)
    for line in sentences(comparison):
        click.echo(wrap(line))
    click.echo()
    _print_table(runs_table(comparison))
    for title, differences in (("recipe", comparison.recipes), ("else", comparison.circumstances)):
        if differences:
            click.echo()
            table = recipes_table(comparison, differences, "")
            _print_table(table, {"field": "differs" if title == "recipe" else "differs, beside the recipe"})
    for pair in comparison.with_first:
        click.echo()
        if pair.only_right is not None:
            click.echo(wrap(describe_only_right(pair)))
        _print_table(classes_table(pair, _CLASSES))


def _print_table(table: Table, names: dict[str, str] | None = None) -> None:
    header = [(names or {}).get(name, name) for name in table.header]
    print_table(header, [[_cell(cell) for cell in row] for row in table.rows], optional=header[1:])


def _cell(cell: Any) -> Any:
    return f"{cell:.5g}" if isinstance(cell, float) else None if cell == "–" else cell


def _plain(comparison: Comparison) -> dict[str, Any]:
    """The comparison for JSON."""
    return {
        "runs": [_plain_run(run) for run in comparison.runs],
        "recipes": [asdict(each) for each in comparison.recipes],
        "else": [asdict(each) for each in comparison.circumstances],
        "pairs": [_plain_pair(pair) for pair in comparison.pairs],
        "problems": comparison.problems,
    }


def _plain_run(run: ComparedRun) -> dict[str, Any]:
    return {
        "run": run.name,
        "cv": run.cv,
        "scored_as": run.scored.name,
        "minutes": run.minutes,
        "seconds_per_epoch": run.seconds_per_epoch,
        "problem": run.problem or None,
    }


def _plain_pair(pair: Pair) -> dict[str, Any]:
    difference, ids = pair.difference, pair.rows.first.ids
    only_right = pair.only_right and [[ids[row] for row in rows] for rows in pair.only_right]
    return {
        "first": pair.first.name,
        "second": pair.second.name,
        "rows": difference.first.rows,
        "scores": [asdict(difference.first), asdict(difference.second)],
        "better_by": difference.gain.value,
        "error": difference.gain.error,
        "folds": difference.folds,
        "verdict": difference.verdict,
        "notes": list(pair.notes),
        "classes": {"measure": pair.classes.measure, "rows": [asdict(row) for row in pair.classes.rows]},
        "only_right": only_right and dict(zip((pair.first.name, pair.second.name), only_right, strict=True)),
    }
