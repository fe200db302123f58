"""Commands that hand in, and that tell where one stands."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.settings import Settings, command, json_option
from runner.console import log

if TYPE_CHECKING:
    from runner.hosts.current_standing import CvCorrelation, Place
    from runner.hosts.ledger import Entry


@command("submit")
@click.argument("what", metavar="[FILE|RUN]", required=False)
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
@click.option("--again", is_flag=True, help="Send it even if the host has this very file already.")
@click.option(
    "--best",
    type=click.IntRange(1),
    metavar="N",
    help="The N best runs by CV that are not submitted yet, as many as today's limit lets.",
)
def submit(settings: Settings, what: str | None, message: str, no_wait: bool, again: bool, best: int | None) -> None:
    """Check, submit, wait for the score, and note it in the ledger. Without a name: the newest run."""
    from runner.cli.telling import tell_outcome
    from runner.pipeline import submit as submit_it
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    if best is not None:
        if what is not None:
            raise click.UsageError("--best chooses the runs itself: name none")
        _submit_best(settings, best, message, wait=not no_wait)
        return
    is_file = what is not None and (Path(what).is_file() or what.endswith(".csv"))
    chosen = Path(str(what)) if is_file else find_run(workspace, competition.name, what)
    outcome = submit_it(competition, workspace, settings.host, chosen, message=message, wait=not no_wait, again=again)
    click.echo(tell_outcome(outcome))


def _submit_best(settings: Settings, count: int, message: str, *, wait: bool) -> None:
    from runner.cli.telling import tell_outcome
    from runner.pipeline import best_unsubmitted
    from runner.pipeline import submit as submit_it

    competition, workspace, host = settings.competition, settings.workspace, settings.host
    runs = best_unsubmitted(competition, workspace, host, count)
    if not runs:
        log.info("every run that has a submission file is submitted")
    for run in runs:
        outcome = submit_it(competition, workspace, host, run, message=message, wait=wait)
        click.echo(f"{run.name}: {tell_outcome(outcome)}")


@command("standings")
@click.option("--refresh", is_flag=True, help="Ask the host: new scores, submissions made elsewhere, the whole board.")
@click.option("--watch", type=click.FloatRange(0, min_open=True), metavar="MIN", help="Ask again every MIN minutes.")
@json_option
def standings(settings: Settings, refresh: bool, watch: float | None, as_json: bool) -> None:
    """Every submission of this competition, where it stands, how that moved, and whether CV foretold it."""
    import time

    while True:
        if refresh or watch is not None:
            _refresh(settings, patient=watch is not None)
        _tell_standings(settings, as_json)
        if watch is None:
            return
        time.sleep(watch * 60)


def _refresh(settings: Settings, *, patient: bool) -> None:
    from runner.hosts.protocol import UnreachableError
    from runner.hosts.submit import refresh_ledger

    competition, workspace = settings.competition, settings.workspace
    try:
        refresh_ledger(
            settings.host, competition, workspace.ledger_file, boards=workspace.leaderboards_dir(competition.name)
        )
    except UnreachableError as error:
        if not patient:
            raise
        log.info(f"{error.message}; asked again later")


def _tell_standings(settings: Settings, as_json: bool) -> None:
    from runner.hosts.current_standing import find_current_standings, find_cv_correlations
    from runner.hosts.ledger import read_ledger

    competition, workspace = settings.competition, settings.workspace
    entries = [entry for entry in read_ledger(workspace.ledger_file) if entry.competition == competition.name]
    places = find_current_standings(competition, entries, workspace.leaderboards_dir(competition.name))
    cv_correlations = find_cv_correlations(competition.metric, entries)
    if as_json:
        told = {
            "submissions": [asdict(one) for one in entries],
            "places": [{**asdict(one), "percentile": one.standing.percentile} for one in places],
            "cv_correlations": [asdict(one) for one in cv_correlations],
        }
        click.echo(json.dumps(told, indent=2, default=_plain))
        return
    _print_standings(entries, places, cv_correlations)


def _print_standings(
    entries: list[Entry], places: tuple[Place, ...], cv_correlations: tuple[CvCorrelation, ...]
) -> None:
    from runner.cli.tables import print_table

    header = ["submitted", "run or file", "cv", "public", "private", "status", "place"]
    print_table(
        header,
        [
            [e.submitted, e.run or e.file, *map(_short, (e.cv, e.public, e.private)), e.status, e.standing or None]
            for e in entries
        ],
    )
    for line in (*places, *cv_correlations):
        click.echo(line)
    if entries and not places:
        log.info("no board is kept yet: --refresh asks the host for it")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else getattr(value, "value", str(value))


def _short(score: str) -> str | None:
    return f"{float(score):.5f}" if score else None
