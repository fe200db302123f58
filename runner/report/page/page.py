"""One self-contained HTML page: sections of text, key figures, tables, figures and galleries.

Every text is escaped. The one exception is `FigureBlock.svg`, which only `runner.report.page.figures` and
`runner.report.run.confusion_figures` write.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from runner.workspace import write_text

_TEMPLATES = Path(__file__).with_name("templates")
_MAX_DECIMALS = 5
_UNBROKEN = 30  # letters of a word in a command: a longer one, such as a path, may break on a phone
_NARROW = 6  # columns of a table below a figure of half the page's width
_LETTERS = r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]+"  # of Hebrew, Arabic and their neighbours
_RIGHT_TO_LEFT = re.compile(rf"{_LETTERS}(?:[ _-]{_LETTERS})*")
_FILTER_ROWS = 8  # a table of fewer rows is read faster than a word is typed


@dataclass(frozen=True)
class Link:
    """A text linked to a file. The address is relative to the page, so that both can move together."""

    text: str
    href: str


Cell = str | int | float | None | Link


class Block(Protocol):
    """Anything that a section holds; `kind` names the branch of the template that draws it."""

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning is shown in a colour of its own."""

    text: str
    warning: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Bullets:
    """A short list."""

    items: Sequence[str]
    kind: ClassVar[str] = "bullets"


@dataclass(frozen=True)
class KeyFigures:
    """The few numbers that matter most: (name, value, note)."""

    figures: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "key-figures"


@dataclass(frozen=True)
class Table:
    """A table that sorts by a click on a column's head, with a filter if it is long."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    beside: bool = False  # on a wide screen it may stand beside the block before it
    wraps: bool = False  # its texts wrap so that all columns are in sight
    kind: ClassVar[str] = "table"

    @property
    def has_filter(self) -> bool:
        return len(self.rows) >= _FILTER_ROWS

    @property
    def has_many_columns(self) -> bool:
        """Whether it needs the width of the page, not that of a figure."""
        return len(self.header) > _NARROW

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [
            any(isinstance(cell, int | float) for cell in cells)
            and all(cell is None or isinstance(cell, int | float) for cell in cells)
            for cells in self._columns
        ]

    @property
    def decimals(self) -> list[int]:
        """Decimals of each column, so that its decimal points are aligned."""
        return [_decimals(cells) for cells in self._columns]

    @property
    def _columns(self) -> list[list[Cell]]:
        return [[row[column] for row in self.rows] for column in range(len(self.header))]


@dataclass(frozen=True)
class FigureBlock:
    """A figure: its SVG, its content in words, and its numbers. Two stand side by side unless `wide`."""

    name: str
    title: str
    alt: str
    svg: str
    numbers: Table | None = None
    note: str = ""
    wide: bool = False
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Thumbnail:
    """A small JPEG or PNG with a caption and its name, linked to its file if it has one."""

    image: bytes
    alt: str
    caption: Sequence[str] = ()
    href: str = ""
    name: str = ""

    @property
    def source(self) -> str:
        mime = "png" if self.image.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{mime};base64,{base64.b64encode(self.image).decode('ascii')}"


@dataclass(frozen=True)
class Gallery:
    """Images side by side; `title` may be empty."""

    title: str
    images: Sequence[Thumbnail]
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A page's title, its summary in one line, its sections and its footer."""

    title: str
    summary: str
    sections: Sequence[Section]
    footer: str = ""


def render(page: Page) -> str:
    """The page as HTML."""
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return _environment().get_template("page.html").render(page=page, style=style, script=script)


def write_page(path: Path, page: Page) -> Path:
    """Write the page atomically; returns its path."""
    write_text(path, render(page))
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["format_cell"] = format_cell
    environment.filters["mark_commands"] = mark_commands
    environment.filters["breakable"] = breakable
    environment.filters["isolate"] = isolate
    environment.filters["exact"] = lambda value: "" if value is None else repr(value)
    environment.tests["link"] = lambda value: isinstance(value, Link)
    return environment


def isolate(text: str) -> str:
    """The text, with each run of letters that are written from right to left kept in its place by invisible marks."""
    return _RIGHT_TO_LEFT.sub(lambda match: f"\u2068{match[0]}\u2069", text)


def breakable(text: str) -> Markup:
    """The escaped text of a name, which may break behind an underscore as behind a hyphen."""
    return Markup(str(escape(isolate(text))).replace("_", "_<wbr>"))


def mark_commands(text: str) -> Markup:
    """The escaped text, with each `runner ...` between backticks in a code element that breaks only at blanks."""

    def mark(command: re.Match[str]) -> str:
        words = (f"<span>{word}</span>" if len(word) <= _UNBROKEN else word for word in command[1].split(" "))
        return f"<code>{' '.join(words)}</code>"

    parts = re.split(r"(`runner [^`]+`)", str(escape(text)))
    return Markup(
        "".join(re.sub(r"`(runner [^`]+)`", mark, part) if at % 2 else isolate(part) for at, part in enumerate(parts))
    )


def _decimals(cells: Sequence[Cell]) -> int:
    texts = [format_cell(cell) for cell in cells if isinstance(cell, float)]
    return min(max((len(text.partition(".")[2]) for text in texts if "e" not in text), default=0), _MAX_DECIMALS)


def format_cell(value: Any, decimals: int | None = None) -> str:
    """A cell as text: integers with thousands separators, floats with five digits or the given decimals."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    value = value or 0.0  # no "-0"
    size = abs(value)
    if value != value:
        return "–"
    if size != 0 and (size < 1e-4 or size >= 1e6):
        return f"{value:.2e}"
    if decimals is None:
        return f"{value:,.1f}" if size >= 1000 else f"{value:.5g}"
    return f"{value:,.{decimals}f}"
