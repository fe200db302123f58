"""What the cells of a submission hold: decided by the labels and the metric, and compared with the sample's cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from runner.contract.competition import Competition
from runner.contract.decisions import ClassWithConfidence, OneClass, TagSet, TopClasses
from runner.contract.labels import Binary, Multilabel, Regression, SeveralTargets
from runner.problems import did_you_mean, quote

_NO_NUMBER = frozenset(("", "na", "n/a", "nan", "null", "none"))


class CellKind(Enum):
    """The value cells of a row."""

    CLASS_PROBABILITIES = "a probability for each class"
    TAG_PROBABILITIES = "a probability for each tag"
    ONE_PROBABILITY = "one probability"
    ZERO_OR_ONE = "0 or 1"
    ONE_CLASS = "one class"
    TAG_LIST = "a list of tags"
    TOP_CLASSES = "the likeliest classes"
    CLASS_WITH_CONFIDENCE = "a class with its confidence"
    NUMBERS = "numbers"


# Their cells hold names of classes or tags; those of the others hold numbers.
NAME_KINDS = (CellKind.ONE_CLASS, CellKind.TAG_LIST, CellKind.TOP_CLASSES, CellKind.CLASS_WITH_CONFIDENCE)
# They have a column for each class, tag or number, found by its name.
COLUMN_KINDS = (CellKind.CLASS_PROBABILITIES, CellKind.TAG_PROBABILITIES)


def kind_of(competition: Competition, columns: int) -> CellKind:
    """The kind of cells that the metric scores, in a submission with so many value columns."""
    labels, decision = competition.labels, competition.metric.decision
    if isinstance(labels, Regression):
        return CellKind.NUMBERS
    if isinstance(labels, Multilabel):
        if not isinstance(decision, TagSet):
            return CellKind.TAG_PROBABILITIES
        return CellKind.ZERO_OR_ONE if columns > 1 else CellKind.TAG_LIST
    if isinstance(labels, Binary):
        return CellKind.ZERO_OR_ONE if isinstance(decision, OneClass) else CellKind.ONE_PROBABILITY
    if isinstance(decision, TopClasses):
        return CellKind.TOP_CLASSES
    if isinstance(decision, ClassWithConfidence):
        return CellKind.CLASS_WITH_CONFIDENCE
    return CellKind.CLASS_PROBABILITIES if decision is None else CellKind.ONE_CLASS


def column_count_error(competition: Competition, id_column: str, columns: Sequence[str]) -> str | None:
    """Why a sample submission with these value columns cannot hold what the metric scores; None if it can."""
    if not columns:
        return f"there is no column beside the id: {id_column}"
    labels, kind = competition.labels, kind_of(competition, len(columns))
    if isinstance(labels, SeveralTargets) and kind is not CellKind.ONE_CLASS:
        return f"{_asked(competition, kind)} for several targets; give the metric decision=OneClass()"
    several = f"there are {len(columns):,} columns beside the id"
    if competition.submission_rows:
        return f"{several}, and a row per id and column has one" if len(columns) > 1 else None
    if kind is CellKind.CLASS_PROBABILITIES and len(columns) == 1:
        return f"{_asked(competition, kind)}, and there is one column beside the id: {quote(columns[0])}"
    is_one_cell = kind in (*NAME_KINDS, CellKind.ONE_PROBABILITY) or isinstance(labels, Binary)
    if is_one_cell and len(columns) > 1:
        return f"{_asked(competition, kind)}, and {several}: {_some(columns)}"
    return None


def column_name_error(competition: Competition, columns: Sequence[str], classes: Sequence[str]) -> str | None:
    """Why the columns of a sample submission are not those of the labels; None if they are.

    `columns` are those of its header, or those that its rows ask for.
    """
    kind = kind_of(competition, len(columns))
    names = list(competition.labels.columns) if isinstance(competition.labels, SeveralTargets) else list(classes)
    has_one_value = len(names) == 1 and len(columns) == 1
    if (kind in NAME_KINDS and not competition.submission_rows) or has_one_value or sorted(columns) == sorted(names):
        return None
    unasked, unknown = sorted(set(names) - set(columns)), sorted(set(columns) - set(names))
    message = f"it asks for {len(columns):,} columns, and the labels have {len(names):,}"
    if unasked:
        message += f"; not asked for: {_some(unasked)}"
    if unknown:
        guess = did_you_mean(unknown[0], unasked)
        message += f"; not in the labels: {_some(unknown)}" + (f" ({guess})" if guess else "")
    return message


def name_error(competition: Competition, kind: CellKind, classes: Sequence[str]) -> str | None:
    """A class or tag that cannot be written in a list, because it holds what stands between two of them."""
    separator = competition.submission_sep
    if kind not in (CellKind.TAG_LIST, CellKind.TOP_CLASSES):
        return None
    broken = next((name for name in classes if separator in name), None)
    if broken is None:
        return None
    return f"{quote(broken)} holds {quote(separator)}, which stands between the names of a cell: say submission_sep"


class CellReader:
    """Compares the sample's cells with what the metric scores."""

    def __init__(self, competition: Competition, columns: int, classes: Sequence[str]) -> None:
        self._competition, self._classes = competition, frozenset(classes)
        self.kind = kind_of(competition, columns)
        self._has_numbers = any(_number(name) is not None for name in classes)
        self._longest, self._unknown, self._has_known = 0, "", False

    def error(self, cell: str) -> str | None:
        """Why this cell is not what the metric scores; None if it may be, as a blank one may."""
        cell = cell.strip()
        if not cell:
            return None
        found = self._found_names(cell) if self.kind in NAME_KINDS else self._found_number(cell)
        return f"{_asked(self._competition, self.kind)}, and the cell is {found}: {quote(cell)}" if found else None

    def warnings(self) -> list[str]:
        """What is odd in the cells so far."""
        warnings = []
        decision = self._competition.metric.decision
        if isinstance(decision, TopClasses) and self._longest == 1 < decision.k:
            warnings.append(f"{_asked(self._competition, self.kind)}, and every cell has one")
        if self._unknown and not self._has_known:
            warnings.append(f"its cells name no class of the labels: {quote(self._unknown)}")
        return warnings

    def _found_number(self, cell: str) -> str | None:
        if cell.casefold() in _NO_NUMBER:
            return None
        number = _number(cell)
        if number is None:
            return "not a number"
        return "a number" if self.kind is CellKind.ZERO_OR_ONE and number not in (0, 1) else None

    def _found_names(self, cell: str) -> str | None:
        if cell in self._classes and self.kind is not CellKind.CLASS_WITH_CONFIDENCE:
            self._note([cell])
            return None
        separator = self._competition.submission_sep
        names = cell.split() if separator == " " else cell.split(separator)
        begin, _, end = cell.rpartition(separator)
        if self.kind is CellKind.CLASS_WITH_CONFIDENCE:
            self._note([begin])
            return None if begin and _number(end) is not None else "a class alone" if len(names) == 1 else "a list"
        if begin in self._classes and end not in self._classes and _number(end) is not None:
            return "a class with a number"
        if _is_fraction(cell):
            return "a number"
        return self._found_list(cell, names)

    def _found_list(self, cell: str, names: list[str]) -> str | None:
        """The problem of a cell of one name or several."""
        for mark in (self._competition.submission_sep, " ", ",", ";", "|"):
            listed = cell.split(mark)
            if len(listed) > 1 and self._classes.issuperset(listed):
                if self.kind is CellKind.ONE_CLASS:
                    return f"a list of {len(listed)}"
                if mark != self._competition.submission_sep:
                    return f"a list with {mark!r} between its names (say submission_sep)"
                break
        if self.kind is CellKind.ONE_CLASS:
            names = [cell]
        decision = self._competition.metric.decision
        if isinstance(decision, TopClasses) and len(names) > decision.k:
            return f"a list of {len(names)}"
        self._note(names)
        # A number where the classes are words is the class's id, which the labels must then be read from.
        if not self._classes.intersection(names) and not self._has_numbers and self._classes:
            return "a number, and no class is one" if all(_number(name) is not None for name in names) else None
        return None

    def _note(self, names: Sequence[str]) -> None:
        self._longest = max(self._longest, len(names))
        if self._classes.intersection(names):
            self._has_known = True
        else:
            self._unknown = self._unknown or " ".join(names)


def _asked(competition: Competition, kind: CellKind) -> str:
    decision = competition.metric.decision
    what = f"up to {decision.k} classes" if isinstance(decision, TopClasses) else kind.value
    return f"the metric {competition.metric.key} scores {what}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_fraction(cell: str) -> bool:
    number = _number(cell)
    return number is not None and not number.is_integer()
