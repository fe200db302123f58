"""`runner list`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from competitions import EXAMPLE
from runner.cli.global_options import HOSTS, GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import five_decimals, print_table
from runner.commands import command as command_line
from runner.console import log

if TYPE_CHECKING:
    from competitions._parse import PluginSummary
    from runner.training.run import Run
    from runner.workspace import Workspace


@dataclass(frozen=True)
class Overview:
    """One competition on one host: a row of `runner list`."""

    name: str
    host: str
    title: str
    metric: str | None  # None if only running the competition file would tell
    data: str  # downloaded, incomplete or "not here"
    runs: int
    best_cv: float | None
    best_score: float | None
    best_rank: str | None


@command("list")
@click.option("--all", "with_unused", is_flag=True, help="Also the competitions without data or results here.")
def list_competitions(options: GlobalOptions, with_unused: bool) -> None:
    """Every competition with data, runs, best CV and best rank here; practice data has rows of its own."""
    plugins = list(options.summaries())
    used_names = {plugin.name for plugin in plugins if options.is_used(plugin.name, plugin.path)}
    shown = [plugin for plugin in plugins if with_unused or plugin.name in used_names]
    rows = list(overviews(options, shown))
    if options.as_json:
        print_json(rows)
        return
    used = [overview for overview in rows if overview.name in used_names]
    unused = [overview for overview in rows if overview.name not in used_names]
    if used:
        _print_overviews(used)
    if used and unused:
        click.echo()
    if unused:
        print_table(["competition", "title", "metric"], [[each.name, each.title, each.metric] for each in unused])
    if hidden := len(plugins) - len(shown):
        more = "more have" if shown else "competitions are known, and have"
        log.info(f"{hidden} {more} no data and no runs here: `{options.root_workspace.command_line('list', '--all')}`")
    if not any(overview.runs for overview in rows):
        first = command_line(EXAMPLE, "download")
        log.info(f"no run yet; everything on practice data: `{command_line('demo')}`; with data: `{first}`")


def _print_overviews(overviews: Sequence[Overview]) -> None:
    header = ["competition", "host", "data", "runs", "metric", "best cv", "best score", "best rank"]
    rows = [
        [
            overview.name,
            overview.host,
            overview.data,
            overview.runs,
            overview.metric,
            five_decimals(overview.best_cv),
            five_decimals(overview.best_score),
            overview.best_rank,
        ]
        for overview in overviews
    ]
    print_table(header, rows)


def overviews(options: GlobalOptions, plugins: Iterable[PluginSummary]) -> Iterator[Overview]:
    """A row for each competition on each host that it has data on; on Kaggle always."""
    base = options.existing_workspace
    for plugin in plugins:
        for host in HOSTS:
            workspace = base.for_host(host)
            if host == "kaggle" or workspace.data_dir(plugin.name).exists():
                yield _overview(plugin, host, workspace)


def _overview(plugin: PluginSummary, host: str, workspace: Workspace) -> Overview:
    from runner.hosts.ledger import readable_entries
    from runner.training.run import find_runs

    runs = find_runs(workspace, plugin.name)
    cvs = [cv for run in runs if (cv := _cv(run)) is not None]
    refresh = workspace.command_line(plugin.name, "standings", "--refresh")
    entries = readable_entries(workspace.ledger_file, plugin.name, refresh=refresh)
    scored = [(float(entry.private or entry.public), entry) for entry in entries if entry.private or entry.public]
    metric = plugin.metric  # None: the file's text does not tell which scores are better
    best = metric.best(scored, key=lambda pair: pair[0]) if metric and scored else None
    return Overview(
        name=plugin.name,
        host=host,
        title=plugin.title,
        metric=metric.title if metric else None,
        data=_data_state(plugin.name, workspace),
        runs=len(runs),
        best_cv=metric.best(cvs, key=float) if metric and cvs else None,
        best_score=best[0] if best else None,
        best_rank=best[1].rank or None if best else None,
    )


def _cv(run: Run) -> float | None:
    """The run's CV score; a run that cannot be read is told and left out, not the end of the list."""
    from runner.training.run import read_overview

    overview = read_overview(run)
    if overview.damage:
        log.warning(f"run {run.name} is left out: {overview.damage}")
    return overview.cv["value"] if overview.cv else None


def _data_state(competition: str, workspace: Workspace) -> str:
    folder = workspace.data_dir(competition)
    if (folder / ".complete").exists():
        return "downloaded"
    return "incomplete" if folder.exists() else "not here"
