"""The sample submission: it decides the test ids, their order, and the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from runner.contract.images import ImageArray
from runner.contract.labels import SeveralTargets
from runner.contract.patterns import row_pattern
from runner.csv_file import Columns, CsvError, TableFile, add_csv_error
from runner.data.classes import IndexRow, own_group
from runner.data.index_inputs import IndexInputs
from runner.data.table_rows import field_columns, id_columns, read_fields, read_ids, template_columns
from runner.problems import ProblemList, quote
from runner.submission_format.forms import CellReader, column_count_error, column_name_error, kind_of, name_error
from runner.submission_format.long_rows import Split, split_of, unsplit_message
from runner.submission_format.submission_format import id_column_of

# More classes than any competition's table has: each is an output of the network, and a column of every row.
_MAX_COLUMNS = 100_000
# Rows whose cells are compared with the metric: all rows of a sample submission are alike.
_ROWS_COMPARED = 2000


@dataclass(frozen=True)
class SampleSubmission:
    """The rows to predict and the columns that are asked for; both empty if the file is not readable."""

    rows: tuple[IndexRow, ...] = ()
    columns: tuple[str, ...] = ()


def read_sample_submission(inputs: IndexInputs) -> SampleSubmission:
    """The sample submission; errors go to the problems of the inputs."""
    competition, problems = inputs.competition, inputs.problems
    file = inputs.tables.open(competition.sample_submission)
    if file is None:
        return SampleSubmission()
    id_column, columns = _columns_of(inputs, file)
    if len(columns) > _MAX_COLUMNS:
        most = f"a table of class probabilities has at most {_MAX_COLUMNS:,}"
        message = f"it has {len(columns):,} columns beside the id; {most}"
        problems.error("sample submission's columns", message, file=file.name, line=1)
        return SampleSubmission()
    cells = inputs.tables.read(competition.sample_submission, [id_column])
    if cells is not None:  # what is wrong with a file that cannot be read is told already
        _check_columns(inputs, file, id_column, columns)
    if competition.submission_rows:
        return _read_long(inputs, file, cells, id_column)
    if cells is None:
        return SampleSubmission((), columns)
    lines = _line_of_ids(cells, id_column, problems)
    return SampleSubmission(tuple(_with_fields(lines, file.name, id_column, inputs)), columns)


def check_form(inputs: IndexInputs, sample: SampleSubmission, classes: Sequence[str]) -> None:
    """Add an error if the sample submission asks for something else than the metric scores."""
    file = inputs.tables.open(inputs.competition.sample_submission)
    if file is None or not sample.rows or not sample.columns or not classes:
        return
    problems, kind = inputs.problems, "form of the submission"
    _, columns = _columns_of(inputs, file)
    if column_count_error(inputs.competition, "", columns):
        return  # told already
    fix = "correct `labels` or `metric` in the competition file"
    cell_kind = kind_of(inputs.competition, len(columns))
    if message := column_name_error(inputs.competition, sample.columns, classes):
        problems.error(kind, message, file=file.name, line=1, fix=fix)
    if message := name_error(inputs.competition, cell_kind, classes):
        problems.error(kind, message, file=file.name, line=1, fix=fix)
    _check_cells(inputs, file, columns, classes)


def _check_cells(inputs: IndexInputs, file: TableFile, columns: Sequence[str], classes: Sequence[str]) -> None:
    """Add an error for the first cell that is not what the metric scores, and warnings for what is odd."""
    reader = CellReader(inputs.competition, len(columns), _names_in_cells(inputs, classes))
    place = {name: number for number, name in enumerate(file.header)}
    positions = [place[name] for name in columns]
    for line, row in islice(file, _ROWS_COMPARED):
        for position in positions:
            message = reader.error(row[position]) if position < len(row) else None
            if message:
                fix = "correct `metric` or `labels` in the competition file: the evaluation page names the metric"
                inputs.problems.error("form of the submission", message, file=file.name, line=line, fix=fix)
                return
    for message in reader.warnings():
        inputs.problems.warn("form of the submission", message, file=file.name)


def _names_in_cells(inputs: IndexInputs, classes: Sequence[str]) -> Sequence[str]:
    labels = inputs.competition.labels
    if isinstance(labels, SeveralTargets):
        return [name for target in labels.targets for name in target.classes or ()]
    return classes


def _columns_of(inputs: IndexInputs, file: TableFile) -> tuple[str, tuple[str, ...]]:
    id_column = id_column_of(inputs.competition, file.header)
    return id_column, tuple(name for name in file.header if name != id_column)


def _check_columns(inputs: IndexInputs, file: TableFile, id_column: str, columns: tuple[str, ...]) -> None:
    def error(message: str) -> None:
        inputs.problems.error("sample submission's columns", message, file=file.name, line=1)

    if message := column_count_error(inputs.competition, id_column, columns):
        error(message)
    if "" in columns:
        error(f"column {file.header.index('') + 1} has no name; is it an index column?")
    for name, count in sorted(Counter(columns).items()):
        if name and count > 1:
            error(f"{count:,} columns are named {quote(name)}")


def _read_long(inputs: IndexInputs, file: TableFile, ids: Columns | None, id_column: str) -> SampleSubmission:
    """The images and columns of a sample submission with a row per id and column."""
    competition, problems = inputs.competition, inputs.problems
    try:
        split = split_of(competition, inputs.data_dir / file.name)
    except CsvError as error:
        add_csv_error(error, error.problem.file or file.name, problems)
        return SampleSubmission()
    if ids is None:
        return SampleSubmission()
    return _images_of(inputs, ids, id_column, split)


def _images_of(inputs: IndexInputs, ids: Columns, id_column: str, split: Split) -> SampleSubmission:
    problems = inputs.problems
    lines: dict[str, int] = {}
    first: dict[tuple[str, str], int] = {}
    for name, line in zip(ids.values[id_column], ids.lines, strict=True):
        cell = split(name)
        if not name or cell is None:
            message = unsplit_message(inputs.competition, name) if name else "the row has no id"
            problems.error("row without an image", message, file=ids.file, line=line)
        elif cell in first:
            message = f"the row {quote(name)} asks for what line {first[cell]} asks for"
            problems.error("duplicate id", message, file=ids.file, line=line)
        else:
            first[cell] = line
            lines.setdefault(cell[0], line)
    rows = tuple(_with_fields(lines, ids.file, inputs.competition.labels.id, inputs))
    return SampleSubmission(rows, tuple(dict.fromkeys(column for _, column in first)))


def _line_of_ids(cells: Columns, id_column: str, problems: ProblemList) -> dict[str, int]:
    """The line of each id; an error for one that is blank or repeated."""
    ids = cells.values[id_column]
    first = dict(zip(ids, cells.lines, strict=True))
    if len(first) == len(ids) and "" not in first:
        return first
    first = {}
    for id, line in zip(ids, cells.lines, strict=True):
        if not id:
            problems.error("empty id", "the row has no id", file=cells.file, line=line)
        elif id in first:
            problems.error("duplicate id", f"the id {id!r} is on line {first[id]} already", file=cells.file, line=line)
        else:
            first[id] = line
    return first


def _with_fields(lines: Mapping[str, int], file: str, id_column: str, inputs: IndexInputs) -> Iterator[IndexRow]:
    """A row for each image of each id: several if the table of test rows has several."""
    competition = inputs.competition
    if not field_columns(competition, competition.test_images):
        for id, line in lines.items():
            yield IndexRow(file, line, id, "", own_group(id), subset="test")
        return
    fields_of = _read_test_fields(id_column, inputs)
    blank = dict.fromkeys(field_columns(competition, competition.test_images), "")
    for id, line in lines.items():
        images = fields_of.get(id, [])
        if isinstance(competition.test_images, ImageArray):
            images = images or [blank]  # the array's own table will tell that it lacks the id
        elif fields_of and not images:
            message = f"{id!r} is not among the ids of {competition.test_csv or file}"
            inputs.problems.error("id without a row", message, file=file, line=line)
        for fields in images:
            yield IndexRow(file, line, id, "", own_group(id), subset="test", fields=fields)


def _read_test_fields(id_column: str, inputs: IndexInputs) -> dict[str, list[Mapping[str, str]]]:
    """The other columns of each id's images, from the table of test rows, or else from the sample submission."""
    competition, labels = inputs.competition, inputs.competition.labels
    table = competition.test_csv or competition.sample_submission
    file = inputs.tables.open(table)
    if file is None:
        return {}
    names = field_columns(competition, competition.test_images)
    # Named as in the labels, or as in the sample submission.
    is_named_otherwise = id_column in file.header and not set(id_columns(labels.id)) <= set(file.header)
    id = id_column if is_named_otherwise else labels.id
    columns = inputs.tables.read(table, list(dict.fromkeys((*id_columns(id), *names))))
    if columns is None:
        return {}
    ids = read_ids(id, columns)
    if labels.rows:
        pattern = row_pattern(labels.rows, labels.columns)
        ids = [match["id"] if (match := pattern.fullmatch(text)) else text for text in ids]
    in_names = template_columns(competition.test_images)
    images: dict[str, dict[tuple[str, ...], Mapping[str, str]]] = {}
    for id, fields in zip(ids, read_fields(columns, names), strict=True):
        images.setdefault(id, {}).setdefault(tuple(fields[name] for name in in_names), fields)
    return {id: list(of_id.values()) for id, of_id in images.items()}
