"""`runner COMPETITION standings`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import five_decimals, print_table
from runner.cli.value_types import Number
from runner.commands import wrap
from runner.console import log

if TYPE_CHECKING:
    from runner.hosts.ledger import Entry
    from runner.session import Session


@command("standings")
@click.option("--refresh", is_flag=True, help="Ask the host for scores, other submissions and the leaderboard.")
@click.option("--watch", type=Number(0, min_open=True), metavar="MIN", help="Refresh every MIN minutes.")
def standings(options: GlobalOptions, refresh: bool, watch: float | None) -> None:
    """Every submission, its rank, how the rank changed, and how CV and leaderboard correlate."""
    session = options.session()
    while True:
        if refresh or watch is not None:
            _refresh(session, patient=watch is not None)
        _print_standings(session, options.as_json)
        if watch is None:
            return
        time.sleep(watch * 60)


def _refresh(session: Session, *, patient: bool) -> None:
    from runner.hosts.protocol import UnreachableError
    from runner.steps.submit import refresh_standings

    try:
        refresh_standings(session)
    except UnreachableError as error:
        if not patient:
            raise
        log.info(f"{error.message}; trying again later")


def _print_standings(session: Session, as_json: bool) -> None:
    from runner.hosts.ledger import read_ledger
    from runner.hosts.standings import find_current_standings, find_cv_correlations

    ledger = read_ledger(session.workspace.ledger_file, refresh=session.command("standings", "--refresh"))
    entries = [entry for entry in ledger if entry.competition == session.name]
    current = find_current_standings(session.competition, entries, session.leaderboards_dir)
    correlations = find_cv_correlations(session.competition.metric, entries)
    if as_json:
        plain = {
            "submissions": [plain_entry(entry) for entry in entries],
            "standings": [{**asdict(standing), "top_percent": standing.standing.top_percent} for standing in current],
            "cv_correlations": [asdict(correlation) for correlation in correlations],
            "cautions": session.cautions,
        }
        print_json(plain)
        return
    _print_entries(entries)
    for line in (*current, *correlations):
        click.echo(wrap(str(line)))
    for caution in session.cautions:
        log.warning(caution)
    if not entries:
        submit, refresh = session.command("submit"), session.command("standings", "--refresh")
        log.info(f"no submission yet; next: `{submit}`; those made elsewhere: `{refresh}`")
    elif not current:
        log.info(f"no leaderboard is saved yet: `{session.command('standings', '--refresh')}`")


def _print_entries(entries: Sequence[Entry]) -> None:
    header = ["submitted", "run or file", "cv", "public", "private", "status", "rank", "note"]
    rows = [
        [
            entry.submitted,
            entry.run or entry.file,
            *(five_decimals(float(score) if score else None) for score in (entry.cv, entry.public, entry.private)),
            entry.status,
            entry.rank or None,
            entry.note or None,
        ]
        for entry in entries
    ]
    print_table(header, rows, optional=("note",))


def plain_entry(entry: Entry) -> dict[str, Any]:
    """The entry with numbers as numbers, and null for what is unknown."""
    plain: dict[str, Any] = {name: value or None for name, value in asdict(entry).items()}
    for name in ("cv", "cv_error", "public", "private"):
        plain[name] = float(plain[name]) if plain[name] else None
    rank, _, teams = entry.rank.partition("/")
    return plain | {"rank": int(rank) if rank else None, "teams": int(teams) if teams else None}
