"""folds.csv keeps a split, notices that the data changed, and tells what a person should know of it."""

from __future__ import annotations

import numpy as np
import pytest

from runner.data.folds import ClassCounts, count_classes, digest, read_folds, remarks, write_folds
from runner.data.splits import TRAIN_ONLY, split_folds
from runner.errors import DataError

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
    assert folds.facts == {
        "kind": "folds",
        "folds": 2,
        "seed": 42,
        "rows": 4,
        "sha256": digest(IDS, LABELS),
    }


def test_the_file_is_a_plain_table(path):
    assert path.read_bytes() == b"id,fold\na,0\nb,1\nc,1\nd,0\n"


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
def test_data_that_changed_is_refused_with_the_command_that_splits_anew(path, ids, labels, words):
    folds = read_folds(path, competition="dog-breed")
    with pytest.raises(DataError, match=words) as caught:
        folds.for_rows(ids, labels)
    assert caught.value.fix == "runner dog-breed split"
    assert caught.value.where == str(path)


def test_a_missing_split_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError, match="not split yet") as caught:
        read_folds(tmp_path / "folds.csv", competition="planet")
    assert caught.value.fix == "runner planet split"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "first line"),
        (b"id;fold\na;0\n", "first line"),
        (b"id,fold\na,0\nb,one\n", "line 3"),
        (b"id,fold\na,0\nb\n", "line 3"),
        (b"id,fold\na,-2\n", "line 2"),
        (b"id,fold\na,0\na,1\n", "'a' again"),
        (b"id,fold\na,-1\nb,-1\n", "numbered"),
        (b"id,fold\na,0\nb,2\n", r"numbered \[0, 2\]"),
        (b"id,fold\n\xff,0\n", "utf-8"),
    ],
)
def test_a_broken_split_is_refused_with_its_line(tmp_path, content, words):
    path = tmp_path / "folds.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_folds(path)


def test_a_broken_sidecar_is_refused(path):
    path.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_folds(path)


def test_a_split_that_a_person_wrote_needs_no_sidecar(tmp_path):
    path = tmp_path / "folds.csv"
    path.write_bytes(b"\xef\xbb\xbfid,fold\r\na,0\r\nb,-1\r\n")
    folds = read_folds(path)
    assert folds.for_rows(["b", "a"], ["any", "label"]).tolist() == [TRAIN_ONLY, 0]
    assert folds.facts == {}


@pytest.mark.parametrize("step", ["write_json", "atomic_path"])
def test_a_split_that_a_crash_broke_off_is_no_split(path, monkeypatch, step):
    """Never rows without their facts, or with the facts of an older split."""

    def power_cut(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"runner.data.folds.{step}", power_cut)
    with pytest.raises(KeyboardInterrupt):
        write_folds(path, ["x", "y"], ["pug", "pug"], np.array([0, 1]), {"seed": 1})
    with pytest.raises(DataError, match="not split yet"):
        read_folds(path)


def test_every_class_is_counted_in_every_fold_and_outside():
    targets = np.eye(2)[[0, 0, 1, 1, 1]]
    assert count_classes(["boxer", "pug"], targets, np.array([0, 1, -1, 1, 1])) == [
        ClassCounts("boxer", rows=2, held_out=(1, 1), never=0),
        ClassCounts("pug", rows=3, held_out=(0, 2), never=1),
    ]


def test_one_column_counts_the_thing_and_its_absence():
    counted = count_classes(["iceberg"], np.array([[1.0], [0.0], [0.0]]), np.array([0, 0, 1]))
    assert [(each.name, each.held_out) for each in counted] == [("iceberg", (1, 0)), ("not iceberg", (1, 1))]


def test_a_class_too_thin_for_the_folds_is_said():
    targets = np.eye(2)[[0] * 20 + [1] * 3]
    ids, alone = [f"row_{row}" for row in range(23)], [""] * 23
    folds = split_folds(ids, targets, alone, folds=5, seed=0)
    said = remarks(count_classes(["boxer", "pug"], targets, folds), alone, folds)
    assert said == ["class 'pug' has 3 rows: 2 folds have none of it"]


def test_a_group_larger_than_a_fold_is_said():
    folds = np.array([0] * 6 + [1, 1])
    said = remarks([], ["39.2"] * 6 + ["", ""], folds)
    assert said == ["group '39.2' has 6 rows, more than an even fold's 4: it is kept whole"]


def test_a_split_with_nothing_odd_needs_no_remark():
    targets = np.eye(2)[[0, 0, 1, 1]]
    folds = np.array([0, 1, 0, 1])
    assert remarks(count_classes(["a", "b"], targets, folds), ["", "g", "h", ""], folds) == []
