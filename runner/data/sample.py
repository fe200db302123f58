"""The sample submission: it decides the test ids, their order, and the columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from runner.contract.labels import Multiclass
from runner.csv_file import Columns, CsvFile
from runner.data.classes import IndexRow, own_group
from runner.data.index_inputs import IndexInputs
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
    file = inputs.csv_files.open(competition.sample_submission)
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
    _check_columns(file, columns, isinstance(competition.labels, Multiclass), problems)
    ids = inputs.csv_files.read(competition.sample_submission, [id_column])
    return SampleSubmission(_rows(ids, id_column, problems) if ids else (), columns)


def _check_columns(file: CsvFile, columns: tuple[str, ...], several: bool, problems: ProblemList) -> None:
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


def _rows(ids: Columns, id_column: str, problems: ProblemList) -> tuple[IndexRow, ...]:
    first: dict[str, int] = {}
    for id, line in zip(ids.values[id_column], ids.lines, strict=True):
        if not id:
            problems.error("empty id", "the row has no id", file=ids.file, line=line)
        elif id in first:
            problems.error("duplicate id", f"the id {id!r} is on line {first[id]} already", file=ids.file, line=line)
        else:
            first[id] = line
    return tuple(IndexRow(ids.file, line, id, "", own_group(id), subset="test") for id, line in first.items())
