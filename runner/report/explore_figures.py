"""The figures of the page about the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, to_rgba
from numpy.typing import NDArray

from runner.explore.explore import Exploration, Measure, Quantiles
from runner.report.page.figures import (
    BLUE,
    FAINT,
    GROUND,
    INK,
    VERMILLION,
    ReportFigure,
    label_bars,
    new_figure,
    put_legend,
    style,
)
from runner.report.page.page import Table

_FEW_CLASSES = 4  # more lines over each other tell nothing
_NAMED_BARS = 40  # classes; more of them are bars without names, and a table
_UNITS = {
    "width": "width (pixels)",
    "height": "height (pixels)",
    "width / height": "width / height",
    "brightness": "mean brightness (0 to 255)",
    "contrast": "contrast: spread of brightness (0 to 255)",
    "colourfulness": "colourfulness: largest less smallest channel (0 to 255)",
}


def explore_figures(found: Exploration) -> Iterator[ReportFigure]:
    """Each figure that there is something to show in."""
    with style():
        yield _counts(found)
        if found.cooccurrence is not None:
            yield _together(found, found.cooccurrence)
        for kind, measures in (("size", found.sizes), ("look", found.looks)):
            shown = [measure for measure in measures if _varies(measure)]
            yield from (_compared(measure, f"{kind}-{place}") for place, measure in enumerate(shown))
        if found.cooccurrence is None and len(found.classes) <= _FEW_CLASSES:
            shown = [measure for measure in found.looks if _varies(measure)]
            marked = _marked(found)[found.looked_rows]
            yield from (_by_class(found, one, marked, f"by-class-{place}") for place, one in enumerate(shown))
        for place, measure in enumerate(found.tabular):
            yield _by_class(found, measure, _marked(found), f"beside-{place}")


def _counts(found: Exploration) -> ReportFigure:
    counts = sorted(found.classes, key=lambda one: -one.rows)
    total = len(found.index.train)
    what = "tag" if found.cooccurrence is not None else "class"
    numbers = Table(
        [what, "images", "share of the images, %"],
        [[one.name, one.rows, round(100 * one.rows / max(total, 1), 2)] for one in counts],
        f"Images of each {what}",
    )
    values = [one.rows for one in counts]
    if len(counts) <= _NAMED_BARS:
        figure = new_figure(height=0.9 + 0.27 * len(counts))
        axes = figure.subplots()
        axes.barh(range(len(counts)), values, color=BLUE, height=0.75)
        axes.set_yticks(range(len(counts)), [_plain(one.name) for one in counts])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("images")
        axes.margins(x=0.1)
        label_bars(axes, [float(value) for value in values], "{:,.0f}")
    else:
        figure = new_figure()
        axes = figure.subplots()
        axes.bar(range(1, len(counts) + 1), values, color=BLUE, width=0.85)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(f"{what}, from the most images to the fewest")
        axes.set_ylabel("images")
    alt = f"Bars of {len(counts)}: {counts[0].name} has most, {values[0]:,}; {counts[-1].name} fewest, {values[-1]:,}."
    return ReportFigure("class-counts", f"How many images each {what} has", alt, figure, numbers)


def _together(found: Exploration, cooccurrence: NDArray[np.int64]) -> ReportFigure:
    order = np.argsort(-np.diag(cooccurrence), kind="stable")
    names = [found.index.classes[place] for place in order]
    counts = cooccurrence[np.ix_(order, order)]
    shares = counts / np.diag(counts).clip(1)[:, None]
    side = 1.8 + 0.42 * len(names)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    depths = ListedColormap([to_rgba(BLUE, share) for share in np.linspace(0, 1, 64)])
    axes.pcolormesh(shares, cmap=depths, vmin=0, vmax=1, edgecolors=FAINT, linewidth=0.5)
    if len(names) <= _NAMED_BARS:
        _write_cells(axes, shares)
    axes.set_xticks(np.arange(len(names)) + 0.5, [_plain(name) for name in names], rotation=60, ha="right")
    axes.set_yticks(np.arange(len(names)) + 0.5, [_plain(name) for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xlabel("... bear this one too (%)")
    axes.set_ylabel("of the images with this tag ...")
    numbers = Table(
        ["tag", "other tag", "images with both", "of the tag's, %"],
        [
            [names[row], names[column], int(counts[row, column]), round(float(100 * shares[row, column]), 1)]
            for row in range(len(names))
            for column in range(len(names))
            if row != column and counts[row, column]
        ],
        "Tags on one image",
    )
    alt = "A square of tags by tags; how often the second is there where the first is. The table has the numbers."
    return ReportFigure("cooccurrence", "Which tags come cooccurrence", alt, figure, numbers)


def _write_cells(axes: Any, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if row != column and share >= 0.005:
            colour = GROUND if share > 0.75 else INK
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=8)


def _compared(measure: Measure, name: str) -> ReportFigure:
    """The labelled images as an area and the test images as a line."""
    figure = new_figure(height=2.9)
    axes: Any = figure.subplots()
    _draw_measure(axes, measure)
    axes.set(xlabel=_label(measure), ylabel="images (%)")
    put_legend(figure, axes)
    middles = f"in the middle {_middle(measure.train)} and {_middle(measure.test)}"
    alt = f"Histogram of {measure.name}, labelled and test images: {middles}."
    title = measure.name[:1].upper() + measure.name[1:]
    return ReportFigure(name, f"{title}: labelled and test images", alt, figure, spread_table([measure]))


def _label(measure: Measure) -> str:
    return _UNITS.get(measure.name, measure.label)


def _draw_measure(axes: Any, measure: Measure) -> None:
    train, test = (values[~np.isnan(values)] for values in (measure.train, measure.test))
    edges = _edges(np.concatenate([train, test]))
    for values, look in (
        (train, {"facecolor": (BLUE, 0.5), "edgecolor": BLUE, "linewidth": 0.7, "label": "labelled"}),
        (test, {"color": VERMILLION, "histtype": "step", "linewidth": 1.6, "linestyle": "--", "label": "test"}),
    ):
        if len(values):
            inside = values.clip(edges[0], edges[-1])
            axes.hist(inside, edges, weights=np.full(len(values), 100 / len(values)), **look)


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thirty bars; the outermost few values would squeeze all the rest into two."""
    low, high = np.percentile(values, (0.5, 99.5))
    return np.linspace(low, high if high > low else low + 1, 31)


def _marked(found: Exploration) -> NDArray[Any]:
    """Which labelled row is of which class: a column a class."""
    targets = found.index.targets()
    return np.hstack([targets, 1 - targets]) if targets.shape[1] == 1 else targets


def _by_class(found: Exploration, measure: Measure, marked: NDArray[Any], name: str) -> ReportFigure:
    """A number of each image: of each class, and of the test images."""
    classes = [one.name for one in found.classes[:_FEW_CLASSES]]
    parts = [(label, measure.train[marked[:, place] >= 0.5]) for place, label in enumerate(classes)]
    parts.append(("test", measure.test))
    known = np.concatenate([measure.train, measure.test])
    figure = new_figure(height=3.2)
    axes: Any = figure.subplots()
    _draw_by_class(axes, parts, _edges(known[~np.isnan(known)]))
    axes.set(xlabel=_label(measure), ylabel="images (%)")
    put_legend(figure, axes, 3)
    rows = [_spread_row(label, "", values) for label, values in parts]
    missing = [int(np.isnan(values).sum()) for values in (measure.train, measure.test)]
    note = f"Missing in {missing[0]:,} of the labelled and {missing[1]:,} of the test images." if any(missing) else ""
    title = f"{measure.name[:1].upper()}{measure.name[1:]} of each class"
    alt = f"Histogram of {measure.name} by class. The table has the numbers."
    return ReportFigure(name, title, alt, figure, Table(_SPREAD, rows, f"{_label(measure)} by class"), note)


def _draw_by_class(axes: Any, parts: Sequence[tuple[str, NDArray[np.float64]]], edges: NDArray[np.float64]) -> None:
    lines = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
    for (label, values), line in zip(parts, lines, strict=False):
        there = values[~np.isnan(values)].clip(edges[0], edges[-1])
        if len(there):
            weights = np.full(len(there), 100 / len(there))
            look: Any = {"histtype": "step", "linewidth": 1.6, "linestyle": line, "label": _plain(label)}
            axes.hist(there, edges, weights=weights, **look)


_SPREAD = ["measure", "of", "images", "5 % below", "25 % below", "middle", "75 % below", "95 % below"]


def spread_table(measures: Sequence[Measure]) -> Table:
    """Five numbers of each measure, labelled and test."""
    rows = [
        _spread_row(one.name, part, values)
        for one in measures
        for part, values in (("labelled", one.train), ("test", one.test))
    ]
    return Table(_SPREAD, rows, "How the numbers spread")


def _spread_row(name: str, part: str, values: NDArray[np.float64]) -> list[str | int | float | None]:
    spread = Quantiles.of(values)
    if spread is None:
        return [name, part, 0, None, None, None, None, None]
    return [
        name,
        part,
        spread.count,
        *(round(value, 3) for value in (spread.low, spread.quarter, spread.median, spread.three_quarters, spread.high)),
    ]


def _varies(measure: Measure) -> bool:
    every = np.concatenate([measure.train, measure.test])
    known = every[~np.isnan(every)]
    return bool(len(known)) and float(known.min()) < float(known.max())


def _middle(values: NDArray[np.float64]) -> str:
    spread = Quantiles.of(values)
    return "not known" if spread is None else f"{spread.median:.4g}"


def _plain(name: str) -> str:
    # A dollar sign would begin a formula.
    short = name if len(name) <= 32 else name[:31] + "…"
    return short.replace("$", r"\$")
