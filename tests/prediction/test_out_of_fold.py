"""Members come from their files: folds together, rows by id, classes by name."""

from __future__ import annotations

import numpy as np
import pytest

from runner.errors import RunnerError
from runner.prediction.out_of_fold import Member, read_members, read_test
from runner.prediction.predictions import Predictions, write_predictions


def write(path, ids: str, classes: str, values: list[list[float]]):
    write_predictions(path, Predictions(tuple(ids), tuple(classes), np.array(values)))
    return path


def test_folds_are_put_together_and_rows_and_classes_matched_by_name(tmp_path):
    one = Member(
        "one",
        (
            write(tmp_path / "1.npz", "ba", "xy", [[0.1, 0.9], [0.2, 0.8]]),
            write(tmp_path / "2.npz", "c", "xy", [[0.3, 0.7]]),
        ),
    )
    two = Member("two", (write(tmp_path / "3.npz", "cab", "yx", [[0.4, 0.6], [0.5, 0.5], [0.6, 0.4]]),))
    ids, classes, stack = read_members([one, two])
    assert (ids, classes) == (("a", "b", "c"), ("x", "y"))
    assert stack.dtype == np.float32
    np.testing.assert_allclose(stack[0, :, 0], [0.2, 0.1, 0.3])
    np.testing.assert_allclose(stack[1, :, 0], [0.5, 0.4, 0.6])


def test_only_rows_that_every_member_has_predicted_are_kept(tmp_path):
    one = Member("one", (write(tmp_path / "1.npz", "abc", "x", [[0.1], [0.2], [0.3]]),))
    two = Member("two", (write(tmp_path / "2.npz", "cd", "x", [[0.4], [0.5]]),))
    ids, _, stack = read_members([one, two])
    assert ids == ("c",)
    np.testing.assert_allclose(stack[:, 0, 0], [0.3, 0.4])


def test_members_without_a_common_row_or_with_other_classes_are_refused(tmp_path):
    one = Member("one", (write(tmp_path / "1.npz", "a", "x", [[0.1]]),))
    two = Member("two", (write(tmp_path / "2.npz", "b", "x", [[0.1]]),))
    three = Member("three", (write(tmp_path / "3.npz", "a", "z", [[0.1]]),))
    with pytest.raises(RunnerError, match="no held-out row is predicted by all of one, two"):
        read_members([one, two])
    with pytest.raises(RunnerError, match="1 classes cannot be averaged"):
        read_members([one, three])


def test_test_rows_come_a_fold_at_a_time_in_the_order_asked(tmp_path):
    member = Member(
        "one",
        (),
        (
            write(tmp_path / "1.npz", "ab", "xy", [[0.1, 0.9], [0.2, 0.8]]),
            write(tmp_path / "2.npz", "ba", "yx", [[0.3, 0.7], [0.4, 0.6]]),
        ),
    )
    first, second = read_test(member, ("a", "b"), ("x", "y"))
    np.testing.assert_allclose(first, [[0.1, 0.9], [0.2, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(second, [[0.6, 0.4], [0.7, 0.3]], rtol=1e-6)
    with pytest.raises(RunnerError, match="1 rows have no prediction: c"):
        list(read_test(member, ("a", "c"), ("x", "y")))
