"""The format of a submission: the sample submission decides ids, their order, and the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from runner.commands import command
from runner.contract.competition import Competition, Lookup
from runner.contract.decisions import TopClasses
from runner.contract.labels import Labels, Multilabel
from runner.csv_file import CsvError, CsvFile, read_csv
from runner.errors import DataError, PluginError, SubmissionFormatError
from runner.problems import quote
from runner.submission_format.cells import duplicates
from runner.submission_format.forms import CellKind, column_count_error, kind_of
from runner.submission_format.long_rows import LongRows, long_rows, split_of, unsplit_message


@dataclass(frozen=True)
class SubmissionFormat:
    """The ids, columns and cells that a submission must have."""

    labels: Labels
    id_column: str
    columns: tuple[str, ...]  # the value columns, in the sample's order
    ids: tuple[str, ...]  # in the sample's order; with a row per id and column, the names of the rows
    kind: CellKind
    header: tuple[str, ...]  # the id column and the value columns, in the sample's order
    competition: str = "COMPETITION"  # its command name, for fixes
    separator: str = " "  # between the names in a cell
    decimals: int | None = None
    places: int = 1  # how many classes a cell may list
    long: LongRows | None = None  # the cells, if there is a row per id and column

    @property
    def image_ids(self) -> tuple[str, ...]:
        """The ids of the images, in the order of their first rows."""
        return self.ids if self.long is None else self.long.ids

    @property
    def asked_columns(self) -> tuple[str, ...]:
        """The classes, tags or numbers that are asked for by name, in the sample's order."""
        return self.columns if self.long is None else self.long.columns

    @property
    def may_be_empty(self) -> bool:
        """Whether a list of tags may be empty."""
        return isinstance(self.labels, Multilabel) and self.labels.may_be_empty


def id_column_of(competition: Competition, header: Sequence[str]) -> str:
    """The column of the ids: named as in the labels or the look-up table, or the first."""
    rows = competition.submission_rows
    name = rows.row if isinstance(rows, Lookup) else competition.labels.id
    return name if name in header else header[0]


def read_submission_format(competition: Competition, sample: Path) -> SubmissionFormat:
    """The format of a sample submission; DataError if it is damaged, PluginError if it is of another form."""
    try:
        return _read_format(competition, sample)
    except CsvError as error:
        raise _damaged_sample(competition, sample, str(error.problem)) from error


def _read_format(competition: Competition, sample: Path) -> SubmissionFormat:
    file = read_csv(sample, may_be_latin1=True)
    id_column = id_column_of(competition, file.header)
    columns = tuple(name for name in file.header if name != id_column)
    position = file.header.index(id_column)
    ids, ragged = _ids_of(file, position)
    if damage := _damage(file, ids, columns, ragged):
        raise _damaged_sample(competition, sample, damage)
    if message := column_count_error(competition, id_column, columns):
        fix = "correct `metric` or `labels` in the competition file"
        raise PluginError(f"the sample submission is of another form: {message}", where=sample, fix=fix)
    decision = competition.metric.decision
    return SubmissionFormat(
        competition.labels,
        id_column,
        columns,
        ids,
        kind_of(competition, len(columns)),
        file.header,
        competition=competition.name or competition.slug,
        separator=competition.submission_sep,
        decimals=competition.decimals,
        places=decision.k if isinstance(decision, TopClasses) else 1,
        long=_long_rows(competition, sample, ids) if competition.submission_rows else None,
    )


def _ids_of(file: CsvFile, position: int) -> tuple[tuple[str, ...], int | None]:
    """The id of each row, and the first line that is not as long as the header."""
    ids, width, ragged = list[str](), len(file.header), None
    for line, row in file:
        ids.append(row[position] if position < len(row) else "")
        if len(row) != width and ragged is None:
            ragged = line
    return tuple(ids), ragged


def _long_rows(competition: Competition, sample: Path, ids: Sequence[str]) -> LongRows:
    split = split_of(competition, sample)
    cells = [split(name) or split(name.strip()) for name in ids]
    unsplit = next((name for name, cell in zip(ids, cells, strict=True) if cell is None), None)
    if unsplit is not None:
        raise _damaged_sample(competition, sample, unsplit_message(competition, unsplit))
    return long_rows(cell for cell in cells if cell is not None)


def column_order(expected: SubmissionFormat, classes: Sequence[str]) -> list[int]:
    """The class index of each column that is asked for, by name; SubmissionFormatError if a column has no class."""
    asked = expected.asked_columns
    if len(asked) == len(classes) == 1:
        return [0]
    position = {name: number for number, name in enumerate(classes)}
    # A blank around a name in the sample is part of the format, but not of the class's name.
    columns = [name if name in position else name.strip() for name in asked]
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


def class_names_of(target: str, classes: Sequence[str]) -> list[str]:
    """The classes of one of several targets, without the target's name before them."""
    return [name.removeprefix(f"{target} ") for name in classes if name.startswith(f"{target} ")]


def _damaged_sample(competition: Competition, sample: Path, message: str) -> DataError:
    return DataError(
        f"the sample submission is damaged: {message}",
        where=sample,
        fix=command(competition.name or "COMPETITION", "download", "--force"),
    )


def _damage(file: CsvFile, ids: Sequence[str], columns: tuple[str, ...], ragged: int | None) -> str | None:
    """The first reason why the sample is damaged, or None."""
    if duplicate_columns := duplicates(file.header):
        return f"there are two columns {quote(duplicate_columns[0])}"
    if not columns:
        return "it has no column beside the ids"
    if not ids:
        return "it has no rows"
    if ragged is not None:
        return f"line {ragged} does not have {len(file.header)} cells"
    if len(set(ids)) != len(ids):
        return f"there are two rows with the id {quote(duplicates(ids)[0])}"
    if "" in ids:
        line, _ = next(islice(file, ids.index(""), None))
        return f"line {line} has no id"
    return None
