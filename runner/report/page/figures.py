"""Figures in one style: Okabe and Ito's colours, axes with units, readable on light and dark pages.

Orange and sky blue are darker than theirs, for a contrast of 3:1 against both backgrounds.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from runner.report.page.page import FigureBlock, Table
from runner.workspace import atomic_path, write_text

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B07800", "#2B8CC4"
COLOURS = (BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")

WIDTH = 6.0  # inches; two figures stand side by side on a wide page, and one is still readable on a phone

# Placeholders: fit for a white page, and unlike every other colour, so that the SVG can use the page's own instead.
INK, FAINT, GROUND = "#1d2328", "#d3d9de", "#fefffe"
# The two main colours are a little brighter on dark pages; matplotlib writes colours in lower case.
_PAGE_COLOURS = {
    INK: "currentColor",
    FAINT: "var(--line)",
    GROUND: "var(--background)",
    BLUE.lower(): "var(--correct)",
    VERMILLION.lower(): "var(--error)",
}
_STYLE: Any = {  # Any: matplotlib types the names of its settings as one long literal
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
    """A figure with its name, its content in words, and its numbers.

    `svg` replaces matplotlib's SVG, for a figure that reacts to the pointer; a PNG is always drawn from `figure`.
    """

    name: str
    title: str
    alt: str
    figure: Figure
    numbers: Table | None = None
    note: str = ""
    svg: str | None = None
    wide: bool | None = None  # None: wide if the figure is

    def block(self) -> FigureBlock:
        """The figure as a block of a page."""
        wide = self.figure.get_figwidth() > WIDTH if self.wide is None else self.wide
        return FigureBlock(self.name, self.title, self.alt, self._page_svg(), self.numbers, self.note, wide)

    def save(self, folder: Path, suffix: str = "svg") -> Path:
        """Write the figure on white as SVG or PNG; returns its path."""
        path = folder / f"{self.name}.{suffix}"
        if suffix == "svg":
            write_text(path, _standalone(self._page_svg(), self.title))
        else:
            with atomic_path(path) as part:
                part.write_bytes(png_of(self.figure))
        return path

    def _page_svg(self) -> str:
        return self.svg or svg_of(self.figure, self.name)


def named(figure: ReportFigure, subject: str) -> ReportFigure:
    """The figure of one of several subjects, with its name in title, words and file name."""
    suffix = re.sub(r"[^a-z0-9]+", "-", subject.lower()).strip("-")
    return replace(
        figure,
        name=f"{figure.name}-{suffix}",
        title=f"{figure.title}: {subject}",
        alt=f"{subject}. {figure.alt}",
    )


@contextmanager
def style() -> Iterator[None]:
    """Apply the style to all that is drawn in the block."""
    with matplotlib.rc_context(_STYLE):
        yield


def new_figure(width: float = WIDTH, height: float = 3.2) -> Figure:
    """An empty figure, size in inches; create it and draw into it within `style()`."""
    return Figure(figsize=(width, height), layout="constrained")


def svg_of(figure: Figure, name: str) -> str:
    """SVG to embed in a page: the page's colours, ids prefixed by the figure's name."""
    # The salt makes the ids, and so the file, reproducible.
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}), _any_script():
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    # Remove every URL, even those that only name a format.
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", text)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.S)
    text = text.replace("<svg", '<svg stroke-linejoin="round"', 1)
    for placeholder, colour in _PAGE_COLOURS.items():
        text = text.replace(placeholder, colour)
    return text


@contextmanager
def _any_script() -> Iterator[None]:
    """Names in scripts that matplotlib's font lacks are no warning: the browser draws an SVG's text, with its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        yield


def png_of(figure: Figure, dpi: int = 110) -> bytes:
    """PNG on white."""
    out = io.BytesIO()
    with matplotlib.rc_context(_STYLE), _any_script():
        figure.savefig(out, format="png", dpi=dpi, facecolor="white")
    return out.getvalue()


def jpeg_of(figure: Figure, dpi: int = 100) -> bytes:
    """JPEG on white, of a figure of photographs."""
    out = io.BytesIO()
    with matplotlib.rc_context(_STYLE), _any_script():
        figure.savefig(out, format="jpeg", dpi=dpi, facecolor="white", pil_kwargs={"quality": 80, "optimize": True})
    return out.getvalue()


def _standalone(svg: str, title: str) -> str:
    ink = f"color:{INK};--line:{FAINT};--background:white;--correct:{BLUE};--error:{VERMILLION};background:white"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" style="{ink}"'
    return svg.replace("<svg", head, 1).replace(">", f"><title>{escape(title)}</title>", 1)


def plain_label(name: str, max_length: int | None = None) -> str:
    """The name as matplotlib draws it literally, shortened if it is too long; an unescaped $ would start a formula."""
    short = name if max_length is None or len(name) <= max_length else name[: max_length - 1] + "…"
    return short.replace("$", r"\$")


def text_width(text: str, font_size: float) -> float:
    """The width of a text in a common sans-serif font, roughly, in the unit of the font's size."""
    return font_size * sum(map(_letter_width, text))


def _letter_width(letter: str) -> float:
    """In ems; rather a little too much than too little."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if unicodedata.combining(letter):
        return 0.0
    if letter in "iIjl.,:;'|!ft()[] -r/":
        return 0.38
    return 0.85 if letter in "mwMW@%" else 0.7 if letter.isupper() else 0.58


def put_legend(figure: Figure, axes: Any, columns: int = 2) -> None:
    """Put the legend below the axes, where it hides no line."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def label_bars(axes: Any, values: Sequence[float], form: str = "{:g}", **style: Any) -> None:
    """Write the value at the end of each horizontal bar."""
    for row, value in enumerate(values):
        axes.annotate(form.format(value), (value, row), xytext=(3, 0), textcoords="offset points", va="center", **style)
