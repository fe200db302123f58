"""Members are read from their files: folds joined, rows matched by id, classes by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from runner.errors import DamagedFileError, RunnerError
from runner.prediction.averaging import Mean
from runner.prediction.out_of_fold import (
    Member,
    OofTargets,
    common_ids,
    read_member_predictions,
    read_oof_targets,
    write_oof_targets,
)
from runner.prediction.postprocess import Postprocess
from runner.prediction.predictions import Predictions, write_predictions
from tests.prediction.conftest import BINARY, draw_rows, outputs


def write(path, ids: str, classes: str, values: list[list[float]]):
    write_predictions(path, Predictions(tuple(ids), tuple(classes), np.array(values)))
    return path


def test_folds_are_joined_and_rows_and_classes_matched_by_name(tmp_path):
    one = Member(
        "one",
        (
            write(tmp_path / "1.npz", "ba", "xy", [[0.1, 0.9], [0.2, 0.8]]),
            write(tmp_path / "2.npz", "c", "xy", [[0.3, 0.7]]),
        ),
    )
    two = Member("two", (write(tmp_path / "3.npz", "cab", "yx", [[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]]),))
    ids = common_ids([one, two])
    stack = read_member_predictions([one, two], ids, ("x", "y"), outputs=outputs(True))
    assert ids == ("a", "b", "c")
    assert stack.dtype == np.float32
    np.testing.assert_allclose(stack[0, :, 0], [0.2, 0.1, 0.3])
    np.testing.assert_allclose(stack[1, :, 0], [0.5, 0.4, 0.6])


def test_a_row_that_two_folds_have_predicted_is_their_mean(tmp_path):
    files = (
        write(tmp_path / "1.npz", "ab", "xy", [[0.1, 0.9], [0.2, 0.8]]),
        write(tmp_path / "2.npz", "cb", "yx", [[0.3, 0.7], [0.4, 0.6]]),
    )
    stack = read_member_predictions([Member("one", files)], ("a", "b", "c"), ("x", "y"), outputs=outputs(True))
    np.testing.assert_allclose(stack[0], [[0.1, 0.9], [0.4, 0.6], [0.7, 0.3]], rtol=1e-6)


def test_only_rows_predicted_by_every_member_are_read(tmp_path):
    one = Member("one", (write(tmp_path / "1.npz", "abc", "x", [[0.1], [0.2], [0.3]]),))
    two = Member("two", (write(tmp_path / "2.npz", "cd", "x", [[0.4], [0.5]]),))
    ids = common_ids([one, two])
    stack = read_member_predictions([one, two], ids, ("x",), outputs=outputs(True))
    assert ids == ("c",)
    np.testing.assert_allclose(stack[:, 0, 0], [0.3, 0.4])


def test_members_without_common_rows_or_classes_are_refused(tmp_path):
    one = Member("one", (write(tmp_path / "1.npz", "a", "x", [[0.1]]),))
    two = Member("two", (write(tmp_path / "2.npz", "b", "x", [[0.1]]),))
    three = Member("three", (write(tmp_path / "3.npz", "a", "z", [[0.1]]),))
    with pytest.raises(RunnerError, match="no validation row is predicted by all of one, two"):
        common_ids([one, two])
    with pytest.raises(RunnerError, match="1 classes cannot be averaged"):
        read_member_predictions([one, three], ("a",), ("x",), outputs=outputs(True))


def test_class_numbers_are_the_same_targets_as_the_one_hot_rows_of_an_earlier_version(tmp_path):
    numbers = OofTargets(("a", "b", "c"), ("x", "y"), np.array([0, 1, 1]), ("", "", ""))
    one_hot = OofTargets(("c", "a", "b"), ("y", "x"), np.array([[1.0, 0], [0, 1], [1, 0]]), ("", "", ""))
    assert numbers.are_those_of(one_hot) and one_hot.are_those_of(numbers)
    assert not replace(numbers, targets=np.array([0, 1, 0])).are_those_of(one_hot)
    write_oof_targets(tmp_path / "targets.npz", replace(numbers, targets=np.array([0, 2, 1])))
    with pytest.raises(DamagedFileError, match="not the numbers of 2 classes"):
        read_oof_targets(tmp_path / "targets.npz")


def test_test_rows_are_predicted_some_at_a_time_in_the_given_order(tmp_path):
    member = Member(
        "one",
        (),
        (
            write(tmp_path / "1.npz", "ab", "xy", [[0.1, 0.9], [0.2, 0.8]]),
            write(tmp_path / "2.npz", "ba", "yx", [[0.3, 0.7], [0.4, 0.6]]),
        ),
    )
    postprocess = Postprocess(("one",), (1.0,), Mean.ARITHMETIC, outputs(True))
    predict = postprocess.predict_test([member], ("a", "b"), ("x", "y"))
    np.testing.assert_allclose(predict([0, 1]), [[0.35, 0.65], [0.45, 0.55]], rtol=1e-6)
    np.testing.assert_allclose(predict([1]), [[0.45, 0.55]], rtol=1e-6)
    with pytest.raises(RunnerError, match="1 rows have no prediction: c"):
        postprocess.predict_test([member], ("a", "c"), ("x", "y"))([0, 1])


def test_rows_with_inconsistent_shapes_or_ids_are_refused():
    rows = draw_rows(BINARY, rows=30)
    with pytest.raises(ValueError, match="shapes"):
        replace(rows, targets=rows.targets[:20])
    with pytest.raises(ValueError, match="an id of its own"):
        replace(rows, ids=("same",) * 30)


def test_targets_come_back_equal_from_their_file_and_are_taken_by_name(tmp_path):
    targets = OofTargets(("a", "b"), ("x", "y"), np.array([[1.0, 0.0], [0.0, 1.0]]), ("", "scene"))
    write_oof_targets(tmp_path / "oof_targets.npz", targets)
    stored = read_oof_targets(tmp_path / "oof_targets.npz")
    assert (stored.ids, stored.classes, stored.groups) == (targets.ids, targets.classes, targets.groups)
    values, groups = stored.take(["b"], ["y", "x"])
    assert values.tolist() == [[1.0, 0.0]] and groups == ("scene",)
