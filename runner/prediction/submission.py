"""The submission: written in the sample's form, and checked before it takes its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.csv_file import write_csv
from runner.errors import SubmissionFormatError
from runner.submission_format.submission_format import (
    CellKind,
    SubmissionFormat,
    column_order,
    find_problems,
    format_error,
)
from runner.workspace import atomic_path

_BLOCK = 4096  # rows that are numbers of Python at a time, which take four times the room


def write_submission(
    form: SubmissionFormat, path: Path, *, classes: Sequence[str], ids: Sequence[str], values: NDArray[Any]
) -> Path:
    """Write probabilities (rows, classes), or decisions of 0 and 1 for tags, in the order the sample has.

    Ids come in any order; those that the sample does not have are left out. A file that the host
    would reject is a SubmissionFormatError, and nothing is left at `path`.
    """
    if values.ndim != 2 or len(values) != len(ids):
        raise ValueError(f"{len(ids)} ids and values shaped {values.shape} do not belong together")
    rows = values[_rows_in_order(form, ids, path)]
    with atomic_path(path) as part:
        _write_rows(form, part, _cells(form, classes, rows))
        problems = find_problems(form, part, names=_known(form, classes))
        if problems:
            raise format_error(path, problems)
    return path


def check_submission(form: SubmissionFormat, path: Path, names: Sequence[str]) -> None:
    """Raise a SubmissionFormatError with every problem of the file; `names` are the known tags or classes."""
    problems = find_problems(form, path, names=_known(form, names))
    if problems:
        raise format_error(path, problems)


def _known(form: SubmissionFormat, names: Sequence[str]) -> Sequence[str] | None:
    # Where cells hold numbers, the names are the columns', and the sample is their authority.
    return names if form.kind in (CellKind.TAG_LIST, CellKind.ONE_CLASS) else None


def _rows_in_order(form: SubmissionFormat, ids: Sequence[str], path: Path) -> list[int]:
    """For each id of the sample the row of its prediction."""
    place = {name: row for row, name in enumerate(ids)}
    # A blank that the sample has around an id is part of its form, and not of the image's name.
    wanted = [name if name in place else name.strip() for name in form.ids]
    missing = [name for name in wanted if name not in place]
    if missing or len(place) != len(ids):
        found = (
            f"{len(missing)} ids of the sample submission have no prediction: {', '.join(missing[:3])}..."
            if missing
            else f"{len(ids) - len(place)} ids are predicted twice"
        )
        raise SubmissionFormatError(found, where=path, fix="runner COMPETITION predict")
    return [place[name] for name in wanted]


def _cells(form: SubmissionFormat, classes: Sequence[str], rows: NDArray[Any]) -> Iterable[list[Any]]:
    """The value cells of each row."""
    if form.kind is CellKind.TAG_LIST:
        if not np.isin(rows, (0, 1)).all():
            raise ValueError("tags are written from decisions, which are 0 or 1")
        return ([" ".join(classes[place] for place in np.flatnonzero(row).tolist())] for row in rows)
    if form.kind is CellKind.ONE_CLASS:
        return ([classes[place]] for place in rows.argmax(axis=1).tolist())
    if form.kind is CellKind.CLASS_PROBABILITIES:
        rows = rows[:, column_order(form, classes)]
    # As float64 the csv module writes the shortest text that reads back as the very number: no score can
    # move, not even one that hangs on how far a probability is from 1.
    return (
        cells
        for begin in range(0, len(rows), _BLOCK)
        for cells in rows[begin : begin + _BLOCK].astype(np.float64).tolist()
    )


def _write_rows(form: SubmissionFormat, path: Path, cells: Iterable[list[Any]]) -> None:
    id_place = form.header.index(form.id_column)
    named = zip(form.ids, cells, strict=True)
    write_csv(path, form.header, ([*values[:id_place], name, *values[id_place:]] for name, values in named))
