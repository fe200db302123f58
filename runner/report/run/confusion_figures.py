"""The confusion matrix drawn: an SVG that the pointer and the arrow keys explore, and the tables beside it."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from runner.report.page.figures import BLUE, VERMILLION, ReportFigure, new_figure, plain_label, style, text_width
from runner.report.page.page import Cell, Table
from runner.report.run.confusion import DRAWN, ZOOMED, ConfusedPair, Confusion

_PAIRS = 40  # rows of the table of confused pairs
_CELLS = 400  # rows of the table behind the matrix
_NAME_LENGTH = 24  # characters; a cell tells the whole names
_SIDE = 440  # pixels of a matrix of few classes
_X_TITLE, _Y_TITLE = "predicted class", "actual class"


def confusion_table(confusion: Confusion) -> Table:
    """The most confused pairs."""
    pairs = confusion.most_confused
    caption = "All confused pairs" if len(pairs) <= _PAIRS else f"The {_PAIRS} most confused of {len(pairs):,} pairs"
    beside = len(confusion.classes) <= ZOOMED or confusion.zoomed is not None
    return _pairs_table(pairs[:_PAIRS], caption, beside=beside)


def _pairs_table(pairs: list[ConfusedPair], caption: str, *, beside: bool = False) -> Table:
    rows: list[list[Cell]] = [
        [pair.actual, pair.predicted, pair.count, pair.support, round(100 * pair.count / pair.support, 1)]
        for pair in pairs
    ]
    return Table(["actual", "predicted as", "count", "support", "%"], rows, caption, beside=beside)


def confusion_figures(confusion: Confusion) -> list[ReportFigure]:
    """The most confused classes enlarged if there are many, then all classes unless they are too many to draw."""
    zoomed = confusion.zoomed
    if zoomed is None:
        return [confusion_figure(confusion)]
    return [_zoomed_figure(zoomed), *([confusion_figure(confusion)] if len(confusion.classes) <= DRAWN else [])]


def confusion_figure(confusion: Confusion) -> ReportFigure:
    """The matrix of all classes."""
    pairs = "; ".join(map(str, confusion.most_confused[:3])) or "none"
    return ReportFigure(
        "confusion",
        "Confusion matrix",
        f"Confusion matrix of {len(confusion.classes)} classes. Most confused: {pairs}.",
        _draw_figure(confusion),
        _cells_table(confusion),
        "Rows are actual classes, columns predicted classes; the stronger the colour, the larger the share of the row. "
        "Point at a cell, or press Tab and use the arrow keys.",
        draw_svg(confusion),
        wide=len(confusion.classes) > ZOOMED,
    )


def _zoomed_figure(confusion: Confusion) -> ReportFigure:
    return ReportFigure(
        "confusion-zoomed",
        "The most confused classes",
        f"Confusion matrix of the {len(confusion.classes)} most confused classes. The table has the pairs.",
        _draw_figure(confusion),
        _cells_table(confusion),
        "Only the columns of these classes are shown; colours are shares of all images of the row's class.",
        draw_svg(confusion),
        wide=False,
    )


def _cells_table(confusion: Confusion) -> Table:
    cells = confusion.pairs
    if len(cells) <= _CELLS:
        return _pairs_table(cells, "Cells above 0")
    frequent = [cell for cell in cells if cell.actual == cell.predicted or cell.count > 1]
    return _pairs_table(frequent[:_CELLS], f"Diagonal cells, and others above 1 (at most {_CELLS})")


def _opacity(share: float) -> float:
    """Opacity of a cell by its share of the row: rare confusions stay visible."""
    return 0.15 + 0.85 * math.pow(share, 0.6)


def draw_svg(confusion: Confusion) -> str:
    """The matrix as SVG in the page's colours; each cell has its pair as a title."""
    size = len(confusion.classes)
    step = max(34, min(110, _SIDE // size)) if size <= 20 else 20 if size <= 45 else 8.5
    font = 12 if size <= 20 else 11 if size <= 45 else 8
    left = round(max(text_width(_short(name), font) for name in confusion.classes)) + 2 * font
    side = left + size * step + 8
    frame = f'width="{step}" height="{step}" fill="none" stroke="currentColor" stroke-width="2"'
    border = f'x="{left}" y="{left}" width="{size * step}" height="{size * step}" fill="none" stroke="var(--line)"'
    return "".join(
        [
            f'<svg class="matrix{" wide" if size > 45 else ""}" role="presentation" viewBox="0 0 {side} {side}" '
            f'width="{side}" height="{side}" data-size="{size}" data-step="{step}" data-left="{left}" '
            f'data-top="{left}" font-family="sans-serif" font-size="{font}" fill="currentColor">',
            *_axis_titles(left + size * step / 2, font),
            *_class_names(confusion, left, step),
            f"<rect {border}/>",
            *_cells(confusion, left, step),
            f'<rect class="frame" {frame} visibility="hidden" pointer-events="none"/></svg>',
        ]
    )


def _axis_titles(middle: float, font: int) -> list[str]:
    anchor = 'text-anchor="middle" font-weight="bold"'
    return [
        f'<text {anchor} x="{middle:g}" y="{font}">{_X_TITLE}</text>',
        f'<text {anchor} transform="translate({font} {middle:g}) rotate(-90)">{_Y_TITLE}</text>',
    ]


def _class_names(confusion: Confusion, left: int, step: float) -> list[str]:
    texts = []
    for index, name in enumerate(confusion.classes):
        short = escape(_short(name))
        middle = left + (index + 0.5) * step
        texts.append(
            f'<text class="row-name" data-name={quoteattr(name)} x="{left - 4}" y="{middle:g}" text-anchor="end" '
            f'dominant-baseline="central">{short}</text>'
            f'<text transform="translate({middle:g} {left - 4}) rotate(-90)" dominant-baseline="central">{short}</text>'
        )
    return texts


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"


def _cells(confusion: Confusion, left: int, step: float) -> list[str]:
    cells = []
    for (row, column, count), pair in zip(confusion.cells.tolist(), confusion.pairs, strict=True):
        x, y, share = left + column * step, left + row * step, count / pair.support
        fill = "var(--correct)" if row == column else "var(--error)"
        cells.append(
            f'<g data-at="{row},{column}"><title>{escape(str(pair))}</title><rect x="{x}" y="{y}" width="{step - 1}" '
            f'height="{step - 1}" fill="{fill}" fill-opacity="{_opacity(share):.2f}"/>'
        )
        if step >= 20:
            ink = ' fill="var(--background)"' if share > 0.45 else ""
            cells.append(
                f'<text x="{x + step / 2:g}" y="{y + step / 2:g}" text-anchor="middle" dominant-baseline="central" '
                f'pointer-events="none"{ink}>{count}</text>'
            )
        cells.append("</g>")
    return cells


def _draw_figure(confusion: Confusion) -> Figure:
    """The same matrix by matplotlib, for a PNG."""
    size = len(confusion.classes)
    shares = confusion.counts / np.maximum(confusion.support[:, None], 1)
    colours = np.ones((size, size, 3))
    for row, column in zip(*np.nonzero(confusion.counts), strict=True):
        colour = np.array(to_rgb(BLUE if row == column else VERMILLION))
        colours[row, column] = 1 - _opacity(shares[row, column]) * (1 - colour)
    side = min(4 + size * 0.25, 16)
    with style():
        figure = new_figure(side, side)
        axes = figure.subplots()
        axes.imshow(colours, interpolation="nearest")
        axes.grid(False)
        axes.set(xlabel=_X_TITLE, ylabel=_Y_TITLE)
        font = 9 if size <= 60 else 5
        names = [plain_label(name, _NAME_LENGTH) for name in confusion.classes]
        axes.set_xticks(range(size), names, rotation=90, fontsize=font)
        axes.set_yticks(range(size), names, fontsize=font)
    return figure
