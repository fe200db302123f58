"""The format of a submission: the sample submission decides ids, their order, and the columns."""

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

from runner.commands import command
from runner.contract.labels import Labels, Multiclass, Multilabel
from runner.contract.targets import targets_of
from runner.csv_file import MISSING_FILE, CsvError, CsvFile, read_csv
from runner.errors import DataError, SubmissionFormatError
from runner.problems import Problem, ProblemList, describe, quote
from runner.submission_format.cells import CellProblem, class_problems, duplicates, number_problems, tag_problems

# Up to which the extra columns are named one by one.
_MAX_EXTRA_COLUMNS = 1000
_INDEX_NAMES = ("", "Unnamed: 0", "index", "level_0")  # what pandas calls an index that it wrote


class CellKind(Enum):
    """The value cells of a row."""

    CLASS_PROBABILITIES = "one probability per class"
    ONE_CLASS = "the name of one class"
    TAG_LIST = "tags between blanks"
    ONE_PROBABILITY = "one probability"


@dataclass(frozen=True)
class SubmissionFormat:
    """The ids, columns and cells that a submission must have."""

    labels: Labels
    id_column: str
    columns: tuple[str, ...]  # the value columns, in the sample's order
    ids: tuple[str, ...]  # in the sample's order
    kind: CellKind
    header: tuple[str, ...]  # the id column and the value columns, in the sample's order
    competition: str = "COMPETITION"  # its command name, for fixes


def read_submission_format(labels: Labels, sample: Path, *, competition: str = "COMPETITION") -> SubmissionFormat:
    """The format of a sample submission; DataError if the sample is damaged."""
    try:
        file = read_csv(sample)
    except CsvError as error:
        raise _damaged_sample(sample, competition, str(error.problem)) from error
    id_column = labels.id if labels.id in file.header else file.header[0]
    columns = tuple(name for name in file.header if name != id_column)
    position = file.header.index(id_column)
    ids = tuple([row[position] if position < len(row) else "" for _, row in file])
    error_message = _check_sample(labels, file, ids, columns)
    if error_message:
        raise _damaged_sample(sample, competition, error_message)
    return SubmissionFormat(labels, id_column, columns, ids, _kind(labels, columns), file.header, competition)


def find_problems(expected: SubmissionFormat, path: Path, *, names: Sequence[str] | None = None) -> tuple[Problem, ...]:
    """Every reason for the host to reject this file; `names` are the known tags or classes."""
    try:
        return _find_problems(expected, read_csv(path), names)
    except CsvError as error:
        return (error.problem,)


def read_submission(
    expected: SubmissionFormat, path: Path, *, classes: Sequence[str]
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The ids, and values shaped (rows, classes) in the order of `classes`; SubmissionFormatError if it has problems.

    Tags become 0 and 1, and so does the name of one class.
    """
    try:
        file = read_csv(path)
    except CsvError as error:
        raise format_error(expected, path, [error.problem]) from error
    problems = _find_problems(expected, file, classes)
    if problems:
        raise format_error(expected, path, problems)
    return expected.ids, _values(expected, file, classes)


def format_error(expected: SubmissionFormat, path: Path, problems: Sequence[Problem]) -> SubmissionFormatError:
    """The error that lists all problems of a submission."""
    predict = command(expected.competition, "predict")
    if problems[0].kind == MISSING_FILE:
        return SubmissionFormatError("the submission does not exist", where=path, fix=predict)
    return SubmissionFormatError(
        f"the host would reject the format of the submission:\n{describe(problems)}",
        where=path,
        fix=f"fix what is listed, or write the file again: `{predict}`",
    )


def column_order(expected: SubmissionFormat, classes: Sequence[str]) -> list[int]:
    """The class index of each value column, by name; SubmissionFormatError if a column has no class."""
    position = {name: number for number, name in enumerate(classes)}
    # A blank around a name in the sample is part of the format, but not of the class's name.
    columns = [name if name in position else name.strip() for name in expected.columns]
    if sorted(classes) != sorted(columns):
        without_class = [name for name in columns if name not in position]
        without_column = [name for name in classes if name not in set(columns)]
        raise SubmissionFormatError(
            f"the classes differ from the sample submission's columns: {len(without_class)} columns without a class "
            f"{without_class[:3]}, {len(without_column)} classes without a column {without_column[:3]}",
            fix="correct `labels` in the competition file; or: "
            f"`{command(expected.competition, 'download', '--force')}`",
        )
    return [position[name] for name in columns]


# --- the sample ---------------------------------------------------------------------------------


def _damaged_sample(sample: Path, competition: str, message: str) -> DataError:
    return DataError(
        f"the sample submission is damaged: {message}",
        where=sample,
        fix=command(competition, "download", "--force"),
    )


def _check_sample(labels: Labels, file: CsvFile, ids: Sequence[str], columns: tuple[str, ...]) -> str | None:
    """The first reason why the sample is damaged, or None."""
    if duplicate_columns := duplicates(file.header):
        return f"there are two columns {quote(duplicate_columns[0])}"
    if not columns:
        return "it has no column beside the ids"
    if len(columns) > 1 and not isinstance(labels, Multiclass):
        id_column = next(name for name in file.header if name not in columns)
        return f"it has {len(columns)} columns beside {id_column!r}, not one"
    if not ids:
        return "it has no rows"
    ragged = next((line for line, row in file if len(row) != len(file.header)), None)
    if ragged is not None:
        return f"line {ragged} does not have {len(file.header)} cells"
    if len(set(ids)) != len(ids):
        return f"there are two rows with the id {quote(duplicates(ids)[0])}"
    if "" in ids:
        line, _ = next(islice(file, ids.index(""), None))
        return f"line {line} has no id"
    return None


def _kind(labels: Labels, columns: Sequence[str]) -> CellKind:
    if isinstance(labels, Multilabel):
        return CellKind.TAG_LIST
    if isinstance(labels, Multiclass):
        return CellKind.ONE_CLASS if len(columns) == 1 else CellKind.CLASS_PROBABILITIES
    return CellKind.ONE_PROBABILITY


# --- the problems -------------------------------------------------------------------------------


def _find_problems(expected: SubmissionFormat, file: CsvFile, names: Sequence[str] | None) -> tuple[Problem, ...]:
    problems = ProblemList()
    if file.has_bom:
        message = "the file begins with a byte order mark"
        problems.error("byte order mark", message, line=1, fix="save it as UTF-8 without one")
    if file.header[0] in expected.ids and file.header[0] not in expected.header:
        fix = f"begin with {','.join(expected.header[:3])}..."
        problems.error("missing header", "the column names are missing", line=1, fix=fix)
        return problems.errors
    if file.header != expected.header:
        _check_header(expected, file.header, problems)
    _check_rows(expected, file, names, problems)
    return problems.errors


def _check_header(expected: SubmissionFormat, header: tuple[str, ...], problems: ProblemList) -> None:
    if header[0] in _INDEX_NAMES and header[0] not in expected.header:
        fix = "write it without: to_csv(..., index=False)"
        problems.error("index column", "the first column is an index", line=1, fix=fix)
        header = header[1:]
    if len(header) > 2 * len(expected.header) + _MAX_EXTRA_COLUMNS:
        message = f"there are {len(header):,} columns, and {len(expected.header):,} in the sample submission"
        problems.error("extra column", message, line=1, fix="write the sample's columns alone")
        return
    for name in duplicates(header):
        problems.error("duplicate column", f"there are two columns {quote(name)}", line=1, fix="keep one of them")
    present = frozenset(header)
    missing = [name for name in expected.header if name not in present]
    for name in dict.fromkeys(header):
        if name not in expected.header:
            _add_extra_column(name, missing, problems)
    for name in missing:
        problems.error("missing column", f"column {quote(name)} is missing", line=1, fix="add it")
    if sorted(header) == sorted(expected.header) and header != expected.header:
        found, wanted = next((f, w) for f, w in zip(header, expected.header, strict=True) if f != w)
        message = f"the columns are in another order: {quote(found)} instead of {quote(wanted)}"
        problems.error("column order", message, line=1, fix="write them in the sample's order")


def _add_extra_column(name: str, missing: list[str], problems: ProblemList) -> None:
    """Add the error of a column that the sample lacks; the one it was renamed from is removed from `missing`."""
    near = difflib.get_close_matches(name.strip(), missing, n=1)
    if near:
        missing.remove(near[0])
        message, fix = f"no column is named {quote(name)}", f"did you mean {quote(near[0])}?"
        problems.error("renamed column", message, line=1, fix=fix)
    else:
        message = f"column {quote(name)} is not in the sample submission"
        problems.error("extra column", message, line=1, fix="remove it")


def _check_rows(expected: SubmissionFormat, file: CsvFile, names: Sequence[str] | None, problems: ProblemList) -> None:
    """Check each row once; rows of the wrong length come first, then the ids, then the values."""
    ragged, values, ids = ProblemList(), ProblemList(), _Ids()
    present = [name for name in expected.columns if name in file.header]
    positions = [file.header.index(name) for name in present]
    check, width = _row_check(expected, present, names), len(file.header)
    id_position = file.header.index(expected.id_column) if expected.id_column in file.header else None
    for line, row in file:
        if id_position is not None and row:  # a blank line has no id, and is an error already
            ids.add(row[id_position] if id_position < len(row) else "", line)
        if len(row) != width:
            _add_ragged_row(expected, row, line, width, ragged)
        elif present:
            for kind, message, fix in check([row[position] for position in positions]):
                values.error(kind, message, line=line, fix=fix)
    problems.extend(ragged)
    if id_position is not None:
        _check_ids(expected, ids, problems)
    problems.extend(values)


class _Ids:
    """The ids of a file, and the line of each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lines = array("q")

    def add(self, name: str, line: int) -> None:
        self.names.append(name)
        self.lines.append(line)


def _add_ragged_row(expected: SubmissionFormat, row: list[str], line: int, width: int, problems: ProblemList) -> None:
    if not row:
        problems.error("blank line", "the line is blank", line=line, fix="remove it")
    elif expected.kind is CellKind.TAG_LIST and len(row) > width:
        problems.error("commas between tags", "there are commas between the tags", line=line, fix="write blanks")
    elif len(row) == 2 * width - 1 and "".join(row[1:]).isdigit():
        problems.error("decimal commas", "the numbers have decimal commas", line=line, fix="write a point: 0.25")
    else:
        message = f"{len(row)} cells, but {width} columns"
        problems.error("rows of the wrong length", message, line=line, fix="write one cell per column")


def _check_ids(expected: SubmissionFormat, ids: _Ids, problems: ProblemList) -> None:
    if tuple(ids.names) == expected.ids:
        return
    position = {name: number for number, name in enumerate(expected.ids)}
    first_line: dict[str, int] = {}
    for name, line in zip(ids.names, ids.lines, strict=True):
        if name not in position:
            message = f"the id {quote(name)} is not in the sample submission"
            problems.error("extra id", message, line=line, fix=_extra_id_fix(name, position))
        elif name in first_line:
            message = f"the id {quote(name)} is on line {first_line[name]} already"
            problems.error("duplicate id", message, line=line, fix="keep one")
        first_line.setdefault(name, line)
    for name in expected.ids:
        if name not in first_line:
            problems.error("missing id", f"the id {quote(name)} is missing", fix="add its row")
    _check_id_order(expected, position, first_line, problems)


def _extra_id_fix(name: str, known: dict[str, int]) -> str:
    for candidate in (name.strip(), Path(name.strip()).stem):
        if candidate in known:
            return f"did you mean {quote(candidate)}?"
    return "remove its row"


def _check_id_order(
    expected: SubmissionFormat, position: dict[str, int], first_line: dict[str, int], problems: ProblemList
) -> None:
    """Compare the order of the ids that both files have."""
    order = [name for name in first_line if name in position]
    sample_order = [name for name in expected.ids if name in first_line]
    for name, wanted in zip(order, sample_order, strict=True):
        if name != wanted:
            message = f"the ids are in another order: {quote(name)} instead of {quote(wanted)}"
            problems.error("id order", message, line=first_line[name], fix="write them in the sample's order")
            return


def _row_check(
    expected: SubmissionFormat, columns: list[str], names: Sequence[str] | None
) -> Callable[[list[str]], Iterator[CellProblem]]:
    known = None if names is None else frozenset(names)
    if expected.kind is CellKind.TAG_LIST:
        return lambda cells: tag_problems(cells[0], known)
    if expected.kind is CellKind.ONE_CLASS:
        return lambda cells: class_problems(cells[0], known)
    sums_to_one = expected.kind is CellKind.CLASS_PROBABILITIES and len(columns) == len(expected.columns)
    return lambda cells: number_problems(cells, columns, sums_to_one)


# --- the values ---------------------------------------------------------------------------------


def _values(expected: SubmissionFormat, file: CsvFile, classes: Sequence[str]) -> NDArray[np.float64]:
    """The values of a file without problems, shaped (rows, classes)."""
    positions = [file.header.index(name) for name in expected.columns]
    if expected.kind in (CellKind.TAG_LIST, CellKind.ONE_CLASS):
        texts = [row[positions[0]] for _, row in file]
        return targets_of(expected.labels, classes, texts).astype(np.float64)
    values = np.empty((len(expected.ids), len(positions)))
    for number, (_, row) in enumerate(file):
        values[number] = [float(row[position]) for position in positions]
    if expected.kind is CellKind.ONE_PROBABILITY:
        return values
    ordered = np.empty_like(values)
    ordered[:, column_order(expected, classes)] = values
    return ordered
