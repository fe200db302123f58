"""A JSON list of images becomes an array and a CSV file, digit for digit; an error has the row."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.data.json_arrays import extract_json_arrays
from runner.errors import DataError

BANDS, SHAPE = ("band_1", "band_2"), (2, 3)


def record(**fields: object) -> dict[str, object]:
    return {"id": "a1", "band_1": [1.5, 2, 3, 4, 5, 6], "band_2": [-1, -2.5, 0, 0, 0, 1e-3], **fields}


def write(folder: Path, text: str) -> Path:
    path = folder / "train.json"
    path.write_text(text, encoding="utf-8")
    return path


def csv_rows(path: Path) -> list[list[str]]:
    with path.with_suffix(".csv").open(newline="") as handle:
        return list(csv.reader(handle))


def error_of(folder: Path, text: str) -> str:
    """The message and the row of the error of a damaged file; nothing must be left beside it."""
    path = write(folder, text)
    with pytest.raises(DataError) as raised:
        extract_json_arrays(path, BANDS, SHAPE)
    assert [other.name for other in folder.iterdir()] == ["train.json"]
    assert raised.value.fix and str(path) in str(raised.value.where)
    return f"{raised.value.message} @ {str(raised.value.where).rpartition(', ')[2]}"


def test_bands_become_one_array_and_other_fields_a_csv(tmp_path: Path) -> None:
    rows = [record(inc_angle=34.5, is_iceberg=1), record(id="b2", inc_angle="na", is_iceberg=0)]
    path = write(tmp_path, json.dumps(rows))
    extract_json_arrays(path, BANDS, SHAPE, missing=("na",))
    array = np.load(tmp_path / "train.npy", mmap_mode="r")
    assert array.shape == (2, 2, 2, 3)
    assert array.dtype == np.float32
    assert array[0].tolist() == [
        [[1.5, 2, 3], [4, 5, 6]],
        [[-1, -2.5, 0], [0, 0, np.float32(1e-3)]],
    ]
    expected = [["id", "inc_angle", "is_iceberg"], ["a1", "34.5", "1"], ["b2", "", "0"]]
    assert csv_rows(path) == expected
    assert (tmp_path / "train.csv").read_bytes() == b"id,inc_angle,is_iceberg\na1,34.5,1\nb2,,0\n"


@pytest.mark.parametrize("text", ["34.0", "34", "34.4721000", "3.44E1", "43.923899999999996", "-0.0", "1e400"])
def test_the_text_of_a_number_is_kept_digit_for_digit(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([record(inc_angle=0)]).replace('"inc_angle": 0', f'"inc_angle": {text}'))
    extract_json_arrays(path, BANDS, SHAPE)
    assert csv_rows(path)[1] == ["a1", text]


def test_the_columns_are_the_fields_of_the_first_object(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, json.dumps([record(x="1", y=None), {"y": True, "x": "NaN", **record(id="b")}]))
    extract_json_arrays(path, BANDS, SHAPE)
    assert csv_rows(path) == [["id", "x", "y"], ["a1", "1", ""], ["b", "", "1"]]


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=8).filter(lambda text: text != "NaN"),
            st.one_of(st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False)),
            st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6),
        ),
        min_size=1,
        max_size=8,
    ),
    indent=st.sampled_from([None, 0, 3]),
    plain=st.booleans(),
    chunk_size=st.integers(1, 300),
)
def test_nothing_is_lost_for_any_texts_and_any_chunk_size(
    rows: list[tuple[str, float, list[float]]], indent: int | None, plain: bool, chunk_size: int
) -> None:
    objects = [{"id": i, "band_1": b, "angle": a, "band_2": b[::-1]} for i, a, b in rows]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "train.json"
        path.write_text(json.dumps(objects, indent=indent, ensure_ascii=plain), encoding="utf-8")
        extract_json_arrays(path, BANDS, SHAPE, chunk_size=chunk_size)
        array = np.load(path.with_suffix(".npy"))
        with path.with_suffix(".csv").open(newline="", encoding="utf-8") as handle:
            written = list(csv.reader(handle))
    assert written == [["id", "angle"], *([i, json.dumps(a)] for i, a, _ in rows)]
    assert array.reshape(len(rows), 2, 6).tolist() == [[b, b[::-1]] for _, _, b in rows]


def test_a_text_that_looks_like_an_array_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([record(id="a[0]", note='x", "y": [1, 2')]))
    extract_json_arrays(path, BANDS, SHAPE)
    assert csv_rows(path)[1] == ["a[0]", 'x", "y": [1, 2']


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff\n [" + json.dumps(record()) + "] \n")
    extract_json_arrays(path, BANDS, SHAPE)
    assert csv_rows(path) == [["id"], ["a1"]]


def test_repeated_it_writes_the_same_files(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([record()] * 3))
    extract_json_arrays(path, BANDS, SHAPE)
    first = {other.name: other.read_bytes() for other in tmp_path.iterdir()}
    extract_json_arrays(path, BANDS, SHAPE)
    assert {other.name: other.read_bytes() for other in tmp_path.iterdir()} == first


GOOD = json.dumps(record())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is not a JSON list but empty"),
        ("<!DOCTYPE html><html>", "the file is not a JSON list but an HTML page"),
        (GOOD, "the file is not a JSON list but a single JSON object"),
        ("id,band_1", "the file is not a JSON list but a text that begins with 'i'"),
        ("[]", "the JSON is an empty list"),
        ("[", "the JSON ends after row 0"),
        (f"[{GOOD}", "the JSON ends after row 1, before the end of the list @ row 1"),
        (f"[{GOOD}, ", "the JSON ends after row 1, before the end of the list @ row 1"),
        (f"[{GOOD}, {GOOD[:40]}", "row 2 is incomplete or not JSON: Expecting"),
        (f"[{GOOD} {GOOD}]", "there is no comma after row 1 @ row 1"),
        (f"[{GOOD}, 7]", "row 2 is not a JSON object @ row 2"),
        (f"[{GOOD}]]", "there is text after the end of the list @ row 1"),
        (f'[{GOOD}, {{"id": nope}}]', "row 2 is incomplete or not JSON: Expecting value"),
        (f'[{GOOD}, {{"id": "b"}}]', "band_1 is not a list of numbers @ row 2"),
        (json.dumps([record(band_2=[1, 2])]), "band_2 has 2 numbers, not 2 x 3 = 6 @ row 1"),
        (json.dumps([record(band_2=[1, 2, 3, 4, 5, None])]), "band_2 has a value that is not a number"),
        (json.dumps([record(band_2=[1, 2, 3, 4, 5, "x"])]), "band_2 has a value that is not a number"),
        (json.dumps([record(band_2=[1, 2, 3, 4, 5, 1e99])]), "band_2 has a value that is not a number"),
        (json.dumps([record(band_2=[[1]] * 6)]), "band_2 has a value that is not a number"),
        (json.dumps([record(), record(extra=1)]), "the fields differ from those of the first row: extra @ row 2"),
        (json.dumps([record(inc_angle=[1])]), "inc_angle is a list, not a number or a text @ row 1"),
        (json.dumps([record(id="a\r")]), "id has a line break or another control character @ row 1"),
        ("[" + "[" * 100_000, "row 1 is not a JSON object"),
        ('[{"id": ' + "[" * 100_000, "row 1 is incomplete or not JSON"),
    ],
)
def test_the_error_of_a_damaged_file_has_the_row(text: str, message: str, tmp_path: Path) -> None:
    assert error_of(tmp_path, text).startswith(message)


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(b'[{"id": "\xff\xfe"')
    with pytest.raises(DataError, match="not UTF-8"):
        extract_json_arrays(path, BANDS, SHAPE)


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_an_error(share: float) -> None:
    text = json.dumps([record(inc_angle=1.25)] * 3)
    with tempfile.TemporaryDirectory() as name:
        assert error_of(Path(name), text[: int(len(text) * share)])


def test_only_the_named_texts_are_missing_values(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([record(angle="na", note="NaN")]))
    extract_json_arrays(path, BANDS, SHAPE)
    assert csv_rows(path)[1] == ["a1", "na", ""]
    extract_json_arrays(path, BANDS, SHAPE, missing=("na", "a1"))
    assert csv_rows(path)[1] == ["", "", ""]


def test_an_object_larger_than_the_limit_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps([record(note="x" * 500)]))
    with pytest.raises(DataError, match="row 1 is incomplete or not JSON"):
        extract_json_arrays(path, BANDS, SHAPE, max_object_size=100, chunk_size=50)
    extract_json_arrays(path, BANDS, SHAPE, max_object_size=1000, chunk_size=50)
