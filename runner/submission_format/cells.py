"""The problems of the cells of one row of a submission."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from runner.problems import did_you_mean, quote

# A hundred and twenty columns rounded to five decimals are off by 6e-4 at most, and pass; logits,
# sigmoids and a forgotten column are off by far more.
SUM_TOLERANCE = 1e-3

_NUMERALS = b"0123456789.eE+-"

CellProblem = tuple[str, str, str]  # kind, message, fix


def number_problems(cells: list[str], columns: list[str], sums_to_one: bool) -> Iterator[CellProblem]:
    """The problem of a row of probabilities, if it has one."""
    values = _numbers(cells)
    if values is None or not (min(values) >= 0 and max(values) <= 1):
        # The first bad cell stands for its row: the others are nearly always bad in the same way.
        yield next(
            (kind, f"column {quote(column)} {message}", fix)
            for column, cell in zip(columns, cells, strict=True)
            for kind, message, fix in _cell_problems(cell)
        )
    elif sums_to_one and abs(sum(values) - 1) > SUM_TOLERANCE:
        fix = f"divide the row by its sum (1 is expected, give or take {SUM_TOLERANCE:g})"
        yield "sum is not 1", f"the probabilities sum to {sum(values):.6g}", fix


def _numbers(cells: list[str]) -> list[float] | None:
    """The cells as numbers; None if one is not a plain number."""
    # float() accepts 1_0, nan, Arabic digits and blanks; a host's parser may not.
    if "".join(cells).encode("utf-8").translate(None, _NUMERALS):
        return None
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _cell_problems(cell: str) -> Iterator[CellProblem]:
    values = _numbers([cell])
    if not cell.strip():
        yield "empty cell", "is empty", "write a probability"
    elif cell.strip().lower().lstrip("+-") in ("nan", "na", "n/a", "null", "none"):
        yield "NaN", f"is {quote(cell)}", "write a probability; a NaN often comes from a join by other ids"
    elif cell.strip().lower().lstrip("+-") in ("inf", "infinity") or (values and math.isinf(values[0])):
        yield "infinity", f"is {quote(cell)}", "write a probability between 0 and 1"
    elif re.fullmatch(r"-?\d+,\d+", cell.strip()):
        yield "decimal commas", f"is {quote(cell)}, with a decimal comma", "write a point: 0.25"
    elif values is None:
        yield "not a number", f"is {quote(cell)}, not a plain number", "write it as 0.25 or 2.5e-7"
    elif values[0] < 0:
        yield "negative number", f"is {cell}, which is negative", "write probabilities, not logits"
    elif values[0] > 1:
        yield "number above 1", f"is {cell}, which is above 1", "write probabilities, not percentages or logits"


def tag_problems(cell: str, known: frozenset[str] | None) -> Iterator[CellProblem]:
    """The problems of a list of tags."""
    tags = cell.split()
    if not tags:
        yield "no tags", "the tag list is empty", "choose at least one tag, such as the likeliest"
        return
    if any(mark in cell for mark in ",;|"):
        yield "commas between tags", f"{quote(cell)} has no blanks between its tags", "write blanks"
        return
    if " ".join(tags) != cell:
        yield "blanks", f"{quote(cell)} has more blanks than needed", "write one blank between two tags"
    for tag in duplicates(tags):
        yield "duplicate tag", f"the tag {quote(tag)} is repeated", "write a tag once"
    for tag in dict.fromkeys(tags):
        if known is not None and tag not in known:
            yield "unknown tag", f"no tag is named {quote(tag)}", _suggestion(tag, known)


def class_problems(cell: str, known: frozenset[str] | None) -> Iterator[CellProblem]:
    """The problem of a class's name, if it has one."""
    if not cell.strip():
        yield "empty cell", "the class is empty", "write the name of a class"
    elif known is not None and cell not in known:
        yield "unknown class", f"no class is named {quote(cell)}", _suggestion(cell, known)


@functools.cache  # a wrong name tends to be in every row, and the search is slow
def _suggestion(name: str, known: frozenset[str]) -> str:
    return did_you_mean(name, sorted(known)) or f"known: {', '.join(sorted(known)[:5])}..."


def duplicates(names: Sequence[str]) -> list[str]:
    """The names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
