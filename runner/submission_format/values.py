"""From values to the cells of a submission, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.labels import Binary, SeveralTargets
from runner.csv_file import CsvError, CsvFile, read_csv
from runner.submission_format.cells import names_in_cell
from runner.submission_format.check import check_content, format_error
from runner.submission_format.forms import CellKind
from runner.submission_format.submission_format import SubmissionFormat, class_names_of, column_order

Values = NDArray[np.float64]

_BLOCK_ROWS = 4096  # rows as Python numbers at a time, which take four times the memory
_BLOCK_VALUES = 1 << 22


# --- from values to cells -----------------------------------------------------------------------


def write_cells(form: SubmissionFormat, classes: Sequence[str], values: NDArray[Any]) -> Iterable[list[Any]]:
    """The cells of each row, without its id; values are shaped (images, classes), in the order of `image_ids`."""
    match form.kind:
        case CellKind.ONE_CLASS if form.long is not None:
            return _classes_of_targets(form, classes, values)
        case CellKind.ONE_CLASS:
            return ([classes[column]] for column in values.argmax(axis=1).tolist())
        case CellKind.TAG_LIST:
            join = form.separator.join
            return ([join(classes[column] for column in np.flatnonzero(row).tolist())] for row in _decisions(values))
        case CellKind.TOP_CLASSES:
            join = form.separator.join
            return ([join(classes[column] for column in row)] for row in _top_columns(values, form.places))
        case CellKind.CLASS_WITH_CONFIDENCE:
            return _classes_with_confidence(form, classes, values)
        case CellKind.ZERO_OR_ONE if isinstance(form.labels, Binary):
            return (["1" if value else "0"] for value in (values[:, 0] >= 0.5).tolist())
        case CellKind.ZERO_OR_ONE:
            decided = _decisions(values)[:, column_order(form, classes)]
            return (["1" if value else "0" for value in row] for row in decided)
    return _numbers(form, _in_columns(form, classes, values))


def _decisions(values: NDArray[Any]) -> NDArray[Any]:
    if not np.isin(values, (0, 1)).all():
        raise ValueError("labels are written from decisions, which are 0 or 1")
    return values


def _in_columns(form: SubmissionFormat, classes: Sequence[str], values: NDArray[Any]) -> NDArray[Any]:
    """The values as the rows and columns of the submission."""
    order = column_order(form, classes) if values.shape[1] > 1 or form.long is not None else [0]
    if form.long is None:
        return values if order == [0] else np.asarray(values[:, order])
    return np.asarray(values[form.long.images, np.array(order)[form.long.places]][:, None])


def _numbers(form: SubmissionFormat, values: NDArray[Any]) -> Iterator[list[Any]]:
    # Of a float64 the csv module writes the shortest text that reads back as the same number, so no score changes,
    # not even one that depends on how far a probability is from 1.
    for begin in range(0, len(values), _BLOCK_ROWS):
        block = values[begin : begin + _BLOCK_ROWS].astype(np.float64)
        if form.decimals is None:
            yield from block.tolist()
        else:
            as_text = f"{{:.{form.decimals}f}}".format
            rounded = np.round(block, form.decimals) + 0.0  # no -0.0
            yield from ([as_text(value) for value in row] for row in rounded.tolist())


def _top_columns(values: NDArray[Any], count: int) -> Iterator[list[int]]:
    """The columns with the greatest values of each row, the greatest first; equal values in the columns' order."""
    count = min(count, values.shape[1])
    size = max(1, _BLOCK_VALUES // values.shape[1])
    for begin in range(0, len(values), size):
        left = np.array(values[begin : begin + size], dtype=np.float64)
        columns = np.empty((len(left), count), dtype=np.int64)
        for place in range(count):
            columns[:, place] = left.argmax(axis=1)
            left[np.arange(len(left)), columns[:, place]] = -np.inf
        yield from columns.tolist()


def _classes_with_confidence(
    form: SubmissionFormat, classes: Sequence[str], values: NDArray[Any]
) -> Iterator[list[Any]]:
    confidences = _numbers(form, values.max(axis=1)[:, None])
    for column, (confidence,) in zip(values.argmax(axis=1).tolist(), confidences, strict=True):
        yield [f"{classes[column]}{form.separator}{confidence}"]


def _classes_of_targets(form: SubmissionFormat, classes: Sequence[str], values: NDArray[Any]) -> Iterator[list[Any]]:
    """A row per image and target: the likeliest class of the target."""
    assert form.long is not None
    predicted = []
    for target in form.long.columns:
        columns = _columns_of_target(target, classes)
        names = class_names_of(target, classes)
        predicted.append([names[column] for column in values[:, columns].argmax(axis=1).tolist()])
    for image, place in zip(form.long.images.tolist(), form.long.places.tolist(), strict=True):
        yield [predicted[place][image]]


def _columns_of_target(target: str, classes: Sequence[str]) -> list[int]:
    return [column for column, name in enumerate(classes) if name.startswith(f"{target} ")]


# --- from cells to values -----------------------------------------------------------------------


def read_submission(
    expected: SubmissionFormat, path: Path, *, classes: Sequence[str]
) -> tuple[tuple[str, ...], Values]:
    """The images' ids, and values shaped (images, classes) in the order of `classes`: what the metric scores.

    SubmissionFormatError if the file has problems. Classes and tags become 0 and 1; the likeliest classes descend
    to 1, and a class with its confidence has it. What no row asks for is NaN.
    """
    try:
        file = read_csv(path)
    except CsvError as error:
        raise format_error(expected, path, [error.problem]) from error
    problems = check_content(expected, file, classes).errors
    if problems:
        raise format_error(expected, path, problems)
    return expected.image_ids, _read_values(expected, file, classes)


def _read_values(expected: SubmissionFormat, file: CsvFile, classes: Sequence[str]) -> Values:
    """The values of a file without problems."""
    positions = [file.header.index(name) for name in expected.columns]
    if expected.kind is CellKind.ONE_CLASS and expected.long is not None:
        return _read_targets(expected, [row[positions[0]] for _, row in file], classes)
    read = _NAME_READERS.get(expected.kind)
    if read is not None:
        column_of = {name: column for column, name in enumerate(classes)}
        blank = -np.inf if expected.kind is CellKind.CLASS_WITH_CONFIDENCE else 0.0
        values = np.zeros((len(expected.ids), len(classes)))  # of many classes only what is written takes memory
        if blank:
            values[:] = blank
        for number, (_, row) in enumerate(file):
            read(values[number], row[positions[0]], column_of, expected.separator)
        return values
    cells = np.empty((len(expected.ids), len(positions)))
    for number, (_, row) in enumerate(file):
        cells[number] = [float(row[position]) for position in positions]
    return _from_columns(expected, classes, cells)


def _from_columns(expected: SubmissionFormat, classes: Sequence[str], cells: Values) -> Values:
    order = np.array(column_order(expected, classes) if len(classes) > 1 or expected.long is not None else [0])
    if expected.long is None:
        values = np.empty_like(cells)
        values[:, order] = cells
    else:
        values = np.full((len(expected.image_ids), len(classes)), np.nan)
        values[expected.long.images, order[expected.long.places]] = cells[:, 0]
    return values


def _read_targets(expected: SubmissionFormat, names: Sequence[str], classes: Sequence[str]) -> Values:
    assert expected.long is not None and isinstance(expected.labels, SeveralTargets)
    column_of = {name: column for column, name in enumerate(classes)}
    targets = [expected.long.columns[place] for place in expected.long.places.tolist()]
    values = np.zeros((len(expected.image_ids), len(classes)))
    columns = [column_of[f"{target} {name}"] for target, name in zip(targets, names, strict=True)]
    values[expected.long.images, columns] = 1
    return values


_ReadCell = Callable[[Values, str, dict[str, int], str], None]


def _read_class(values: Values, cell: str, column_of: dict[str, int], _separator: str) -> None:
    values[column_of[cell]] = 1


def _read_tags(values: Values, cell: str, column_of: dict[str, int], separator: str) -> None:
    values[[column_of[name] for name in names_in_cell(cell, separator)]] = 1


def _read_top_classes(values: Values, cell: str, column_of: dict[str, int], separator: str) -> None:
    names = names_in_cell(cell, separator)
    values[[column_of[name] for name in names]] = np.arange(len(names), 0, -1)


def _read_class_with_confidence(values: Values, cell: str, column_of: dict[str, int], separator: str) -> None:
    name, _, confidence = cell.rpartition(separator)
    values[column_of[name]] = float(confidence)


_NAME_READERS: dict[CellKind, _ReadCell] = {
    CellKind.ONE_CLASS: _read_class,
    CellKind.TAG_LIST: _read_tags,
    CellKind.TOP_CLASSES: _read_top_classes,
    CellKind.CLASS_WITH_CONFIDENCE: _read_class_with_confidence,
}
