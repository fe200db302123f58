"""Commands that tell what is here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from runner.cli.settings import HOSTS, Settings, command, json_option
from runner.cli.tables import print_table
from runner.console import log
from runner.errors import PluginError

if TYPE_CHECKING:
    from runner.contract import Competition
    from runner.hosts.ledger import Entry
    from runner.training.run import Run
    from runner.workspace import Workspace


@dataclass(frozen=True)
class Overview:
    """One competition on one host: a line of `runner list`."""

    name: str
    host: str
    title: str
    metric: str
    data: str
    runs: int
    best_cv: float | None
    best_score: float | None
    best_standing: str | None


@dataclass(frozen=True)
class RunRow:
    """One run: a line of `runner COMPETITION runs`."""

    run: str
    recipe: str
    cv: float | None
    cv_error: float | None
    public: float | None
    private: float | None
    place: str | None


@command("list")
@json_option
def list_competitions(settings: Settings, as_json: bool) -> None:
    """Every competition, and how far you are with it. Practice has lines of its own."""
    lines = list(_overviews(settings))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    header = ["competition", "host", "data", "runs", "metric", "best cv", "best score", "best place"]
    rows = [
        [
            one.name,
            one.host,
            one.data,
            one.runs,
            one.metric,
            _short(one.best_cv),
            _short(one.best_score),
            one.best_standing,
        ]
        for one in lines
    ]
    print_table(header, rows)


@command("runs")
@json_option
def runs(settings: Settings, as_json: bool) -> None:
    """Every run: its recipe in brief, its held-out score, and what its submissions scored."""
    from runner.hosts.ledger import read_ledger
    from runner.training.run import find_runs

    competition, workspace = settings.competition, settings.workspace
    entries = {
        entry.run: entry for entry in read_ledger(workspace.ledger_file) if entry.competition == competition.name
    }
    rows = [_run_row(run, entries.get(run.name)) for run in find_runs(workspace, competition.name)]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in rows], indent=2))
        return
    print_table(
        ["run", "cv", "±", "public", "private", "place", "recipe"],
        [
            [one.run, *map(_short, (one.cv, one.cv_error, one.public, one.private)), one.place, one.recipe]
            for one in rows
        ],
    )


def _run_row(run: Run, entry: Entry | None) -> RunRow:
    score = run.read_score()
    return RunRow(
        run=run.name,
        recipe=run.read_recipe().summary,
        cv=score["cv"]["value"] if score else None,
        cv_error=score["cv"]["error"] if score else None,
        public=_number(entry.public) if entry else None,
        private=_number(entry.private) if entry else None,
        place=entry.standing or None if entry else None,
    )


def _overviews(settings: Settings) -> Iterator[Overview]:
    from competitions import load, names

    for name in names(settings.plugins):
        try:
            competition = load(name, settings.plugins)
        except PluginError as error:
            log.info(f"{name}: {error}")
            continue
        for host in HOSTS:
            workspace = settings.base.for_host(host)
            if host == "kaggle" or workspace.data_dir(name).exists():
                yield _overview(competition, host, workspace)


def _overview(competition: Competition, host: str, workspace: Workspace) -> Overview:
    from runner.hosts.ledger import read_ledger
    from runner.training.run import find_runs

    better = max if competition.metric.higher_is_better else min
    found = find_runs(workspace, competition.name)
    cvs = [score["cv"]["value"] for run in found if (score := run.read_score())]
    entries = [one for one in read_ledger(workspace.ledger_file) if one.competition == competition.name]
    judged = [(value, one) for one in entries if (value := _judged(one)) is not None]
    best = better(judged, key=lambda pair: pair[0]) if judged else (None, None)
    return Overview(
        name=competition.name,
        host=host,
        title=competition.title,
        metric=competition.metric.title,
        data=_data(competition, workspace),
        runs=len(found),
        best_cv=better(cvs) if cvs else None,
        best_score=best[0],
        best_standing=best[1].standing or None if best[1] else None,
    )


def _data(competition: Competition, workspace: Workspace) -> str:
    folder = workspace.data_dir(competition.name)
    if (folder / ".complete").exists():
        return "here"
    return "broken off" if folder.exists() else "not here"


def _judged(entry: Entry) -> float | None:
    """The private score where the host tells it, else the public one."""
    return _number(entry.private) if entry.private else _number(entry.public)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.5f}"
