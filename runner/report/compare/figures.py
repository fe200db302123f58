"""Figures of a comparison: differences with their errors, validation losses, the change of each class."""

from __future__ import annotations

from typing import Any

from runner.report.compare.comparison import ComparedRun, Comparison, Pair
from runner.report.page.figures import (
    BLUE,
    COLOURS,
    DASHES,
    INK,
    MARKERS,
    VERMILLION,
    ReportFigure,
    new_figure,
    plain_label,
    put_legend,
    style,
)
from runner.report.page.page import Cell, Table

_BARS = 40
_NAME = 28  # letters of a name at an axis


def differences_figure(comparison: Comparison) -> ReportFigure | None:
    """How much better each run is than the first, with the standard error and the difference of each fold."""
    pairs = comparison.with_first
    if not pairs:
        return None
    first, metric = comparison.runs[0].name, comparison.session.competition.metric
    with style():
        figure = new_figure(height=1.3 + 0.45 * len(pairs))
        axes: Any = figure.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for row, pair in enumerate(pairs):
            _draw_difference(axes, row, pair)
        axes.set_yticks(range(len(pairs)), [plain_label(pair.second.name, _NAME) for pair in pairs])
        axes.set(xlabel=f"better than {plain_label(first, _NAME)}, in {metric.title}", ylim=(len(pairs) - 0.4, -0.6))
        axes.grid(axis="y", visible=False)
        put_legend(figure, axes)
    alt = "; ".join(f"{pair.second.name}: {pair.difference.verdict}" for pair in pairs)
    note = f"Right of 0: better than {first}. Each row is predicted by both."
    return ReportFigure("differences", "Paired differences", f"{alt}.", figure, None, note)


def _draw_difference(axes: Any, row: int, pair: Pair) -> None:
    gain, folds = pair.difference.gain, list(pair.difference.folds.values())
    label = {"label": "difference ± standard error"} if row == 0 else {}
    marker: Any = {"fmt": "o", "color": BLUE, "capsize": 4, "markersize": 7, **label}
    axes.errorbar([gain.value], [row], xerr=[gain.error], **marker)
    if len(folds) > 1:
        label = {"label": "of each fold"} if row == 0 else {}
        axes.plot(folds, [row + 0.25] * len(folds), "|", color=VERMILLION, markersize=9, **label)


def losses_figure(comparison: Comparison) -> ReportFigure | None:
    """The validation loss of each run's first fold by minutes of training; None if fewer than two have one."""
    curves = [(run, _losses(run)) for run in comparison.runs]
    curves = [(run, points) for run, points in curves if points]
    if len(curves) < 2:
        return None
    with style():
        figure = new_figure(height=3.6)
        axes: Any = figure.subplots()
        for number, (run, points) in enumerate(curves):
            minutes, losses = zip(*points, strict=True)
            look: Any = {
                "color": COLOURS[number % len(COLOURS)],
                "marker": MARKERS[number % len(MARKERS)],
                "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
            }
            axes.plot(minutes, losses, label=plain_label(run.name, _NAME), markersize=4, **look)
        axes.set(xlabel="minutes of training, first fold", ylabel="validation loss")
        put_legend(figure, axes, 3)
    rows: list[list[Cell]] = [[run.name, len(points), points[-1][0], points[-1][1]] for run, points in curves]
    numbers = Table(["run", "epochs", "minutes", "last validation loss"], rows, "The ends of the curves")
    alt = "; ".join(f"{run.name}: {points[-1][1]:.4f} after {points[-1][0]:.1f} min" for run, points in curves)
    return ReportFigure("losses", "Validation loss by time", f"{alt}.", figure, numbers)


def _losses(run: ComparedRun) -> list[tuple[float, float]]:
    """(minutes, validation loss) after each epoch of the first fold."""
    points, minutes = [], 0.0
    for line in run.data.log:
        if line["fold"] == run.data.folds[0]:
            minutes += line["seconds"] / 60
            if line["valid_loss"] is not None:
                points.append((minutes, line["valid_loss"]))
    return points


def classes_figure(pair: Pair, number: int) -> ReportFigure | None:
    """The change of the classes as bars, the largest first; None if none changes."""
    rows = [row for row in pair.classes.rows if row.change][:_BARS]
    if not rows:
        return None
    changes = [row.change or 0.0 for row in rows]
    errors = [row.error or 0.0 for row in rows]
    with style():
        figure = new_figure(height=0.9 + 0.24 * len(rows))
        axes: Any = figure.subplots()
        colours = [BLUE if change > 0 else VERMILLION for change in changes]
        bars: Any = {"xerr": errors, "error_kw": {"linewidth": 0.8, "ecolor": INK}} if any(errors) else {}
        axes.barh(range(len(rows)), changes, color=colours, height=0.7, **bars)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set_yticks(range(len(rows)), [plain_label(row.name, _NAME) for row in rows], fontsize=9)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=f"change of {pair.classes.measure}", ylim=(len(rows) - 0.4, -0.6))
    count = sum(1 for row in pair.classes.rows if row.change)
    title = f"What changes from {pair.first.name} to {pair.second.name}"
    some = "" if count <= _BARS else f" The {_BARS} largest of {count:,} changes."
    note = f"Right of 0: {pair.second.name} is better.{some}"
    alt = f"{title}: the largest change is {rows[0].name} with {changes[0]:+.3g}."
    return ReportFigure(f"changes-{number}", title, alt, figure, None, note)
