"""board.html: every run and submission of every competition on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.dates import ConciseDateFormatter

from competitions._parse import PluginSummary
from runner.hosts.ledger import Entry, readable_entries
from runner.report.page.figures import COLOURS, MARKERS, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import Block, Cell, Page, Section, Table, Text, write_page
from runner.report.run.page import link_to
from runner.training.run import Run, RunOverview, find_runs, read_overview
from runner.workspace import Workspace


@dataclass(frozen=True)
class CompetitionHistory:
    """One competition on one host, with its runs and submissions; its file is read, not executed."""

    plugin: PluginSummary
    workspace: Workspace
    host: str
    runs: tuple[Run, ...]
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        return self.plugin.title + self._host_suffix

    @property
    def name(self) -> str:
        return self.plugin.name + self._host_suffix

    @property
    def metric_title(self) -> str:
        return self.plugin.metric.title if self.plugin.metric else "score"

    @property
    def _host_suffix(self) -> str:
        return "" if self.host == "kaggle" else f" ({self.host})"

    def best(self, scores: Sequence[float]) -> float | None:
        """The best of the scores; None if there is none, or if the file's text does not tell the direction."""
        return self.plugin.metric.best(scores, key=float) if scores and self.plugin.metric else None

    @property
    def scored_runs(self) -> list[RunOverview]:
        """The runs, the best CV score first; runs without a score last, newest first."""
        metric = self.plugin.metric

        def order(overview: RunOverview) -> tuple[bool, float]:
            cv = overview.cv
            return cv is None, metric.sort_key(cv["value"]) if metric and cv else 0.0

        return sorted((read_overview(run) for run in reversed(self.runs)), key=order)


def board_file(workspace: Workspace) -> Path:
    """Path of the page."""
    return workspace.root / "board.html"


def read_history(plugin: PluginSummary, workspace: Workspace, host: str) -> CompetitionHistory:
    """The runs and submissions of a competition in the workspace of a host."""
    refresh = workspace.command_line(plugin.name, "standings", "--refresh")
    entries = readable_entries(workspace.ledger_file, plugin.name, refresh=refresh)
    return CompetitionHistory(plugin, workspace, host, find_runs(workspace, plugin.name), entries)


def write_board(known: Sequence[CompetitionHistory], path: Path) -> Path:
    """Write the page; returns its path."""
    started = [each for each in known if each.runs or each.entries]
    runs = sum(len(each.runs) for each in started)
    entries = sum(len(each.entries) for each in started)
    summary = f"Runs: {runs:,}. Submissions: {entries:,}. Competitions: {len(started):,}."
    return write_page(path, Page("Board", summary, _sections(started, path)))


def _sections(known: Sequence[CompetitionHistory], page: Path) -> list[Section]:
    if not known:
        demo = Workspace.at(page.parent).command_line("demo")
        return [Section("Runs", [Text(f"There is no run yet: `{demo}`")])]
    sections = [Section("Summary", [best_table(known, page)]), Section("Runs", [runs_table(known, page)])]
    submitted = [each for each in known if each.entries]
    if not submitted:
        return [*sections, Section("Submissions", [_no_submission(known)])]
    sections.append(Section("Submissions", [submissions_table(submitted)]))
    figures = [scatter_figure(each, number) for number, each in enumerate(submitted)]
    blocks: list[Block] = [figure.block() for figure in figures if figure is not None]
    sections.append(Section("CV and leaderboard", blocks or [Text("No submission has both scores yet.")]))
    ranks = rank_figure(submitted)
    if ranks is not None:
        sections.append(Section("Rank over time", [ranks.block()]))
    return sections


def _no_submission(known: Sequence[CompetitionHistory]) -> Text:
    scored = [(each, overview.run) for each in known for overview in each.scored_runs if overview.cv]
    if not scored:
        return Text("There is no submission yet, and no run to submit.")
    best, run = scored[0]
    command = best.workspace.command_line(best.plugin.name, "submit", run.name)
    return Text(f"There is no submission yet: `{command}`")


def best_table(known: Sequence[CompetitionHistory], page: Path) -> Table:
    """Counts, the best run and the best submission of each competition."""
    header = ["competition", "metric", "runs", "submissions", "best CV", "of run", "best private", "best rank"]
    return Table(header, [_best_row(each, page) for each in known], "The best of each competition")


def _best_row(known: CompetitionHistory, page: Path) -> list[Cell]:
    scored = [(overview.run, overview.cv["value"]) for overview in known.scored_runs if overview.cv]
    private = [float(entry.private) for entry in known.entries if entry.private]
    ranks = sorted((percent, entry.rank) for entry in known.entries if (percent := _top_percent(entry.rank)))
    return [
        known.name,
        known.metric_title,
        len(known.runs),
        len(known.entries),
        scored[0][1] if scored and known.plugin.metric else None,
        link_to(scored[0][0], page) if scored and known.plugin.metric else "",
        known.best(private),
        ranks[0][1] if ranks else "",
    ]


def runs_table(known: Sequence[CompetitionHistory], page: Path) -> Table:
    """Every run with its CV score and its last submission; the best CV of each competition first."""
    header = ["competition", "host", "run", "CV", "±", "public", "private", "rank", "recipe"]
    rows = [_run_row(each, overview, page) for each in known for overview in each.scored_runs]
    return Table(header, rows, "Every run, the best CV of each competition first; scores of its last submission")


def _run_row(known: CompetitionHistory, overview: RunOverview, page: Path) -> list[Cell]:
    run, cv = overview.run, overview.cv
    entries = [entry for entry in known.entries if entry.run == run.name]
    last = entries[-1] if entries else None
    return [
        known.plugin.name,
        known.host,
        link_to(run, page),
        cv["value"] if cv else None,
        cv["error"] if cv else None,
        _number(last.public) if last else None,
        _number(last.private) if last else None,
        (last.rank or None) if last else None,
        overview.recipe,
    ]


def submissions_table(known: Sequence[CompetitionHistory]) -> Table:
    """Every line of the ledgers, the newest first."""
    entries = sorted((entry for each in known for entry in each.entries), key=lambda entry: entry.submitted)
    rows = [
        [
            entry.submitted.replace("T", " ").removesuffix("Z"),
            entry.competition,
            entry.host,
            entry.run,
            _number(entry.cv),
            _number(entry.public),
            _number(entry.private),
            entry.status,
            entry.rank or None,
        ]
        for entry in reversed(entries)
    ]
    header = ["submitted, UTC", "competition", "host", "run", "CV", "public", "private", "status", "rank"]
    return Table(header, rows, "Every submission, the newest first")


def scatter_figure(known: CompetitionHistory, number: int) -> ReportFigure | None:
    """Public and private score by CV with its error bar; None if no submission has both."""
    rows = [
        [entry.run, float(entry.cv), _number(entry.cv_error), _number(entry.public), _number(entry.private)]
        for entry in known.entries
        if entry.cv and (entry.public or entry.private)
    ]
    if not rows:
        return None
    metric = known.plugin.metric
    direction = f" ({metric.direction})" if metric else ""
    with style():
        figure = new_figure(height=4.6)
        axes: Any = figure.subplots()
        _draw_scatter(axes, rows)
        axes.set(xlabel=f"CV {known.metric_title}", ylabel=f"leaderboard {known.metric_title}{direction}")
        put_legend(figure, axes, 3)
    alt = f"Leaderboard score by CV score of the submissions to {known.title}: {len(rows)}."
    numbers = Table(["run", "CV", "±", "public", "private"], rows, "The points")
    return ReportFigure(f"cv-{number}", known.title, alt, figure, numbers)


def _draw_scatter(axes: Any, rows: Sequence[Sequence[Any]]) -> None:
    for column, kind in enumerate(("public", "private"), 3):
        points = [(row[1], row[column], row[2] or 0.0) for row in rows if row[column] is not None]
        if points:
            cv, scores, errors = zip(*points, strict=True)
            marker: Any = {"fmt": MARKERS[column - 3], "color": COLOURS[column - 3], "capsize": 3, "linewidth": 1.2}
            axes.errorbar(cv, scores, xerr=errors, label=kind, **marker)
    axes.axline((rows[0][1], rows[0][1]), slope=1, linestyle=":", color=COLOURS[2], label="y = x")
    # The same range on both axes: y = x is then the diagonal.
    values = [row[1] + side * (row[2] or 0.0) for row in rows for side in (-1, 1)]
    values += [score for row in rows for score in row[3:5] if score is not None]
    margin = 0.06 * (max(values) - min(values)) or 0.05
    limits = (min(values) - margin, max(values) + margin)
    axes.set(xlim=limits, ylim=limits)
    axes.locator_params(nbins=6)


def rank_figure(known: Sequence[CompetitionHistory]) -> ReportFigure | None:
    """The rank of each submission, in percent of the teams, over time; None for fewer than two times."""
    points = {
        each.title: sorted(
            (_time(entry.submitted), percent)
            for entry in each.entries
            if (percent := _top_percent(entry.rank)) is not None
        )
        for each in known
    }
    rows: list[list[Cell]] = [
        [title, str(time), percent] for title, series in points.items() for time, percent in series
    ]
    if len({row[1] for row in rows}) < 2:
        return None
    with style():
        figure = new_figure(9.6, 3.8)
        axes: Any = figure.subplots()
        _draw_ranks(axes, {each.name: points[each.title] for each in known})
        put_legend(figure, axes, 4)
    numbers = Table(["competition", "submitted, UTC", "top, %"], rows, "The ranks")
    return ReportFigure("ranks", "Rank over time (lower is better)", f"{len(rows)} ranks.", figure, numbers)


def _draw_ranks(axes: Any, points: dict[str, list[tuple[datetime, float]]]) -> None:
    for number, (name, series) in enumerate(points.items()):
        if series:
            marker: Any = {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)]}
            # Markers of falling size: of two at one point both are visible.
            axes.plot(*zip(*series, strict=True), label=name, markersize=10 - 2 * (number % 4), **marker)
    axes.set(xlabel="submitted, UTC", ylabel="rank, top % of teams", ylim=(0, 105))
    formatter: Any = ConciseDateFormatter  # matplotlib does not type its constructor
    axes.xaxis.set_major_formatter(formatter(axes.xaxis.get_major_locator()))


def _top_percent(text: str) -> float | None:
    """Percent of the teams at or above a rank such as "17/1286"; None if it is unknown."""
    rank, _, teams = text.partition("/")
    return 100 * int(rank) / int(teams) if rank.isdecimal() and teams.isdecimal() and int(teams) else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
