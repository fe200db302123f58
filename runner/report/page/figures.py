"""Figures in one style: Okabe and Ito's colours, axes with units, readable on light and on dark ground.

Orange and sky blue are darker than theirs: a mark has three times the light of its ground, or a third, on both.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from runner.report.page.page import Drawing, Table
from runner.workspace import atomic_path, write_text

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07800", "#2B8CC4"
COLOURS = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")

WIDTH = 6.0  # inches; two figures stand side by side on a wide page, and one is still readable on a phone

# Stand-ins: right on white, and by a shade unlike all else, so that each can be made the page's own in the SVG.
INK, FAINT, GROUND = "#1d2328", "#d3d9de", "#fefffe"
# The two main colours are a little brighter on dark ground; matplotlib writes them in small letters.
_ON_PAGE = {
    INK: "currentColor",
    FAINT: "var(--line)",
    GROUND: "var(--back)",
    BLUE.lower(): "var(--right)",
    VERMILLION.lower(): "var(--wrong)",
}
_STYLE: Any = {  # as matplotlib names its settings: one long literal type
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.prop_cycle": cycler(color=list(COLOURS)),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class ReportFigure:
    """A finished figure under its name, with what it shows in words and the numbers behind it."""

    name: str
    title: str
    alt: str
    figure: Figure
    numbers: Table | None = None
    note: str = ""

    def block(self) -> Drawing:
        """The figure as a block of a page."""
        wide = self.figure.get_figwidth() > WIDTH
        return Drawing(self.name, self.title, self.alt, svg_of(self.figure, self.name), self.numbers, self.note, wide)

    def save(self, folder: Path, suffix: str = "svg") -> Path:
        """The figure alone, on white, as SVG or PNG."""
        path = folder / f"{self.name}.{suffix}"
        if suffix == "svg":
            write_text(path, _standalone(svg_of(self.figure, self.name), self.title))
        else:
            with atomic_path(path) as part:
                part.write_bytes(png_of(self.figure))
        return path


@contextmanager
def style() -> Iterator[None]:
    """Everything that is drawn in the block has the one style."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float = WIDTH, height: float = 3.2) -> Figure:
    """An empty figure, in inches; to be called, and drawn into, within `style()`."""
    return Figure(figsize=(width, height), layout="constrained")


def svg_of(figure: Figure, name: str) -> str:
    """The figure to stand inside a page: its ink is the page's, its ids are its own."""
    # The salt makes the ids, and so the file, the same each time.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    # No address at all is left in it, not even those that only name a format.
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    text = text.replace("<svg", '<svg stroke-linejoin="round"', 1)
    return _coloured(text, _ON_PAGE)


def png_of(figure: Figure, dpi: int = 110) -> bytes:
    """The figure on white."""
    out = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(out, format="png", dpi=dpi, facecolor="white")
    return out.getvalue()


def _standalone(svg: str, title: str) -> str:
    ink = f"color:{INK};--line:{FAINT};--back:white;--right:{BLUE};--wrong:{VERMILLION};background:white"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" style="{ink}"'
    return svg.replace("<svg", head, 1).replace(">", f"><title>{escape(title)}</title>", 1)


def _coloured(text: str, colours: dict[str, str]) -> str:
    for stand_in, colour in colours.items():
        text = text.replace(stand_in, colour)
    return text


def put_legend(figure: Figure, axes: Any, columns: int = 2) -> None:
    """The legend below the axes: there it hides no line."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def label_bars(axes: Any, values: list[float], form: str = "{:g}") -> None:
    """The value at the end of each horizontal bar."""
    for place, value in enumerate(values):
        axes.annotate(form.format(value), (value, place), xytext=(3, 0), textcoords="offset points", va="center")
