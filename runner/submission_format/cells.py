"""What can be wrong with the cells of one row of a submission."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from runner.csv_file import shown

# A hundred and twenty columns rounded to five places are off by 6e-4 at most, and pass; logits,
# sigmoids and a forgotten column are off by far more.
SUM_TOLERANCE = 1e-3

_NUMERALS = b"0123456789.eE+-"

# A kind of problem, what was found, and the fix.
Fault = tuple[str, str, str]


def number_faults(cells: list[str], columns: list[str], sums_to_one: bool) -> Iterator[Fault]:
    """What is wrong with a row of probabilities."""
    values = _numbers(cells)
    if values is None or not (min(values) >= 0 and max(values) <= 1):
        # The first bad cell speaks for its row: the others are nearly always bad in the same way.
        yield next(
            (kind, f"column {shown(column)} {found}", fix)
            for column, cell in zip(columns, cells, strict=True)
            for kind, found, fix in _cell_faults(cell)
        )
    elif sums_to_one and abs(sum(values) - 1) > SUM_TOLERANCE:
        found = f"the probabilities sum to {sum(values):.6g}"
        yield "sum", found, f"divide the row by its sum (1 is expected, give or take {SUM_TOLERANCE:g})"


def _numbers(cells: list[str]) -> list[float] | None:
    """The cells as numbers, or None where one is not a plain one."""
    # float() takes 1_0, nan, Arabic digits and blanks; a host's parser may not, so the letters are looked at.
    if "".join(cells).encode("utf-8").translate(None, _NUMERALS):
        return None
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _cell_faults(cell: str) -> Iterator[Fault]:
    values = _numbers([cell])
    if not cell.strip():
        yield "empty", "is empty", "write a probability"
    elif cell.strip().lower().lstrip("+-") in ("nan", "na", "n/a", "null", "none"):
        yield "nan", f"holds {shown(cell)}", "write a probability; a NaN often comes from a join by other ids"
    elif cell.strip().lower().lstrip("+-") in ("inf", "infinity") or (values and math.isinf(values[0])):
        yield "infinity", f"holds {shown(cell)}", "write a probability between 0 and 1"
    elif re.fullmatch(r"-?\d+,\d+", cell.strip()):
        yield "decimal commas", f"holds {shown(cell)}, a decimal comma", "write a point: 0.25"
    elif values is None:
        yield "no number", f"holds {shown(cell)}, not a plain number", "write it as 0.25 or 2.5e-7"
    elif values[0] < 0:
        yield "negative", f"holds {cell}, which is negative", "write probabilities, not logits"
    elif values[0] > 1:
        yield "above 1", f"holds {cell}, which is above 1", "write probabilities, not percentages or logits"


def tag_faults(cell: str, known: frozenset[str] | None) -> Iterator[Fault]:
    """What is wrong with a list of tags."""
    tags = cell.split()
    if not tags:
        yield "no tags", "the tag list is empty", "choose at least one tag, such as the likeliest"
        return
    if any(mark in cell for mark in ",;|"):
        yield "commas", f"{shown(cell)} has no blanks between its tags", "put blanks, and nothing else, there"
        return
    if " ".join(tags) != cell:
        yield "blanks", f"{shown(cell)} has blanks too many", "put one blank between two tags"
    for tag in repeated(tags):
        yield "tag twice", f"tag {shown(tag)} is there twice", "name a tag once"
    for tag in dict.fromkeys(tags):
        if known is not None and tag not in known:
            yield "unknown tag", f"no tag is named {shown(tag)}", _suggestion(tag, known)


def class_faults(cell: str, known: frozenset[str] | None) -> Iterator[Fault]:
    """What is wrong with the name of a class."""
    if not cell.strip():
        yield "empty", "the class is empty", "write the name of a class"
    elif known is not None and cell not in known:
        yield "unknown class", f"no class is named {shown(cell)}", _suggestion(cell, known)


@functools.cache  # a wrong name tends to stand in every row, and the search is slow
def _suggestion(name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name.strip(), sorted(known), n=1)
    return f"did you mean {shown(near[0])}?" if near else f"known: {', '.join(sorted(known)[:5])}..."


def repeated(names: Sequence[str]) -> list[str]:
    """The names that are there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
