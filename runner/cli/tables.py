"""Tables on stdout: drawn at a terminal, aligned plain text in a pipe or file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print cells, None as "-", numbers aligned to the right."""
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
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for line in [list(header), ["-" * width for width in widths], *cells]:
        aligned = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(aligned).rstrip())


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
