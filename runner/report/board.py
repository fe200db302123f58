"""board.html: every run and submission of every competition, on one page that one keeps open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.dates import ConciseDateFormatter

from runner.contract import Competition
from runner.hosts.ledger import Entry, read_ledger
from runner.report.page.figures import COLOURS, MARKERS, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import Block, Cell, Page, Section, Table, Text, write_page
from runner.report.run.page import link_to
from runner.training.run import Run, find_runs
from runner.workspace import Workspace


@dataclass(frozen=True)
class Known:
    """One competition on one host, with its runs and submissions."""

    competition: Competition
    host: str
    runs: tuple[Run, ...]
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        return self.competition.title + self._where

    @property
    def short(self) -> str:
        return self.competition.name + self._where

    @property
    def _where(self) -> str:
        return "" if self.host == "kaggle" else f" ({self.host})"


def board_file(workspace: Workspace) -> Path:
    """Where the page lies."""
    return workspace.root / "board.html"


def read_known(competition: Competition, host: str, workspace: Workspace) -> Known:
    """What a workspace holds of a competition."""
    entries = tuple(one for one in read_ledger(workspace.ledger_file) if one.competition == competition.name)
    return Known(competition, host, find_runs(workspace, competition.name), entries)


def write_board(known: Sequence[Known], path: Path) -> Path:
    """Draw everything into one page."""
    begun = [one for one in known if one.runs or one.entries]
    runs = sum(len(one.runs) for one in begun)
    entries = sum(len(one.entries) for one in begun)
    summary = f"{runs:,} runs and {entries:,} submissions in {len(begun):,} competitions"
    return write_page(path, Page("Board", summary, _sections(begun, path)))


def best_table(known: Sequence[Known], page: Path) -> Table:
    """Of each competition how much was done, the best run, and the best that a submission scored."""
    rows: list[Sequence[Cell]] = []
    for one in known:
        better = max if one.competition.metric.higher_is_better else min
        scored = [(score["cv"]["value"], run) for run in one.runs if (score := run.read_score())]
        best = better(scored, key=lambda pair: pair[0]) if scored else None
        private = [float(entry.private) for entry in one.entries if entry.private]
        places = sorted((share, entry.rank) for entry in one.entries if (share := _share(entry.rank)))
        rows.append(
            [
                one.short,
                one.competition.metric.title,
                len(one.runs),
                len(one.entries),
                best[0] if best else None,
                link_to(best[1], page) if best else "",
                better(private) if private else None,
                places[0][1] if places else "",
            ]
        )
    header = ["competition", "metric", "runs", "submissions", "best CV", "by run", "best private", "best place"]
    return Table(header, rows, "The best of each competition")


def runs_table(known: Sequence[Known], page: Path) -> Table:
    """Every run, with its held-out score and the best that its submissions scored."""
    rows: list[Sequence[Cell]] = []
    for one in known:
        for run in one.runs:
            score = (run.read_score() or {}).get("cv", {})
            mine = [entry for entry in one.entries if entry.run == run.name]
            last = mine[-1] if mine else None
            rows.append(
                [
                    one.competition.name,
                    one.host,
                    link_to(run, page),
                    score.get("value"),
                    score.get("error"),
                    _number(last.public) if last else None,
                    _number(last.private) if last else None,
                    last.rank if last else "",
                    run.summary,
                ]
            )
    header = ["competition", "host", "run", "CV", "±", "public", "private", "place", "recipe"]
    return Table(header, rows, "Every run; of several submissions the last")


def submissions_table(known: Sequence[Known]) -> Table:
    """Every line of the ledgers, the newest first."""
    entries = sorted((entry for one in known for entry in one.entries), key=lambda one: one.submitted, reverse=True)
    rows = [
        [
            one.submitted.replace("T", " ").removesuffix("Z"),
            one.competition,
            one.host,
            one.run,
            _number(one.cv),
            _number(one.public),
            _number(one.private),
            one.status,
            one.rank,
        ]
        for one in entries
    ]
    header = ["submitted, UTC", "competition", "host", "run", "CV", "public", "private", "status", "place"]
    return Table(header, rows, "Every submission, the newest first")


def _sections(known: Sequence[Known], page: Path) -> list[Section]:
    if not known:
        return [Section("Runs", [Text("There is no run yet: runner demo")])]
    sections = [Section("In short", [best_table(known, page)]), Section("Runs", [runs_table(known, page)])]
    submitted = [one for one in known if one.entries]
    if not submitted:
        return [*sections, Section("Submissions", [Text("Nothing was submitted yet: runner COMPETITION submit")])]
    sections.append(Section("Submissions", [submissions_table(submitted)]))
    drawn: list[Block] = [made.block() for place, one in enumerate(submitted) if (made := scatter_figure(one, place))]
    sections.append(Section("CV against the leaderboard", drawn or [Text("No submission has both scores yet.")]))
    ranks = rank_figure(submitted)
    if ranks is not None:
        sections.append(Section("Rank over time", [ranks.block()]))
    return sections


def scatter_figure(known: Known, number: int) -> ReportFigure | None:
    """Public and private score over CV, with its error bar; on the dotted line both are the same."""
    rows: list[list[Any]] = [
        [entry.run, float(entry.cv), _number(entry.cv_error), _number(entry.public), _number(entry.private)]
        for entry in known.entries
        if entry.cv and (entry.public or entry.private)
    ]
    if not rows:
        return None
    metric = known.competition.metric
    with style():
        figure = new_figure(height=4.6)
        axes: Any = figure.subplots()
        _draw_scatter(axes, rows)
        axes.set(xlabel=f"held-out {metric.title}", ylabel=f"leaderboard {metric.title} ({metric.direction})")
        put_legend(figure, axes, 3)
    alt = f"Leaderboard score over held-out score of {len(rows)} submissions to {known.title}."
    numbers = Table(["run", "CV", "±", "public", "private"], rows, "The points")
    return ReportFigure(f"cv-{number}", known.title, alt, figure, numbers)


def _draw_scatter(axes: Any, rows: Sequence[Sequence[Any]]) -> None:
    for place, board in enumerate(("public", "private")):
        points = [(row[1], row[3 + place], row[2] or 0.0) for row in rows if row[3 + place] is not None]
        if points:
            cv, scores, errors = zip(*points, strict=True)
            look: Any = {"fmt": MARKERS[place], "color": COLOURS[place], "capsize": 3, "linewidth": 1.2}
            axes.errorbar(cv, scores, xerr=errors, label=board, **look)
    axes.axline((rows[0][1], rows[0][1]), slope=1, linestyle=":", color=COLOURS[2], label="as held out")
    # One range for both: then the dotted line is the diagonal, and what lies far off it is seen to.
    every = [row[1] + side * (row[2] or 0.0) for row in rows for side in (-1, 1)]
    every += [score for row in rows for score in row[3:5] if score is not None]
    room = 0.06 * (max(every) - min(every)) or 0.05
    axes.set(xlim=(min(every) - room, max(every) + room), ylim=(min(every) - room, max(every) + room))
    axes.locator_params(nbins=6)


def rank_figure(known: Sequence[Known]) -> ReportFigure | None:
    """The place of each submission, in percent of the board, over time."""
    rows: list[list[Any]] = []
    with style():
        figure = new_figure(9.6, 3.8)
        axes: Any = figure.subplots()
        for place, one in enumerate(known):
            told = [(_time(entry.submitted), share) for entry in one.entries if (share := _share(entry.rank))]
            points = sorted(told)
            if points:
                look: Any = {"marker": MARKERS[place % len(MARKERS)], "color": COLOURS[place % len(COLOURS)]}
                # Where two fall together, the one below still shows at its rim.
                axes.plot(*zip(*points, strict=True), label=one.short, markersize=10 - 2 * (place % 4), **look)
                rows += [[one.title, str(when), share] for when, share in points]
        if not rows:
            return None
        axes.set(xlabel="submitted, UTC", ylabel="place, top % of the board", ylim=(0, 105))
        formatter: Any = ConciseDateFormatter  # matplotlib gives its constructor no types
        axes.xaxis.set_major_formatter(formatter(axes.xaxis.get_major_locator()))
        put_legend(figure, axes, 4)
    numbers = Table(["competition", "submitted, UTC", "top, %"], rows, "The places")
    return ReportFigure(
        "ranks", "Place on the board, over time (lower is better)", f"{len(rows)} places.", figure, numbers
    )


def _share(standing: str) -> float | None:
    rank, _, teams = standing.partition("/")
    return 100 * int(rank) / int(teams) if rank.isdecimal() and teams.isdecimal() and int(teams) else None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
