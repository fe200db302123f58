"""The figures of the page about the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.exploring.explore import Explored, Measure, Spread
from runner.report.figures import BLUE, VERMILLION, Drawn, label_bars, new_figure, style
from runner.report.page import Table

_NAMED_BARS = 40  # classes; more of them are bars without names, and a table
_UNITS = {
    "width": "width (pixels)",
    "height": "height (pixels)",
    "width / height": "width / height",
    "brightness": "mean brightness (0 to 255)",
    "contrast": "contrast: spread of brightness (0 to 255)",
    "colourfulness": "colourfulness: largest less smallest channel (0 to 255)",
}


def explore_figures(found: Explored) -> Iterator[Drawn]:
    """Each figure that there is something to show in."""
    with style():
        yield _counts(found)
        if found.together is not None:
            yield _together(found, found.together)
        if any(_varies(measure) for measure in found.sizes):
            yield _compared("sizes", "Widths, heights and shapes, read from the headers", found.sizes)
        if any(_varies(measure) for measure in found.looks):
            yield _compared("looks", "How the pictures look", found.looks)
        yield from (_by_class(found, measure, f"by-class-{place}") for place, measure in enumerate(found.scalars))


def _counts(found: Explored) -> Drawn:
    counts = sorted(found.classes, key=lambda one: -one.rows)
    total = len(found.index.train)
    what = "tag" if found.together is not None else "class"
    numbers = Table(
        [what, "pictures", "share of the pictures, %"],
        [[one.name, one.rows, round(100 * one.rows / max(total, 1), 2)] for one in counts],
        f"Pictures of each {what}",
    )
    values = [one.rows for one in counts]
    if len(counts) <= _NAMED_BARS:
        figure = new_figure(height=0.9 + 0.27 * len(counts))
        axes = figure.subplots()
        axes.barh(range(len(counts)), values, color=BLUE, height=0.75)
        axes.set_yticks(range(len(counts)), [_plain(one.name) for one in counts])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("pictures")
        axes.margins(x=0.1)
        label_bars(axes, [float(value) for value in values], "{:,.0f}")
    else:
        figure = new_figure()
        axes = figure.subplots()
        axes.bar(range(1, len(counts) + 1), values, color=BLUE, width=0.85)
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(f"{what}, from the most pictures to the fewest")
        axes.set_ylabel("pictures")
    alt = f"Bars of {len(counts)}: {counts[0].name} has most, {values[0]:,}; {counts[-1].name} fewest, {values[-1]:,}."
    return Drawn("class-counts", f"How many pictures each {what} has", alt, figure, numbers)


def _together(found: Explored, together: NDArray[np.int64]) -> Drawn:
    order = np.argsort(-np.diag(together), kind="stable")
    names = [found.index.classes[place] for place in order]
    counts = together[np.ix_(order, order)]
    shares = counts / np.diag(counts).clip(1)[:, None]
    side = 1.8 + 0.42 * len(names)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="#8a949e", linewidth=0.3)
    if len(names) <= _NAMED_BARS:
        _write_cells(axes, shares)
    axes.set_xticks(np.arange(len(names)) + 0.5, [_plain(name) for name in names], rotation=60, ha="right")
    axes.set_yticks(np.arange(len(names)) + 0.5, [_plain(name) for name in names])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xlabel("... bear this one too (%)")
    axes.set_ylabel("of the pictures with this tag ...")
    numbers = Table(
        ["tag", "other tag", "pictures with both", "of the tag's, %"],
        [
            [names[row], names[column], int(counts[row, column]), round(float(100 * shares[row, column]), 1)]
            for row in range(len(names))
            for column in range(len(names))
            if row != column and counts[row, column]
        ],
        "Tags on one picture",
    )
    alt = "A square of tags by tags; how often the second is there where the first is. The table has the numbers."
    return Drawn("together", "Which tags come together", alt, figure, numbers)


def _write_cells(axes: Any, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if row != column and share >= 0.005:
            colour = "#ffffff" if share > 0.55 else "#10161c"
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=8)


def _compared(name: str, title: str, measures: Sequence[Measure]) -> Drawn:
    """Of each measure the labelled pictures as an area and the test pictures as a line."""
    shown = [measure for measure in measures if _varies(measure)]
    columns = 2 if len(shown) == 4 else min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(3.1 * columns + 0.6, 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    for axes, measure in zip(panels, shown, strict=False):
        _draw_measure(axes, measure, _UNITS.get(measure.name, measure.name))
    panels[0].set_ylabel("pictures (%)")
    panels[0].legend(loc="upper right", fontsize=9)
    alt = "Histograms, labelled and test pictures: " + "; ".join(
        f"{one.name} in the middle {_middle(one.train)} and {_middle(one.test)}" for one in shown
    )
    return Drawn(name, title, alt, figure, spread_table(shown))


def _draw_measure(axes: Any, measure: Measure, label: str) -> None:
    train, test = (values[~np.isnan(values)] for values in (measure.train, measure.test))
    every = np.concatenate([train, test])
    # The outermost few would squeeze all the rest into two bars.
    low, high = np.percentile(every, (0.5, 99.5))
    edges = np.linspace(low, high if high > low else low + 1, 31)
    for values, style_of in (
        (train, {"color": BLUE, "alpha": 0.55, "label": "labelled"}),
        (test, {"color": VERMILLION, "histtype": "step", "linewidth": 1.6, "linestyle": "--", "label": "test"}),
    ):
        if len(values):
            axes.hist(values.clip(low, high), edges, weights=np.full(len(values), 100 / len(values)), **style_of)
    words = label.split(": ")
    axes.set_xlabel(":\n".join(words), fontsize=9)
    axes.locator_params(axis="x", nbins=5)


def _by_class(found: Explored, measure: Measure, name: str) -> Drawn:
    """A number that comes with the picture: of each class, and of the test pictures."""
    targets = found.index.targets()
    names = [one.name for one in found.classes]
    marked = np.hstack([targets, 1 - targets]) if targets.shape[1] == 1 else targets
    figure = new_figure()
    axes = figure.subplots()
    known = np.concatenate([measure.train, measure.test])
    edges = np.linspace(float(np.nanmin(known)), float(np.nanmax(known)), 31).tolist()
    parts = [(label, measure.train[marked[:, place] >= 0.5]) for place, label in enumerate(names[:4])]
    lines = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))
    for (label, values), line in zip([*parts, ("test", measure.test)], lines, strict=False):
        there = values[~np.isnan(values)]
        if len(there):
            weights = np.full(len(there), 100 / len(there))
            axes.hist(
                there, edges, weights=weights, histtype="step", linewidth=1.6, linestyle=line, label=_plain(label)
            )
    axes.set_xlabel(measure.name)
    axes.set_ylabel("pictures (%)")
    axes.legend(fontsize=9)
    rows = [_spread_row(label, "", values) for label, values in [*parts, ("test", measure.test)]]
    numbers = Table(_SPREAD, rows, f"{measure.name} by class")
    missing = int(np.isnan(measure.train).sum())
    note = f"Missing in {missing:,} of the labelled pictures and {int(np.isnan(measure.test).sum()):,} of the test's."
    alt = f"Histogram of {measure.name} by class. The table has the numbers."
    return Drawn(name, f"{measure.name}, which comes with every picture", alt, figure, numbers, note)


_SPREAD = ["measure", "of", "pictures", "5 % below", "25 % below", "middle", "75 % below", "95 % below"]


def spread_table(measures: Sequence[Measure]) -> Table:
    """Five numbers of each measure, labelled and test."""
    rows = [
        _spread_row(one.name, part, values)
        for one in measures
        for part, values in (("labelled", one.train), ("test", one.test))
    ]
    return Table(_SPREAD, rows, "How the numbers spread")


def _spread_row(name: str, part: str, values: NDArray[np.float64]) -> list[str | int | float | None]:
    spread = Spread.of(values)
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
    spread = Spread.of(values)
    return "not known" if spread is None else f"{spread.median:.4g}"


def _plain(name: str) -> str:
    # A dollar sign would begin a formula.
    short = name if len(name) <= 32 else name[:31] + "…"
    return short.replace("$", r"\$")
