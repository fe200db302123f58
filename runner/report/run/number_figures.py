"""Predicted numbers drawn: each against the actual one, and the table of their errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from runner.report.page.figures import BLUE, VERMILLION, ReportFigure, new_figure, plain_label, style
from runner.report.page.page import Cell, Table
from runner.report.run.data import OofPredictions
from runner.report.run.numbers import NumberScore, number_scores

_PLOTS = 12
_COLUMNS = 3  # of the small plots
_POINTS = 1500  # of a plot; more would only be darker


def numbers_table(oof: OofPredictions) -> Table:
    """The errors of every number."""
    rows: list[list[Cell]] = [
        [score.name, score.rows, score.mean, score.rmse, score.mae, score.bias, score.r2]
        for score in number_scores(oof)
    ]
    header = ["number", "rows", "mean", "RMSE", "MAE", "bias", "R²"]
    return Table(header, rows, "Every number, the lowest R² first; bias is predicted minus actual")


def numbers_figure(oof: OofPredictions) -> ReportFigure | None:
    """Predicted against actual, a plot a number, the lowest R² first; None if no number is known."""
    scores = number_scores(oof)[:_PLOTS]
    if not scores:
        return None
    columns = min(_COLUMNS, len(scores))
    with style():
        figure = new_figure(3.2 * columns + 0.4, 3.0 * -(-len(scores) // columns) + 0.4)
        grid = figure.subplots(-(-len(scores) // columns), columns, squeeze=False)
        for number, axes in enumerate(grid.flat):
            if number < len(scores):
                _draw(axes, oof, scores[number])
            else:
                axes.axis("off")
        figure.supxlabel("actual", fontsize=10)
        figure.supylabel("predicted", fontsize=10)
    count = len(oof.classes)
    title = (
        "Predicted by actual" if len(scores) == count else f"Predicted by actual, the {len(scores)} worst of {count}"
    )
    shown = "; ".join(f"{score.name}: RMSE {score.rmse:.4g}" for score in scores[:3])
    note = "Dotted: where they are equal." + (f" At most {_POINTS:,} rows a plot." if _has_more(oof) else "")
    return ReportFigure("numbers", title, f"{title}. {shown}.", figure, note=note, wide=columns > 1)


def _draw(axes: Any, oof: OofPredictions, score: NumberScore) -> None:
    column = oof.classes.index(score.name)
    rows = np.flatnonzero(np.isfinite(oof.targets[:, column]))
    rows = rows[:: -(-len(rows) // _POINTS)]
    actual, predicted = oof.targets[rows, column], oof.values[rows, column]
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    axes.plot([low, high], [low, high], linestyle=":", color=VERMILLION)
    axes.scatter(actual, predicted, s=9, alpha=0.5, color=BLUE, edgecolors="none")
    r2 = "" if score.r2 is None else f", R² {score.r2:.2f}"
    axes.set_title(f"{plain_label(score.name, 24)}{r2}", fontsize=9)


def _has_more(oof: OofPredictions) -> bool:
    return bool((np.isfinite(oof.targets).sum(axis=0) > _POINTS).any())
