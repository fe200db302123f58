"""The problems of the cells of one row of a submission."""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from runner.problems import did_you_mean, quote

# A hundred and twenty columns rounded to five decimals are off by 6e-4 at most; logits, sigmoids and a forgotten
# column are off by far more.
SUM_TOLERANCE = 1e-3
# Some graders refuse a row that is off by more.
STRICT_SUM_TOLERANCE = 1e-5
SUM_PROBLEM = "sum is not 1"

_NUMERALS = b"0123456789.eE+-"


class CellProblem(NamedTuple):
    """What is wrong with a cell or a row."""

    kind: str
    message: str
    fix: str
    is_error: bool = True


def probability_problems(cells: list[str], columns: list[str], sums_to_one: bool) -> Iterator[CellProblem]:
    """The problem of a row of probabilities, if it has one."""
    values = _numbers(cells)
    if values is None or not (min(values) >= 0 and max(values) <= 1):
        yield from _first_bad_cell(cells, columns, _probability_problem)
    elif sums_to_one and abs(sum(values) - 1) > STRICT_SUM_TOLERANCE:
        yield _sum_problem(sum(values))


def _sum_problem(total: float) -> CellProblem:
    if abs(total - 1) > SUM_TOLERANCE:
        belief = "the host is believed to divide each row by its sum, so these are not the probabilities it scores"
        message = f"the probabilities sum to {total:.6g}: {belief}"
    else:
        message = f"the probabilities sum to {total:.8g}: some graders refuse more than {STRICT_SUM_TOLERANCE:g} off 1"
    return CellProblem(SUM_PROBLEM, message, "divide the row by its sum", is_error=False)


def number_problems(
    cells: list[str], columns: list[str], low: float | None, high: float | None
) -> Iterator[CellProblem]:
    """The problem of a row of numbers, if it has one; a warning if one is not between `low` and `high`."""
    values = _numbers(cells)
    if values is None or not all(map(math.isfinite, values)):
        yield from _first_bad_cell(cells, columns, _number_problem)
        return
    for column, cell, value in zip(columns, cells, values, strict=True):
        if low is not None and value < low:
            message = f"column {quote(column)} is {cell}, below {low:g}, the lowest that the labels can be"
            yield CellProblem("number out of bounds", message, f"write at least {low:g}", is_error=False)
        if high is not None and value > high:
            message = f"column {quote(column)} is {cell}, above {high:g}, the highest that the labels can be"
            yield CellProblem("number out of bounds", message, f"write at most {high:g}", is_error=False)


def zero_or_one_problems(cells: list[str], columns: list[str]) -> Iterator[CellProblem]:
    """The problem of a row of 0 and 1, if it has one."""
    values = _numbers(cells)
    if values is None or any(value not in (0, 1) for value in values):
        yield from _first_bad_cell(cells, columns, _zero_or_one_problem)


def _first_bad_cell(
    cells: list[str], columns: list[str], problem_of: Callable[[str], CellProblem | None]
) -> Iterator[CellProblem]:
    # The first bad cell stands for its row: the others are nearly always bad in the same way.
    for column, cell in zip(columns, cells, strict=True):
        if problem := problem_of(cell):
            yield problem._replace(message=f"column {quote(column)} {problem.message}")
            return


def _numbers(cells: list[str]) -> list[float] | None:
    """The cells as numbers; None if one is not a plain number."""
    # float() accepts 1_0, nan, Arabic digits and blanks; a host's parser may not.
    if "".join(cells).encode("utf-8").translate(None, _NUMERALS):
        return None
    try:
        return [float(cell) for cell in cells]
    except ValueError:
        return None


def _probability_problem(cell: str) -> CellProblem | None:
    if problem := _number_problem(cell, "a probability", "write a probability between 0 and 1"):
        return problem
    value = float(cell)
    if value < 0:
        return CellProblem("negative number", f"is {cell}, which is negative", "write probabilities, not logits")
    if value > 1:
        fix = "write probabilities, not percentages or logits"
        return CellProblem("number above 1", f"is {cell}, which is above 1", fix)
    return None


def _zero_or_one_problem(cell: str) -> CellProblem | None:
    if problem := _number_problem(cell, "0 or 1", "write 0 or 1"):
        return problem
    if float(cell) in (0, 1):
        return None
    fix = "write 0 or 1: the metric scores what is decided, not a probability"
    return CellProblem("not 0 or 1", f"is {cell}, not 0 or 1", fix)


def _number_problem(cell: str, noun: str = "a number", finite: str = "write a finite number") -> CellProblem | None:
    values = _numbers([cell])
    if not cell.strip():
        return CellProblem("empty cell", "is empty", f"write {noun}")
    if cell.strip().lower().lstrip("+-") in ("nan", "na", "n/a", "null", "none"):
        fix = f"write {noun}; a NaN often comes from a join by other ids"
        return CellProblem("NaN", f"is {quote(cell)}", fix)
    if cell.strip().lower().lstrip("+-") in ("inf", "infinity") or (values and math.isinf(values[0])):
        return CellProblem("infinity", f"is {quote(cell)}", finite)
    if re.fullmatch(r"-?\d+,\d+", cell.strip()):
        return CellProblem("decimal commas", f"is {quote(cell)}, with a decimal comma", "write a point: 0.25")
    if values is None:
        return CellProblem("not a number", f"is {quote(cell)}, not a plain number", "write it as 0.25 or 2.5e-7")
    return None


def tag_problems(
    cell: str, known: frozenset[str] | None, separator: str = " ", may_be_empty: bool = False
) -> Iterator[CellProblem]:
    """The problems of a list of tags."""
    yield from _list_problems(cell, known, separator, "tag", may_be_empty=may_be_empty)


def top_class_problems(cell: str, known: frozenset[str] | None, separator: str, places: int) -> Iterator[CellProblem]:
    """The problems of a list of the likeliest classes."""
    yield from _list_problems(cell, known, separator, "class")
    count = len(names_in_cell(cell, separator))
    if count > places:
        message = f"{count} classes, and the metric scores {places}"
        yield CellProblem("too many classes", message, f"write the {places} likeliest")
    elif 0 < count < min(places, len(known) if known else places):
        message = f"{count} of {places} classes: each one more can only raise the score"
        yield CellProblem("fewer classes than scored", message, f"write {places}", is_error=False)


def _list_problems(
    cell: str, known: frozenset[str] | None, separator: str, noun: str, *, may_be_empty: bool = False
) -> Iterator[CellProblem]:
    plural = "tags" if noun == "tag" else "classes"
    between = "blanks" if separator == " " else repr(separator)
    names = names_in_cell(cell, separator)
    if not names:
        if not may_be_empty or cell:
            list_name = "tag list" if noun == "tag" else "list of classes"
            fix = f"choose at least one {noun}, such as the likeliest"
            yield CellProblem(f"no {plural}", f"the {list_name} is empty", fix)
        return
    if cell in (known or ()):
        return
    if any(mark in cell for mark in ",;|" if mark != separator) and not (known and known.issuperset(names)):
        message = f"{quote(cell)} has no {between} between its {plural}"
        yield CellProblem(f"commas between {plural}", message, f"write {between}")
        return
    if separator.join(names) != cell:
        message = f"{quote(cell)} has more {between} than needed"
        one = "one blank" if separator == " " else f"one {between}"
        yield CellProblem("blanks", message, f"write {one} between two {plural}")
    for name in duplicates(names):
        yield CellProblem(f"duplicate {noun}", f"the {noun} {quote(name)} is repeated", f"write a {noun} once")
    for name in dict.fromkeys(names):
        if known is not None and name not in known:
            yield CellProblem(f"unknown {noun}", f"no {noun} is named {quote(name)}", _suggestion(name, known))


def names_in_cell(cell: str, separator: str) -> list[str]:
    """The names in a cell of several."""
    return cell.split() if separator == " " else [name for name in cell.split(separator) if name]


def confidence_problems(cell: str, known: frozenset[str] | None, separator: str) -> Iterator[CellProblem]:
    """The problem of a class with its confidence, if it has one."""
    name, _, confidence = cell.rpartition(separator)
    fix = f"write a class, {'a blank' if separator == ' ' else repr(separator)}, and its confidence"
    if not cell.strip():
        yield CellProblem("empty cell", "the class is empty", fix)
    elif not name or (known is not None and cell in known):
        yield CellProblem("no confidence", f"{quote(cell)} has no confidence", fix)
    elif problem := _number_problem(confidence):
        yield problem._replace(message=f"the confidence {problem.message}")
    else:
        yield from class_problems(name, known)


def class_problems(cell: str, known: frozenset[str] | None) -> Iterator[CellProblem]:
    """The problem of a class's name, if it has one."""
    if not cell.strip():
        yield CellProblem("empty cell", "the class is empty", "write the name of a class")
    elif known is not None and cell not in known:
        yield CellProblem("unknown class", f"no class is named {quote(cell)}", _suggestion(cell, known))


@functools.cache  # a wrong name tends to be in every row, and the search is slow
def _suggestion(name: str, known: frozenset[str]) -> str:
    return did_you_mean(name, sorted(known)) or f"known: {', '.join(sorted(known)[:5])}..."


def duplicates(names: Sequence[str]) -> list[str]:
    """The names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
