"""The form of a submission: the sample is the authority on ids, their order, and the columns."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Labels, Multiclass, Multilabel
from runner.contract.targets import targets_of
from runner.csv_file import Problem, ProblemList, Table, UnreadableError, read_table, shown
from runner.errors import DataError, SubmissionFormatError
from runner.submission_format.cells import Fault, class_faults, number_faults, repeated, tag_faults

_INDEX_NAMES = ("", "Unnamed: 0", "index", "level_0")  # what pandas calls an index that it wrote
_ANEW = "write the file anew with `runner COMPETITION predict`"


class Kind(Enum):
    """What a row of a submission holds beside its id."""

    CLASS_PROBABILITIES = "a probability a class"
    ONE_CLASS = "the name of one class"
    TAG_LIST = "tags between blanks"
    ONE_PROBABILITY = "one probability"


@dataclass(frozen=True)
class SubmissionFormat:
    """What a submission must look like."""

    labels: Labels
    id_column: str
    columns: tuple[str, ...]  # the value columns, in the sample's order
    ids: tuple[str, ...]  # in the sample's order
    kind: Kind
    header: tuple[str, ...]  # the id column and the value columns, as the sample has them


def read_submission_format(labels: Labels, sample: Path, *, competition: str = "COMPETITION") -> SubmissionFormat:
    """The form that a sample submission sets; a broken sample is a DataError."""
    try:
        table = read_table(sample)
    except UnreadableError as error:
        raise _broken_sample(sample, competition, str(error.problem)) from error
    id_column = labels.id if labels.id in table.header else table.header[0]
    columns = tuple(name for name in table.header if name != id_column)
    place = table.header.index(id_column)
    ids = tuple([row[place] if place < len(row) else "" for _, row in table])
    fault = _fault_of_sample(labels, table, ids, columns)
    if fault:
        raise _broken_sample(sample, competition, fault)
    return SubmissionFormat(labels, id_column, columns, ids, _kind(labels, columns), table.header)


def find_problems(form: SubmissionFormat, path: Path, *, names: Sequence[str] | None = None) -> list[Problem]:
    """Everything that would make the host reject this file; `names` are the known tags or classes."""
    try:
        return _flaws(form, read_table(path), names)
    except UnreadableError as error:
        return [error.problem]


def read_submission(
    form: SubmissionFormat, path: Path, *, classes: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The ids and a matrix (rows, classes), its columns in the order of `classes`; SubmissionFormatError if flawed.

    Tags become 0 and 1, and so does the name of one class.
    """
    try:
        table = read_table(path)
    except UnreadableError as error:
        raise format_error(path, [error.problem]) from error
    problems = _flaws(form, table, classes)
    if problems:
        raise format_error(path, problems)
    return form.ids, _matrix(form, table, classes)


def format_error(path: Path, problems: Sequence[Problem]) -> SubmissionFormatError:
    """The error that tells all the problems of a file at once."""
    return SubmissionFormatError(
        "the submission would be rejected for its form:\n" + "\n".join(f"  {problem}" for problem in problems),
        where=path,
        fix=f"mend what is listed, or {_ANEW}",
    )


def column_order(form: SubmissionFormat, classes: Sequence[str]) -> list[int]:
    """For each value column of the form the place of its class, found by name; an error if one has none."""
    place = {name: number for number, name in enumerate(classes)}
    # A blank that the sample has around a name is part of its form, and not of the class's name.
    columns = [name if name in place else name.strip() for name in form.columns]
    if sorted(classes) != sorted(columns):
        lone = [name for name in columns if name not in place]
        surplus = [name for name in classes if name not in set(columns)]
        raise SubmissionFormatError(
            f"the classes and the sample submission's columns differ: {len(lone)} columns without a class "
            f"{lone[:3]}, {len(surplus)} classes without a column {surplus[:3]}",
            fix="runner COMPETITION download --force; or mend `labels` in the competition file",
        )
    return [place[name] for name in columns]


# --- the sample ---------------------------------------------------------------------------------


def _broken_sample(sample: Path, competition: str, fault: str) -> DataError:
    return DataError(
        f"the sample submission is broken: {fault}",
        where=sample,
        fix=f"runner {competition} download --force",
    )


def _fault_of_sample(labels: Labels, table: Table, ids: Sequence[str], columns: tuple[str, ...]) -> str | None:
    repeated_columns = repeated(table.header)
    if repeated_columns:
        return f"column {shown(repeated_columns[0])} is there twice"
    if not columns:
        return "it has no column beside the ids"
    if len(columns) > 1 and not isinstance(labels, Multiclass):
        id_column = next(name for name in table.header if name not in columns)
        return f"one column is expected beside {id_column!r}, found {len(columns)}"
    if not ids:
        return "it has no rows"
    ragged = next((line for line, row in table if len(row) != len(table.header)), None)
    if ragged is not None:
        return f"line {ragged} does not have {len(table.header)} cells"
    if len(set(ids)) != len(ids):
        return f"id {shown(repeated(ids)[0])} is there twice"
    if "" in ids:
        line, _ = next(islice(table, ids.index(""), None))
        return f"line {line} has no id"
    return None


def _kind(labels: Labels, columns: Sequence[str]) -> Kind:
    if isinstance(labels, Multilabel):
        return Kind.TAG_LIST
    if isinstance(labels, Multiclass):
        return Kind.ONE_CLASS if len(columns) == 1 else Kind.CLASS_PROBABILITIES
    return Kind.ONE_PROBABILITY


# --- the problems ----------------------------------------------------------------------------------


def _flaws(form: SubmissionFormat, table: Table, names: Sequence[str] | None) -> list[Problem]:
    problems = ProblemList()
    if table.has_bom:
        problems.add("bom", 1, "the file begins with a byte order mark", "save it as UTF-8 without one")
    if table.header[0] in form.ids and table.header[0] not in form.header:
        problems.add("header", 1, "the columns' names are missing", f"begin with {','.join(form.header[:3])}...")
        return problems.listed()
    if table.header != form.header:
        _find_header_flaws(form, table.header, problems)
    _find_row_flaws(form, table, names, problems)
    return problems.listed()


def _find_header_flaws(form: SubmissionFormat, header: tuple[str, ...], problems: ProblemList) -> None:
    if header[0] in _INDEX_NAMES and header[0] not in form.header:
        problems.add("index", 1, "an index column was left in", "write it without: to_csv(..., index=False)")
        header = header[1:]
    for name in repeated(header):
        problems.add("twice", 1, f"column {shown(name)} is there twice", "keep one of them")
    missing = [name for name in form.header if name not in header]
    for name in dict.fromkeys(header):
        if name not in form.header:
            _add_extra_column(name, missing, problems)
    for name in missing:
        problems.add("missing", 1, f"column {shown(name)} is missing", "add it")
    if sorted(header) == sorted(form.header) and header != form.header:
        found, wanted = next((f, w) for f, w in zip(header, form.header, strict=True) if f != w)
        problems.add(
            "column order",
            1,
            f"the columns are reordered: {shown(found)} stands where {shown(wanted)} belongs",
            "write them in the sample's order",
        )


def _add_extra_column(name: str, missing: list[str], problems: ProblemList) -> None:
    """Say that a column is not the sample's; one that it was renamed from is struck off `missing`."""
    near = difflib.get_close_matches(name.strip(), missing, n=1)
    if near:
        missing.remove(near[0])
        problems.add("renamed", 1, f"no column is named {shown(name)}", f"did you mean {shown(near[0])}?")
    else:
        problems.add("extra", 1, f"column {shown(name)} is not in the sample submission", "remove it")


def _find_row_flaws(form: SubmissionFormat, table: Table, names: Sequence[str] | None, problems: ProblemList) -> None:
    """Look at each row once; told first are rows of the wrong length, then the ids, then the values."""
    ragged, values, ids = ProblemList(), ProblemList(), _Ids()
    present = [name for name in form.columns if name in table.header]
    places = [table.header.index(name) for name in present]
    check, width = _row_check(form, present, names), len(table.header)
    id_place = table.header.index(form.id_column) if form.id_column in table.header else None
    for line, row in table:
        if id_place is not None and row:  # a blank line has no id, and is said already
            ids.add(row[id_place] if id_place < len(row) else "", line)
        if len(row) != width:
            _add_ragged_row(form, row, line, width, ragged)
        elif present:
            for kind, found, fix in check([row[place] for place in places]):
                values.add(kind, line, found, fix)
    problems.extend(ragged)
    if id_place is not None:
        _find_id_flaws(form, ids, problems)
    problems.extend(values)


class _Ids:
    """The ids of a file, and the line of each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lines = array("q")

    def add(self, name: str, line: int) -> None:
        self.names.append(name)
        self.lines.append(line)


def _add_ragged_row(form: SubmissionFormat, row: list[str], line: int, width: int, problems: ProblemList) -> None:
    if not row:
        problems.add("blank line", line, "the line is blank", "remove it")
    elif form.kind is Kind.TAG_LIST and len(row) > width:
        problems.add("commas", line, "commas between the tags", "put blanks between them")
    elif len(row) == 2 * width - 1 and "".join(row[1:]).isdigit():
        problems.add("decimal commas", line, "decimal commas", "write a point: 0.25")
    else:
        problems.add("ragged", line, f"{len(row)} cells where the header has {width}", "write a cell a column")


def _find_id_flaws(form: SubmissionFormat, ids: _Ids, problems: ProblemList) -> None:
    if tuple(ids.names) == form.ids:
        return
    position = {name: number for number, name in enumerate(form.ids)}
    first_line: dict[str, int] = {}
    for name, line in zip(ids.names, ids.lines, strict=True):
        if name not in position:
            problems.add("extra id", line, f"id {shown(name)} is not in the sample submission", _near(name, position))
        elif name in first_line:
            problems.add("id twice", line, f"id {shown(name)} was on line {first_line[name]} already", "keep one")
        first_line.setdefault(name, line)
    for name in form.ids:
        if name not in first_line:
            problems.add("missing id", None, f"id {shown(name)} is missing", "add its row")
    _find_reordering(form, position, first_line, problems)


def _near(name: str, known: dict[str, int]) -> str:
    for candidate in (name.strip(), Path(name.strip()).stem):
        if candidate in known:
            return f"did you mean {shown(candidate)}?"
    return "remove its row"


def _find_reordering(
    form: SubmissionFormat, position: dict[str, int], first_line: dict[str, int], problems: ProblemList
) -> None:
    """Compare the order of the ids that both files have."""
    here = [name for name in first_line if name in position]
    there = [name for name in form.ids if name in first_line]
    for name, wanted in zip(here, there, strict=True):
        if name != wanted:
            found = f"the ids are reordered: {shown(name)} stands where {shown(wanted)} belongs"
            problems.add("id order", first_line[name], found, "write them in the sample's order")
            return


def _row_check(
    form: SubmissionFormat, columns: list[str], names: Sequence[str] | None
) -> Callable[[list[str]], Iterator[Fault]]:
    known = None if names is None else frozenset(names)
    if form.kind is Kind.TAG_LIST:
        return lambda cells: tag_faults(cells[0], known)
    if form.kind is Kind.ONE_CLASS:
        return lambda cells: class_faults(cells[0], known)
    sums_to_one = form.kind is Kind.CLASS_PROBABILITIES and len(columns) == len(form.columns)
    return lambda cells: number_faults(cells, columns, sums_to_one)


# --- the matrix ---------------------------------------------------------------------------------


def _matrix(form: SubmissionFormat, table: Table, classes: Sequence[str]) -> NDArray[np.float64]:
    """A flawless table as numbers; its columns are the sample's, so places are known."""
    places = [table.header.index(name) for name in form.columns]
    if form.kind is Kind.TAG_LIST or form.kind is Kind.ONE_CLASS:
        texts = [row[places[0]] for _, row in table]
        return targets_of(form.labels, classes, texts).astype(np.float64)
    values = np.empty((len(form.ids), len(places)))
    for number, (_, row) in enumerate(table):
        values[number] = [float(row[place]) for place in places]
    if form.kind is Kind.ONE_PROBABILITY:
        return values
    matrix = np.empty_like(values)
    matrix[:, column_order(form, classes)] = values
    return matrix
