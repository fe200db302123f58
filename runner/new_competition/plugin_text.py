"""The text of a competition file, formatted as ruff formats it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

WIDTH = 120
_INDENT = "    "
# More names than this are one text that is split: one a line would be too long.
_MOST_LISTED = 12


@dataclass(frozen=True)
class Name:
    """A constant of the contract."""

    name: str


@dataclass(frozen=True)
class Call:
    """A call of a name of the contract."""

    name: str
    arguments: tuple[object, ...] = ()
    keywords: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Numbers:
    """The names of the numbers from 0 to below `count`."""

    count: int


@dataclass(frozen=True)
class Field:
    """A field of the competition, and why it is so."""

    name: str
    value: object
    comment: str = ""


@dataclass(frozen=True)
class PluginText:
    """What a competition file says."""

    summary: str
    fields: tuple[Field, ...]

    def render(self) -> str:
        """The text of the file."""
        lists: dict[str, tuple[str, ...]] = {}
        body = [line for field in self.fields for line in _field_lines(field, lists)]
        blocks = [_docstring(self.summary), _import(sorted(_names(self.fields), key=_import_order))]
        blocks += ["\n".join(_list_lines(name, values)) for name, values in lists.items()]
        blocks.append("\n".join(["COMPETITION = Competition(", *body, ")"]))
        return "\n\n".join(blocks) + "\n"


def _docstring(summary: str) -> str:
    plain = " ".join(summary.replace("\\", "/").replace('"', "'").split())
    return f'"""{plain if len(plain) <= WIDTH - 10 else plain[: WIDTH - 13] + "..."}"""'


# --- imports ------------------------------------------------------------------------------------


def _names(value: object) -> set[str]:
    """The names of the contract in a value."""
    if isinstance(value, Name):
        return {value.name}
    if isinstance(value, Call):
        inner = [*value.arguments, *(each for _, each in value.keywords)]
        return {value.name}.union(*map(_names, inner)) if inner else {value.name}
    if isinstance(value, Field):
        return _names(value.value)
    if isinstance(value, tuple):
        return set().union({"Competition"} if value and isinstance(value[0], Field) else set(), *map(_names, value))
    return set()


def _import_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _import(names: list[str]) -> str:
    line = f"from runner.contract import {', '.join(names)}"
    if len(line) <= WIDTH:
        return line
    return "\n".join(["from runner.contract import (", *(f"{_INDENT}{name}," for name in names), ")"])


# --- fields -------------------------------------------------------------------------------------


def _field_lines(field: Field, lists: dict[str, tuple[str, ...]]) -> Iterator[str]:
    value = _with_lists(field.value, lists)
    comment = f"  # {field.comment}" if field.comment else ""
    line = f"{_INDENT}{field.name}={_code(value)},"
    if len(line + comment) <= WIDTH:
        yield line + comment
        return
    if comment:
        yield from textwrap.wrap(
            field.comment,
            WIDTH,
            initial_indent=f"{_INDENT}# ",
            subsequent_indent=f"{_INDENT}# ",
            break_long_words=False,
        )
    yield from [line] if len(line) <= WIDTH else _broken(f"{field.name}=", value, _INDENT)


def _broken(start: str, value: object, indent: str) -> Iterator[str]:
    """A value over several lines, an item a line."""
    inner = indent + _INDENT
    if isinstance(value, Call):
        items = [("", each) for each in value.arguments] + [(f"{name}=", each) for name, each in value.keywords]
        begin, end = f"{value.name}(", ")"
    elif isinstance(value, tuple):
        items, begin, end = [("", each) for each in value], "(", ")"
    else:
        yield f"{indent}{start}{_code(value)},"
        return
    yield f"{indent}{start}{begin}"
    for name, each in items:
        line = f"{inner}{name}{_code(each)},"
        yield from [line] if len(line) <= WIDTH else _broken(name, each, inner)
    yield f"{indent}{end},"


def _code(value: object) -> str:
    if isinstance(value, Name):
        return value.name
    if isinstance(value, Numbers):
        return f"tuple(map(str, range({value.count})))"
    if isinstance(value, Call):
        parts = [*map(_code, value.arguments), *(f"{name}={_code(each)}" for name, each in value.keywords)]
        return f"{value.name}({', '.join(parts)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_code, value))}{',' * (len(value) == 1)})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


# --- long lists of names ------------------------------------------------------------------------


def _with_lists(value: object, lists: dict[str, tuple[str, ...]]) -> object:
    """The value with each long list of names replaced by a name of the file."""
    if isinstance(value, Call):
        keywords = tuple((name, _with_lists(each, lists)) for name, each in value.keywords)
        return Call(value.name, tuple(_with_lists(each, lists) for each in value.arguments), keywords)
    is_names = isinstance(value, tuple) and len(value) > _MOST_LISTED and all(isinstance(each, str) for each in value)
    if isinstance(value, tuple) and is_names and len(_code(value)) > WIDTH - 20:
        name = "COLUMNS" if "COLUMNS" not in lists else f"COLUMNS_{len(lists) + 1}"
        lists[name] = value
        return Call("tuple", (Name(name),))
    return value


def _list_lines(name: str, values: tuple[str, ...]) -> Iterator[str]:
    """A list of names as one text."""
    if not any(mark in value for value in values for mark in ' \\"'):
        yield f'{name} = """'
        yield from textwrap.wrap(" ".join(values), WIDTH, break_on_hyphens=False, break_long_words=False)
        yield '""".split()'
        return
    yield f"{name} = ["
    yield from (f"{_INDENT}{_code(value)}," for value in values)
    yield "]"
