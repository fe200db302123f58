"""`runner doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from runner.cli.global_options import GlobalOptions, command, json_option
from runner.cli.tables import print_table

if TYPE_CHECKING:
    from runner.contract import Competition
    from runner.hosts.protocol import Host


@command("doctor")
@click.argument("name", metavar="[COMPETITION]", required=False)
@json_option
def doctor(options: GlobalOptions, name: str | None, as_json: bool) -> None:
    """Check credentials, host, rules, submissions left, data, GPU, memory, disk, versions; say what fixes each."""
    from runner.doctor import Severity, examine

    competition = options.load(options.name_from_slug(name) or name) if name else None

    def open_host(competition: Competition) -> Host:
        return options.session(competition=competition).host

    findings = examine(options.workspace, options.host_name, competition, open_host)
    if as_json:
        plain = [
            {"check": found.check, "status": found.severity.value, "detail": found.detail, "fix": found.fix}
            for found in findings
        ]
        click.echo(json.dumps(plain, indent=2))
    else:
        rows = [[found.check, found.severity.value, found.detail, found.fix] for found in findings]
        print_table(["check", "status", "detail", "fix"], rows)
    if any(found.severity is Severity.ERROR for found in findings):
        raise click.exceptions.Exit(1)
