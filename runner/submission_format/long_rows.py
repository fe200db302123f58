"""Submissions with a row per id and column: which image and which column each row asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from runner.contract.competition import Competition, Lookup
from runner.contract.labels import Labels, Multiclass, Multilabel, aliases
from runner.contract.patterns import row_pattern
from runner.csv_file import Columns, CsvError, read_columns, read_csv
from runner.problems import ProblemList, quote

Cell = tuple[str, str]  # the id of an image, and a column
Split = Callable[[str], Cell | None]  # from a row's name to its cell; None if it is no such name


@dataclass(frozen=True, eq=False)
class LongRows:
    """The image and the column of each row."""

    ids: tuple[str, ...]  # of the images, in the order of their first rows
    columns: tuple[str, ...]  # in the order of their first rows
    images: NDArray[np.int64]  # the place of each row's image in `ids`
    places: NDArray[np.int64]  # the place of each row's column in `columns`


def long_rows(cells: Iterable[Cell]) -> LongRows:
    """The rows with these cells."""
    ids: dict[str, int] = {}
    columns: dict[str, int] = {}
    images, places = [], []
    for id, column in cells:
        images.append(ids.setdefault(id, len(ids)))
        places.append(columns.setdefault(column, len(columns)))
    return LongRows(tuple(ids), tuple(columns), np.array(images, dtype=np.int64), np.array(places, dtype=np.int64))


def split_by_pattern(pattern: str, columns: Sequence[str]) -> Split:
    """Split row names by a pattern such as `{id}_{column}`; without columns, the last possible one is taken."""
    compiled = row_pattern(pattern, columns)

    def split(name: str) -> Cell | None:
        match = compiled.fullmatch(name)
        return (match["id"], match["column"]) if match else None

    return split


def lookup_file(competition: Competition, sample: Path) -> Path:
    """The table of a `Lookup`: in the data folder that the sample submission lies in."""
    assert isinstance(competition.submission_rows, Lookup)
    depth = len(PurePosixPath(aliases(competition.sample_submission)[0]).parts)
    files = [folder / competition.submission_rows.csv for folder in list(sample.parents)[:depth]]
    return next((file for file in files if file.is_file()), files[0])


def split_of(competition: Competition, sample: Path) -> Split:
    """How the rows of a sample submission are split; CsvError if the table that says it is not readable."""
    rows = competition.submission_rows
    if isinstance(rows, str):
        return split_by_pattern(rows, _declared_columns(competition.labels))
    path = lookup_file(competition, sample)
    problems = ProblemList()
    columns = read_columns(
        read_csv(path, name=rows.csv, lenient=True, may_be_latin1=True), [rows.row, rows.id, rows.column], problems
    )
    if columns is None:
        raise CsvError(problems.errors[0])
    return _cells_by_row(columns, rows).get


def _declared_columns(labels: Labels) -> tuple[str, ...]:
    """The columns of the submission that the competition file lists; none if only the data say them."""
    declared = labels.columns or (isinstance(labels, Multiclass | Multilabel) and labels.classes) or ()
    return () if any(name.endswith("*") for name in declared) else declared


def _cells_by_row(columns: Columns, rows: Lookup) -> Mapping[str, Cell]:
    cells = zip(columns.values[rows.id], columns.values[rows.column], strict=True)
    return dict(zip(columns.values[rows.row], cells, strict=True))


def unsplit_message(competition: Competition, name: str) -> str:
    """Why a row's name says no image."""
    rows = competition.submission_rows
    if isinstance(rows, Lookup):
        return f"the row {quote(name)} is not in {rows.csv}"
    return f"the row {quote(name)} does not have the form {rows}, with a column of the labels"
