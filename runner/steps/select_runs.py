"""Which runs are listed, and in which order: by their columns, by their notes and by the fields of their recipes."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runner.commands import again
from runner.contract import Metric
from runner.errors import UsageError
from runner.problems import did_you_mean
from runner.steps.runs import RunRow

# A column by its name in the table, or by another word for it.
COLUMNS = {
    "run": "run",
    "name": "run",
    "status": "status",
    "cv": "cv",
    "score": "cv",
    "error": "cv_error",
    "public": "public",
    "private": "private",
    "rank": "rank",
    "date": "date",
    "min": "minutes",
    "minutes": "minutes",
    "mb": "megabytes",
    "megabytes": "megabytes",
    "annotation": "annotation",
    "recipe": "recipe",
}
SORTS = ("cv", "run", "status", "date", "min", "mb", "public", "private")
_SCORES = ("cv", "public", "private")
_LARGEST_FIRST = ("date", "minutes", "megabytes")
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "~": lambda value, part: part in value,
}
_FILTER = re.compile(r"(?P<field>[^=<>!~]+?)\s*(?P<test>!=|<=|>=|=|<|>|~)\s*(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class _Filter:
    """One condition; without a field a word that is anywhere in the row."""

    field: str
    test: str
    value: str

    @classmethod
    def of(cls, text: str) -> _Filter:
        match = _FILTER.fullmatch(text.strip())
        return cls(match["field"].strip(), match["test"], match["value"].strip()) if match else cls("", "~", text)


def select_runs(
    rows: Sequence[RunRow], metric: Metric, *, filters: Sequence[str] = (), sort: str = "cv", reverse: bool = False
) -> list[RunRow]:
    """The rows that pass every filter, such as `status=predicted`, `lr<0.01` or a word; sorted by a column.

    Best, newest, longest and largest come first, rows without a value last. A UsageError if no row has such a field.
    """
    conditions = [_Filter.of(text) for text in filters]
    for at, condition in enumerate(conditions):
        _check_field(condition, rows, [*filters[:at], *filters[at + 1 :]])
    chosen = [row for row in rows if all(_passes(row, condition) for condition in conditions)]
    return _sorted(chosen, metric, sort, reverse)


def _sorted(rows: Sequence[RunRow], metric: Metric, sort: str, reverse: bool) -> list[RunRow]:
    column = COLUMNS[sort]
    known = [row for row in rows if getattr(row, column) is not None]
    missing = [row for row in rows if getattr(row, column) is None]

    def key(row: RunRow) -> Any:
        value = getattr(row, column)
        return metric.sort_key(value) if column in _SCORES else value

    ordered = sorted(known, key=key)
    if (column in _LARGEST_FIRST) != reverse:
        ordered.reverse()
    return [*ordered, *missing]


def _check_field(condition: _Filter, rows: Sequence[RunRow], others: Sequence[str]) -> None:
    """A UsageError with the nearest name if no row has the field; `others` are the filters beside it."""
    if not condition.field or not rows or _paths(condition.field, rows):
        return
    known = [*COLUMNS, *dict.fromkeys(path for row in rows for path in row.fields)]
    near = did_you_mean(condition.field, [*known, *(path.rpartition(".")[2] for path in known)])
    name = near.removeprefix("did you mean '").removesuffix("'?")
    corrected = [f"{name}{condition.test}{condition.value}", *others]
    flags = [word for text in corrected for word in ("--filter", text)]
    fix = again(*flags) if name else "a column, or a field of a recipe"
    raise UsageError(
        f"no run has {condition.field!r} to filter by; columns are {', '.join(dict.fromkeys(COLUMNS.values()))}",
        fix=fix,
    )


def _paths(field: str, rows: Sequence[RunRow]) -> list[str]:
    """The paths of recipes that a name means: itself, or every one with this last name; `column:` for a column."""
    if field.casefold() in COLUMNS:
        return [f"column:{COLUMNS[field.casefold()]}"]
    paths = dict.fromkeys(path for row in rows for path in row.fields)
    name = field.replace("-", "_").casefold()
    return [path for path in paths if name in (path.casefold(), path.rpartition(".")[2].casefold())]


def _passes(row: RunRow, condition: _Filter) -> bool:
    if not condition.field:
        text = " ".join(map(str, (row.run, row.status, row.note, row.annotation or "", row.recipe, *row.changes)))
        return condition.value.casefold() in text.casefold()
    values = [_value(row, path) for path in _paths(condition.field, [row])]
    if condition.test == "!=":
        return not any(_test(value, "=", condition.value) for value in values)
    return any(_test(value, condition.test, condition.value) for value in values)


def _value(row: RunRow, path: str) -> Any:
    return getattr(row, path.removeprefix("column:")) if path.startswith("column:") else row.fields[path]


def _test(value: Any, test: str, typed: str) -> bool:
    """The comparison as numbers if both are; else as texts, in whatever case."""
    if value is None:
        return test in ("=", "~") and typed.casefold() in ("none", "-", "")
    try:
        if not isinstance(value, bool | str) and test != "~":
            return _TESTS[test](float(value), float(typed))
    except (TypeError, ValueError):
        pass
    text = {"True": "yes", "False": "no"}.get(str(value), str(value))
    typed = {"true": "yes", "false": "no"}.get(typed.casefold(), typed)
    return _TESTS[test](text.casefold(), typed.casefold())
