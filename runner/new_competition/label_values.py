"""What the values of a label column, or of several, look like."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from runner.csv_file import parse_number

_SEPARATORS = (" ", ",", ";", "|", ", ", "; ")


class ValueKind(Enum):
    """What the cells of one column are."""

    ZERO_ONE = "0 and 1"
    TWO_WORDS = "two words"
    WHOLE_NUMBERS = "whole numbers"
    DECIMALS = "numbers with decimals"
    WORDS = "words"
    CONSTANT = "one value"


@dataclass(frozen=True)
class Values:
    """The cells of one label column."""

    kind: ValueKind
    counts: Counter[str]  # without blanks
    blanks: int
    rows: int

    @property
    def names(self) -> tuple[str, ...]:
        """The different values, numbers in their order."""
        return tuple(sorted(self.counts, key=_in_order))

    @property
    def low(self) -> float:
        return min(float(name) for name in self.counts)

    @property
    def high(self) -> float:
        return max(float(name) for name in self.counts)

    @property
    def are_grades(self) -> bool:
        """Whether they are 0, 1, 2 and so on, or from 1, few enough to be grades."""
        if self.kind not in (ValueKind.WHOLE_NUMBERS, ValueKind.ZERO_ONE):
            return False
        numbers = sorted({int(float(name)) for name in self.counts})
        return numbers[0] == 0 and len(numbers) <= 20 and numbers[-1] <= 20

    @property
    def text(self) -> str:
        """The values for a message, the most frequent first."""
        if self.kind is ValueKind.DECIMALS or (self.kind is ValueKind.WHOLE_NUMBERS and len(self.counts) > 20):
            return f"{self.kind.value}, {self.low:g} to {self.high:g}"
        listed = ", ".join(f"{name} x {count:,}" for name, count in self.counts.most_common(4))
        return f"{len(self.counts):,} values: {listed}" + (", ..." if len(self.counts) > 4 else "")


def values_of(cells: Sequence[str]) -> Values:
    """What these cells are."""
    counts = Counter(cell for cell in cells if cell)
    blanks = len(cells) - sum(counts.values())
    return Values(_kind(counts), counts, blanks, len(cells))


def _kind(counts: Counter[str]) -> ValueKind:
    numbers = [parse_number(name) for name in counts]
    if len(counts) <= 1:
        return ValueKind.CONSTANT
    if any(number is None or math.isnan(number) for number in numbers):
        return ValueKind.TWO_WORDS if len(counts) == 2 else ValueKind.WORDS
    found = {number for number in numbers if number is not None}
    if found <= {0.0, 1.0}:
        return ValueKind.ZERO_ONE
    return ValueKind.WHOLE_NUMBERS if all(number.is_integer() for number in found) else ValueKind.DECIMALS


def _in_order(name: str) -> tuple[int, float, str]:
    number = parse_number(name)
    return (0, number, "") if number is not None and not math.isnan(number) else (1, 0.0, name)


# --- lists in a cell ----------------------------------------------------------------------------


@dataclass(frozen=True)
class TagLists:
    """Cells that are lists of tags."""

    sep: str
    tags: Counter[str]
    has_empty: bool


def tag_lists_of(values: Values, known: Sequence[str] = ()) -> TagLists | None:
    """The lists in these cells, if they are lists: their parts are few and shared, or among the `known`."""
    names = set(known)
    for sep in _SEPARATORS:
        parts = Counter(part for cell, count in values.counts.items() for part in _parts(cell, sep) for _ in [count])
        several = sum(len(_parts(cell, sep)) > 1 for cell in values.counts)
        if not several:
            continue
        mark = sep.strip() or sep
        sep_of_cells = f"{mark} " if mark != " " and all(f"{mark} " in c for c in values.counts if mark in c) else mark
        if names and names.issuperset(parts):
            return TagLists(sep_of_cells, parts, values.blanks > 0)
        # The parts of names are as many as the names; tags are fewer than their combinations.
        alone = sum(cell in parts for cell in values.counts if len(_parts(cell, sep)) == 1)
        shared = sum(1 for count in parts.values() if count > 1)
        if not names and len(parts) < len(values.counts) and shared >= 0.5 * len(parts) and (alone or several > 2):
            return TagLists(sep_of_cells, parts, values.blanks > 0)
    return None


def _parts(cell: str, sep: str) -> list[str]:
    return cell.split() if sep == " " else [part.strip() for part in cell.split(sep.strip()) if part.strip()]


# --- several columns ----------------------------------------------------------------------------


class ColumnsKind(Enum):
    """What the cells of several columns are together."""

    ONE_HOT = "one 1 in each row"
    INDEPENDENT = "0 and 1, any number of 1 in a row"
    SHARES = "shares that sum to 1 in each row"
    VOTES = "counts"
    NUMBERS = "numbers"
    WORDS = "no numbers"


def columns_kind(rows: Sequence[Sequence[str]]) -> ColumnsKind:
    """What these rows are."""
    is_zero_one, is_one_hot, sums_to_one, is_count = True, True, True, True
    known: dict[str, float | None] = {}
    for row in rows:
        numbers = []
        for cell in row:
            if cell not in known:
                known[cell] = parse_number(cell)
            number = known[cell]
            if number is None:
                return ColumnsKind.WORDS
            numbers.append(number)
        total = math.fsum(numbers)
        zero_one = all(number in (0.0, 1.0) for number in numbers)
        is_zero_one = is_zero_one and zero_one
        is_one_hot = is_one_hot and zero_one and total == 1
        sums_to_one = sums_to_one and abs(total - 1) < 1e-3 and min(numbers) >= 0
        is_count = is_count and all(number >= 0 and number.is_integer() for number in numbers) and total > 0
    if is_zero_one:
        return ColumnsKind.ONE_HOT if is_one_hot else ColumnsKind.INDEPENDENT
    if sums_to_one:
        return ColumnsKind.SHARES
    return ColumnsKind.VOTES if is_count else ColumnsKind.NUMBERS
