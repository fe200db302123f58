"""The sample submission: the authority on the test ids, their order, and the columns."""

from __future__ import annotations

from dataclasses import dataclass

from runner.contract.labels import Multiclass
from runner.data.classes import IndexRow, alone
from runner.data.csv_files import Rows, Table
from runner.data.image_paths import IndexInputs
from runner.data.problems import Problems


@dataclass(frozen=True)
class Sample:
    """What it says; nothing where it cannot be read."""

    rows: tuple[IndexRow, ...] = ()
    columns: tuple[str, ...] = ()  # all but the id's, in its order


def read_sample(sources: IndexInputs) -> Sample:
    """The ids to predict and the columns to write, complained of where they cannot be meant."""
    competition, problems = sources.competition, sources.problems
    table = sources.tables.open(competition.sample_submission)
    if table is None:
        return Sample()
    # The id's column is named as in the labels, or it is the first.
    id_column = competition.labels.id if competition.labels.id in table.names else table.names[0]
    columns = tuple(name for name in table.names if name != id_column)
    _check_columns(table, columns, isinstance(competition.labels, Multiclass), problems)
    rows = sources.tables.read(competition.sample_submission, [id_column])
    return Sample(_rows(rows, id_column, problems) if rows else (), columns)


def _check_columns(table: Table, columns: tuple[str, ...], several: bool, problems: Problems) -> None:
    def complain(found: str) -> None:
        problems.error("sample submission's columns", table.file, 1, found, problems.download_again)

    if not columns:
        complain(f"there is nothing beside the id: {', '.join(table.names)}")
    elif len(columns) > 1 and not several:
        complain(f"there are {len(columns)} columns beside the id, where one is to be predicted")
    if "" in columns:
        complain(f"column {table.names.index('') + 1} has no name: an index column left in?")
    for name in sorted({name for name in columns if name and columns.count(name) > 1}):
        complain(f"{columns.count(name)} columns are named {name!r}")


def _rows(rows: Rows, id_column: str, problems: Problems) -> tuple[IndexRow, ...]:
    first: dict[str, int] = {}
    for id, line in zip(rows.columns[id_column], rows.lines, strict=True):
        if not id:
            problems.error("empty id", rows.file, line, "the row has no id", problems.download_again)
        elif id in first:
            found = f"the id {id!r} is on line {first[id]} already"
            problems.error("id twice", rows.file, line, found, problems.download_again)
        else:
            first[id] = line
    return tuple(IndexRow(rows.file, line, id, "", alone(id), subset="test") for id, line in first.items())
