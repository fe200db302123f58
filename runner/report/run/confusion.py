"""The confusion matrix: ordered so that confusions gather, each cell telling its pair, the worst pairs listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from runner.report.page.figures import BLUE, VERMILLION, ReportFigure, new_figure, style
from runner.report.page.page import Drawing, Table

Counts = NDArray[np.int64]

_WORST = 40
_BESIDE = 14  # classes; a larger matrix fills the page
_READABLE = 30  # classes; of more, the worst are shown alone too
_LABELLED = 60  # classes; beyond that an image of its own cannot name them all


@dataclass(frozen=True)
class Confusion:
    """How often each class (a row) was taken for each (a column); the classes in an order that gathers confusions."""

    classes: tuple[str, ...]
    counts: Counts
    totals: Counts  # images of each class, those of cells that are not shown included

    @classmethod
    def of(cls, classes: Sequence[str], true: Counts, said: Counts) -> Confusion:
        """Counted from the numbers of the true and the said classes."""
        counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
        np.add.at(counts, (true, said), 1)
        order = gathered(counts)
        ordered = counts[np.ix_(order, order)]
        return cls(tuple(classes[place] for place in order), ordered, ordered.sum(axis=1))

    @property
    def worst(self) -> list[tuple[str, str, int, int]]:
        """True class, the class it was taken for, how often, and of how many; the most frequent first."""
        pairs = [
            (self.classes[row], self.classes[column], int(self.counts[row, column]), int(self.totals[row]))
            for row, column in zip(*np.nonzero(self.counts), strict=True)
            if row != column
        ]
        return sorted(pairs, key=lambda pair: (-pair[2], -pair[2] / pair[3], pair[0], pair[1]))

    @property
    def closer(self) -> Confusion | None:
        """The few classes of the worst pairs alone, where there are too many to read them all; in the same order."""
        if len(self.classes) <= _READABLE:
            return None
        chosen: dict[str, None] = {}
        for true, said, *_ in self.worst:
            if len(chosen.keys() | {true, said}) <= _BESIDE:
                chosen |= {true: None, said: None}
        places = [place for place, name in enumerate(self.classes) if name in chosen]
        names = tuple(self.classes[place] for place in places)
        return Confusion(names, self.counts[np.ix_(places, places)], self.totals[places]) if places else None


def gathered(counts: Counts) -> list[int]:
    """An order of the classes in which those that are confused with each other stand together.

    The two groups that are confused most, for their sizes, are joined until one is left, each time at the ends
    that are nearest to each other.
    """
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    near = shares + shares.T
    np.fill_diagonal(near, 0)
    groups = [[place] for place in range(len(counts))]
    between = near.copy()
    np.fill_diagonal(between, -1)
    while len(groups) > 1:
        one, other = sorted(divmod(int(between.argmax()), len(groups)))
        sizes = np.array([len(group) for group in groups], dtype=float)
        joined = (between[one] * sizes[one] + between[other] * sizes[other]) / (sizes[one] + sizes[other])
        groups[one] = _end_to_end(groups[one], groups[other], near)
        between[one], between[:, one] = joined, joined
        between[one, one] = -1
        between = np.delete(np.delete(between, other, axis=0), other, axis=1)
        del groups[other]
    return groups[0] if groups else []


def _end_to_end(one: list[int], other: list[int], near: NDArray[Any]) -> list[int]:
    ways = [(a, b) for a in (one, one[::-1]) for b in (other, other[::-1])]
    first, second = max(ways, key=lambda way: near[way[0][-1], way[1][0]])
    return first + second


def worst_table(confusion: Confusion) -> Table:
    """The pairs that are confused most."""
    rows: list[list[Any]] = [
        [true, said, count, total, round(100 * count / total, 1)]
        for true, said, count, total in confusion.worst[:_WORST]
    ]
    shown = f"The {len(rows)} most frequent of {len(confusion.worst)}" if len(rows) < len(confusion.worst) else "All"
    beside = len(confusion.classes) <= _BESIDE or confusion.closer is not None
    return Table(["true", "taken for", "times", "of", "%"], rows, f"{shown} confused pairs", beside=beside)


def matrix_blocks(confusion: Confusion) -> list[Drawing]:
    """The worst of many classes closer, then all of them."""
    closer = confusion.closer
    return [matrix_block(confusion)] if closer is None else [_closer_block(closer), matrix_block(confusion)]


def _closer_block(confusion: Confusion) -> Drawing:
    alt = f"Confusion matrix of the {len(confusion.classes)} classes of the worst pairs. The table has the pairs."
    note = "Of each row the cells of these classes alone; the share is that of all its images."
    numbers = _numbers(confusion)
    return Drawing("confusion-closer", "The most confused classes", alt, _svg(confusion), numbers, note)


def matrix_block(confusion: Confusion) -> Drawing:
    """The matrix for a page: each cell tells its pair under the pointer, and by the arrow keys."""
    worst = confusion.worst[:3]
    told = "; ".join(f"{true} taken for {said}, {count} of {total}" for true, said, count, total in worst)
    told = f"Most confused: {told}." if worst else "Nothing is confused."
    alt = f"Confusion matrix of {len(confusion.classes)} classes, rows true, columns predicted. {told}"
    note = "Rows are what is true, columns what was said; the stronger the colour, the larger the share of the row. "
    note += "Point at a cell, or come here by Tab and walk with the arrow keys."
    wide = len(confusion.classes) > _BESIDE
    return Drawing("confusion", "Confusion matrix", alt, _svg(confusion), _numbers(confusion), note, wide)


def _numbers(confusion: Confusion) -> Table:
    counts, totals = confusion.counts, confusion.totals
    rows: list[list[Any]] = [
        [confusion.classes[row], confusion.classes[column], int(counts[row, column]), int(totals[row])]
        for row, column in zip(*np.nonzero(counts), strict=True)
    ]
    if len(rows) > 400:
        rows = [row for row in rows if row[0] == row[1] or int(row[2]) > 1][:400]
        return Table(["true", "said", "times", "of"], rows, "Cells: the right ones, and those above 1 (400 at most)")
    return Table(["true", "said", "times", "of"], rows, "Cells that are not empty")


def _svg(confusion: Confusion) -> str:
    size = len(confusion.classes)
    step = 34 if size <= 20 else 20 if size <= 45 else 8.5
    font = 12 if size <= 20 else 11 if size <= 45 else 8
    left = round(min(max(map(len, confusion.classes), default=1), 30) * font * 0.56) + 2 * font + 12
    width, height = left + size * step + 8, left + size * step + 8
    parts = [
        f'<svg class="cells{" wide" if size > 45 else ""}" role="presentation" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" data-size="{size}" data-step="{step}" data-left="{left}" data-top="{left}" '
        f'font-family="sans-serif" font-size="{font}" fill="currentColor">'
    ]
    parts += _axes(left + size * step / 2, font)
    parts += _names(confusion, left, step)
    parts.append(
        f'<rect x="{left}" y="{left}" width="{size * step}" height="{size * step}" fill="none" stroke="var(--line)"/>'
    )
    parts += _cells(confusion, left, step)
    parts.append(
        f'<rect class="frame" width="{step}" height="{step}" fill="none" stroke="currentColor" stroke-width="2" '
        'visibility="hidden" pointer-events="none"/></svg>'
    )
    return "".join(parts)


def _axes(middle: float, font: int) -> list[str]:
    told = 'text-anchor="middle" font-weight="bold"'
    return [
        f'<text {told} x="{middle:g}" y="{font}">what was said</text>',
        f'<text {told} transform="translate({font} {middle:g}) rotate(-90)">what is true</text>',
    ]


def _names(confusion: Confusion, left: int, step: float) -> list[str]:
    parts = []
    for place, name in enumerate(confusion.classes):
        short = escape(name if len(name) <= 30 else name[:29] + "…")
        middle = left + (place + 0.5) * step
        parts.append(
            f'<text class="row-name" data-name={quoteattr(name)} x="{left - 4}" y="{middle:g}" text-anchor="end" '
            f'dominant-baseline="central">{short}</text>'
            f'<text transform="translate({middle:g} {left - 4}) rotate(-90)" dominant-baseline="central">{short}</text>'
        )
    return parts


def _cells(confusion: Confusion, left: int, step: float) -> list[str]:
    counts, totals = confusion.counts, confusion.totals
    names = [escape(name) for name in confusion.classes]
    parts = []
    for row, column in zip(*np.nonzero(counts), strict=True):
        count, total, right = int(counts[row, column]), int(totals[row]), row == column
        share = count / total
        told = f"{names[row]} {'seen right' if right else 'taken for ' + names[column]}: {count} of {total}"
        x, y = left + column * step, left + row * step
        fill = "var(--right)" if right else "var(--wrong)"
        ink = ' fill="var(--back)"' if share > 0.45 else ""
        parts.append(
            f'<g data-at="{row},{column}"><title>{told}</title><rect x="{x}" y="{y}" width="{step - 1}" '
            f'height="{step - 1}" fill="{fill}" fill-opacity="{0.15 + 0.85 * share**0.6:.2f}"/>'
        )
        if step >= 20:
            parts.append(
                f'<text x="{x + step / 2:g}" y="{y + step / 2:g}" text-anchor="middle" dominant-baseline="central" '
                f'pointer-events="none"{ink}>{count}</text>'
            )
        parts.append("</g>")
    return parts


def matrix_figure(confusion: Confusion) -> ReportFigure:
    """The matrix as a figure of its own, for a file."""
    from matplotlib.colors import to_rgb

    size = len(confusion.classes)
    shares = confusion.counts / np.maximum(confusion.totals[:, None], 1)
    colours = np.empty((size, size, 3))
    right = np.eye(size, dtype=bool)
    for where, colour in ((right, BLUE), (~right, VERMILLION)):
        depth = shares[where][:, None] ** 0.6
        colours[where] = 1 - depth * (1 - np.array(to_rgb(colour)))
    side = min(4 + size * 0.25, 16)
    with style():
        figure = new_figure(side, side)
        axes = figure.subplots()
        axes.imshow(colours, interpolation="nearest")
        axes.grid(False)
        axes.set(xlabel="said", ylabel="true")
        font = 9 if size <= _LABELLED else 5
        axes.set_xticks(range(size), [_plain(name) for name in confusion.classes], rotation=90, fontsize=font)
        axes.set_yticks(range(size), [_plain(name) for name in confusion.classes], fontsize=font)
    return ReportFigure("confusion", "Confusion matrix", matrix_block(confusion).alt, figure)


def _plain(name: str) -> str:
    # A dollar sign would begin a formula.
    return name.replace("$", r"\$")
