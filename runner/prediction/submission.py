"""The submission CSV: written in the format of the sample submission, and checked before it gets its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.console import log
from runner.csv_file import write_csv
from runner.errors import SubmissionFormatError
from runner.prediction.out_of_fold import row_blocks
from runner.problems import ProblemList
from runner.submission_format.cells import STRICT_SUM_TOLERANCE, SUM_PROBLEM, SUM_TOLERANCE
from runner.submission_format.check import check_file, format_error
from runner.submission_format.forms import CellKind
from runner.submission_format.submission_format import SubmissionFormat
from runner.submission_format.values import write_cells
from runner.workspace import atomic_path

_PROBABILITIES = (CellKind.CLASS_PROBABILITIES, CellKind.TAG_PROBABILITIES, CellKind.ONE_PROBABILITY)
_WRITES_NUMBERS = (*_PROBABILITIES, CellKind.NUMBERS)

ValuesOf = Callable[[Sequence[int]], NDArray[Any]]


def write_submission(
    form: SubmissionFormat,
    path: Path,
    *,
    classes: Sequence[str],
    ids: Sequence[str],
    values: NDArray[Any] | ValuesOf,
) -> Path:
    """Write values (rows, classes), predictions or decisions, in the order of the sample submission.

    Ids come in any order; those not in the sample are left out. A file that the host would reject is a
    SubmissionFormatError, and `path` stays as it was. Of a function from row numbers to values, a block of rows is
    held in memory at a time.
    """
    if not callable(values) and (values.ndim != 2 or len(values) != len(ids)):
        raise ValueError(f"values shaped {values.shape} do not match {len(ids)} ids")
    order = _rows_in_order(form, ids, path)
    with atomic_path(path) as part:
        if not callable(values):
            blocks: Iterable[NDArray[Any]] = [values[order]]
        elif form.long is not None or form.decimals is not None:  # these look at all rows together
            blocks = [values(order)]
        else:
            blocks = (values(order[rows]) for rows in row_blocks(len(order), len(classes)))
        cells = (write_cells(form, classes, _checked_values(form, block, path)) for block in blocks)
        _write_rows(form, part, chain.from_iterable(cells))
        found = check_file(form, part, names=classes)
        problems = found.errors or _inexact_sums(form, found)
        if problems:
            raise format_error(form, path, problems)
    return path


def _checked_values(form: SubmissionFormat, rows: NDArray[Any], path: Path) -> NDArray[Any]:
    """The values as they are written; a SubmissionFormatError if some are NaN."""
    if form.kind is CellKind.CLASS_PROBABILITIES:
        rows = _summing_to_one(rows)
    elif form.kind not in _WRITES_NUMBERS and np.isnan(rows).any():
        raise SubmissionFormatError("some predictions are NaN", where=path, fix=f"runner {form.competition} predict")
    if form.decimals is not None:
        _warn_of_rounding(form, rows)
    return rows


def check_submission(form: SubmissionFormat, path: Path, names: Sequence[str]) -> ProblemList:
    """The warnings; a SubmissionFormatError with every error in the file. `names` are the valid labels or classes."""
    found = check_file(form, path, names=names)
    if found.errors:
        raise format_error(form, path, found.errors)
    return found


def _inexact_sums(form: SubmissionFormat, found: ProblemList) -> list[Any]:
    # A file of somebody else may have such rows, and is scored. Ours are off only by the rounding that was asked for.
    return [] if form.decimals is not None else [problem for problem in found.warnings if problem.kind == SUM_PROBLEM]


def _summing_to_one(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows, divided by their sums where these are off by the rounding of half precision."""
    sums = rows.sum(axis=1, dtype=np.float64)
    off = np.abs(sums - 1)
    inexact = (off > 0.9 * STRICT_SUM_TOLERANCE) & (off <= SUM_TOLERANCE)
    if not inexact.any():
        return rows
    exact = rows.astype(np.float64)
    exact[inexact] /= sums[inexact, None]
    return exact


def _warn_of_rounding(form: SubmissionFormat, rows: NDArray[Any]) -> None:
    """Warn if the decimals that the competition asks for can change the score."""
    if form.kind not in (*_WRITES_NUMBERS, CellKind.CLASS_WITH_CONFIDENCE):
        return
    assert form.decimals is not None
    rounded = np.round(rows.astype(np.float64), form.decimals)
    reasons = []
    if form.kind is CellKind.CLASS_PROBABILITIES:
        off = np.abs(rounded.sum(axis=1) - 1)
        if (off > STRICT_SUM_TOLERANCE).any():
            reasons.append(f"{(off > STRICT_SUM_TOLERANCE).sum():,} rows sum to 1 only within {off.max():.1g}")
    if form.kind in _PROBABILITIES:
        certain = (np.isin(rounded, (0, 1)) & ~np.isin(rows, (0, 1))).sum()
        if certain:
            reasons.append(f"{certain:,} probabilities become 0 or 1")
    lost = len(np.unique(rows)) - len(np.unique(rounded))
    if lost and form.kind is not CellKind.NUMBERS:
        reasons.append(f"{lost:,} different values become equal")
    if reasons:
        log.warning(f"{form.decimals} decimals can change the score: {'; '.join(reasons)}")


def _rows_in_order(form: SubmissionFormat, ids: Sequence[str], path: Path) -> list[int]:
    """The row of the prediction for each image of the sample submission."""
    if tuple(ids) == form.image_ids:
        return list(range(len(ids)))
    row_of = {name: row for row, name in enumerate(ids)}
    # Blanks around an id in the sample belong to its format, not to the image's name.
    wanted = [name if name in row_of else name.strip() for name in form.image_ids]
    missing = [name for name in wanted if name not in row_of]
    if missing or len(row_of) != len(ids):
        message = (
            f"{len(missing)} ids of the sample submission have no prediction: {', '.join(missing[:3])}..."
            if missing
            else f"{len(ids) - len(row_of)} ids are predicted twice"
        )
        raise SubmissionFormatError(message, where=path, fix=f"runner {form.competition} predict")
    return [row_of[name] for name in wanted]


def _write_rows(form: SubmissionFormat, path: Path, cells: Iterable[list[Any]]) -> None:
    position = form.header.index(form.id_column)
    rows = zip(form.ids, cells, strict=True)
    write_csv(path, form.header, ([*values[:position], name, *values[position:]] for name, values in rows))
