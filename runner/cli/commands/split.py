"""`runner COMPETITION split`."""

from __future__ import annotations

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import print_table
from runner.cli.value_types import Number


@command("split")
@click.option("--folds", type=click.IntRange(2), metavar="N", help="Cross-validation with N folds of equal size.")
@click.option(
    "--holdout",
    type=Number(0, 1, min_open=True, max_open=True),
    metavar="FRACTION",
    help="One holdout of validation rows.  [default: 0.2]",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Which rows are in which fold.")
@click.option("--force", is_flag=True, help="Split even if there are runs with the present folds.")
def split(options: GlobalOptions, folds: int | None, holdout: float | None, seed: int, force: bool) -> None:
    """Choose the validation rows, the same for all later runs so that their scores can be compared."""
    from runner.data.splits import SplitPlan
    from runner.steps.split import split as split_session

    path, counts = split_session(options.session(), SplitPlan(folds, holdout, seed), force=force)
    if options.as_json:
        print_json({"path": path, "classes": counts})
        return
    folds_header = [f"fold {number}" for number in range(len(counts[0].valid_per_fold))]
    rows = [[count.name, count.rows, *count.valid_per_fold, count.train_only] for count in counts]
    print_table(["class", "rows", *folds_header, "train only"], rows)
    click.echo(path)
