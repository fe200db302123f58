"""How the training went: the finder's curves, the schedule as it ran, the losses and the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.contract import Competition, Metric, Recipe
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
from runner.report.run.data import Found, RunData

_STATES = {"head": "head", "frozen": "frozen", "unfrozen": "all"}
_LETTER = 0.0125  # of the axes' width, in the small print above them
_SHOWN = 600  # points of a line; more would be drawn over each other


def finder_figures(found: Sequence[Found], recipe: Recipe) -> list[ReportFigure]:
    """A figure for each stage of the first fold that the finder was asked for."""
    return [_finder_figure(one, recipe) for one in found if one.fold == found[0].fold]


def _finder_figure(one: Found, recipe: Recipe) -> ReportFigure:
    with style():
        figure = new_figure(height=3.0)
        axes: Any = figure.subplots()
        _draw_found(axes, one)
        put_legend(figure, axes)
    rate = f"{one.suggested:.2g} suggested" if one.suggested else "no rate suggested, so the recipe's is used"
    told = f"{rate}: {one.reason}."
    rows = [[rate, loss] for rate, loss in zip(one.rates, one.losses, strict=True)]
    numbers = Table(["learning rate of the head", "training loss, smoothed"], rows, "The curve")
    title = f"Learning-rate finder, {_stage_name(recipe, one.stage)}"
    name = f"find-lr-{one.stage + 1}" if one.stage else "find-lr"
    return ReportFigure(name, title, f"Loss over learning rate. {told}", figure, numbers, told[:1].upper() + told[1:])


def _draw_found(axes: Any, one: Found) -> None:
    axes.plot(one.rates, one.losses, color=BLUE)
    for rate, colour, dash, name in (
        (one.suggested, VERMILLION, "-", "suggested"),
        (one.steepest, GREEN, "--", "steepest"),
    ):
        if rate:
            axes.axvline(rate, color=colour, linestyle=dash, label=f"{name}: {rate:.2g}")
    axes.set_xscale("log")
    if one.losses:
        # Where it breaks away it soon leaves the page; most of the curve must not be flattened for that.
        low, high = min(one.losses), max(one.losses[0], float(np.percentile(one.losses, 85)))
        axes.set_ylim(low - 0.1 * (high - low) - 1e-3, high + 0.25 * (high - low) + 1e-3)
    axes.set(xlabel="learning rate of the head", ylabel="training loss, smoothed")


def _stage_name(recipe: Recipe, stage: int) -> str:
    if stage >= len(recipe.stages):
        return f"stage {stage + 1}"
    told = recipe.stages[stage]
    return f"stage {stage + 1}: {told.size} px, {told.mode.value}"


def schedule_figure(material: RunData) -> ReportFigure | None:
    """The learning rate, mini-batch by mini-batch, as it ran in the first fold."""
    lines = _first_fold(material)
    rates = [rate for line in lines for rate in line.get("lrs", ())]
    if not rates:
        return None
    with style():
        figure = new_figure()
        axes = figure.subplots()
        steps, thin = _thinned(rates)
        axes.plot(steps, thin, color=BLUE)
        axes.set(xlabel="mini-batch", ylabel="learning rate of the head", ylim=(0, max(rates) * 1.1))
        _mark_stages(axes, lines)
    restarts = sum(bool(line["ends_cycle"]) for line in lines)
    rows = [
        [
            line["epoch"] + 1,
            line["size"],
            line["mode"],
            line["cycle"] + 1,
            _at(line, "lrs", 0),
            _at(line, "lrs", -1),
        ]
        for line in lines
    ]
    numbers = Table(["epoch", "size, px", "learns", "cycle", "rate at start", "rate at end"], rows, "The rate by epoch")
    alt = f"Learning rate over {len(rates):,} mini-batches: {restarts} cycles ended, highest rate {max(rates):.2g}."
    return ReportFigure("schedule", "The schedule as it ran", alt, figure, numbers)


def loss_figure(material: RunData) -> ReportFigure | None:
    """Training loss by mini-batch and validation loss by epoch; a colour a fold."""
    if not material.log:
        return None
    with style():
        figure = new_figure(height=3.6)
        axes = figure.subplots()
        for place, fold in enumerate(material.folds):
            _draw_losses(axes, _of_fold(material, fold), place, fold, len(material.folds) > 1)
        top = _top([line["train_loss"] for line in material.log] + _valid_losses(material.log))
        axes.set(xlabel="mini-batch", ylabel="loss (cross-entropy, nats)", ylim=(0, top))
        _mark_stages(axes, _first_fold(material))
        put_legend(figure, axes, 3 if len(material.folds) == 3 else 2)
    last = _first_fold(material)[-1]
    valid = "none" if last["valid_loss"] is None else f"{last['valid_loss']:.4f}"
    train = f"{last['train_loss']:.4f}"
    alt = f"Losses by mini-batch; last epoch of fold {last['fold']}: training {train}, validation {valid}."
    return ReportFigure("loss", "Training and validation loss", alt, figure, _epochs_table(material))


def _draw_losses(axes: Any, lines: Sequence[dict[str, Any]], place: int, fold: int, several: bool) -> None:
    each = [loss for line in lines for loss in line.get("losses", ())]
    if not each:
        return
    suffix = f", fold {fold}" if several else ""
    colour = COLOURS[place % len(COLOURS)] if several else BLUE
    steps, thin = _thinned(_smoothed(each))
    axes.plot(
        steps,
        thin,
        color=colour,
        linewidth=1,
        label=f"training{suffix or ', smoothed'}",
    )
    ends = np.cumsum([len(line.get("losses", ())) for line in lines])
    valid = [(end, line["valid_loss"]) for end, line in zip(ends, lines, strict=True) if line["valid_loss"] is not None]
    if valid:
        axes.plot(
            *zip(*valid, strict=True),
            color=colour if several else VERMILLION,
            marker=MARKERS[place % len(MARKERS)],
            markersize=4,
            linestyle=DASHES[1],
            label=f"validation{suffix}",
        )


def metric_figures(material: RunData) -> list[ReportFigure]:
    """A figure for every metric on the held-out rows, epoch by epoch."""
    metrics = (material.competition.metric, *material.competition.extra_metrics)
    told = [one for one in metrics if any(one.key in line["scores"] for line in material.log)]
    return [
        _metric_figure(material, one, f"metric-{place + 1}" if place else "metric") for place, one in enumerate(told)
    ]


def _metric_figure(material: RunData, metric: Metric, name: str) -> ReportFigure:
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        _draw_metric(axes, material, metric.key)
        axes.set(xlabel="epoch", ylabel=f"{metric.title} ({metric.direction})")
        put_legend(figure, axes, 4)
    last = next(line["scores"][metric.key] for line in reversed(material.log) if metric.key in line["scores"])
    alt = f"{metric.title} on held-out rows by epoch ({metric.direction}); last {last:.4f}."
    title = f"{metric.title[:1].upper()}{metric.title[1:]} on held-out rows, by epoch"
    return ReportFigure(name, title, alt, figure, _epochs_table(material))


def _draw_metric(axes: Any, material: RunData, key: str) -> None:
    every = [line["scores"][key] for line in material.log if key in line["scores"]]
    for place, fold in enumerate(material.folds):
        lines = [line for line in _of_fold(material, fold) if key in line["scores"]]
        x, y = [line["epoch"] + 1 for line in lines], [line["scores"][key] for line in lines]
        colour = COLOURS[place % len(COLOURS)]
        name = f"fold {fold}" if len(material.folds) > 1 else "held-out rows"
        axes.plot(x, y, color=colour, marker=MARKERS[place % len(MARKERS)], markersize=4, label=name)
        ends = [(a, b) for a, b, line in zip(x, y, lines, strict=True) if line["ends_cycle"]]
        if ends:
            label = "snapshot" if place == 0 else None
            axes.plot(*zip(*ends, strict=True), "s", color=ORANGE, markersize=9, fillstyle="none", label=label)
    if len(every) > 3 and max(every) > 1.5:
        axes.set_ylim(min(every) * 0.9, _top(every))
    axes.xaxis.get_major_locator().set_params(integer=True)


def _metric_titles(competition: Competition) -> dict[str, str]:
    return {metric.key: metric.title for metric in (competition.metric, *competition.extra_metrics)}


def _epochs_table(material: RunData) -> Table:
    titles = _metric_titles(material.competition)
    rows = [
        [
            line["fold"],
            line["epoch"] + 1,
            line["size"],
            line["mode"],
            line["cycle"] + 1,
            line["train_loss"],
            line["valid_loss"],
            *(line["scores"].get(key) for key in titles),
            line["seconds"],
        ]
        for line in material.log
    ]
    header = ["fold", "epoch", "size, px", "learns", "cycle", "training loss", "validation loss", *titles.values(), "s"]
    return Table(header, rows, "Every epoch")


def _first_fold(material: RunData) -> list[dict[str, Any]]:
    return _of_fold(material, material.folds[0]) if material.folds else []


def _of_fold(material: RunData, fold: int) -> list[dict[str, Any]]:
    return [line for line in material.log if line["fold"] == fold]


def _valid_losses(lines: Sequence[dict[str, Any]]) -> list[float]:
    return [line["valid_loss"] for line in lines if line["valid_loss"] is not None]


def _mark_stages(axes: Any, lines: Sequence[dict[str, Any]]) -> None:
    """A line where a cycle ends; where a stage begins its size and what learns, above the axes."""
    step, stage = 0, None
    starts: list[tuple[int, str]] = []
    axes.set_xlim(left=0)
    for line in lines:
        if line["stage"] != stage:
            stage = line["stage"]
            starts.append((step, f"{line['size']} px, {_STATES.get(line['mode'], line['mode'])}"))
        step += len(line.get("losses", ()))
        if line["ends_cycle"]:
            axes.axvline(step, color=FAINT, linewidth=1.2, linestyle="-")
    for (at, name), floor in zip(starts, _floors(starts, axes.get_xlim()[1]), strict=True):
        if at:
            axes.axvline(at, color=ORANGE, linewidth=1.4, linestyle=":")
        height = 1.01 + 0.065 * floor
        axes.text(at, height, name, transform=axes.get_xaxis_transform(), fontsize=9, va="bottom", clip_on=False)


def _floors(starts: Sequence[tuple[int, str]], width: float) -> list[int]:
    """For each name the lowest line above the axes on which it overlaps no other."""
    ends: list[float] = []
    floors = []
    for at, name in starts:
        floor = next((place for place, end in enumerate(ends) if end <= at), len(ends))
        ends[floor : floor + 1] = [at + _LETTER * (len(name) + 2) * width]
        floors.append(floor)
    return floors


def _thinned(values: Sequence[float]) -> tuple[list[int], list[float]]:
    every = max(1, len(values) // _SHOWN)
    places = sorted({*range(0, len(values), every), len(values) - 1})
    return [place + 1 for place in places], [values[place] for place in places]


def _smoothed(values: Sequence[float]) -> list[float]:
    """A running mean that forgets: single mini-batches jump too much to be read."""
    smooth, average = [], 0.0
    for step, value in enumerate(values):
        average = 0.9 * average + 0.1 * value
        smooth.append(average / (1 - 0.9 ** (step + 1)))
    return smooth


def _top(values: Sequence[float]) -> float:
    """Where the axis ends: an outburst in the first steps must not flatten the rest."""
    known = np.array([value for value in values if np.isfinite(value)])
    return float(min(known.max(), np.percentile(known, 90) * 1.6) * 1.1) if len(known) else 1.0


def _at(line: dict[str, Any], key: str, place: int) -> float | None:
    values = line.get(key) or [None]
    found: float | None = values[place]
    return found
