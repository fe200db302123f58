"""A run's standing on the saved leaderboards, and their scores as histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from runner.hosts.leaderboards import SavedLeaderboard
from runner.hosts.standings import Standing, best_standing
from runner.report.page.figures import BLUE, GREEN, VERMILLION, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import Table
from runner.report.run.data import RunData


def standings_of(data: RunData) -> list[Standing]:
    """The standing of the run's best submission on each saved leaderboard, as `standings` has it."""
    best = [best_standing(data.competition, data.entries, saved) for saved in data.leaderboards]
    return [pair[1] for pair in best if pair is not None and pair[1].teams]


def leaderboard_figures(data: RunData) -> list[ReportFigure]:
    """A histogram for each saved leaderboard, with this run in it."""
    scores = {standing.private: standing.score for standing in standings_of(data)}
    return [
        _leaderboard_figure(data, saved, scores.get(saved.leaderboard.private))
        for saved in data.leaderboards
        if saved.leaderboard.rows
    ]


def _leaderboard_figure(data: RunData, saved: SavedLeaderboard, submitted: float | None) -> ReportFigure:
    scores = np.array([row.score for row in saved.leaderboard.rows])
    kind = saved.leaderboard.kind
    with style():
        figure = new_figure(height=3.0)
        axes: Any = figure.subplots()
        hidden = _draw_histogram(axes, data, scores, submitted)
        put_legend(figure, axes)
    quartiles = np.percentile(scores, (0, 25, 50, 75, 100)).tolist()
    header = ["leaderboard", "teams", "lowest", "25 %", "median", "75 %", "highest", "this run"]
    numbers = Table(header, [[kind, len(scores), *quartiles, submitted]], "Scores of all teams")
    alt = f"Histogram of the scores of {len(scores):,} teams; median {quartiles[2]:.4f}."
    note = f"{hidden:,} teams with worse scores are not shown." if hidden else ""
    title = f"{kind.capitalize()} leaderboard, {len(scores):,} teams"
    return ReportFigure(f"leaderboard-{kind}", title, alt, figure, numbers, note)


def _draw_histogram(axes: Any, data: RunData, scores: Any, submitted: float | None) -> int:
    """Draw the scores, the submission and CV; returns the number of teams outside the axes."""
    metric = data.competition.metric
    cv = data.score["cv"] if data.score else None
    marks = [score for score in (submitted, cv and cv["value"]) if score is not None]
    # The worst scores of a leaderboard are far off and not informative.
    low, high = np.percentile(scores, (0, 95) if not metric.higher_is_better else (5, 100))
    low, high = min([low, *marks]), max([high, *marks])
    margin = 0.05 * (high - low) or 0.05
    shown = scores[(scores >= low - margin) & (scores <= high + margin)]
    bins = min(40, max(8, len(shown) // 8))
    axes.hist(shown, bins=bins, range=(low - margin, high + margin), color=BLUE, alpha=0.75, rwidth=0.95)
    if submitted is not None:
        axes.axvline(submitted, color=VERMILLION, linewidth=2, label=f"submitted: {submitted:.4f}")
    if cv is not None:
        value, error = cv["value"], cv["error"]
        axes.axvspan(value - error, value + error, facecolor=(GREEN, 0.25), edgecolor=GREEN, linewidth=0.8)
        axes.axvline(value, color=GREEN, linestyle="--", label=f"CV: {value:.4f} ± {error:.4f}")
    axes.set(xlabel=f"{metric.title} ({metric.direction})", ylabel="teams")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return len(scores) - len(shown)
