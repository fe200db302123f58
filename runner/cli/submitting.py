"""Commands that hand in, and that tell where one stands."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from runner.cli.settings import Settings, command, json_option


@command("submit")
@click.argument("what", metavar="[FILE|RUN]", required=False)
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the score.")
def submit(settings: Settings, what: str | None, message: str, no_wait: bool) -> None:
    """Check, submit, wait for the score, and note it in the ledger. Without a name: the newest run."""
    from runner.pipeline import submit as submit_it
    from runner.pipeline import tell_outcome
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    is_file = what is not None and (Path(what).is_file() or what.endswith(".csv"))
    chosen = Path(str(what)) if is_file else find_run(workspace, competition.name, what)
    outcome = submit_it(competition, workspace, settings.host, chosen, message=message, wait=not no_wait)
    click.echo(tell_outcome(outcome))


@command("standings")
@click.option("--refresh", is_flag=True, help="Ask the host again for scores that were not there yet.")
@json_option
def standings(settings: Settings, refresh: bool, as_json: bool) -> None:
    """Every submission of this competition, and where it stands."""
    from runner.hosts.ledger import read_ledger
    from runner.hosts.submitting import refresh_ledger

    competition, workspace = settings.competition, settings.workspace
    if refresh:
        refresh_ledger(settings.host, competition, workspace.ledger)
    entries = [entry for entry in read_ledger(workspace.ledger) if entry.competition == competition.name]
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    from runner.cli.tables import print_table

    header = ["submitted", "run or file", "cv", "public", "private", "status", "place"]
    print_table(
        header,
        [
            [e.submitted, e.run or e.file, *map(_short, (e.cv, e.public, e.private)), e.status, e.standing or None]
            for e in entries
        ],
    )


def _short(score: str) -> str | None:
    return f"{float(score):.5f}" if score else None
