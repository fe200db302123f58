"""One self-contained HTML page: sections of prose, facts, tables, figures and images. No network, no second file.

Every text in a block is shown as text, whatever markup it holds; the one exception is `Drawing.svg`, which only
`runner.report.figures` and `runner.report.matrix` write.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runner.workspace import write_text

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).with_name("templates")
_MOST_DECIMALS = 5
_FILTERED_FROM = 8  # rows; a shorter table is looked over faster than a word is typed


@dataclass(frozen=True)
class Link:
    """A text that leads to a file; the address is relative to the page, so that both can move together."""

    text: str
    href: str


Cell = str | int | float | None | Link


class Block(Protocol):
    """Anything that a section can hold; `kind` names the macro that draws it."""

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Text:
    """A paragraph; `Text(...)` with `warns` stands out."""

    text: str
    warns: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Bullets:
    """A short list."""

    items: Sequence[str]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class KeyFigures:
    """Names and values, the few that matter most: (name, value, remark)."""

    facts: Sequence[tuple[str, str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted by a click on a column's head, and filtered where they are many."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    beside: bool = False  # it may stand beside the figure before it
    kind: ClassVar[str] = "table"

    @property
    def filters(self) -> bool:
        return len(self.rows) >= _FILTERED_FROM

    @property
    def columns(self) -> list[bool]:
        """Which columns hold numbers."""
        return [
            any(isinstance(row[place], int | float) for row in self.rows)
            and all(row[place] is None or isinstance(row[place], int | float) for row in self.rows)
            for place in range(len(self.header))
        ]

    @property
    def decimals(self) -> list[int]:
        """For each column so many decimals that its numbers stand point under point."""
        return [_decimals([row[place] for row in self.rows]) for place in range(len(self.header))]


@dataclass(frozen=True)
class Drawing:
    """A figure: its SVG, what it shows in words, and the numbers behind it; two stand side by side unless `wide`."""

    name: str
    title: str
    alt: str
    svg: str
    numbers: Table | None = None
    note: str = ""
    wide: bool = False
    kind: ClassVar[str] = "drawing"


@dataclass(frozen=True)
class Thumbnail:
    """A small image with a caption and its name, linked to its file where it has one. `image` is JPEG or PNG."""

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
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    summary: str
    sections: Sequence[Section]
    foot: str = ""


def render(page: Page) -> str:
    """The page as HTML."""
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return _environment().get_template("page.html").render(page=page, style=style, script=script)


def write_page(path: Path, page: Page) -> Path:
    """Write the page, whole or not at all."""
    write_text(path, render(page))
    return path


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    made.filters["shown"] = shown
    made.filters["coded"] = coded
    made.filters["exact"] = lambda value: "" if value is None else repr(value)
    made.tests["link"] = lambda value: isinstance(value, Link)
    return made


def coded(text: str) -> Markup:
    """The text with what stands between backticks as code, if it is a command of ours; all else is only text."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`(runner [^`]+)`", r"<code>\1</code>", str(escape(text))))


def _decimals(values: Sequence[Cell]) -> int:
    told = [shown(value) for value in values if isinstance(value, float)]
    return min(max((len(text.partition(".")[2]) for text in told if "e" not in text), default=0), _MOST_DECIMALS)


def shown(value: Any, decimals: int | None = None) -> str:
    """A cell as a person reads it: whole numbers with thousands apart, others with as many digits as matter."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    value = value or 0.0  # a zero has no sign
    size = abs(value)
    if value != value:
        return "–"
    if size != 0 and (size < 1e-4 or size >= 1e6):
        return f"{value:.2e}"
    if decimals is None:
        return f"{value:,.1f}" if size >= 1000 else f"{value:.5g}"
    return f"{value:,.{decimals}f}"
