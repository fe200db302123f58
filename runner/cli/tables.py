"""Tables on stdout: drawn at a terminal, aligned plain text in a pipe or file; both as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import click

from runner.commands import WIDTH

_GAP = "  "


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], *, optional: Sequence[str] = ()) -> None:
    """Print cells, None as "-", numbers aligned to the right; an `optional` column only where a row has a value."""
    is_shown = [name not in optional or any(row[at] is not None for row in rows) for at, name in enumerate(header)]
    header = [name for name, shown in zip(header, is_shown, strict=True) if shown]
    rows = [[cell for cell, shown in zip(row, is_shown, strict=True) if shown] for row in rows]
    cells = [[_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(header, cells)
    else:
        _write(header, cells, [_every_cell(rows, column, _is_number) for column in range(len(header))])


def five_decimals(value: float | None) -> str | None:
    """A score as tables show it."""
    return None if value is None else f"{value:.5f}"


def _draw(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # Slow to import, and a pipe needs none of it.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column, name in enumerate(header):
        is_right = _every_cell(cells, column, _looks_like_a_number)
        # A number is never broken; words wrap if the terminal is narrow.
        table.add_column(Text(name), justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _write(header: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = _widths([header, *cells])
    for row in [list(header), ["-" * width for width in widths], *cells]:
        wrapped = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*wrapped, fillvalue=""):
            aligned = (
                part.rjust(width) if is_right else part.ljust(width)
                for part, width, is_right in zip(parts, widths, right, strict=True)
            )
            click.echo(_GAP.join(aligned).rstrip())


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column: the widest give way to the terminal's width, as far as no word is broken."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    too_many = sum(widths) + len(_GAP) * (len(widths) - 1) - shutil.get_terminal_size((WIDTH, 24)).columns
    while too_many > 0 and (room := [at for at, width in enumerate(widths) if width > least[at]]):
        widths[max(room, key=lambda at: widths[at])] -= 1
        too_many -= 1
    return widths


def _lines(cell: str, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    return textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False)


def _every_cell(rows: Sequence[Sequence[Any]], column: int, test: Callable[[Any], bool]) -> bool:
    return bool(rows) and all(test(row[column]) for row in rows)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float)


def _looks_like_a_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("+-").replace(",", "").replace(".", "", 1).rstrip("%").isdecimal()


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
