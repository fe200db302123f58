"""Results as tables: drawn for a person at a terminal, aligned plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """As wide as the terminal allows, numbers to the right; in a pipe or file plain text without a code."""
    cells = [[_text(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(header, cells)
    else:
        _write(header, cells, [_holds(rows, place, _is_count) for place in range(len(header))])


def _draw(header: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # Slow to import, and of no use to a pipe.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for place, name in enumerate(header):
        is_right = _holds(cells, place, _looks_a_number)
        # A number is never broken; words give way where the terminal is narrow.
        table.add_column(Text(name), justify="right" if is_right else "left", no_wrap=is_right, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _write(header: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for line in [list(header), ["-" * width for width in widths], *cells]:
        aligned = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(aligned).rstrip())


def _holds(rows: Sequence[Sequence[Any]], place: int, holds: Any) -> bool:
    return bool(rows) and all(holds(row[place]) for row in rows)


def _is_count(cell: Any) -> bool:
    return isinstance(cell, int | float)


def _looks_a_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("+-").replace(",", "").replace(".", "", 1).rstrip("%").isdecimal()


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
