"""The submission CSV: written in the format of the sample submission, and checked before it gets its name."""

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

_BLOCK_ROWS = 4096  # rows as Python numbers at a time, which take four times the memory


def write_submission(
    form: SubmissionFormat, path: Path, *, classes: Sequence[str], ids: Sequence[str], values: NDArray[Any]
) -> Path:
    """Write values (rows, classes), probabilities or decisions of 0 and 1, in the order of the sample submission.

    Ids come in any order; those not in the sample are left out. A file that the host would reject is a
    SubmissionFormatError, and `path` stays as it was.
    """
    if values.ndim != 2 or len(values) != len(ids):
        raise ValueError(f"values shaped {values.shape} do not match {len(ids)} ids")
    rows = values[_rows_in_order(form, ids, path)]
    with atomic_path(path) as part:
        _write_rows(form, part, _cells(form, classes, rows))
        problems = find_problems(form, part, names=_known(form, classes))
        if problems:
            raise format_error(form, path, problems)
    return path


def check_submission(form: SubmissionFormat, path: Path, names: Sequence[str]) -> None:
    """Raise a SubmissionFormatError with every problem in the file; `names` are the valid labels or classes."""
    problems = find_problems(form, path, names=_known(form, names))
    if problems:
        raise format_error(form, path, problems)


def _known(form: SubmissionFormat, names: Sequence[str]) -> Sequence[str] | None:
    # In formats with numbers in the cells, the sample submission has the names, in its header.
    return names if form.kind in (CellKind.TAG_LIST, CellKind.ONE_CLASS) else None


def _rows_in_order(form: SubmissionFormat, ids: Sequence[str], path: Path) -> list[int]:
    """The row of the prediction for each id in the sample submission."""
    row_of = {name: row for row, name in enumerate(ids)}
    # Blanks around an id in the sample belong to its format, not to the image's name.
    wanted = [name if name in row_of else name.strip() for name in form.ids]
    missing = [name for name in wanted if name not in row_of]
    if missing or len(row_of) != len(ids):
        message = (
            f"{len(missing)} ids of the sample submission have no prediction: {', '.join(missing[:3])}..."
            if missing
            else f"{len(ids) - len(row_of)} ids are predicted twice"
        )
        raise SubmissionFormatError(message, where=path, fix=f"runner {form.competition} predict")
    return [row_of[name] for name in wanted]


def _cells(form: SubmissionFormat, classes: Sequence[str], rows: NDArray[Any]) -> Iterable[list[Any]]:
    """The cells of each row, without the id."""
    if form.kind is CellKind.TAG_LIST:
        if not np.isin(rows, (0, 1)).all():
            raise ValueError("labels are written from decisions, which are 0 or 1")
        return ([" ".join(classes[column] for column in np.flatnonzero(row).tolist())] for row in rows)
    if form.kind is CellKind.ONE_CLASS:
        return ([classes[column]] for column in rows.argmax(axis=1).tolist())
    if form.kind is CellKind.CLASS_PROBABILITIES:
        rows = rows[:, column_order(form, classes)]
    # Of a float64 the csv module writes the shortest text that reads back as the same number, so no score changes,
    # not even one that depends on how far a probability is from 1.
    return (
        cells
        for begin in range(0, len(rows), _BLOCK_ROWS)
        for cells in rows[begin : begin + _BLOCK_ROWS].astype(np.float64).tolist()
    )


def _write_rows(form: SubmissionFormat, path: Path, cells: Iterable[list[Any]]) -> None:
    position = form.header.index(form.id_column)
    rows = zip(form.ids, cells, strict=True)
    write_csv(path, form.header, ([*values[:position], name, *values[position:]] for name, values in rows))
