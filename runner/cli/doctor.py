"""The command that says what is wrong, and what to type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from runner.cli.settings import Settings, command, json_option

if TYPE_CHECKING:
    from runner.contract import Competition
    from runner.hosts.protocol import Host


@command("doctor")
@click.argument("name", metavar="[COMPETITION]", required=False)
@json_option
def doctor(settings: Settings, name: str | None, as_json: bool) -> None:
    """Credentials, host, rules, submissions left, data, GPU, memory, disk, versions: what is wrong and the fix."""
    from competitions import load
    from runner.doctor import Severity, examine

    competition = load(settings.name_of(name) or name, settings.plugins) if name else None
    workspace = settings.workspace

    def open_host(one: Competition) -> Host:
        from runner.hosts.open_host import open_host as open_it

        return open_it(settings.host_name, one, workspace)

    findings = examine(workspace, settings.host_name, competition, open_host)
    if as_json:
        plain = [{"check": f.check, "status": f.severity.value, "detail": f.detail, "fix": f.fix} for f in findings]
        click.echo(json.dumps(plain, indent=2))
    else:
        from runner.cli.tables import print_table

        print_table(
            ["check", "status", "detail", "fix"], [[f.check, f.severity.value, f.detail, f.fix] for f in findings]
        )
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise click.exceptions.Exit(1)
