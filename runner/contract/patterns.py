"""Texts with fields: `train/{chain}/{id[0]}.jpg` is filled from a row, `{id}_{column}` is taken apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

# A column of the row, `{id}`, or a character of it, `{id[0]}`.
FIELD = re.compile(r"\{(\w+)(?:\[(\d+)\])?\}")


def fields_of(text: str) -> tuple[str, ...]:
    """The columns that a text names, each once."""
    return tuple(dict.fromkeys(match[1] for match in FIELD.finditer(text)))


def is_pattern(text: str) -> bool:
    """Whether a text names columns, and is not itself the name of one."""
    return bool(FIELD.search(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with the values of its fields; a character beyond the end of a value is nothing."""

    def value_of(match: re.Match[str]) -> str:
        value = values[match[1]]
        return value if match[2] is None else value[int(match[2]) : int(match[2]) + 1]

    return FIELD.sub(value_of, text)


def row_pattern(rows: str, columns: Iterable[str]) -> re.Pattern[str]:
    """`{id}_{column}` as a pattern with the groups `id` and `column`; any column if none are known."""
    known = "|".join(map(re.escape, columns))
    # The shortest id leaves the longest of the columns: `x_dry_green` is not `x_dry` and `green`.
    parts = {"id": f"(?P<id>{'.+?' if known else '.+'})", "column": f"(?P<column>{known or '.+'})"}
    return re.compile(_regex(rows, lambda name: parts.get(name, ".+?")), re.DOTALL)


def group_of(pattern: str, id: str) -> str | None:
    """The part of an id that the fields of `{patient}_*` name; None if the id has another form."""
    match = _group_pattern(pattern).fullmatch(id)
    return None if match is None else "/".join(match.groups())


@cache
def _group_pattern(pattern: str) -> re.Pattern[str]:
    # The shortest part: a group that is too large is seen at the split, one too small leaks unseen.
    return re.compile(_regex(pattern, lambda _: "(.+?)"), re.DOTALL)


def _regex(text: str, field: Callable[[str], str]) -> str:
    """A regular expression for a text with fields and `*`."""
    parts, end = [], 0
    for match in FIELD.finditer(text):
        parts += [_literal(text[end : match.start()]), field(match[1])]
        end = match.end()
    return "".join([*parts, _literal(text[end:])])


def _literal(text: str) -> str:
    return ".*".join(map(re.escape, text.split("*")))
