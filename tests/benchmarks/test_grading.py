"""Submissions are graded by the hidden labels alike, whatever form they have."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.grading import grade, read_labels
from tests.builders import write_csv


def test_a_submission_that_names_classes_is_graded_by_right_answers(tmp_path: Path) -> None:
    submission = write_csv(tmp_path / "submission.csv", ("id", "label"), [("2", "cat"), ("1", "dog"), ("3", "frog")])
    graded = grade({"1": "dog", "2": "frog", "3": "frog"}, submission)
    assert graded.losses is None
    assert graded.values.tolist() == [0, 1, 1]  # in the order of the submission
    assert graded.scores() == pytest.approx({"accuracy": 2 / 3, "accuracy, standard error": 1 / 3})


def test_one_column_is_the_probability_of_the_last_class_by_name(tmp_path: Path) -> None:
    submission = write_csv(tmp_path / "submission.csv", ("id", "label"), [("1", 0.8), ("2", 0.4)])
    graded = grade({"1": "1", "2": "0"}, submission)
    assert graded.values.tolist() == pytest.approx([-math.log(0.8), -math.log(0.6)])


def test_a_certain_answer_that_is_wrong_has_a_finite_loss(tmp_path: Path) -> None:
    submission = write_csv(tmp_path / "submission.csv", ("id", "a", "b"), [("1", 1, 0), ("2", 1, 0)])
    graded = grade({"1": "b", "2": "a"}, submission)
    assert graded.values.tolist() == pytest.approx([-math.log(1e-15), 0])


def test_a_row_too_few_is_no_submission(tmp_path: Path) -> None:
    submission = write_csv(tmp_path / "submission.csv", ("id", "a", "b"), [("1", 1, 0)])
    with pytest.raises(ValueError, match=r"has 1 rows, and 2 are hidden"):
        grade({"1": "b", "2": "a"}, submission)


def test_a_folder_without_a_solution_has_no_labels(tmp_path: Path) -> None:
    assert read_labels(tmp_path) == {}
    write_csv(tmp_path / "test_solution.csv", ("id", "label", "usage"), [("1", "a", "Public")])
    assert read_labels(tmp_path) == {"1": "a"}
