"""Tables in other formats than CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runner.contract import Coco
from runner.contract.labels import Table
from runner.csv_file import CsvError, read_columns
from runner.data.tables import read_table
from runner.problems import ProblemList


def columns_of(path: Path, table: Table, *names: str) -> dict[str, list[str]]:
    problems = ProblemList()
    columns = read_columns(read_table(path, table, path.name), names, problems)
    assert columns is not None, problems.errors
    return columns.values


def fault(path: Path, table: Table) -> str:
    with pytest.raises(CsvError) as caught:
        read_table(path, table, path.name)
    return str(caught.value.problem.message)


def test_tabs_between_values(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("id\ttags\na\tone, two\nb\tthree\n")
    assert columns_of(path, "train.tsv", "id", "tags") == {"id": ["a", "b"], "tags": ["one, two", "three"]}
    path.write_text("id,tags\na,one\n")
    assert fault(path, "train.tsv") == "the values are separated by commas, not by tabs"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_a_json_list_of_records(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "train.json"
    records: list[dict[str, Any]] = [{"id": 1, "name": "Señor"}, {"id": 2, "name": None, "angle": 1.50, "new": True}]
    path.write_text(json.dumps(records, ensure_ascii=False).replace("1.5", "1.50"), encoding=encoding)
    assert columns_of(path, "train.json", "id", "name", "angle", "new") == {
        "id": ["1", "2"],
        "name": ["Señor", ""],
        "angle": ["", "1.50"],
        "new": ["", "1"],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "no records"),
        ("{}", "not a list of records"),
        ("[1, 2]", "item 1 of the list is not a record"),
        ('[{"a": 1}', "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
    ],
)
def test_json_that_is_no_table_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "train.json").write_text(text)
    assert words in fault(tmp_path / "train.json", "train.json")


COCO: dict[str, Any] = {
    "images": [{"id": 3, "file_name": "b.jpg", "width": 10}, {"id": 4, "file_name": "a.jpg"}],
    "annotations": [{"id": 70, "image_id": 4, "category_id": 1, "location": 33}],
    "categories": [{"id": 1, "name": "elk"}],
}


def test_annotations_are_joined_with_their_images_and_categories(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(COCO))
    names = ("id", "file_name", "category_id", "category_name", "location")
    rows = columns_of(path, Coco("train.json"), *names)
    assert [rows[name] for name in names] == [["4"], ["a.jpg"], ["1"], ["elk"], ["33"]]


def test_without_annotations_there_is_a_row_an_image(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    path.write_text(json.dumps({"images": COCO["images"]}))
    assert columns_of(path, Coco("test.json"), "id", "file_name")["file_name"] == ["b.jpg", "a.jpg"]


def test_images_and_categories_may_name_their_ids_as_annotations_do(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    document = {
        "images": [{"image_id": "7__1", "file_name": "7.jpg"}],
        "annotations": [{"image_id": "7__1", "category_id": 5}],
        "categories": [{"category_id": 5, "name": "fern"}],
    }
    path.write_text(json.dumps(document))
    assert columns_of(path, Coco("train.json"), "image_id", "category_name") == {
        "image_id": ["7__1"],
        "category_name": ["fern"],
    }


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "no list of images"),
        ({"images": [3]}, "item 1 of images is not a record"),
        ({**COCO, "annotations": [{"image_id": 9, "category_id": 1}]}, "annotation 1 is of image '9'"),
    ],
)
def test_annotations_that_cannot_be_joined_are_an_error(tmp_path: Path, document: Any, words: str) -> None:
    (tmp_path / "train.json").write_text(json.dumps(document))
    assert words in fault(tmp_path / "train.json", Coco("train.json"))


def test_parquet_is_read_by_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1")
    frame = pd.DataFrame({"id": ["a", "b"], "votes": [3, 4], "share": [0.5, float("nan")]})
    monkeypatch.setattr(pd, "read_parquet", lambda _: frame)
    assert columns_of(path, "train.parquet", "id", "votes", "share") == {
        "id": ["a", "b"],
        "votes": ["3", "4"],
        "share": ["0.5", ""],
    }


def test_parquet_without_its_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Path) -> pd.DataFrame:
        raise ImportError("Unable to find a usable engine")

    path = tmp_path / "train.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(CsvError) as caught:
        read_table(path, "train.parquet", path.name)
    assert (caught.value.problem.message, caught.value.problem.fix) == (
        "parquet files need the package pyarrow, which is not installed",
        "pip install 'competition-runner[parquet]'",
    )


@pytest.mark.parametrize("name", ["train.json", "train.parquet", "train.tsv"])
def test_a_missing_table_is_an_error(tmp_path: Path, name: str) -> None:
    assert fault(tmp_path / name, name) == "the file does not exist"
