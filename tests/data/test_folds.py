"""folds.csv keeps a split, is refused for other data, and comes with warnings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from runner.data.folds import (
    TRAIN_ONLY,
    ClassCounts,
    assignment_digest,
    class_counts_per_fold,
    digest,
    read_folds,
    split_warnings,
    write_folds,
)
from runner.data.splits import split_folds
from runner.errors import DataError, RunnerError

IDS, LABELS = ["a", "b", "c", "d"], ["pug", "pug", "boxer", "boxer"]
FOLDS = np.array([0, 1, 1, 0])


@pytest.fixture
def path(tmp_path):
    write_folds(tmp_path / "folds.csv", IDS, LABELS, FOLDS, {"kind": "folds", "folds": 2, "seed": 42})
    return tmp_path / "folds.csv"


def test_a_split_is_read_as_it_was_written(path):
    folds = read_folds(path)
    assert folds.for_rows(IDS, LABELS).tolist() == [0, 1, 1, 0]
    assert folds.count == 2
    assert folds.metadata == {
        "kind": "folds",
        "folds": 2,
        "seed": 42,
        "rows": 4,
        "sha256": digest(IDS, LABELS),
        "folds_sha256": assignment_digest(dict(zip(IDS, FOLDS.tolist(), strict=True))),
    }


def test_the_files_are_a_plain_csv_and_a_json_with_its_format(path):
    assert path.read_bytes() == b"id,fold\na,0\nb,1\nc,1\nd,0\n"
    assert json.loads(path.with_suffix(".json").read_text())["format"] == 1


def test_rows_may_come_in_another_order(path):
    folds = read_folds(path)
    assert folds.for_rows(IDS[::-1], LABELS[::-1]).tolist() == [0, 1, 1, 0][::-1]


@pytest.mark.parametrize(
    ("ids", "labels", "words"),
    [
        (IDS[:3], LABELS[:3], "it has 4 ids, the data 3, and 3 are the same"),
        ([*IDS, "e"], [*LABELS, "pug"], "4 ids, the data 5"),
        (["a", "b", "c", "x"], LABELS, "3 are the same"),
        (IDS, ["pug", "pug", "boxer", "pug"], "labels have changed"),
    ],
)
def test_a_split_of_other_data_is_refused_with_the_command_that_splits(path, ids, labels, words):
    folds = read_folds(path, competition="dog-breed")
    with pytest.raises(DataError, match=words) as caught:
        folds.for_rows(ids, labels)
    assert caught.value.fix == "runner dog-breed split"
    assert caught.value.where == str(path)


def test_the_error_of_a_missing_split_has_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match="not split yet") as caught:
        read_folds(tmp_path / "folds.csv", competition="planet")
    assert caught.value.fix == "runner planet split"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"id;fold\na;0\n", "semicolons"),
        (b"id\na\n", "first line"),
        (b"id,fold\na,0\n\n", "line 3"),
        (b"id,fold\na,0\nb,one\n", "line 3"),
        (b"id,fold\na,0\nb\n", "line 3"),
        (b"id,fold\na,-2\n", "line 2"),
        (b"id,fold\na,0\na,1\n", "repeats the id 'a'"),
        (b"id,fold\na,-1\nb,-1\n", "numbered"),
        (b"id,fold\na,0\nb,2\n", r"numbered \[0, 2\]"),
        (b"id,fold\n\xff,0\n", "not UTF-8"),
    ],
)
def test_a_damaged_split_is_refused_with_its_line(tmp_path, content, words):
    path = tmp_path / "folds.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_folds(path)


@pytest.mark.parametrize("content", ["{", "{}", '{"format": 2}', '{"rows": 4}'])
def test_damaged_metadata_and_other_formats_are_refused(path, content):
    path.with_suffix(".json").write_text(content)
    with pytest.raises(RunnerError) as caught:
        read_folds(path, competition="planet")
    assert caught.value.where == str(path.with_suffix(".json"))
    assert caught.value.fix == "runner planet split"


def test_a_split_written_by_hand_needs_no_metadata(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_bytes(b"\xef\xbb\xbfid,fold\r\na,0\r\nb,-1\r\n")
    folds = read_folds(path)
    assert folds.for_rows(["b", "a"], ["any", "label"]).tolist() == [TRAIN_ONLY, 0]
    assert folds.metadata == {}


@pytest.mark.parametrize("step", ["write_json", "write_csv"])
def test_after_a_crash_in_writing_there_is_no_split(path, monkeypatch, step):
    """Never folds without their metadata, or with the metadata of an older split."""

    def power_cut(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"runner.data.folds.{step}", power_cut)
    with pytest.raises(KeyboardInterrupt):
        write_folds(path, ["x", "y"], ["pug", "pug"], np.array([0, 1]), {"seed": 1})
    with pytest.raises(DataError, match="not split yet"):
        read_folds(path)


def test_the_rows_of_every_class_are_counted_per_fold():
    targets = np.eye(2)[[0, 0, 1, 1, 1]]
    assert class_counts_per_fold(["boxer", "pug"], targets, np.array([0, 1, -1, 1, 1])) == [
        ClassCounts("boxer", rows=2, valid_per_fold=(1, 1), train_only=0),
        ClassCounts("pug", rows=3, valid_per_fold=(0, 2), train_only=1),
    ]


def test_one_column_counts_as_two_classes():
    counted = class_counts_per_fold(["iceberg"], np.array([[1.0], [0.0], [0.0]]), np.array([0, 0, 1]))
    assert [(each.name, each.valid_per_fold) for each in counted] == [("iceberg", (1, 0)), ("not iceberg", (1, 1))]


def test_a_class_with_fewer_rows_than_folds_is_a_warning():
    targets = np.eye(2)[[0] * 20 + [1] * 3]
    ids, groups = [f"row_{row}" for row in range(23)], [""] * 23
    folds = split_folds(ids, targets, groups, folds=5, seed=0)
    warnings = split_warnings(class_counts_per_fold(["boxer", "pug"], targets, folds), groups, folds)
    assert warnings == ["class 'pug' has 3 rows: 2 folds have none of it"]


def test_a_group_larger_than_a_fold_is_a_warning():
    folds = np.array([0] * 6 + [1, 1])
    warnings = split_warnings([], ["39.2"] * 6 + ["", ""], folds)
    assert warnings == ["group '39.2' has 6 rows, more than the 4 of an even fold: it is not divided"]


def test_an_even_split_has_no_warnings():
    targets = np.eye(2)[[0, 0, 1, 1]]
    folds = np.array([0, 1, 0, 1])
    assert split_warnings(class_counts_per_fold(["a", "b"], targets, folds), ["", "g", "h", ""], folds) == []


def test_of_thousands_of_small_classes_a_few_are_named() -> None:
    classes = [f"c{number}" for number in range(3000)]
    counts = class_counts_per_fold(classes, np.arange(3000), np.arange(3000) % 5)
    warnings = split_warnings(counts, [""] * 3000, np.arange(3000) % 5)
    assert warnings[0] == "class 'c0' has 1 row: 4 folds have none of it"
    assert len(warnings) == 21 and warnings[-1].startswith("2,980 more of 3,000 classes")
