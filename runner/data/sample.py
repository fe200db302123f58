"""The sample submission: it decides the test ids, their order, and the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runner.contract.images import ImageArray
from runner.contract.labels import Binary
from runner.contract.patterns import row_pattern
from runner.csv_file import Columns, TableFile
from runner.data.classes import IndexRow, own_group
from runner.data.index_inputs import IndexInputs
from runner.data.table_rows import field_columns, id_columns, read_fields, read_ids, template_columns
from runner.problems import ProblemList, quote

# More classes than any competition's table has: each is an output of the network, and a column of every row.
_MAX_COLUMNS = 100_000


@dataclass(frozen=True)
class SampleSubmission:
    """The rows to predict and the value columns; both empty if the file is not readable."""

    rows: tuple[IndexRow, ...] = ()
    columns: tuple[str, ...] = ()


def read_sample_submission(inputs: IndexInputs) -> SampleSubmission:
    """The sample submission; errors go to the problems of the inputs."""
    competition, problems = inputs.competition, inputs.problems
    file = inputs.tables.open(competition.sample_submission)
    if file is None:
        return SampleSubmission()
    # The id column is named as in the labels, or it is the first.
    id_column = competition.labels.id if competition.labels.id in file.header else file.header[0]
    columns = tuple(name for name in file.header if name != id_column)
    if len(columns) > _MAX_COLUMNS:
        most = f"a table of class probabilities has at most {_MAX_COLUMNS:,}"
        message = f"it has {len(columns):,} columns beside the id; {most}"
        problems.error("sample submission's columns", message, file=file.name, line=1)
        return SampleSubmission()
    _check_columns(file, columns, not isinstance(competition.labels, Binary), problems)
    cells = inputs.tables.read(competition.sample_submission, [id_column])
    if cells is None:
        return SampleSubmission((), columns)
    lines = _line_of_ids(cells, id_column, problems)
    return SampleSubmission(tuple(_with_fields(lines, file.name, id_column, inputs)), columns)


def _check_columns(file: TableFile, columns: tuple[str, ...], several: bool, problems: ProblemList) -> None:
    def error(message: str) -> None:
        problems.error("sample submission's columns", message, file=file.name, line=1)

    if not columns:
        error(f"there is no column beside the id: {', '.join(file.header)}")
    elif len(columns) > 1 and not several:
        error(f"there are {len(columns)} columns beside the id, but one value to predict")
    if "" in columns:
        error(f"column {file.header.index('') + 1} has no name; is it an index column?")
    for name, count in sorted(Counter(columns).items()):
        if name and count > 1:
            error(f"{count:,} columns are named {quote(name)}")


def _line_of_ids(cells: Columns, id_column: str, problems: ProblemList) -> dict[str, int]:
    """The line of each id; an error for one that is blank or repeated."""
    first: dict[str, int] = {}
    for id, line in zip(cells.values[id_column], cells.lines, strict=True):
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
