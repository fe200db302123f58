"""`runner COMPETITION runs`."""

from __future__ import annotations

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import five_decimals, print_table
from runner.console import log


@command("runs")
def runs(options: GlobalOptions) -> None:
    """Every run, the best CV score first: its status, its scores, when and how long it was trained, its size."""
    from runner.steps.runs import list_runs, next_without_runs

    session = options.session()
    rows = list_runs(session)
    if options.as_json:
        print_json(rows)
        return
    header = ["run", "status", "cv", "±", "public", "private", "rank", "date", "min", "MB", "recipe"]
    cells = [
        [
            row.run,
            f"{row.status}: {row.note}" if row.note else row.status,
            *map(five_decimals, (row.cv, row.cv_error, row.public, row.private)),
            *(row.rank, row.date, row.minutes, row.megabytes, row.recipe),
        ]
        for row in rows
    ]
    print_table(header, cells, optional=("public", "private", "rank"))
    if not rows:
        log.info(f"no run yet; next: `{next_without_runs(session)}`")
