"""Where a run stands on the leaderboards that were kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from runner.hosts.leaderboards import SavedLeaderboard
from runner.hosts.standings import Standing, best_standing
from runner.report.page.figures import BLUE, GREEN, VERMILLION, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import Table
from runner.report.run.data import RunData


def standings_of(material: RunData) -> list[Standing]:
    """The standing of the run's best submission on each saved leaderboard."""
    best = [best_standing(material.competition, material.entries, saved) for saved in material.boards]
    return [pair[1] for pair in best if pair is not None and pair[1].teams]


def leaderboard_figures(material: RunData) -> list[ReportFigure]:
    """A histogram for each board that was kept, with this run in it."""
    return [_board_figure(material, one) for one in material.boards if one.leaderboard.rows]


def _board_figure(material: RunData, kept: SavedLeaderboard) -> ReportFigure:
    scores = np.array([row.score for row in kept.leaderboard.rows])
    kind, best = kept.leaderboard.kind, best_standing(material.competition, material.entries, kept)
    mine = best[1].score if best else None
    with style():
        figure = new_figure(height=3.0)
        axes: Any = figure.subplots()
        left = _draw_board(axes, material, scores, mine)
        put_legend(figure, axes)
    quarters = np.percentile(scores, (0, 25, 50, 75, 100)).tolist()
    rows: list[list[Any]] = [[kind, len(scores), *quarters, mine]]
    header = ["board", "teams", "lowest", "25 %", "median", "75 %", "highest", "this run"]
    alt = f"Histogram of the scores of {len(scores):,} teams; median {quarters[2]:.4f}."
    note = f"{left:,} teams with worse scores are not shown." if left else ""
    title = f"The {kind} board, {len(scores):,} teams"
    return ReportFigure(f"leaderboard-{kind}", title, alt, figure, Table(header, rows, "The board in short"), note)


def _draw_board(axes: Any, material: RunData, scores: Any, mine: float | None) -> int:
    """The histogram and its marks; how many teams are beyond its edge."""
    metric = material.competition.metric
    cv = material.score["cv"] if material.score else None
    marks = [one for one in (mine, cv and cv["value"]) if one is not None]
    # The worst tail of a board is far away and tells nothing.
    low, high = np.percentile(scores, (0, 95) if not metric.higher_is_better else (5, 100))
    low, high = min([low, *marks]), max([high, *marks])
    room = 0.05 * (high - low) or 0.05
    shown = scores[(scores >= low - room) & (scores <= high + room)]
    bins = min(40, max(8, len(shown) // 8))
    axes.hist(shown, bins=bins, range=(low - room, high + room), color=BLUE, alpha=0.75, rwidth=0.95)
    if mine is not None:
        axes.axvline(mine, color=VERMILLION, linewidth=2, label=f"submitted: {mine:.4f}")
    if cv is not None:
        axes.axvspan(
            cv["value"] - cv["error"],
            cv["value"] + cv["error"],
            facecolor=(GREEN, 0.25),
            edgecolor=GREEN,
            linewidth=0.8,
        )
        told = f"held-out: {cv['value']:.4f} ± {cv['error']:.4f}"
        axes.axvline(cv["value"], color=GREEN, linestyle="--", label=told)
    axes.set(xlabel=f"{metric.title} ({metric.direction})", ylabel="teams")
    axes.yaxis.get_major_locator().set_params(integer=True)
    return len(scores) - len(shown)
