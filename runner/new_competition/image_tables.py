"""Images that are not files of their own: pixels in the cells of a table, datasets of an HDF5 file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.csv_file import TableFile, parse_number
from runner.data.hdf5 import dataset_names
from runner.errors import DataError
from runner.new_competition.evidence import Source, SourceTable
from runner.new_competition.image_places import Place
from runner.new_competition.plugin_text import Call
from runner.new_competition.questions import UnclearError, some
from runner.new_competition.sample_form import Sample

_FEWEST = 64  # values of an image: 8 x 8
_ROWS_SEEN = 20


@dataclass(frozen=True)
class PixelTable:
    """A table with the pixels of an image in each row."""

    table: SourceTable
    columns: str  # `pixel*`, or the one column with all values
    names: frozenset[str]  # of these columns
    values: int  # of an image

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width of a square grey image, or bands, height and width; an UnclearError if it is neither."""
        for bands in (1, 3):
            side = math.isqrt(self.values // bands)
            if bands * side * side == self.values:
                return (side, side) if bands == 1 else (bands, side, side)
        raise UnclearError(
            f"the rows of {self.table.name} have {self.values:,} pixels, which is no square: nothing says the height",
            fix="write the competition file by hand, with Pixels(...) and the right shape: docs/competitions.md",
        )

    @property
    def without_pixels(self) -> SourceTable:
        """The table without its pixels."""
        return SourceTable(self.table.name, _Without(self.table.file, self.names))

    def place(self, ids: Sequence[str], id: str | None) -> Place:
        """The images in the table, of rows with these ids."""
        keywords = (("id", id),) if id else ()
        call = Call("Pixels", (self.table.name, self.columns, self.shape), keywords)
        text = f"{self.values:,} pixels a row in {self.table.name}, {self.columns!r}"
        return Place((text,), len(ids), len(ids), len(ids), images=call)


class _Without:
    """A table without some of its columns."""

    def __init__(self, file: TableFile, dropped: frozenset[str]) -> None:
        self._file = file
        self._kept = [place for place, name in enumerate(file.header) if name not in dropped]
        self.name, self.has_bom, self.has_blanks = file.name, file.has_bom, file.has_blanks
        self.header = tuple(file.header[place] for place in self._kept)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        last = self._kept[-1] if self._kept else -1
        return ((line, [row[place] for place in self._kept]) for line, row in self._file if len(row) > last)


def pixel_tables(source: Source) -> list[PixelTable]:
    """The tables with pixels."""
    return [found for table in source.tables if (found := _in_columns(table) or _in_a_cell(table))]


def _in_columns(table: SourceTable) -> PixelTable | None:
    """A column a pixel: many columns of one name with numbers behind it, all with numbers in them."""
    counts = Counter(re.sub(r"\d+$", "", name) for name in table.header if name[-1:].isdigit())
    prefix, count = counts.most_common(1)[0] if counts else ("", 0)
    names = [name for name in table.header if name.startswith(prefix)]
    if not prefix or count < _FEWEST or len(names) != count or not table.first_rows:
        return None
    positions = [table.header.index(name) for name in (names[0], names[-1])]
    if any(_number(row[place]) is None for row in table.first_rows[:_ROWS_SEEN] for place in positions):
        return None
    return PixelTable(table, f"{prefix}*", frozenset(names), count)


def _in_a_cell(table: SourceTable) -> PixelTable | None:
    """All pixels in one cell, between blanks."""
    rows = table.first_rows[:_ROWS_SEEN]
    for place, name in enumerate(table.header if rows else ()):
        counts = {len(row[place].split()) for row in rows}
        if (
            len(counts) == 1
            and min(counts) >= _FEWEST
            and all(_number(part) is not None for part in rows[0][place].split())
        ):
            return PixelTable(table, name, frozenset((name,)), counts.pop())
    return None


def _number(cell: str) -> float | None:
    number = parse_number(cell)
    return None if number is None or math.isnan(number) else number


# --- test images --------------------------------------------------------------------------------


def pixels_of_test(sample: Sample, source: Source) -> tuple[PixelTable, str | None] | None:
    """The table with the pixels of the sample's ids, and the column of the ids; None for the number of the row.

    An UnclearError if the ids are not those of the rows.
    """
    found = [each for each in pixel_tables(source) if not set(sample.value_columns) & set(each.table.header)]
    named = [each for each in found if "test" in each.table.stem] or found
    if not named:
        return None
    if len(named) > 1:
        raise UnclearError(
            f"several tables have pixels that may be the test images: {some([each.table.name for each in named])}",
            fix="leave the others out of the folder or archive",
        )
    (pixels,) = named
    plain = pixels.without_pixels
    wanted = set(sample.ids)
    for name in plain.header:
        if set(plain.column(name)) >= wanted:
            return pixels, name
    rows = sum(1 for _ in pixels.table.file)
    if list(sample.ids) == [str(number) for number in range(1, rows + 1)]:
        return pixels, None
    raise UnclearError(
        f"the rows of {pixels.table.name} have no ids, and those of {sample.table.name} are not their numbers, 1 to "
        f"{rows:,}: {some(sample.ids, 3)}",
        fix="write a `prepare` that adds a column of ids to the table: docs/competitions.md",
    )


def datasets_of_test(sample: Sample, source: Source) -> Place | None:
    """The HDF5 file with an image of each of the sample's ids; an UnclearError if several have them."""
    found = [name for name, path in source.arrays.items() if set(sample.ids) <= _datasets(path)]
    if not found:
        return None
    named = [name for name in found if "test" in name.lower()] or found
    if len(named) > 1:
        raise UnclearError(f"several files have the test images: {some(named)}", fix="leave the others out")
    return datasets_place(named[0], sample.ids)


def datasets_place(name: str, ids: Sequence[str]) -> Place:
    """The images in an HDF5 file, of these ids."""
    return Place((f"datasets of {name}",), len(ids), len(ids), len(ids), images=Call("Hdf5", (name,)))


def datasets_with(ids: Sequence[str], source: Source, *, but: Place) -> Place | None:
    """The HDF5 file with an image of nearly each of these ids; None if none has, or it is the other place."""
    wanted = set(ids)
    for name, path in source.arrays.items():
        place = datasets_place(name, ids)
        if place.text != but.text and len(wanted & _datasets(path)) >= 0.98 * len(wanted):
            return place
    return None


def _datasets(path: Path) -> frozenset[str]:
    try:
        return dataset_names(path)
    except DataError as error:
        if "package" in error.message or "install" in (error.fix or ""):
            raise
        return frozenset()
