"""`runner COMPETITION runs`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from runner.cli.global_options import GlobalOptions, command, json_option
from runner.cli.tables import five_decimals, print_table
from runner.console import log
from runner.errors import RunnerError

if TYPE_CHECKING:
    from runner.hosts.ledger import Entry
    from runner.session import Session
    from runner.training.run import Run


@dataclass(frozen=True)
class RunRow:
    """One run: a row of `runner COMPETITION runs`."""

    run: str
    recipe: str
    cv: float | None
    cv_error: float | None
    public: float | None
    private: float | None
    rank: str | None


@command("runs")
@json_option
def runs(options: GlobalOptions, as_json: bool) -> None:
    """Every run: its recipe, its CV score, and what its submission scored."""
    rows = list(_rows(options.session()))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    header = ["run", "cv", "±", "public", "private", "rank", "recipe"]
    cells = [
        [row.run, *map(five_decimals, (row.cv, row.cv_error, row.public, row.private)), row.rank, row.recipe]
        for row in rows
    ]
    print_table(header, cells)


def _rows(session: Session) -> Iterator[RunRow]:
    """A row for each run that can be read; the others are named on stderr."""
    from runner.hosts.ledger import readable_entries
    from runner.training.run import find_runs

    refresh = session.command("standings", "--refresh")
    entries = readable_entries(session.workspace.ledger_file, session.name, refresh=refresh)
    for run in find_runs(session.workspace, session.name):
        try:
            yield _row(run, {entry.run: entry for entry in entries})
        except RunnerError as error:
            log.warning(f"run {run.name} is left out: {error}")


def _row(run: Run, entries: Mapping[str, Entry]) -> RunRow:
    score, entry = run.read_score(), entries.get(run.name)
    return RunRow(
        run=run.name,
        recipe=run.summary,
        cv=score["cv"]["value"] if score else None,
        cv_error=score["cv"]["error"] if score else None,
        public=float(entry.public) if entry and entry.public else None,
        private=float(entry.private) if entry and entry.private else None,
        rank=entry.rank or None if entry else None,
    )
