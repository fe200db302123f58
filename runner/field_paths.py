"""The fields of nested dataclasses by their paths, as `stages[0].size`: listed, compared, and changed from texts."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from runner.fields import checked
from runner.problems import did_you_mean

Record = TypeVar("Record")

_PATH = re.compile(r"[^.\[\]\s]+(?:\[\d+\]|\.[^.\[\]\s]+)*")
_TRUE, _FALSE, _NONE = ("true", "yes", "on"), ("false", "no", "off"), ("none", "null")


class UnknownFieldError(ValueError):
    """A path that leads to no field; `near` is the path that was meant, if one is near."""

    def __init__(self, path: str, near: str):
        super().__init__(f"there is no field {path!r}" + (f"; did you mean {near!r}?" if near else ""))
        self.near = near


def flat_fields(record: Any) -> dict[str, Any]:
    """Every plain value in a dataclass by its path; empty dictionaries and lists of records have none."""
    return {path: value for path, value in _flat(record, "") if path}


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _flat(getattr(value, field.name), f"{path}.{field.name}" if path else field.name)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(item, f"{path}.{name}")
    elif isinstance(value, tuple | list) and any(map(is_dataclass, value)):
        for number, item in enumerate(value):
            yield from _flat(item, f"{path}[{number}]")
    else:
        yield path, value.value if isinstance(value, Enum) else value


@dataclass(frozen=True)
class FieldDifference:
    """A field in which records differ, and its value in each; None where a record has no such field."""

    path: str
    values: tuple[Any, ...]


def field_differences(records: Sequence[Any]) -> tuple[FieldDifference, ...]:
    """The fields in which these records differ, in the order of the fields."""
    flat = [flat_fields(record) for record in records]
    paths = dict.fromkeys(path for each in flat for path in each)
    differing = (path for path in paths if any(each.get(path, ...) != flat[0].get(path, ...) for each in flat))
    return tuple(FieldDifference(path, tuple(each.get(path) for each in flat)) for path in differing)


def with_text(record: Record, path: str, text: str) -> Record:
    """The record with the field at `path` as a text has it; an UnknownFieldError or a ValueError."""
    return _with(record, path, lambda kind, name: checked(kind, _parsed(kind, text), name))


def with_value(record: Record, path: str, value: Any) -> Record:
    """The record with the field at `path` as a plain value has it; an UnknownFieldError or a ValueError."""
    return _with(record, path, lambda kind, name: checked(kind, value, name))


def _with(record: Record, path: str, read: Any) -> Record:
    if not _PATH.fullmatch(path):
        raise UnknownFieldError(path, _nearest(record, path))
    names = re.findall(r"[^.\[\]]+", path)
    try:
        return _replaced(type(record), record, names, path, read)  # type: ignore[no-any-return]
    except LookupError:
        raise UnknownFieldError(path, _nearest(record, path)) from None


def _replaced(kind: Any, value: Any, names: Sequence[str], path: str, read: Any) -> Any:
    """The value with what the names lead to replaced; a LookupError if they lead nowhere."""
    if not names:
        return read(kind, path)
    head, *rest = names
    if value is None:
        value = _default_record(kind)
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        if head not in {field.name for field in fields(value)}:
            raise LookupError(head)
        return replace(value, **{head: _replaced(hints[head], getattr(value, head), rest, path, read)})
    if isinstance(value, Mapping):
        return {**value, head: _replaced(_kind_of_values(kind), value.get(head), rest, path, read)}
    if isinstance(value, tuple) and head.isdecimal() and int(head) < len(value):
        items = list(value)
        items[int(head)] = _replaced(_kind_of_items(kind), items[int(head)], rest, path, read)
        return tuple(items)
    raise LookupError(head)


def _default_record(kind: Any) -> Any:
    """The dataclass that a field without a value may hold; a LookupError if there is none, or it has no defaults."""
    for each in _alternatives(kind):
        if isinstance(each, type) and is_dataclass(each):
            try:
                return each()
            except TypeError:
                break
    raise LookupError(str(kind))


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _kind_of_values(kind: Any) -> Any:
    arguments = get_args(next(each for each in _alternatives(kind) if get_origin(each) is dict))
    return arguments[1]


def _kind_of_items(kind: Any) -> Any:
    return get_args(next(each for each in _alternatives(kind) if get_origin(each) is tuple))[0]


def _nearest(record: Any, path: str) -> str:
    """The path of a field that was meant: one with this last name, or one that is spelt nearly so; else nothing."""
    known = list(flat_fields(record))
    last = path.replace("[", ".").replace("]", "").rpartition(".")[2].replace("-", "_").casefold()
    if same := [each for each in known if each.rpartition(".")[2].casefold() == last]:
        return same[0]
    for word, names in ((path, known), (last, [each.rpartition(".")[2] for each in known])):
        if near := did_you_mean(word, names).removeprefix("did you mean '").removesuffix("'?"):
            return next(each for each in known if near in (each, each.rpartition(".")[2]))
    return ""


def _parsed(kind: Any, text: str) -> Any:
    """A typed text as the plain value that a field of this kind takes; the text itself if it is none."""
    kinds = _alternatives(kind)
    word = text.strip()
    if type(None) in kinds and word.lower() in _NONE:
        return None
    for each in sorted((each for each in kinds if each is not type(None)), key=lambda each: each is str):
        parsed = _parsed_as(each, word)
        if parsed is not None:
            return parsed
    return text


def _parsed_as(kind: Any, word: str) -> Any:
    """The text as a value of one kind; None if it is not written so."""
    if kind is bool:
        return True if word.lower() in _TRUE else False if word.lower() in _FALSE else None
    if kind is int:
        return int(word) if re.fullmatch(r"[+-]?\d+", word) else None
    if kind is float:
        return _number(word)
    if kind is str:
        return word
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next((member.value for member in kind if str(member.value).lower() == word.lower()), word)
    if word.startswith(("[", "{")):
        return _json(word)
    if get_origin(kind) in (tuple, list) and word:
        items = get_args(kind)[0]
        return [_parsed(items, part) for part in word.split(",")]
    return None


def _number(word: str) -> float | None:
    """A number, or a fraction such as 1/3."""
    above, _, below = word.partition("/")
    try:
        return float(above) / float(below) if below else float(word)
    except (ValueError, ZeroDivisionError):
        return None


def _json(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return None
