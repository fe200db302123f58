"""The check of a file against the format of a submission."""

from __future__ import annotations

import difflib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from runner.commands import command
from runner.contract.labels import Regression
from runner.csv_file import MISSING_FILE, CsvError, CsvFile, read_csv
from runner.errors import SubmissionFormatError
from runner.problems import Problem, ProblemList, describe, quote
from runner.submission_format.cells import (
    CellProblem,
    class_problems,
    confidence_problems,
    duplicates,
    number_problems,
    probability_problems,
    tag_problems,
    top_class_problems,
    zero_or_one_problems,
)
from runner.submission_format.forms import NAME_KINDS, CellKind
from runner.submission_format.submission_format import SubmissionFormat, class_names_of

# Up to which the extra columns are named one by one.
_MAX_EXTRA_COLUMNS = 1000
_INDEX_NAMES = ("", "Unnamed: 0", "index", "level_0")  # what pandas calls an index that it wrote

# The problems of the value cells of a row, whose name comes first.
_RowCheck = Callable[[str, list[str]], Iterator[CellProblem]]


def check_file(expected: SubmissionFormat, path: Path, *, names: Sequence[str] | None = None) -> ProblemList:
    """Every reason for the host to reject this file, and warnings; `names` are the known tags or classes."""
    try:
        return check_content(expected, read_csv(path), names)
    except CsvError as error:
        problems = ProblemList()
        problem = error.problem
        problems.error(problem.kind, problem.message, line=problem.line, fix=problem.fix)
        return problems


def find_problems(expected: SubmissionFormat, path: Path, *, names: Sequence[str] | None = None) -> tuple[Problem, ...]:
    """Every reason for the host to reject this file; `names` are the known tags or classes."""
    return check_file(expected, path, names=names).errors


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


def check_content(expected: SubmissionFormat, file: CsvFile, names: Sequence[str] | None) -> ProblemList:
    """The problems of a file that is open."""
    problems = ProblemList()
    if file.has_bom:
        message = "the file begins with a byte order mark"
        problems.error("byte order mark", message, line=1, fix="save it as UTF-8 without one")
    if file.header[0] in expected.ids and file.header[0] not in expected.header:
        fix = f"begin with {','.join(expected.header[:3])}..."
        problems.error("missing header", "the column names are missing", line=1, fix=fix)
        return problems
    if file.header != expected.header:
        _check_header(expected, file.header, problems)
    _check_rows(expected, file, names, problems)
    return problems


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
            name = row[id_position] if id_position is not None else ""
            for problem in check(name, [row[position] for position in positions]):
                add = values.error if problem.is_error else values.warn
                add(problem.kind, problem.message, line=line, fix=problem.fix)
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
    elif expected.kind in (CellKind.TAG_LIST, CellKind.TOP_CLASSES) and len(row) > width:
        noun = "tags" if expected.kind is CellKind.TAG_LIST else "classes"
        fix = "put the cell in quotes" if expected.separator == "," else f"write {_words(expected.separator)}"
        problems.error(f"commas between {noun}", f"there are commas between the {noun}", line=line, fix=fix)
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


def _row_check(expected: SubmissionFormat, columns: list[str], names: Sequence[str] | None) -> _RowCheck:
    known = frozenset(names) if names is not None and expected.kind in NAME_KINDS else None
    separator = expected.separator
    match expected.kind:
        case CellKind.TAG_LIST:
            may_be_empty = expected.may_be_empty
            return lambda _, cells: tag_problems(cells[0], known, separator, may_be_empty)
        case CellKind.ONE_CLASS if expected.long is not None:
            return _target_check(expected, names)
        case CellKind.ONE_CLASS:
            return lambda _, cells: class_problems(cells[0], known)
        case CellKind.TOP_CLASSES:
            return lambda _, cells: top_class_problems(cells[0], known, separator, expected.places)
        case CellKind.CLASS_WITH_CONFIDENCE:
            return lambda _, cells: confidence_problems(cells[0], known, separator)
        case CellKind.ZERO_OR_ONE:
            return lambda _, cells: zero_or_one_problems(cells, columns)
        case CellKind.NUMBERS:
            assert isinstance(expected.labels, Regression)
            low, high = expected.labels.low, expected.labels.high
            return lambda _, cells: number_problems(cells, columns, low, high)
    is_whole_row = expected.long is None and len(columns) == len(expected.columns)
    sums_to_one = expected.kind is CellKind.CLASS_PROBABILITIES and is_whole_row
    return lambda _, cells: probability_problems(cells, columns, sums_to_one)


def _target_check(expected: SubmissionFormat, names: Sequence[str] | None) -> _RowCheck:
    """Each row has a class of its own target."""
    assert expected.long is not None
    targets = [expected.long.columns[place] for place in expected.long.places.tolist()]
    target_of = dict(zip(expected.ids, targets, strict=True))
    classes_of = {target: names and class_names_of(target, names) for target in expected.long.columns}
    known = {target: frozenset(classes) if classes else None for target, classes in classes_of.items()}
    return lambda name, cells: class_problems(cells[0], known.get(target_of.get(name, "")))


def _words(separator: str) -> str:
    return "blanks" if separator == " " else repr(separator)
