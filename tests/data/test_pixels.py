"""Images in the cells of a table: read once, checked by line, and read again if the table is changed on purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import Competition, Multiclass, Pixels
from runner.data.pixels import as_array, extract_pixels
from runner.errors import DataError, WrongDataError
from runner.problems import ProblemsError
from runner.session import Session
from runner.steps.download import accept_changes, download
from runner.workspace import Workspace
from tests.builders import write_csv
from tests.sources import competition

SHAPE = (2, 2)


def digits(columns: str = "pixel*", shape: tuple[int, ...] = SHAPE, id: str | None = None) -> Competition:
    """A competition whose digits are in train.csv and test.csv."""
    images = (Pixels(f"{subset}.csv", columns, shape, id) for subset in ("train", "test"))
    return competition(*images, labels=Multiclass(csv="train.csv", id="ImageId", label="label"))


def write(folder: Path, rows: list[tuple[object, ...]], header: tuple[str, ...] = ()) -> Path:
    """train.csv with these rows; test.csv with the pixels of the first."""
    names = header or tuple(f"pixel{number}" for number in range(4))
    write_csv(folder / "train.csv", ("label", *names), rows)
    write_csv(folder / "test.csv", names, [rows[0][1:]])
    write_csv(folder / "sample_submission.csv", ("ImageId", "a", "b"), [(1, 0.5, 0.5)])
    return folder


@pytest.mark.parametrize(
    ("values", "dtype"), [((0, 255, 7, 9), np.uint8), ((0, 256, 7, 9), np.uint16), ((0, -1, 0.5, 9), np.float32)]
)
def test_values_are_kept_in_the_smallest_type_that_holds_all(tmp_path: Path, values: Any, dtype: Any) -> None:
    some = digits()
    extract_pixels(some, write(tmp_path, [("a", 1, 2, 3, 4), ("b", *values)]))
    assert isinstance(some.train_images, Pixels)
    array = np.load(tmp_path / as_array(some.train_images).array)
    assert array.dtype == dtype and array.shape == (2, 1, 2, 2)
    assert array[1].ravel().tolist() == list(values)


def test_numbers_in_one_cell_may_have_blanks_or_commas(tmp_path: Path) -> None:
    some = digits("Image")
    extract_pixels(some, write(tmp_path, [("a", "1 2 3 4"), ("b", "[5, 6, 7, 8]")], ("Image",)))
    assert np.load(tmp_path / "train.csv.pixels.npy").reshape(2, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize("cell", ["", "x", "nan"])
def test_a_row_that_is_no_image_is_an_error_with_its_line(tmp_path: Path, cell: str) -> None:
    write(tmp_path, [("a", 1, 2, 3, 4), ("b", 1, cell, 3, 4), ("a", 1, 2, 3, 4)])
    with pytest.raises(ProblemsError) as caught:
        extract_pixels(digits(), tmp_path)
    (problem,) = caught.value.problems
    assert (problem.kind, problem.place) == ("not an image", "train.csv:3")


@pytest.mark.parametrize(
    ("some", "words"),
    [
        (digits(shape=(3, 3)), "4 columns are named 'pixel\\*'; images of 3 x 3 have 9 values"),
        (digits("grey"), "no column is named 'grey'"),
        (digits(id="ImageId"), "no column is named 'ImageId'"),
    ],
)
def test_a_table_of_other_columns_is_not_the_data(tmp_path: Path, some: Competition, words: str) -> None:
    with pytest.raises(WrongDataError, match=words):
        extract_pixels(some, write(tmp_path, [("a", 1, 2, 3, 4)]))


def test_a_changed_table_is_told_and_can_be_accepted(tmp_path: Path) -> None:
    source = write(tmp_path / "source", [("a", 1, 2, 3, 4), ("b", 5, 6, 7, 8)])
    session = Session(digits(), Workspace(tmp_path / "workspace"))
    data = download(session, source)
    table, array = data / "test.csv", data / "test.csv.pixels.npy"
    table.write_text(table.read_text().replace("1,2", "9,2"))
    with pytest.raises(DataError, match="has changed since its pixels were read"):
        Session(session.competition, session.workspace).index  # noqa: B018
    assert "test.csv" in accept_changes(session)
    assert len(Session(session.competition, session.workspace).index.test) == 1
    assert np.load(array).ravel().tolist() == [9, 2, 3, 4]
