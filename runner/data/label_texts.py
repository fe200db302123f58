"""The label of each row as one text, whatever columns it is spread over: the index keeps it, splits are made of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from runner.contract.labels import Binary, Coco, Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets
from runner.contract.targets import parts_of
from runner.csv_file import parse_number

Cells = Sequence[str]

# In the place of a label that is none, and an error already; no table has this text.
BAD_LABEL = "\0"


class LabelError(ValueError):
    """Cells that are no label: the kind of problem, what it is, and its fix."""

    def __init__(self, kind: str, message: str, fix: str) -> None:
        self.kind, self.fix = kind, fix
        super().__init__(message)


def label_columns(labels: Labels, header: Sequence[str]) -> tuple[str, ...]:
    """The columns of the labels, in order; a name that ends in `*` stands for all that begin so."""
    if not labels.columns:
        return (labels.label,)
    if labels.rows:
        return labels.columns
    names: dict[str, None] = {}
    for name in labels.columns:
        known = [column for column in header if column.startswith(name[:-1])] if name.endswith("*") else []
        names.update(dict.fromkeys(known or [name]))
    return tuple(names)


def label_text(labels: Labels, columns: Sequence[str], cells: Cells) -> str | None:
    """The text of a label; None if the cells are blank. A LabelError if they are no label of this kind."""
    if isinstance(labels, Multilabel) and not labels.columns:
        return _tag_list(labels, cells[0])
    if not any(cells):
        return None
    if isinstance(labels, SeveralTargets):
        return _several(labels, cells)
    if isinstance(labels, Regression):
        return _numbers(labels, columns, cells)
    if isinstance(labels, Multilabel):
        return labels.separator.join(_names_with_one(columns, cells))
    if isinstance(labels, Multiclass) and labels.columns:
        return _shares(labels, columns, cells) if labels.soft else _one_hot(columns, cells)
    texts: dict[type, Callable[..., str]] = {Ordinal: _grade, Binary: _zero_or_one}
    text = texts.get(type(labels))
    return text(labels, cells[0]) if text else cells[0]


def _tag_list(labels: Multilabel, cell: str) -> str | None:
    """The tags without repetitions and blanks around them."""
    if isinstance(labels.csv, Coco) and labels.sep in cell.strip():
        message = f"has the tag {cell.strip()!r}, which holds {labels.sep!r}, that separates tags"
        raise LabelError("separator in a tag", message, "say another `sep` of Multilabel in the competition file")
    tags = parts_of(labels, cell) if labels.sep == " " else [tag.strip() for tag in cell.split(labels.sep.strip())]
    text = labels.sep.join(dict.fromkeys(tag for tag in tags if tag))
    return text if text or labels.may_be_empty else None


def _zero_or_one(labels: Binary, cell: str) -> str:
    """0 or 1, where the cell says so; another text is told of with those of all rows."""
    if labels.positive:
        return str(int(cell in labels.positive))
    return cell[0] if re.fullmatch(r"[01](\.0*)?", cell) else cell


def _grade(labels: Ordinal, cell: str) -> str:
    number = parse_number(cell)
    if number is None or number not in range(labels.grades):
        message = f"is {cell!r}, not a grade from 0 to {labels.grades - 1}"
        raise LabelError("not a grade", message, "correct it, or give the number of grades in the competition file")
    return str(int(number))


def _numbers(labels: Regression, columns: Sequence[str], cells: Cells) -> str | None:
    known = []
    for column, cell in zip(columns, cells, strict=True):
        number = parse_number(cell)
        if number is None:
            raise LabelError(
                "not a number", f"has the {column} {cell!r}, not a number", "correct it, or leave it blank"
            )
        low, high = labels.low, labels.high
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"from {'-inf' if low is None else f'{low:g}'} to {'inf' if high is None else f'{high:g}'}"
            fix = "correct it, or the bounds in the competition file"
            raise LabelError("number out of bounds", f"has the {column} {cell}, which is not {bounds}", fix)
        known.append("" if math.isnan(number) else cell)
    return labels.separator.join(known) if any(known) else None


def _several(labels: SeveralTargets, cells: Cells) -> str:
    for target, cell in zip(labels.targets, cells, strict=True):
        if cell not in (target.classes or ()):
            message = f"has the {target.label} {cell!r}, which is not among the classes in the competition file"
            raise LabelError("unknown class", message, "correct it, or list the class")
    return labels.separator.join(cells)


def _one_hot(columns: Sequence[str], cells: Cells) -> str:
    names = _names_with_one(columns, cells)
    if len(names) != 1:
        found = f"{len(names)} classes ({', '.join(names[:3])})" if names else "no class"
        fix = "correct the row; votes are Multiclass(soft=True), and independent columns are Multilabel"
        raise LabelError("not one class", f"has {found}, not one", fix)
    return names[0]


def _names_with_one(columns: Sequence[str], cells: Cells) -> list[str]:
    """The columns with a 1; the others must have a 0."""
    for column, cell in zip(columns, cells, strict=True):
        if parse_number(cell) not in (0, 1):
            found = repr(cell) if cell else "blank"
            raise LabelError("label not 0 or 1", f"has the {column} {found}, not 0 or 1", "write 0 or 1")
    return [column for column, cell in zip(columns, cells, strict=True) if parse_number(cell) == 1]


def _shares(labels: Multiclass, columns: Sequence[str], cells: Cells) -> str:
    for column, cell in zip(columns, cells, strict=True):
        number = parse_number(cell)
        if number is None or not number >= 0:
            raise LabelError("not a share", f"has the {column} {cell!r}, not a number from 0", "correct it")
    if not any(map(parse_number, cells)):
        raise LabelError("not a share", "has no share of any class", "correct it, or delete the row")
    return labels.separator.join(cells)
