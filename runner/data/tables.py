"""Tables in the formats that competitions use: CSV, TSV, a JSON list of records, parquet, and COCO's annotations."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.commands import install_command
from runner.contract.labels import Coco, Table
from runner.csv_file import MISSING_FILE, CsvError, TableFile, read_csv, read_table_bytes
from runner.errors import RunnerError
from runner.problems import Problem

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Records:
    """Records as a table, numbered from 1. A column is there if any record has it; a value that is missing is blank."""

    name: str
    header: tuple[str, ...]
    records: Sequence[Record]
    has_bom: bool = False
    has_blanks: bool = False

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        for number, record in enumerate(self.records, start=1):
            yield number, [_cell(record.get(name)) for name in self.header]


def read_table(path: Path, table: Table, name: str) -> TableFile:
    """The table in a file, by its suffix; CsvError if it is not one."""
    if isinstance(table, Coco):
        return _records(name, _join_coco(_read_json(path)))
    if path.suffix.lower() == ".json":
        return _records(name, _list_of_records(_read_json(path)))
    if path.suffix.lower() == ".parquet":
        return _records(name, _read_parquet(path))
    return read_csv(path, name=name, lenient=True, may_be_latin1=True)


def _records(name: str, records: Sequence[Record]) -> Records:
    if not records:
        raise CsvError(Problem("empty file", "there are no records in it"))
    return Records(name, tuple(dict.fromkeys(column for record in records for column in record)), records)


def _cell(value: Any) -> str:
    """A value as a CSV file would have it."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if value is None or value != value:  # NaN
        return ""
    return str(int(value)) if isinstance(value, bool | np.bool_) else str(value)


def _read_json(path: Path) -> Any:
    """The document, with numbers as they are written; latin-1 if it is not UTF-8."""
    content = read_table_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise CsvError(Problem("not JSON", f"the file is not readable as JSON: {error}", line=line)) from error


def _list_of_records(document: Any) -> Sequence[Record]:
    if not isinstance(document, list):
        hint = "if it has images and annotations, write Coco(...) around its name in the competition file"
        raise CsvError(Problem("not a table", "the JSON is not a list of records", fix=hint))
    _require_records(document, "the list")
    return document


def _require_records(records: Sequence[Any], where: str) -> None:
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise CsvError(Problem("not a table", f"item {number:,} of {where} is not a record of names and values"))


def _join_coco(document: Any) -> Sequence[Record]:
    """A record an annotation, with its image and category; a record an image if there are no annotations."""
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise CsvError(Problem("not a table", "the JSON has no list of images, as COCO's has"))
    lists = {key: document.get(key) or [] for key in ("images", "annotations", "categories")}
    for key, records in lists.items():
        _require_records(records, key)
    if not lists["annotations"]:
        return lists["images"]
    images = {_key(image, "image_id"): image for image in lists["images"]}
    names = {_key(category, "category_id"): category.get("name") for category in lists["categories"]}
    joined = []
    for number, annotation in enumerate(lists["annotations"], start=1):
        image = images.get(annotation.get("image_id"))
        if image is None:
            message = f"annotation {number:,} is of image {annotation.get('image_id')!r}, which is not among the images"
            raise CsvError(Problem("annotation without an image", message))
        # The image's columns go first: an annotation has an id of its own. Chained, not copied: there may be a million.
        joined.append(ChainMap(image, annotation, {"category_name": names.get(annotation.get("category_id"))}))
    return joined


def _key(record: Record, name: str) -> Any:
    return record.get("id", record.get(name))


def iterate_parquet(path: Path, rows: int) -> Iterator[tuple[list[str], dict[str, NDArray[Any]]]]:
    """The columns' names and some rows at a time, as an array a column; CsvError if it is not readable."""
    with _parquet_errors(path):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(path) as file:
            for batch in file.iter_batches(rows):
                columns = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
                yield batch.schema.names, dict(zip(batch.schema.names, columns, strict=True))


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise CsvError(Problem(MISSING_FILE, "the file does not exist"))
    try:
        yield
    except ImportError as error:
        fix = install_command("parquet")
        message = "parquet files need the package pyarrow, which is not installed"
        raise CsvError(Problem("missing package", message, fix=fix)) from error
    except RunnerError:
        raise
    except Exception as error:  # the engine raises its own kinds of errors
        raise CsvError(Problem("unreadable file", f"the file is not readable as parquet: {error}")) from error


def _read_parquet(path: Path) -> Sequence[Record]:
    with _parquet_errors(path):
        frame = pd.read_parquet(path)
    return [dict(zip(map(str, frame.columns), row, strict=True)) for row in frame.itertuples(index=False, name=None)]
