"""Results as tables: aligned for a person, tab-free plain text when piped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as their longest cell; numbers to the right, words to the left."""
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    right = [all(isinstance(row[place], int | float) for row in rows) and bool(rows) for place in range(len(header))]
    for line in [list(header), ["-" * width for width in widths], *cells]:
        aligned = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        )
        click.echo("  ".join(aligned).rstrip())


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
