"""The data folder of a rehearsal, in the competition's own layout: its tables and images without the hidden labels."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract import Competition, Hdf5, ImageArray, Lookup, Pixels
from runner.contract.images import Images, fill_template, templates_of
from runner.contract.labels import Coco, Table, aliases
from runner.contract.patterns import fill, is_pattern, row_pattern
from runner.csv_file import TableFile, read_columns, read_csv, write_csv
from runner.data.classes import IndexRow
from runner.data.hdf5 import copy_datasets
from runner.data.image_arrays import open_array
from runner.data.image_names import files_of, parse_array_path, parse_dataset
from runner.data.index import Index, read_training_rows
from runner.data.index_inputs import existing_name
from runner.data.label_texts import label_columns
from runner.data.manifest import write_manifest
from runner.data.pixels import as_array
from runner.data.skipped_images import read_skipped_images
from runner.data.table_rows import id_columns, read_ids, rows_are_numbered, template_columns
from runner.data.tables import read_table
from runner.errors import DataError
from runner.problems import ProblemList
from runner.submission_format.submission_format import read_submission_format
from runner.workspace import atomic_path, write_text

Mask = NDArray[np.bool_]
Cells = dict[str, str]

_ROWS_PER_COPY = 256


def anonymous_id(id: str, seed: int) -> str:
    """A hash of the id, 16 hexadecimal digits: it reveals neither label nor order."""
    return hashlib.sha256(f"hidden/{seed}/{id}".encode()).hexdigest()[:16]


def anonymous_ids(competition: Competition, index: Index, hidden: Mask, seed: int) -> dict[str, Cells]:
    """The columns of the anonymous id of each hidden one: one, or several of which the first is a hash."""
    # If ids are file names, as in some sample submissions, so are the anonymous ones.
    suffix = PurePosixPath(str(index.test["id"].iloc[0])).suffix if len(index.test) else ""
    suffix = suffix if _is_file_suffix(suffix) else ""
    first, *others = id_columns(competition.labels.id)
    rest = dict.fromkeys(others, "0")
    return {id: {first: anonymous_id(id, seed) + suffix, **rest} for id in dict.fromkeys(index.train["id"][hidden])}


def joined(competition: Competition, columns: Cells) -> str:
    """The id that is made of these columns."""
    pattern = competition.labels.id
    return fill(pattern, columns) if is_pattern(pattern) else columns[pattern]


def _is_file_suffix(text: str) -> bool:
    return text[1:].isalnum() and not text[1:].isdecimal()


@dataclass(frozen=True, eq=False)
class RehearsalData:
    """The data folder of a rehearsal, to be written."""

    competition: Competition
    source_dir: Path
    kept: tuple[IndexRow, ...]  # a row an image
    hidden: tuple[IndexRow, ...]
    id_cells: Mapping[str, Cells]  # of each hidden id the columns of the anonymous one
    folder: Path

    @classmethod
    def of(cls, competition: Competition, index: Index, hidden: Mask, seed: int, folder: Path) -> RehearsalData:
        """The data without the hidden rows of the index's `train`."""
        skipped = set(read_skipped_images(index.data_dir))
        rows = [row for row in read_training_rows(competition, index.data_dir) if row.path not in skipped]
        if [row.path for row in rows] != index.train["path"].tolist():
            raise DataError("the data has changed since the index was built", where=index.data_dir, fix="`...`")
        is_hidden = hidden.tolist()
        kept = tuple(row for row, hide in zip(rows, is_hidden, strict=True) if not hide)
        chosen = tuple(row for row, hide in zip(rows, is_hidden, strict=True) if hide)
        id_cells = anonymous_ids(competition, index, hidden, seed)
        return cls(competition, index.data_dir, kept, chosen, id_cells, folder)

    @cached_property
    def ids(self) -> dict[str, str]:
        """The anonymous id of each hidden one."""
        return {id: joined(self.competition, columns) for id, columns in self.id_cells.items()}

    @property
    def sample_file(self) -> Path:
        return self.folder / aliases(self.competition.sample_submission)[0]

    def write(self) -> None:
        """Write labels, images and sample submission; the manifest and the marker come last."""
        for images in self.competition.image_folders:
            (self.folder / images).mkdir(parents=True, exist_ok=True)
        self._write_labels()
        if self.competition.test_csv:
            self._write_test_table(self.competition.test_csv)
        self._write_images()
        self._write_sample()
        write_manifest(self.folder, self.competition.slug, "rehearsal", [])

    # --- tables ---------------------------------------------------------------------------------

    @cached_property
    def _labels(self) -> LabelTable | None:
        """The label table; None if the labels are in the images' names."""
        return LabelTable.read(self.competition, self.source_dir) if self.competition.labels.csv else None

    def _write_labels(self) -> None:
        """Write the rows of the label table that stay, with all columns but those that are pixels."""
        table = self.competition.labels.csv
        if not table or self._labels is None:
            return
        ids = {row.id for row in self.kept}
        header = [name for name in self._labels.header if not self._is_pixel(name, table)]
        rows = [row for row, id in zip(self._labels.rows, self._labels.ids, strict=True) if id in ids]
        write_table(self.folder / aliases(table)[0], table, header, rows)

    def _is_pixel(self, column: str, table: Table) -> bool:
        images = (self.competition.train_images, self.competition.test_images)
        return any(isinstance(one, Pixels) and one.table == table and _is_among(column, one) for one in images)

    def _write_test_table(self, table: Table) -> None:
        """Write the table of test rows: what the label table has in its columns, apart from the labels."""
        header = read_table_of(self.source_dir, table).header
        header = tuple(name for name in header if not self._is_pixel(name, table))
        rows = [{name: fields.get(name, "") for name in header} for fields in self._test_fields]
        write_table(self.folder / aliases(table)[0], table, header, rows)

    @cached_property
    def _test_fields(self) -> list[Cells]:
        """The columns of each hidden image, its id among them, without the labels."""
        labels = self.competition.labels
        known = self._labels.by_line if self._labels else {}
        sample_id = read_submission_format(self.competition, self._source_sample).id_column
        secret = {*label_columns(labels, self._labels.header if self._labels else ()), labels.label}
        fields, in_bag = [], Counter[str]()
        for row in self.hidden:
            new, number = self.ids[row.id], str(in_bag[row.id])
            in_bag[row.id] += 1
            own = {name: cell for name, cell in known.get(row.line or 0, {}).items() if name not in secret}
            # A column that only the test rows have tells several images of one id apart.
            other = dict.fromkeys(template_columns(self.competition.test_images), number)
            fields.append({**other, **own, sample_id: new, **self.id_cells[row.id]})
        return fields

    # --- images ---------------------------------------------------------------------------------

    def _write_images(self) -> None:
        train, test = self.competition.train_images, self.competition.test_images
        if isinstance(train, ImageArray | Pixels) and isinstance(test, ImageArray | Pixels):
            self._write_arrays(train, test)
        elif isinstance(train, Hdf5) and isinstance(test, Hdf5):
            self._write_datasets(train, test)
        elif isinstance(test, ImageArray | Pixels | Hdf5) or isinstance(train, ImageArray | Pixels | Hdf5):
            raise DataError(
                "training and test images are of two kinds: a rehearsal cannot make test images of training images",
                where=self.source_dir,
            )
        else:
            self._link_images(test)

    def _link_images(self, test: Images) -> None:
        for file in dict.fromkeys(file for row in self.kept for file in files_of(row.path)):
            _link(self.source_dir / file, self.folder / file)
        in_bag = Counter[str]()
        for row, fields in zip(self.hidden, self._test_fields, strict=True):
            new, number = self.ids[row.id], str(in_bag[row.id])
            in_bag[row.id] += 1
            files = files_of(row.path)
            templates = templates_of(test)[: len(files)] if len(files) > 1 else templates_of(test)[:1]
            for file, template in zip(files, templates, strict=True):
                path = fill_template(template, {**fields, "id": new}).replace("*", number)
                _link(self.source_dir / file, self.folder / path)

    def _write_datasets(self, train: Hdf5, test: Hdf5) -> None:
        kept = {id: id for id in dict.fromkeys(row.id for row in self.kept)}
        hidden = {(parse_dataset(row.path) or ("", row.id))[1]: self.ids[row.id] for row in self.hidden}
        source = self.source_dir / train.file
        copy_datasets(source, kept, self.folder / train.file)
        copy_datasets(source, hidden, self.folder / test.file)

    def _write_arrays(self, train: ImageArray | Pixels, test: ImageArray | Pixels) -> None:
        """Write the array and the table of both subsets; the hidden rows are sorted by their anonymous id."""
        numbered = rows_are_numbered(self.competition)
        train, test = _array_of(train), _array_of(test)
        source = read_csv(self.source_dir / train.table, may_be_latin1=True)
        header = [name.strip() for name in source.header]
        cells = [dict(zip(header, map(str.strip, row), strict=False)) for _, row in source if row]
        train_rows = sorted(parse_array_path(row.path)[1] for row in self.kept)
        test_rows = sorted((self.ids[row.id], parse_array_path(row.path)[1]) for row in self.hidden)
        _copy_rows(self.source_dir / train.array, train_rows, self.folder / train.array)
        _copy_rows(self.source_dir / train.array, [row for _, row in test_rows], self.folder / test.array)
        ids = range(1, len(train_rows) + 1) if numbered else [cells[row][train.id] for row in train_rows]
        kept = ({**cells[row], train.id: str(id)} for id, row in zip(ids, train_rows, strict=True))
        write_csv(self.folder / train.table, header, ([row[name] for name in header] for row in kept))
        # The real test table decides which columns are known of a row without a label.
        columns = [name.strip() for name in read_csv(self.source_dir / test.table, may_be_latin1=True).header]
        columns = [name for name in columns if name != self.competition.labels.label]
        anonymous = ({**cells[row], test.id: id} for id, row in test_rows)
        write_csv(self.folder / test.table, columns, ([row.get(name, "") for name in columns] for row in anonymous))

    # --- the sample submission ------------------------------------------------------------------

    @property
    def _source_sample(self) -> Path:
        return self.source_dir / existing_name(self.source_dir, self.competition.sample_submission)

    def _write_sample(self) -> None:
        """Write a sample submission of the hidden rows, each with the cells of the real one's first row."""
        sample = read_submission_format(self.competition, self._source_sample)
        _, first_row = next(iter(read_csv(self._source_sample, may_be_latin1=True)))
        column = sample.header.index(sample.id_column)
        names = self._row_names(sample.asked_columns) if sample.long else sorted(self.ids.values())
        rows = ([*first_row[:column], name, *first_row[column + 1 :]] for name in names)
        write_csv(self.sample_file, sample.header, rows)

    def _row_names(self, columns: Sequence[str]) -> list[str]:
        """The names of the rows of a submission with a row per id and column; a look-up table is written too."""
        rows = self.competition.submission_rows
        cells = [(id, column) for id in sorted(self.ids.values()) for column in columns]
        if isinstance(rows, str):
            return [fill(rows, {"id": id, "column": column}) for id, column in cells]
        names = [str(number) for number in range(1, len(cells) + 1)]
        self._write_lookup(rows, names, cells)
        return names

    def _write_lookup(self, rows: Lookup, names: Sequence[str], cells: Sequence[tuple[str, str]]) -> None:
        header = [
            name.strip() for name in read_csv(self.source_dir / rows.csv, lenient=True, may_be_latin1=True).header
        ]
        known = (
            {rows.row: name, rows.id: id, rows.column: column} for name, (id, column) in zip(names, cells, strict=True)
        )
        write_csv(self.folder / rows.csv, header, ([row.get(name, "") for name in header] for row in known))


@dataclass(frozen=True, eq=False)
class LabelTable:
    """The rows of the label table as they are, and the id of each."""

    header: tuple[str, ...]
    rows: Sequence[Cells]
    ids: Sequence[str]
    by_line: Mapping[int, Cells]

    @classmethod
    def read(cls, competition: Competition, folder: Path) -> LabelTable:
        """The table of a competition whose labels have one."""
        labels = competition.labels
        assert labels.csv
        file = read_table_of(folder, labels.csv)
        by_line = {line: _cells(file.header, row) for line, row in file}
        if rows_are_numbered(competition):
            ids = [str(number) for number in range(1, len(by_line) + 1)]
        else:
            columns = read_columns(file, id_columns(labels.id), ProblemList())
            assert columns, "the index has read this table"
            ids = read_ids(labels.id, columns)
            by_line = {line: by_line[line] for line in columns.lines}
        if labels.rows:
            pattern = row_pattern(labels.rows, labels.columns)
            ids = [match["id"] if (match := pattern.fullmatch(text)) else text for text in ids]
        return cls(file.header, list(by_line.values()), ids, by_line)


def _cells(header: Sequence[str], row: Sequence[str]) -> Cells:
    return {name: cell.strip() for name, cell in zip(header, row, strict=False)}


def read_table_of(folder: Path, table: Table) -> TableFile:
    """A table of the data folder, under the first of its names that exists."""
    name = existing_name(folder, table)
    return read_table(folder / name, table, name)


def write_table(path: Path, table: Table, header: Sequence[str], rows: Iterable[Cells]) -> None:
    """Write a table in the format that its file has: CSV, TSV, a JSON list of records, parquet, or COCO's."""
    suffix = path.suffix.lower()
    if isinstance(table, Coco) or suffix == ".json":
        records = [{name: row.get(name, "") for name in header} for row in rows]
        # Without annotations each image is a row.
        write_text(path, json.dumps({"images": records} if isinstance(table, Coco) else records, ensure_ascii=False))
    elif suffix == ".parquet":
        frame = pd.DataFrame([[row.get(name, "") for name in header] for row in rows], columns=list(header), dtype=str)
        with atomic_path(path) as part:
            frame.to_parquet(part)
    elif suffix == ".tsv":
        text = io.StringIO(newline="")
        csv.writer(text, delimiter="\t", lineterminator="\n").writerows(
            [list(header), *([row.get(name, "") for name in header] for row in rows)]
        )
        write_text(path, text.getvalue())
    else:
        write_csv(path, header, ([row.get(name, "") for name in header] for row in rows))


def _is_among(column: str, images: Pixels) -> bool:
    """Whether a column has pixels."""
    prefix = images.columns.removesuffix("*")
    return column == prefix if prefix == images.columns else column.startswith(prefix) and column != images.id


def _array_of(images: ImageArray | Pixels) -> ImageArray:
    return as_array(images) if isinstance(images, Pixels) else images


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)


def _copy_rows(source: Path, rows: Sequence[int], target: Path) -> None:
    """Write an .npy file with these rows of another one, a few at a time."""
    array = open_array(source)
    shape = (len(rows), *array.shape[1:])
    size = math.prod(shape) * array.dtype.itemsize
    # Not into a memory map: a disk that becomes full would kill the process.
    with atomic_path(target, size=size) as temporary, temporary.open("wb") as file:
        descr = np.lib.format.dtype_to_descr(array.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(rows), _ROWS_PER_COPY):
            file.write(np.ascontiguousarray(array[list(rows[start : start + _ROWS_PER_COPY])]).data)
