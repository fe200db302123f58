"""How objects show themselves: a line in a terminal, and in a notebook tables, figures and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from runner.report.page.figures import ReportFigure, jpeg_of, png_of

FRAME_HEIGHT = 640


def frame(page: Path) -> str:
    """A page inside a notebook: complete, so that it is still there when its file is gone."""
    content = escape(page.read_text(encoding="utf-8"))
    style = f"box-sizing:border-box;display:block;width:100%;height:{FRAME_HEIGHT}px;border:1px solid #ccc"
    return f'<iframe srcdoc="{content}" style="{style}" title="{escape(page.stem)}"></iframe>'


def facts(title: str, rows: Sequence[tuple[str, object]]) -> str:
    """A small table of two columns, with a title."""
    cells = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f"<div><b>{escape(title)}</b><table>{cells}</table></div>"


class ShownFigure:
    """A figure that a notebook draws; `.figure` is matplotlib's, `.save(path)` writes SVG or PNG.

    One of photographs is shown as JPEG: a notebook keeps what it shows.
    """

    def __init__(self, figure: ReportFigure, *, photographs: bool = False):
        self._figure, self._photographs = figure, photographs
        self.name, self.title, self.figure = figure.name, figure.title, figure.figure

    def save(self, path: str | Path) -> Path:
        """Write the figure, as SVG or PNG by the suffix; its path."""
        target = Path(path).expanduser()
        written = self._figure.save(target.parent, target.suffix.lstrip(".").lower() or "svg")
        return written if written == target else written.replace(target)

    def __repr__(self) -> str:
        return f"<figure: {self.title}>"

    def _repr_png_(self) -> bytes | None:
        return None if self._photographs else png_of(self.figure)

    def _repr_jpeg_(self) -> bytes | None:
        return jpeg_of(self.figure) if self._photographs else None


class Figures(Mapping[str, ShownFigure]):
    """Figures by name; in a notebook, all of them."""

    def __init__(self, figures: Sequence[ReportFigure]):
        self._figures = {figure.name: ShownFigure(figure) for figure in figures}

    def __getitem__(self, name: str) -> ShownFigure:
        if name not in self._figures:
            raise KeyError(f"there is no figure {name!r}; there are {', '.join(self._figures) or 'none'}")
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        return f"<figures: {', '.join(self._figures)}>"
