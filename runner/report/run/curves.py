"""Training as curves: the LR finder, the lr schedule, losses and metrics by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.contract import Metric, Recipe
from runner.report.page.figures import (
    BLUE,
    COLOURS,
    DASHES,
    FAINT,
    GREEN,
    MARKERS,
    ORANGE,
    VERMILLION,
    ReportFigure,
    new_figure,
    put_legend,
    style,
)
from runner.report.page.page import Table
from runner.report.run.data import LrFinderCurve, RunData
from runner.workspace import atomic_path

Line = dict[str, Any]  # of log.jsonl: one epoch of one fold

_LR, _FINDER_LOSS = "lr of the head", "training loss, smoothed"
_MODES = {"features": "head", "frozen": "head", "unfrozen": "all"}  # what a stage trains, in few letters
_LETTER = 0.0125  # width of a letter above the axes, as a share of their width
_POINTS = 600  # of a line; more would be drawn over each other


def lr_finder_figures(curves: Sequence[LrFinderCurve], recipe: Recipe) -> list[ReportFigure]:
    """A figure for each stage, of the first fold that has a curve."""
    return [_lr_finder_figure(curve, recipe) for curve in curves if curve.fold == curves[0].fold]


def _lr_finder_figure(curve: LrFinderCurve, recipe: Recipe) -> ReportFigure:
    with style():
        figure = new_figure(height=3.0)
        axes: Any = figure.subplots()
        _draw_lr_curve(axes, curve)
        put_legend(figure, axes)
    suggestion = f"suggested lr {curve.suggested:.2g}" if curve.suggested else "no lr suggested, using the recipe's"
    note = f"{suggestion[:1].upper()}{suggestion[1:]}: {curve.reason}."
    numbers = Table([_LR, _FINDER_LOSS], list(zip(curve.lrs, curve.losses, strict=True)), "The curve")
    name = f"find-lr-{curve.stage + 1}" if curve.stage else "find-lr"
    title = f"LR finder, {_stage_title(recipe, curve.stage)}"
    return ReportFigure(name, title, f"Loss by learning rate. {note}", figure, numbers, note)


def save_lr_finder_figure(curves: Sequence[tuple[str, LrFinderCurve]], path: Path) -> None:
    """Draw the titled curves below each other into one SVG or PNG, by the path's suffix."""
    figure = draw_lr_finder_figure(curves)
    with style(), atomic_path(path) as part:
        figure.savefig(part, dpi=150, facecolor="white")


def draw_lr_finder_figure(curves: Sequence[tuple[str, LrFinderCurve]]) -> Figure:
    """The titled curves below each other."""
    with style():
        figure = new_figure(6.4, 3.2 * len(curves))
        for axes, (title, curve) in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves, strict=True):
            _draw_lr_curve(axes, curve)
            axes.set_title(title if curve.suggested else f"{title}: {curve.reason}", fontsize=10)
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
    return figure


def _draw_lr_curve(axes: Any, curve: LrFinderCurve) -> None:
    axes.plot(curve.lrs, curve.losses, color=BLUE)
    for lr, colour, dash, name in (
        (curve.suggested, VERMILLION, "-", "suggested"),
        (curve.steep, GREEN, "--", "steepest"),
    ):
        if lr:
            axes.axvline(lr, color=colour, linestyle=dash, label=f"{name}: {lr:.2g}")
    axes.set_xscale("log")
    if curve.losses:
        # The end, where the loss diverges, may leave the axes: it must not flatten the rest.
        low, high = min(curve.losses), max(curve.losses[0], float(np.percentile(curve.losses, 85)))
        axes.set_ylim(low - 0.1 * (high - low) - 1e-3, high + 0.25 * (high - low) + 1e-3)
    axes.set(xlabel=_LR, ylabel=_FINDER_LOSS)


def _stage_title(recipe: Recipe, number: int) -> str:
    if number >= len(recipe.stages):
        return f"stage {number + 1}"
    stage = recipe.stages[number]
    return f"stage {number + 1}: {stage.size} px, {stage.mode.value}"


def schedule_figure(data: RunData) -> ReportFigure | None:
    """The lr of each mini-batch of the first fold; None before the first epoch."""
    lines = [line for line in _first_fold(data) if line.get("lrs")]  # a regression has none
    lrs = [lr for line in lines for lr in line["lrs"]]
    if not lrs:
        return None
    with style():
        figure = new_figure()
        axes = figure.subplots()
        axes.plot(*_thin_out(lrs), color=BLUE)
        axes.set(xlabel="mini-batch", ylabel=_LR, ylim=(0, max(lrs) * 1.1))
        _mark_stages(axes, lines)
    rows = [
        [line["epoch"] + 1, line["size"], line["mode"], line["cycle"] + 1, _at(line, "lrs", 0), _at(line, "lrs", -1)]
        for line in lines
    ]
    numbers = Table(["epoch", "size, px", "mode", "cycle", "lr at start", "lr at end"], rows, "The lr by epoch")
    cycles = sum(bool(line["ends_cycle"]) for line in lines)
    alt = f"Learning rate over {len(lrs):,} mini-batches, {cycles} cosine cycles, highest lr {max(lrs):.2g}."
    return ReportFigure("schedule", "Learning rate schedule", alt, figure, numbers)


def loss_figure(data: RunData) -> ReportFigure | None:
    """Training loss by mini-batch and validation loss by epoch, a colour for each fold; None before the first epoch."""
    if not data.log:
        return None
    with style():
        figure = new_figure(height=3.6)
        axes = figure.subplots()
        for number, fold in enumerate(data.folds):
            _draw_losses(axes, _of_fold(data, fold), number, f"fold {fold}" if len(data.folds) > 1 else "")
        top = _upper_limit([line["train_loss"] for line in data.log] + _valid_losses(data.log))
        axes.set(xlabel="mini-batch", ylabel="loss (cross-entropy, nats)", ylim=(0, top))
        _mark_stages(axes, _first_fold(data))
        put_legend(figure, axes, 5)
    last = _first_fold(data)[-1]
    valid = "none" if last["valid_loss"] is None else f"{last['valid_loss']:.4f}"
    alt = f"Losses; last epoch of fold {last['fold']}: training {last['train_loss']:.4f}, validation {valid}."
    note = "Solid: training, smoothed. Dashed, with a marker for each epoch: validation." if len(data.folds) > 1 else ""
    return ReportFigure("loss", "Training and validation loss", alt, figure, _epochs_table(data), note)


def _draw_losses(axes: Any, lines: Sequence[Line], number: int, fold: str) -> None:
    losses = [loss for line in lines for loss in line.get("losses", ())]
    if not losses:
        return
    colour = COLOURS[number % len(COLOURS)] if fold else BLUE
    label = "_" if fold else "training, smoothed"  # matplotlib leaves out labels that begin so
    axes.plot(*_thin_out(_smoothed(losses)), color=colour, linewidth=1, label=label)
    ends = np.cumsum([len(line.get("losses", ())) for line in lines])
    valid = [(end, line["valid_loss"]) for end, line in zip(ends, lines, strict=True) if line["valid_loss"] is not None]
    if valid:
        axes.plot(
            *zip(*valid, strict=True),
            color=colour if fold else VERMILLION,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linestyle=DASHES[1],
            label=fold or "validation",
        )


def metric_figures(data: RunData) -> list[ReportFigure]:
    """A figure for every metric on the validation rows, by epoch; the validation loss has one already."""
    metrics = [metric for metric in data.metrics_except_loss if any(metric.key in line["scores"] for line in data.log)]
    return [
        _metric_figure(data, metric, f"metric-{number}" if number > 1 else "metric")
        for number, metric in enumerate(metrics, 1)
    ]


def _metric_figure(data: RunData, metric: Metric, name: str) -> ReportFigure:
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        _draw_metric(axes, data, metric.key)
        axes.set(xlabel="epoch", ylabel=f"{metric.title} ({metric.direction})")
        put_legend(figure, axes, 4)
    last = next(line["scores"][metric.key] for line in reversed(data.log) if metric.key in line["scores"])
    alt = f"{metric.title} on validation rows by epoch ({metric.direction}); last {last:.4f}."
    title = f"{metric.title[:1].upper()}{metric.title[1:]} on validation rows, by epoch"
    rows = [[line["fold"], line["epoch"] + 1, line["scores"].get(metric.key)] for line in data.log]
    numbers = Table(["fold", "epoch", metric.title], rows, f"{metric.title[:1].upper()}{metric.title[1:]} by epoch")
    return ReportFigure(name, title, alt, figure, numbers)


def _draw_metric(axes: Any, data: RunData, key: str) -> None:
    scored = [line for line in data.log if key in line["scores"]]
    for number, fold in enumerate(data.folds):
        lines = [line for line in scored if line["fold"] == fold]
        x, y = [line["epoch"] + 1 for line in lines], [line["scores"][key] for line in lines]
        colour = COLOURS[number % len(COLOURS)]
        label = f"fold {fold}" if len(data.folds) > 1 else "validation rows"
        axes.plot(x, y, color=colour, marker=MARKERS[number % len(MARKERS)], markersize=4, label=label)
        ends = [(epoch, score) for epoch, score, line in zip(x, y, lines, strict=True) if line["ends_cycle"]]
        if ends:
            label = "snapshot" if number == 0 else "_"  # matplotlib leaves out labels that begin so
            axes.plot(*zip(*ends, strict=True), "s", color=ORANGE, markersize=9, fillstyle="none", label=label)
    scores = [line["scores"][key] for line in scored]
    if len(scores) > 3 and max(scores) > 1.5:
        axes.set_ylim(min(scores) * 0.9, _upper_limit(scores))
    last = max(line["epoch"] + 1 for line in scored)
    axes.set_xlim(min(0.5, 1 - 0.03 * last), last + max(0.5, 0.03 * last))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _epochs_table(data: RunData) -> Table:
    metrics = data.metrics_except_loss
    rows = [
        [
            line["fold"],
            line["epoch"] + 1,
            line["size"],
            line["mode"],
            line["cycle"] + 1,
            line["train_loss"],
            line["valid_loss"],
            *(line["scores"].get(metric.key) for metric in metrics),
            line["seconds"],
        ]
        for line in data.log
    ]
    titles = [metric.title for metric in metrics]
    header = ["fold", "epoch", "size, px", "mode", "cycle", "training loss", "validation loss", *titles, "seconds"]
    return Table(header, rows, "All epochs")


def _first_fold(data: RunData) -> list[Line]:
    return _of_fold(data, data.folds[0]) if data.folds else []


def _of_fold(data: RunData, fold: int) -> list[Line]:
    return [line for line in data.log if line["fold"] == fold]


def _valid_losses(lines: Sequence[Line]) -> list[float]:
    return [line["valid_loss"] for line in lines if line["valid_loss"] is not None]


def _mark_stages(axes: Any, lines: Sequence[Line]) -> None:
    """Mark the ends of cycles and the starts of stages, with their size and mode above the axes."""
    step, stage = 0, None
    starts: list[tuple[int, str]] = []
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for line in lines:
        if line["stage"] != stage:
            stage = line["stage"]
            starts.append((step, f"{line['size']} px, {_MODES.get(line['mode'], line['mode'])}"))
        step += len(line.get("losses", ()))
        if line["ends_cycle"]:
            axes.axvline(step, color=FAINT, linewidth=1.2, linestyle="-")
    for (start, name), level in zip(starts, _label_levels(starts, axes.get_xlim()[1]), strict=True):
        if start:
            axes.axvline(start, color=ORANGE, linewidth=1.4, linestyle=":")
        height = 1.01 + 0.065 * level
        axes.text(start, height, name, transform=axes.get_xaxis_transform(), fontsize=9, va="bottom", clip_on=False)


def _label_levels(starts: Sequence[tuple[int, str]], width: float) -> list[int]:
    """For each label the lowest line above the axes on which it overlaps no other."""
    ends: list[float] = []
    levels = []
    for start, name in starts:
        level = next((level for level, end in enumerate(ends) if end <= start), len(ends))
        ends[level : level + 1] = [start + _LETTER * (len(name) + 2) * width]
        levels.append(level)
    return levels


def _thin_out(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Steps, counted from 1, and values of about _POINTS points, the last included."""
    every = max(1, len(values) // _POINTS)
    indices = sorted({*range(0, len(values), every), len(values) - 1})
    return [index + 1 for index in indices], [values[index] for index in indices]


def _smoothed(losses: Sequence[float]) -> list[float]:
    """Exponentially weighted mean: single mini-batches are too noisy to read."""
    return pd.Series(losses).ewm(alpha=0.1).mean().tolist()


def _upper_limit(values: Sequence[float]) -> float:
    """Upper limit of the axis; an outlier in the first steps must not flatten the rest."""
    finite = np.array([value for value in values if np.isfinite(value)])
    return float(min(finite.max(), np.percentile(finite, 90) * 1.6) * 1.1) if len(finite) else 1.0


def _at(line: Line, key: str, index: int) -> float | None:
    values = line.get(key)
    return float(values[index]) if values else None
