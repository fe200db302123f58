"""The sample submission: which table it is, its id column, its value columns, and what its cells hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.csv_file import parse_number
from runner.new_competition.evidence import ImageNames, Source, SourceTable, without_suffix
from runner.new_competition.questions import Answers, Findings, UnclearError, some

_SAMPLE = re.compile(r"sub(mission|mit)?(s)?\b|submission|sample_?sub|sub_?format|entry", re.IGNORECASE)
_BENCHMARK = re.compile(r"benchmark|baseline|all_zeros|example", re.IGNORECASE)
_MOST_COLUMNS = 500  # of a sample submission with a row per id and column


@dataclass(frozen=True)
class Sample:
    """What the sample submission says."""

    table: SourceTable
    id: str  # its column
    columns: tuple[str, ...]  # the value columns; of long rows, the columns that the rows ask for
    ids: tuple[str, ...]  # of the images; of long rows, each once
    rows: str = ""  # `{id}_{column}`, if there is a row per id and column

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns of the file beside the id."""
        return tuple(name for name in self.table.header if name != self.id)

    @property
    def cells(self) -> list[str]:
        """The first cells of the one value column; none if there are several."""
        return (
            [cell for cell in self.table.first(self.value_columns[0]) if cell] if len(self.value_columns) == 1 else []
        )

    @property
    def has_numbers(self) -> bool:
        """Whether its cells are numbers, or blank."""
        return all(parse_number(cell) is not None for cell in self.cells)

    @property
    def has_fractions(self) -> bool:
        """Whether a cell of it is a number that is not whole."""
        numbers = [parse_number(cell) for cell in self.cells]
        return any(number is not None and number == number and not number.is_integer() for number in numbers)


def find_sample(source: Source, answers: Answers) -> list[SourceTable]:
    """The tables that may be the sample submission, by their names; an UnclearError if none is."""
    if answers.sample:
        named = source.table(answers.sample)
        if named is None:
            raise UnclearError(
                f"there is no table {answers.sample}; there are {some([t.name for t in source.tables]) or 'none'}",
                fix="name one of them: `... --sample FILE`",
            )
        return [named]
    tables = [table for table in source.tables if not table.is_coco]
    by_name = [t for t in tables if _SAMPLE.search(t.stem)] or [t for t in tables if _BENCHMARK.search(t.stem)]
    if not by_name:
        names = some([table.name for table in source.tables]) or "none"
        raise UnclearError(
            "there is no sample submission, which decides the test ids, their order and the columns\n"
            f"  tables: {names}" + "".join(f"\n  not readable: {line}" for line in source.unread),
            fix="put it beside the other files, from the competition's page; or name the table that has its form: "
            "`... --sample FILE`",
        )
    return by_name


def read_sample(table: SourceTable, findings: Findings) -> Sample:
    """The sample's id column, and its columns by the header or by its rows."""
    header = table.header
    if len(header) < 2:
        raise UnclearError(f"{table.name} has one column, {header[0]!r}: a sample submission has an id and a value")
    if not table.first_rows:
        raise UnclearError(f"{table.name} has no rows: a sample submission has a row for each test image")
    id = findings.answers.id if findings.answers.id in header else _id_column(table)
    columns = tuple(name for name in header if name != id)
    return Sample(table, id, columns, tuple(dict.fromkeys(table.column(id))))


def as_long(sample: Sample, images: ImageNames, *, by_images: bool) -> Sample | None:
    """The sample as a row per id and column, if its rows are named so: by an image's name, or by repetition."""
    if len(sample.columns) != 1 or not sample.ids:
        return None
    long = _split_by_images(sample.ids, images) if by_images else _split_by_repeats(sample.ids)
    return Sample(sample.table, sample.id, long[2], long[1], long[0]) if long else None


def _id_column(table: SourceTable) -> str:
    """The first column whose first values all differ; the first of all if none does."""
    for name in table.header[:3]:
        values = table.first(name)
        if name and all(values) and len(set(values)) == len(values) and len(values) > 1:
            return name
    return table.header[0]


Long = tuple[str, tuple[str, ...], tuple[str, ...]]  # pattern, ids, columns


def _split_by_images(texts: Sequence[str], images: ImageNames) -> Long | None:
    """The rows' names as an image's name, a separator, and a column; None if they have another form."""
    stems = images.by_stem
    for text in texts[:20]:
        for at in range(len(text) - 1, 0, -1):
            if not text[at].isalnum() and (text[:at] in stems or without_suffix(text[:at]) in stems):
                separator = re.split(r"[A-Za-z0-9]", text[at:], maxsplit=1)[0]
                start = text[:at] + separator
                return _checked(texts, separator, [each[len(start) :] for each in texts if each.startswith(start)])
    return None


def _split_by_repeats(texts: Sequence[str]) -> Long | None:
    """The same where no image has such a name: every id has every column."""
    for separator in ("__", "_", "-", " ", ":", "|"):
        if not all(separator in text for text in texts[:50]):
            continue
        cuts = [match.end() for match in re.finditer(re.escape(separator), texts[0]) if match.start()]
        starts = [texts[0][:cut] for cut in cuts]
        candidates = [[other[len(start) :] for other in texts if other.startswith(start)] for start in starts]
        # The most columns first: they may hold the separator themselves, as in `x_dry_green`.
        for columns in sorted(candidates, key=len, reverse=True):
            if found := _checked(texts, separator, columns):
                return found
    return None


def _checked(texts: Sequence[str], separator: str, columns: Sequence[str]) -> Long | None:
    """The ids and columns, if every row's name ends in one of these columns, and every id has every column."""
    count = len(set(columns))
    if not 2 <= count <= _MOST_COLUMNS or count != len(columns) or len(texts) % count:
        return None
    known = "|".join(map(re.escape, sorted(columns, key=len, reverse=True)))
    pattern = re.compile(f"(.+?){re.escape(separator)}({known})")
    of_id: dict[str, set[str]] = {}
    for text in texts:
        match = pattern.fullmatch(text)
        if match is None:
            return None
        of_id.setdefault(match[1], set()).add(match[2])
    if len(of_id) < 2 or any(len(each) != count for each in of_id.values()):
        return None
    return f"{{id}}{separator}{{column}}", tuple(of_id), tuple(columns)
