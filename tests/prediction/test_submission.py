"""A submission is written by name, in the sample's order, with every digit, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, Binary, Multiclass, Multilabel
from runner.errors import SubmissionFormatError
from runner.prediction.submission import check_submission, write_submission
from runner.submission_format.check import find_problems
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.submission_format.values import read_submission
from tests.competitions import competition_of

BREEDS = Multiclass(csv="labels.csv", label="breed")
TAGS = Multilabel(csv="train.csv", id="image_name")
CLASSES = ("boxer", "pug", "whippet")


def form_of(folder: Path, labels, header: str, rows: list[str], metric=None) -> SubmissionFormat:
    sample = folder / "sample.csv"
    sample.write_text("\n".join([header, *rows]) + "\n")
    return read_submission_format(competition_of(labels, metric), sample)


@pytest.fixture
def dogs(tmp_path) -> SubmissionFormat:
    return form_of(tmp_path, BREEDS, "id,boxer,pug,whippet", [f"{name},.3,.3,.4" for name in ("z", "a", "m")])


@pytest.fixture
def tiles(tmp_path) -> SubmissionFormat:
    return form_of(tmp_path, TAGS, "image_name,tags", ["t0,clear", "t1,clear"], MEAN_F2)


def test_ids_and_classes_are_written_in_the_order_of_the_sample(dogs, tmp_path):
    values = np.array([[0.5, 0.25, 0.25], [0.125, 0.875, 0.0], [0.0, 0.0, 1.0]])
    path = write_submission(
        dogs, tmp_path / "submission.csv", classes=["whippet", "boxer", "pug"], ids=["a", "z", "m"], values=values
    )
    assert path.read_bytes() == b"id,boxer,pug,whippet\nz,0.875,0.0,0.125\na,0.25,0.25,0.5\nm,0.0,1.0,0.0\n"


def test_a_submission_passes_the_check_and_reads_back_equal(dogs, tmp_path):
    values = np.random.default_rng(0).dirichlet([1, 1, 1], 3)
    path = write_submission(dogs, tmp_path / "submission.csv", classes=CLASSES, ids=dogs.ids, values=values)
    check_submission(dogs, path, CLASSES)
    ids, back = read_submission(dogs, path, classes=CLASSES)
    assert ids == dogs.ids
    assert (back == values).all()


def test_blanks_around_names_in_the_sample_are_kept(tmp_path):
    form = form_of(tmp_path, BREEDS, "id,boxer, pug", ["a ,.5,.5", " b,.5,.5"])
    path = write_submission(
        form, tmp_path / "submission.csv", classes=["pug", "boxer"], ids=["b", "a"], values=np.eye(2)
    )
    assert path.read_text() == "id,boxer, pug\na ,1.0,0.0\n b,0.0,1.0\n"


def test_ids_not_in_the_sample_are_left_out(dogs, tmp_path):
    values = np.full((4, 3), 1 / 3)
    path = write_submission(
        dogs, tmp_path / "submission.csv", classes=CLASSES, ids=["z", "a", "m", "extra"], values=values
    )
    assert "extra" not in path.read_text()


def test_the_id_column_keeps_its_position(tmp_path):
    form = form_of(tmp_path, Binary(csv="y.csv", id="id"), "p,id", ["0.5,a", "0.5,b"])
    path = write_submission(
        form, tmp_path / "submission.csv", classes=["p"], ids=["b", "a"], values=np.array([[0.25], [1.0]])
    )
    assert path.read_text() == "p,id\n1.0,a\n0.25,b\n"


def test_labels_are_joined_by_blanks(tiles, tmp_path):
    path = write_submission(
        tiles,
        tmp_path / "submission.csv",
        classes=["primary", "clear", "water"],
        ids=["t1", "t0"],
        values=np.array([[1, 0, 1], [0, 1, 0]]),
    )
    assert path.read_text() == "image_name,tags\nt0,clear\nt1,primary water\n"


def test_a_single_class_is_written_as_the_likeliest_name(tmp_path):
    form = form_of(tmp_path, BREEDS, "id,breed", ["a,pug", "b,pug"], ACCURACY)
    values = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    path = write_submission(form, tmp_path / "submission.csv", classes=CLASSES, ids=["a", "b"], values=values)
    assert path.read_text() == "id,breed\na,whippet\nb,boxer\n"


def test_an_id_with_a_comma_is_quoted_and_read_back(tmp_path):
    form = form_of(tmp_path, Binary(csv="y.csv"), "id,p", ['"a,b",0.5', "é,0.5"])
    path = write_submission(
        form, tmp_path / "submission.csv", classes=["p"], ids=form.ids, values=np.array([[0.1], [0.2]])
    )
    assert read_submission(form, path, classes=["p"])[0] == ("a,b", "é")


refused = [
    ("a NaN", [[np.nan, 0.5, 0.5]] * 3, CLASSES, ["z", "a", "m"], "is 'nan'"),
    ("an infinity", [[np.inf, 0.5, 0.5]] * 3, CLASSES, ["z", "a", "m"], "is 'inf'"),
    ("logits", [[-3.0, 2.0, 2.0]] * 3, CLASSES, ["z", "a", "m"], "negative"),
    ("rows that do not sum to 1", [[0.5, 0.5, 0.5]] * 3, CLASSES, ["z", "a", "m"], "sum to 1.5"),
    ("a missing id", [[0.5, 0.25, 0.25]] * 2, CLASSES, ["z", "m"], "1 ids of the sample.*no prediction: a"),
    ("an id twice", [[0.5, 0.25, 0.25]] * 4, CLASSES, ["z", "a", "m", "a"], "1 ids are predicted twice"),
    ("other classes", [[0.5, 0.25, 0.25]] * 3, ["boxer", "pug", "corgi"], ["z", "a", "m"], "'corgi'"),
]


@pytest.mark.parametrize(("values", "classes", "ids", "words"), [case[1:] for case in refused])
def test_an_invalid_submission_is_refused_and_the_old_file_kept(dogs, tmp_path, values, classes, ids, words):
    path = tmp_path / "submission.csv"
    path.write_text("the old file")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SubmissionFormatError, match=words):
        write_submission(dogs, path, classes=classes, ids=ids, values=np.array(values))
    assert path.read_text() == "the old file"
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_without_a_label_is_refused_with_its_line(tiles, tmp_path):
    with pytest.raises(SubmissionFormatError, match="line 3: the tag list is empty"):
        write_submission(
            tiles,
            tmp_path / "submission.csv",
            classes=["clear", "water"],
            ids=["t0", "t1"],
            values=np.array([[1, 0], [0, 0]]),
        )
    assert not (tmp_path / "submission.csv").exists()


def test_probabilities_are_refused_as_decisions(tiles, tmp_path):
    with pytest.raises(ValueError, match="decisions"):
        write_submission(
            tiles, tmp_path / "submission.csv", classes=["clear"], ids=["t0", "t1"], values=np.array([[0.9], [0.8]])
        )


def test_values_that_do_not_match_the_ids_are_refused(dogs, tmp_path):
    with pytest.raises(ValueError, match="do not match 3 ids"):
        write_submission(dogs, tmp_path / "submission.csv", classes=CLASSES, ids=dogs.ids, values=np.ones((2, 3)))


def test_the_check_lists_every_problem_and_the_file(dogs, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("id,boxer,pug,whippet\nz,2,0,0\nb,.5,.5,0\n")
    with pytest.raises(SubmissionFormatError) as caught:
        check_submission(dogs, path, CLASSES)
    assert caught.value.where == str(path)
    for problem in find_problems(dogs, path):
        assert str(problem) in str(caught.value)


def test_the_check_suggests_known_labels(tiles, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text("image_name,tags\nt0,clear\nt1,claer\n")
    with pytest.raises(SubmissionFormatError, match="did you mean 'clear'"):
        check_submission(tiles, path, ["clear", "water"])


extreme = st.floats(0, 1) | st.sampled_from([0.0, 5e-324, 1e-300, 1e-16, 1e-15, 1 - 1e-15, 1 - 1e-16, 1.0])


@settings(deadline=None, max_examples=40)
@given(probabilities=st.lists(extreme, min_size=1, max_size=30), seed=st.integers(0, 1000))
def test_writing_a_probability_changes_no_digit_of_its_score(tmp_path_factory, probabilities, seed):
    folder = tmp_path_factory.mktemp("binary")
    values = np.array(probabilities).reshape(-1, 1)
    targets = np.random.default_rng(seed).integers(0, 2, values.shape).astype(float)
    form = form_of(folder, Binary(csv="y.csv"), "id,p", [f"i{row},0.5" for row in range(len(values))])
    path = write_submission(form, folder / "submission.csv", classes=["p"], ids=form.ids, values=values)
    _, back = read_submission(form, path, classes=["p"])
    assert BINARY_LOG_LOSS.score(targets, back) == BINARY_LOG_LOSS.score(targets, values)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 20), spread=st.sampled_from([0.1, 3, 30, 300]))
def test_writing_class_probabilities_changes_no_digit_of_their_score(tmp_path_factory, seed, rows, spread):
    folder, classes = tmp_path_factory.mktemp("classes"), [f"breed_{number}" for number in range(120)]
    random = np.random.default_rng(seed)
    logits = random.normal(scale=spread, size=(rows, 120)).astype(np.float32)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    values = powers / powers.sum(axis=1, keepdims=True)  # in single precision, as a network gives them
    sample = [f"i{row}" + ",0.5" * 120 for row in range(rows)]
    form = form_of(folder, BREEDS, ",".join(["id", *classes]), sample)
    path = write_submission(form, folder / "submission.csv", classes=classes, ids=form.ids, values=values)
    _, back = read_submission(form, path, classes=classes)
    targets = np.eye(120)[random.integers(0, 120, rows)]
    assert LOG_LOSS.score(targets, back) == LOG_LOSS.score(targets, values)
