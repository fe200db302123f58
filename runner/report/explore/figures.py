"""The figures of the page about the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from runner.explore.explore import Exploration, ImageStatistic, Quantiles
from runner.explore.image_stats import Floats
from runner.report.explore.summary import class_word
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
from runner.report.page.page import Cell, Table

_FEW_CLASSES = 4  # more histograms over one another cannot be read
_NAMED_BARS = 40  # with more classes the bars have no names; the table has them
_BINS = 30
_MAX_LABEL = 32  # letters
_AXIS_LABELS = {
    "width": "width (pixels)",
    "height": "height (pixels)",
    "aspect ratio": "width / height",
    "brightness": "mean brightness (0 to 255)",
    "contrast": "contrast: standard deviation of brightness (0 to 255)",
    "colourfulness": "colourfulness: maximum minus minimum channel (0 to 255)",
}
_QUANTILES = ["5th percentile", "25th percentile", "median", "75th percentile", "95th percentile"]


def explore_figures(exploration: Exploration) -> Iterator[ReportFigure]:
    """Every figure that has something to show, named by kind and number."""
    varying = [measure for measure in exploration.image_stats if _varies(measure)]
    with style():
        yield _class_counts(exploration)
        if exploration.cooccurrence is not None:
            yield _cooccurrence(exploration.index.classes, exploration.cooccurrence)
        for number, measure in enumerate(filter(_varies, exploration.sizes), start=1):
            yield _train_and_test(measure, f"size-{number}")
        for number, measure in enumerate(varying, start=1):
            yield _train_and_test(measure, f"image-{number}")
        members = _class_members(exploration)
        if not exploration.is_multilabel and len(exploration.classes) <= _FEW_CLASSES:
            for number, measure in enumerate(varying, start=1):
                decoded = [rows[exploration.decoded_rows] for rows in members]
                yield _by_class(exploration, measure, decoded, f"by-class-{number}")
        for number, measure in enumerate(exploration.tabular, start=1):
            yield _by_class(exploration, measure, members, f"tabular-{number}")


def quantile_table(measures: Sequence[ImageStatistic]) -> Table:
    """Five quantiles of each measure, labelled and test."""
    rows = [
        [measure.label, subset, *_quantile_cells(values)]
        for measure in measures
        for subset, values in (("labelled", measure.train), ("test", measure.test))
    ]
    return Table(["measure", "subset", "images", *_QUANTILES], rows, "Quantiles")


def _class_counts(exploration: Exploration) -> ReportFigure:
    counts = sorted(exploration.classes, key=lambda count: -count.rows)
    names, values = [count.name for count in counts], [count.rows for count in counts]
    noun, total = class_word(exploration), max(len(exploration.index.train), 1)
    rows: list[list[Cell]] = [
        [name, value, round(100 * value / total, 2)] for name, value in zip(names, values, strict=True)
    ]
    if len(counts) <= _NAMED_BARS:
        figure = new_figure(height=0.9 + 0.27 * len(counts))
        _draw_named_bars(figure.subplots(), names, values)
    else:
        figure = new_figure()
        _draw_ranked_bars(figure.subplots(), values, noun)
    alt = f"{len(counts)} bars: {names[0]} has the most images, {values[0]:,}; {names[-1]} the fewest, {values[-1]:,}."
    table = Table([noun, "images", "share of the images, %"], rows, f"Images per {noun}")
    return ReportFigure("class-counts", f"Images per {noun}", alt, figure, table)


def _draw_named_bars(axes: Any, names: Sequence[str], values: Sequence[int]) -> None:
    axes.barh(range(len(values)), values, color=BLUE, height=0.75)
    axes.set_yticks(range(len(values)), [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(x=0.1)
    label_bars(axes, [float(value) for value in values], "{:,.0f}")


def _draw_ranked_bars(axes: Any, values: Sequence[int], noun: str) -> None:
    axes.bar(range(1, len(values) + 1), values, color=BLUE, width=0.85)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel(f"{noun}, from the most images to the fewest")
    axes.set_ylabel("images")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _cooccurrence(classes: Sequence[str], cooccurrence: NDArray[np.int64]) -> ReportFigure:
    order = np.argsort(-np.diag(cooccurrence), kind="stable")
    names = [classes[column] for column in order]
    counts = cooccurrence[np.ix_(order, order)]
    shares = counts / np.diag(counts).clip(1)[:, None]
    side = 1.8 + 0.42 * len(names)
    figure = new_figure(side + 0.8, side)
    _draw_shares(figure.subplots(), shares, [_plain(name) for name in names])
    rows: list[list[Cell]] = [
        [names[first], names[second], int(counts[first, second]), round(float(100 * shares[first, second]), 1)]
        for first in range(len(names))
        for second in range(len(names))
        if first != second and counts[first, second]
    ]
    table = Table(["label", "other label", "images with both", "share of the label's, %"], rows, "Labels of one image")
    alt = "A matrix of labels by labels: the share of a row's images that have the column's label too."
    return ReportFigure("cooccurrence", "Co-occurrence of labels", alt, figure, table)


def _draw_shares(axes: Any, shares: NDArray[np.float64], names: Sequence[str]) -> None:
    colours = ListedColormap([to_rgba(BLUE, share) for share in np.linspace(0, 1, 64)])
    axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1, edgecolors=FAINT, linewidth=0.5)
    if len(names) <= _NAMED_BARS:
        _write_cells(axes, shares)
    axes.set_xticks(np.arange(len(names)) + 0.5, names, rotation=60, ha="right")
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set_xlabel("... also have this label (%)")
    axes.set_ylabel("of the images with this label ...")


def _write_cells(axes: Any, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if row != column and share >= 0.005:
            colour = GROUND if share > 0.75 else INK
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", color=colour, size=8)


def _train_and_test(measure: ImageStatistic, name: str) -> ReportFigure:
    """Two histograms: the labelled images as an area, the test images as a line."""
    figure = new_figure(height=2.9)
    axes = figure.subplots()
    edges = _edges(np.concatenate([measure.train, measure.test]))
    area = {"facecolor": (BLUE, 0.5), "edgecolor": BLUE, "linewidth": 0.7, "label": "labelled"}
    line = {"color": VERMILLION, "histtype": "step", "linewidth": 1.6, "linestyle": "--", "label": "test"}
    _draw_histogram(axes, measure.train, edges, area)
    _draw_histogram(axes, measure.test, edges, line)
    axes.set(xlabel=_axis_label(measure), ylabel="images (%)")
    put_legend(figure, axes)
    alt = (
        f"Histogram of {measure.name}, labelled and test images: "
        f"median {_median(measure.train)} and {_median(measure.test)}."
    )
    title = f"{_capital(measure.name)}: labelled and test images"
    return ReportFigure(name, title, alt, figure, quantile_table([measure]))


def _by_class(
    exploration: Exploration, measure: ImageStatistic, members: Sequence[NDArray[np.bool_]], name: str
) -> ReportFigure:
    """A histogram for each of the first classes and for the test images; `members` tells which images have a class."""
    classes = [count.name for count in exploration.classes[:_FEW_CLASSES]]
    groups = [(label, measure.train[rows]) for label, rows in zip(classes, members, strict=True)]
    groups.append(("test", measure.test))
    figure = new_figure(height=3.2)
    axes = figure.subplots()
    edges = _edges(np.concatenate([measure.train, measure.test]))
    for (label, values), dashes in zip(groups, ("-", "--", "-.", ":", (0, (5, 1, 1, 1))), strict=False):
        line = {"histtype": "step", "linewidth": 1.6, "linestyle": dashes, "label": _plain(label)}
        _draw_histogram(axes, values, edges, line)
    axes.set(xlabel=_axis_label(measure), ylabel="images (%)")
    put_legend(figure, axes, 3)
    rows = [[label, *_quantile_cells(values)] for label, values in groups]
    table = Table(["class", "images", *_QUANTILES], rows, f"{_capital(_axis_label(measure))} by class")
    missing = [int(np.isnan(values).sum()) for values in (measure.train, measure.test)]
    note = f"Missing for {missing[0]:,} labelled and {missing[1]:,} test images." if any(missing) else ""
    alt = f"Histogram of {measure.name} by class. The table has the numbers."
    return ReportFigure(name, f"{_capital(measure.name)} by class", alt, figure, table, note)


def _draw_histogram(axes: Any, values: Floats, edges: Floats, options: dict[str, Any]) -> None:
    """Percent of the images in each bin; values beyond the edges count in the outermost bins."""
    known = values[~np.isnan(values)].clip(edges[0], edges[-1])
    if len(known):
        axes.hist(known, edges, weights=np.full(len(known), 100 / len(known)), **options)


def _edges(values: Floats) -> Floats:
    """Bins between the 0.5th and the 99.5th percentile: a few outliers would squeeze all others into two bins."""
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, (0.5, 99.5)) if len(known) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _class_members(exploration: Exploration) -> list[NDArray[np.bool_]]:
    """Which labelled images have each of the first classes; a binary target has two."""
    members = []
    for rows in exploration.index.strata().rows_of()[:_FEW_CLASSES]:
        members.append(np.zeros(len(exploration.index.train), dtype=bool))
        members[-1][rows] = True
    return members


def _quantile_cells(values: Floats) -> list[Cell]:
    quantiles = Quantiles.of(values)
    if quantiles is None:
        return [0, None, None, None, None, None]
    numbers = (quantiles.p5, quantiles.p25, quantiles.median, quantiles.p75, quantiles.p95)
    return [quantiles.count, *(round(number, 3) for number in numbers)]


def _varies(measure: ImageStatistic) -> bool:
    values = np.concatenate([measure.train, measure.test])
    known = values[~np.isnan(values)]
    return bool(len(known)) and float(known.min()) < float(known.max())


def _median(values: Floats) -> str:
    quantiles = Quantiles.of(values)
    return "unknown" if quantiles is None else f"{quantiles.median:.4g}"


def _axis_label(measure: ImageStatistic) -> str:
    return _AXIS_LABELS.get(measure.name, measure.label)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(name: str) -> str:
    """Shortened, and with dollar signs that begin no formula."""
    short = name if len(name) <= _MAX_LABEL else name[: _MAX_LABEL - 1] + "…"
    return short.replace("$", r"\$")
