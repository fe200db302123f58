"""Checks of the numbers in a competition file: they fail when it is imported."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def check_count(field: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise ValueError if the value is not a whole number within the limits."""
    if type(value) is not int or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{field}: {value!r} is not a whole number {limits}")


def check_number(field: str, value: Any, limits: str) -> None:
    """Raise ValueError if the value is not a finite number within one of the named limits."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (is_number and _LIMITS[limits](value)):
        raise ValueError(f"{field}: {value!r} is not a number {limits}")


def check_member(field: str, value: Any, kind: type[Any]) -> None:
    """Raise ValueError if the value is not of this Enum or frozen class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(f"{field}: {value!r} is not {article} {kind.__name__}")


_LIMITS: dict[str, Callable[[float], bool]] = {
    "above 0": lambda value: value > 0,
    "of at least 0": lambda value: value >= 0,
    "from 0 to 1": lambda value: 0 <= value <= 1,
    "from 0 to below 1": lambda value: 0 <= value < 1,
    "above 0, at most 1": lambda value: 0 < value <= 1,
    "from 0 to 0.9": lambda value: 0 <= value <= 0.9,
    "from 0 to 10": lambda value: 0 <= value <= 10,
    "from 1 to 100": lambda value: 1 <= value <= 100,
}
