"""Plain JSON values as frozen dataclasses and typed dictionaries, checked against the types of their fields."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, NotRequired, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

Kind = TypeVar("Kind")

_NUMBERS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def checked(kind: type[Kind], value: Any, name: str = "") -> Kind:
    """The value as `kind`: lists become tuples, texts members of an Enum, objects dataclasses; else a ValueError."""
    return _checked(kind, value, name or kind.__name__)  # type: ignore[no-any-return]


def _checked(kind: Any, value: Any, name: str) -> Any:
    if kind is Any:
        return value
    if kind in _NUMBERS:
        return _check_plain(kind, value, name)
    if get_origin(kind) in (types.UnionType, Union):
        return _checked_union(get_args(kind), value, name)
    if get_origin(kind) in (tuple, list):
        return _checked_items(kind, value, name)
    if get_origin(kind) is dict:
        return _checked_dict(kind, value, name)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _checked_member(kind, value, name)
    if is_typeddict(kind) or is_dataclass(kind):
        return _checked_fields(kind, value, name)
    raise TypeError(f"{name}: values of {kind} are not checked")


def _check_plain(kind: type[Any], value: Any, name: str) -> Any:
    is_float = kind is float and type(value) is int and abs(value) < 2**1000
    if type(value) is not kind and not is_float:
        raise _mismatch(name, value, _NUMBERS[kind])
    if kind is float and not math.isfinite(value):
        raise _mismatch(name, value, "a finite number")
    return value


def _checked_union(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    errors = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        try:
            return _checked(kind, value, name)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _checked_items(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _mismatch(name, value, "a list")
    kinds = get_args(kind)
    if kinds[0] is float and len(value) > 1 and all(type(item) is float and math.isfinite(item) for item in value):
        return value if get_origin(kind) is list else tuple(value)  # quickly: a log holds hundred thousands
    if get_origin(kind) is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _mismatch(name, value, f"a list of {len(kinds)}")
    places = enumerate(zip(kinds, value, strict=True))
    items = [_checked(kind, item, f"{name}[{number}]") for number, (kind, item) in places]
    return items if get_origin(kind) is list else tuple(items)


def _checked_dict(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(name, value, "an object")
    _, of_values = get_args(kind)
    return {key: _checked(of_values, item, f"{name}[{key!r}]") for key, item in value.items()}


def _checked_member(kind: type[Enum], value: Any, name: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(str(member.value) for member in kind)
        raise _mismatch(name, value, f"one of: {names}") from None


def _checked_fields(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(name, value, "an object")
    required, types_of = _fields_of(kind)
    unknown = ", ".join(sorted(map(str, value.keys() - types_of.keys())))
    if unknown:
        raise ValueError(f"{name} has no field {unknown[:200]}")
    missing = ", ".join(field for field in required if field not in value)
    if missing:
        raise ValueError(f"{name} needs the field {missing}")
    return kind(**{field: _checked(types_of[field], item, f"{name}.{field}") for field, item in value.items()})


@cache
def _fields_of(kind: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The fields that must be there, and the type of each field."""
    hints = get_type_hints(kind)
    if is_typeddict(kind):
        marked = get_type_hints(kind, include_extras=True)
        return tuple(name for name in hints if get_origin(marked[name]) is not NotRequired), hints
    of_class = fields(kind)
    required = tuple(one.name for one in of_class if one.default is MISSING and one.default_factory is MISSING)
    return required, {one.name: hints[one.name] for one in of_class}


def _mismatch(name: str, value: Any, wanted: str) -> ValueError:
    return ValueError(f"{name} is {str(repr(value))[:60]}, not {wanted}")
