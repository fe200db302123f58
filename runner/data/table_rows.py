"""The rows of the label table and of the test table: ids, and the cells that labels, groups and images need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from runner.contract.competition import Competition
from runner.contract.images import Images, Pixels, templates_of
from runner.contract.labels import Labels, Regression
from runner.contract.patterns import fields_of, fill, group_of, is_pattern, row_pattern
from runner.csv_file import Columns
from runner.data.label_texts import label_columns
from runner.problems import ProblemList, quote

NO_FIELDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class TableRows:
    """Rows of a table: the id, the line, the label's cells, the group and the other columns of each."""

    file: str
    lines: Sequence[int]
    ids: Sequence[str]
    cells: Sequence[tuple[str, ...]]  # in the order of `label_columns`
    groups: Sequence[str]  # "" for none
    fields: Sequence[Mapping[str, str]]


def id_columns(id: str) -> tuple[str, ...]:
    """The columns that an id is made of: one, or those in a pattern."""
    return fields_of(id) if is_pattern(id) else (id,)


def read_ids(id: str, columns: Columns) -> list[str]:
    """The id of each row of a table, from a column or by a pattern."""
    if not is_pattern(id):
        return columns.values[id]
    names = id_columns(id)
    rows = zip(*(columns.values[name] for name in names), strict=True)
    # A row without one of the parts has no id.
    return [fill(id, dict(zip(names, row, strict=True))) if all(row) else "" for row in rows]


def field_columns(competition: Competition, images: Images) -> tuple[str, ...]:
    """The columns that a row needs beside its id and label: those that its images' names have, and tabular ones."""
    return tuple(dict.fromkeys((*template_columns(images), *competition.tabular)))


def template_columns(images: Images) -> tuple[str, ...]:
    """The columns in the names of images, apart from the id and the label."""
    names = dict.fromkeys(name for template in templates_of(images) for name in fields_of(template))
    return tuple(name for name in names if name not in ("id", "label"))


def read_fields(columns: Columns, names: Sequence[str]) -> Sequence[Mapping[str, str]]:
    """These columns of each row."""
    if not names:
        return [NO_FIELDS] * len(columns.lines)
    rows = zip(*(columns.values[name] for name in names), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def rows_are_numbered(competition: Competition) -> bool:
    """Whether the label table has pixels too and no ids: its rows are numbered from 1."""
    images, table = competition.train_images, competition.labels.csv
    return isinstance(images, Pixels) and images.id is None and table is not None and images.table == table


def label_table_columns(competition: Competition, header: Sequence[str]) -> tuple[str, ...]:
    """The columns that the label table must have."""
    labels = competition.labels
    cells = (labels.label,) if labels.rows else label_columns(labels, header)
    group = [labels.group] if labels.group and not is_pattern(labels.group) else []
    fields = field_columns(competition, competition.train_images)
    ids = () if rows_are_numbered(competition) else id_columns(labels.id)
    return tuple(dict.fromkeys((*ids, *cells, *group, *fields)))


def label_rows(competition: Competition, columns: Columns, header: Sequence[str], problems: ProblemList) -> TableRows:
    """The rows of the label table; those of a table with a row per id and column are gathered by id."""
    labels = competition.labels
    names = label_columns(labels, header)
    numbers = range(1, len(columns.lines) + 1)
    ids = list(map(str, numbers)) if rows_are_numbered(competition) else read_ids(labels.id, columns)
    fields = read_fields(columns, field_columns(competition, competition.train_images))
    if labels.rows:
        lines, ids, cells, first = _gather(labels, columns, ids, problems)
        fields = [fields[row] for row in first]
        groups = _groups(labels, columns, ids, first, problems)
        return TableRows(columns.file, lines, ids, cells, groups, fields)
    cells = list(zip(*(columns.values[name] for name in names), strict=True))
    groups = _groups(labels, columns, ids, range(len(ids)), problems)
    return TableRows(columns.file, columns.lines, ids, cells, groups, fields)


def _groups(
    labels: Labels, columns: Columns, ids: Sequence[str], rows: Sequence[int], problems: ProblemList
) -> list[str]:
    """The group of each of these ids, which are in these rows of the table."""
    if not labels.group:
        return [""] * len(ids)
    if not is_pattern(labels.group):
        return [columns.values[labels.group][row] for row in rows]
    lines = [columns.lines[row] for row in rows]
    return [id_group(labels.group, id, columns.file, line, problems) for id, line in zip(ids, lines, strict=True)]


def id_group(pattern: str, id: str, file: str, line: int | None, problems: ProblemList) -> str:
    """The group in an id; an error if the id has another form."""
    group = group_of(pattern, id)
    if group is None and id:  # an empty id is an error already
        message, fix = (
            f"the id {quote(id)} does not have the form {pattern!r}",
            "correct `group` in the competition file",
        )
        problems.error("id of another form", message, file=file, line=line, fix=fix)
    return group or ""


Gathered = tuple[list[int], list[str], list[tuple[str, ...]], list[int]]


def _gather(labels: Labels, columns: Columns, texts: Sequence[str], problems: ProblemList) -> Gathered:
    """Each id's line, the id, its cells by column, and its first row."""
    pattern = row_pattern(labels.rows, labels.columns)
    position = {name: number for number, name in enumerate(labels.columns)}
    number_of: dict[str, int] = {}
    cells: list[list[str | None]] = []
    first: list[int] = []
    for row, (text, value) in enumerate(zip(texts, columns.values[labels.label], strict=True)):
        match, line = pattern.fullmatch(text), columns.lines[row]
        if match is None:
            message = f"{quote(text)} does not have the form {labels.rows!r} with one of the columns"
            problems.error("id of another form", message, file=columns.file, line=line)
            continue
        number = number_of.setdefault(match["id"], len(cells))
        if number == len(cells):
            cells.append([None] * len(position))
            first.append(row)
        column = position[match["column"]]
        earlier, cells[number][column] = cells[number][column], value
        if earlier is not None:
            _add_repeated(text, earlier == value, columns.file, line, problems)
    lines = [columns.lines[row] for row in first]
    for id, line, of_id in zip(number_of, lines, cells, strict=True):
        missing = [name for name, cell in zip(position, of_id, strict=True) if cell is None]
        if missing and not isinstance(labels, Regression):
            message = f"{id!r} has no row for {', '.join(missing[:5])}"
            problems.error("missing row", message, file=columns.file, line=line)
    return lines, list(number_of), [tuple(cell or "" for cell in of_id) for of_id in cells], first


def _add_repeated(text: str, same: bool, file: str, line: int, problems: ProblemList) -> None:
    if same:
        problems.warn("duplicate id", f"there are two rows {text!r}, which say the same", file=file, line=line)
    else:
        message, fix = f"there are two rows {text!r} with other labels", "delete the row that is wrong"
        problems.error("two labels for one id", message, file=file, line=line, fix=fix)
