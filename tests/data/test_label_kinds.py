"""Labels of every kind, in the layouts of real competitions: the text that the index keeps, and the targets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import (
    ACCURACY,
    BINARY_LOG_LOSS,
    LOG_LOSS,
    MEAN_COLUMNWISE_AUC,
    MEAN_F1,
    NO_FLIP,
    RMSE,
    ROC_AUC,
    Binary,
    Coco,
    Competition,
    Labels,
    Metric,
    Multiclass,
    Multilabel,
    Ordinal,
    Regression,
    SeveralTargets,
    weighted_recall,
)
from runner.data.index import Index, build_index
from runner.data.splits import SplitPlan, write_split
from runner.data.tabular import read_tabular
from runner.problems import Problem, ProblemsError

METRICS: dict[type, Metric] = {
    Multiclass: LOG_LOSS,
    Ordinal: ACCURACY,
    Multilabel: MEAN_COLUMNWISE_AUC,
    Binary: ROC_AUC,
    Regression: RMSE,
}


def competition(labels: Labels, **fields: Any) -> Competition:
    """A competition with these labels; its files have the usual names."""
    usual: dict[str, Any] = {
        "train_images": "train/{id}.png",
        "test_images": "test/{id}.png",
        "sample_submission": "sample_submission.csv",
        "metric": METRICS.get(type(labels), LOG_LOSS),
    }
    return Competition(slug="some", title="Some", labels=labels, preset=NO_FLIP, name="some", **{**usual, **fields})


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def touch(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        write(folder, name, "")


def build(folder: Path, labels: Labels, table: str, sample: str = "id,label\nt,0\n", **fields: Any) -> Index:
    """The index of train.csv with this text; the images are those of its first column."""
    write(folder, "train.csv", table)
    write(folder, "sample_submission.csv", sample)
    ids = [line.split(",")[0] for line in table.splitlines()[1:]]
    touch(folder, [f"train/{id}.png" for id in ids if id] + ["test/t.png"])
    return build_index(competition(labels, **fields), folder)


def errors(folder: Path, labels: Labels, table: str, sample: str = "id,label\nt,0\n") -> list[Problem]:
    with pytest.raises(ProblemsError) as caught:
        build(folder, labels, table, sample)
    return list(caught.value.problems)


def labels_of(index: Index) -> list[str]:
    return list(index.train["label"])


# Columns of classes


ONE_HOT = Multiclass(csv="train.csv", columns=("healthy", "rust", "scab"))


def test_a_column_a_class_is_one_class(tmp_path: Path) -> None:
    table = "id,healthy,rust,scab\na,0,1,0\nb,1,0,0\nc,0.0,0,1.0\n"
    index = build(tmp_path, ONE_HOT, table, "id,healthy,rust,scab\nt,0.25,0.25,0.25\n")
    assert labels_of(index) == ["rust", "healthy", "scab"]
    assert index.classes == ONE_HOT.columns
    assert index.targets().tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("1,1,0", "not one class", "'b' has 2 classes (healthy, rust), not one"),
        ("0,0,0", "not one class", "'b' has no class, not one"),
        ("0,0.5,0.5", "label not 0 or 1", "'b' has the rust '0.5', not 0 or 1"),
        ("0,,1", "label not 0 or 1", "'b' has the rust blank, not 0 or 1"),
    ],
)
def test_a_row_without_exactly_one_class_is_an_error(tmp_path: Path, row: str, kind: str, words: str) -> None:
    table = f"id,healthy,rust,scab\na,0,1,0\nb,{row}\nc,1,0,0\n"
    (error,) = errors(tmp_path, ONE_HOT, table, "id,healthy,rust,scab\nt,0.25,0.25,0.25\n")
    assert (error.kind, error.message, error.place) == (kind, words, "train.csv:3")


def test_votes_are_shares(tmp_path: Path) -> None:
    labels = Multiclass(csv="train.csv", columns=("seizure_vote", "lpd_vote"), soft=True)
    table = "id,seizure_vote,lpd_vote\na,3,1\nb,0,2\nc,1,1\n"
    index = build(tmp_path, labels, table, "id,seizure_vote,lpd_vote\nt,0.5,0.5\n")
    assert index.targets().tolist() == [[0.75, 0.25], [0, 1], [0.5, 0.5]]
    assert index.strata().members.tolist() == [0, 1, 0]


@pytest.mark.parametrize("row", ["0,0", "-1,2", "x,1"])
def test_votes_that_are_none_are_an_error(tmp_path: Path, row: str) -> None:
    labels = Multiclass(csv="train.csv", columns=("p", "q"), soft=True)
    (error,) = errors(tmp_path, labels, f"id,p,q\na,1,0\nb,{row}\n", "id,p,q\nt,0.5,0.5\n")
    assert (error.kind, error.place) == ("not a share", "train.csv:3")


# Columns and lists of tags


def test_columns_of_0_and_1_are_tags_and_a_row_may_have_none(tmp_path: Path) -> None:
    labels = Multilabel(csv="train.csv", columns=("ETT - Normal", "NGT*"), group="PatientID")
    table = "id,ETT - Normal,NGT - Bad,NGT - Good,PatientID\na,1,0,1,p\nb,0,0,0,q\nc,0,1,0,p\n"
    index = build(tmp_path, labels, table, "id,ETT - Normal,NGT - Bad,NGT - Good\nt,0,0,0\n")
    assert index.classes == ("ETT - Normal", "NGT - Bad", "NGT - Good")
    assert index.targets().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert list(index.train["group"]) == ["p", "q", "p"]


@pytest.mark.parametrize("cell", ["", "0.5", "yes"])
def test_a_cell_that_is_neither_0_nor_1_is_an_error(tmp_path: Path, cell: str) -> None:
    labels = Multilabel(csv="train.csv", columns=("x", "y"))
    (error,) = errors(tmp_path, labels, f"id,x,y\na,1,0\nb,{cell},1\n", "id,x,y\nt,0,0\n")
    assert (error.kind, error.place) == ("label not 0 or 1", "train.csv:3")


def test_tags_between_commas(tmp_path: Path) -> None:
    labels = Multilabel(csv="train.csv", sep=",")
    table = 'id,tags\na,"Bark,Male speech"\nb,"Male speech, Bark,Bark"\nc,Bark\n'
    index = build(tmp_path, labels, table, "id,Bark,Male speech\nt,0,0\n")
    assert labels_of(index) == ["Bark,Male speech", "Male speech,Bark", "Bark"]
    assert index.classes == ("Bark", "Male speech")
    assert index.targets().tolist() == [[1, 1], [1, 1], [1, 0]]


def test_a_list_may_be_empty_if_the_competition_says_so(tmp_path: Path) -> None:
    table, sample = "id,tags\na,1 2\nb,\nc,2\n", "id,1,2\nt,0,0\n"
    index = build(tmp_path, Multilabel(csv="train.csv", may_be_empty=True), table, sample)
    assert index.targets().sum(axis=1).tolist() == [2, 0, 1]
    (error,) = errors(tmp_path, Multilabel(csv="train.csv"), table, sample)
    assert (error.kind, error.place) == ("empty label", "train.csv:3")


# One column


def test_words_that_are_positive(tmp_path: Path) -> None:
    labels = Binary(csv="train.csv", label="kind", positive=("malignant", "unsure"))
    index = build(tmp_path, labels, "id,kind\na,benign\nb,malignant\nc,unsure\n")
    assert (labels_of(index), index.classes) == (["0", "1", "1"], ("kind",))


def test_a_word_that_no_row_has_is_an_error(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, Binary(csv="train.csv", positive="Malignant"), "id,label\na,benign\nb,malignant\n")
    assert error.kind == "one class only" and "positive" in str(error.fix)


def test_grades_are_whole_numbers(tmp_path: Path) -> None:
    index = build(tmp_path, Ordinal(csv="train.csv", grades=4), "id,label\na,0\nb,2.0\nc,3\n")
    assert (labels_of(index), index.classes) == (["0", "2", "3"], ("0", "1", "2", "3"))
    assert index.targets().tolist() == [0, 2, 3]


@pytest.mark.parametrize("cell", ["4", "-1", "1.5", "mild"])
def test_a_grade_out_of_range_is_an_error_with_its_line(tmp_path: Path, cell: str) -> None:
    (error,) = errors(tmp_path, Ordinal(csv="train.csv", grades=4), f"id,label\na,0\nb,1\nc,{cell}\n")
    assert (error.kind, error.place) == ("not a grade", "train.csv:4")
    assert error.message == f"'c' is {cell!r}, not a grade from 0 to 3"


def test_a_blank_label_among_many_is_a_warning_and_left_out(tmp_path: Path) -> None:
    table = "id,label\n" + "".join(f"i{n},{'' if n == 7 else n % 3}\n" for n in range(120))
    index = build(tmp_path, Ordinal(csv="train.csv", grades=3), table)
    assert len(index.train) == 119
    assert ("empty label", "train.csv:9") in [(problem.kind, problem.place) for problem in index.problems]


def test_many_blank_labels_are_errors(tmp_path: Path) -> None:
    table = "id,label\n" + "".join(f"i{n},{'' if n < 7 else n % 3}\n" for n in range(120))
    error = next(error for error in errors(tmp_path, Ordinal(csv="train.csv", grades=3), table) if error.more)
    assert (error.kind, error.more) == ("empty label", 2)


# Numbers


def test_a_blank_number_is_not_known(tmp_path: Path) -> None:
    labels = Regression(csv="train.csv", columns=("left_*", "nose"), low=0, high=96)
    table = "id,left_x,left_y,nose\na,66.03,39,\nb,,NA,12.5\nc,1,2,3\n"
    index = build(tmp_path, labels, table, "id,left_x,left_y,nose\nt,0,0,0\n")
    assert index.classes == ("left_x", "left_y", "nose")
    assert labels_of(index) == ["66.03|39|", "||12.5", "1|2|3"]
    np.testing.assert_allclose(index.targets(), [[66.03, 39, np.nan], [np.nan, np.nan, 12.5], [1, 2, 3]], rtol=1e-6)


@pytest.mark.parametrize(
    ("cell", "kind"), [("101", "number out of bounds"), ("0", "number out of bounds"), ("x", "not a number")]
)
def test_a_number_out_of_bounds_is_an_error(tmp_path: Path, cell: str, kind: str) -> None:
    labels = Regression(csv="train.csv", label="Pawpularity", low=1, high=100)
    (error,) = errors(tmp_path, labels, f"id,Pawpularity\na,63\nb,{cell}\n")
    assert (error.kind, error.place) == (kind, "train.csv:3")


def test_numbers_are_split_by_their_ranges(tmp_path: Path) -> None:
    table = "id,y\n" + "".join(f"i{n},{n * n}\n" for n in range(100))
    index = build(tmp_path, Regression(csv="train.csv", label="y"), table)
    counts = write_split(index, SplitPlan(folds=5), tmp_path / "folds.csv")
    assert [count.rows for count in counts] == [10] * 10
    assert all(count.valid_per_fold == (2,) * 5 for count in counts)
    assert counts[0].name == "y 0 to 98.1"


def test_a_number_that_is_seldom_known_is_split_too(tmp_path: Path) -> None:
    table = "id,y,z\n" + "".join(f"i{n},{n if n % 4 == 0 else ''},{n}\n" for n in range(80))
    index = build(tmp_path, Regression(csv="train.csv", columns=("y", "z")), table, "id,y,z\nt,0,0\n")
    counts = write_split(index, SplitPlan(folds=4), tmp_path / "folds.csv")
    assert (counts[-1].name, counts[-1].valid_per_fold) == ("no y", (15,) * 4)


# Columns that the sample submission does not ask for


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (Multilabel(csv="train.csv", columns=("tube *", "line")), ["tube b", "", "tube b|line"]),
        (Regression(csv="train.csv", columns=("tube *", "line")), ["1|0", "0|0", "1|1"]),
    ],
)
def test_label_columns_that_are_not_asked_for_are_left_out_and_told(
    tmp_path: Path, labels: Labels, texts: list[str]
) -> None:
    table = "id,tube a,tube b,line\nx,1,1,0\ny,1,0,0\nz,0,1,1\n"
    index = build(tmp_path, labels, table, "id,line,tube b\nt,0,0\n")
    assert index.classes == ("tube b", "line")
    assert labels_of(index) == texts
    assert index.targets().tolist() == [[1, 0], [0, 0], [1, 1]]
    (warning,) = index.problems
    assert (warning.kind, warning.file) == ("label column that is not asked for", "train.csv")
    assert warning.message == "the sample submission asks for 2 of 3 label columns; left out: 'tube a'"


def test_no_class_that_shares_its_row_with_others_is_left_out(tmp_path: Path) -> None:
    table = "id,pug,boxer,beagle\nx,1,0,0\ny,0,1,0\nz,0,0,1\n"
    labels = Multiclass(csv="train.csv", columns=("pug", "boxer", "beagle"))
    (error,) = errors(tmp_path, labels, table, "id,pug,boxer\nt,0.5,0.5\n")
    assert error.message == "it asks for 2 columns, and the labels have 3; not asked for: beagle"


# Several targets


SEVERAL = SeveralTargets(
    Multiclass(csv="train.csv", label="root", classes=("0", "1", "2")),
    Multiclass(csv="train.csv", label="vowel", classes=("0", "1")),
)


def test_several_targets_are_blocks_of_columns(tmp_path: Path) -> None:
    recall = weighted_recall(2, 1, sizes=(3, 2))
    fields = {"submission_rows": "{id}_{column}", "metric": recall}
    write(tmp_path, "train.csv", "id,root,vowel\na,2,0\nb,0,1\nc,1,1\n")
    write(tmp_path, "sample_submission.csv", "row_id,target\nt_vowel,0\nt_root,0\n")
    touch(tmp_path, [*(f"train/{id}.png" for id in "abc"), "test/t.png"])
    index = build_index(competition(SEVERAL, **fields), tmp_path)
    assert list(index.test["id"]) == ["t"]
    assert index.classes == ("root 0", "root 1", "root 2", "vowel 0", "vowel 1")
    assert index.targets().tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1], [0, 1, 0, 0, 1]]
    write(tmp_path, "train.csv", "id,root,vowel\na,2,0\nb,3,1\nc,1,1\n")
    with pytest.raises(ProblemsError, match="'b' has the root '3', which is not among the classes"):
        build_index(competition(SEVERAL, **fields), tmp_path)


# Names of files


@pytest.mark.parametrize("template", ["train/{label}.{id}.jpg", "train/{label}/{id}.jpg"])
def test_the_name_of_a_file_says_whether_it_is_positive(tmp_path: Path, template: str) -> None:
    write(tmp_path, "sample_submission.csv", "id,label\n1,0.5\n")
    names = [template.format(label=label, id=id) for label, id in (("cat", 0), ("cat", 1), ("dog", "0.x"))]
    touch(tmp_path, [*names, "test/1.jpg"])
    labels = Binary(positive="dog", group="*/{name}")
    some = competition(labels, train_images=template, test_images="test/{id}.jpg", metric=BINARY_LOG_LOSS)
    index = build_index(some, tmp_path)
    assert dict(zip(index.train["id"], labels_of(index), strict=True)) == {"cat/0": "0", "cat/1": "0", "dog/0.x": "1"}
    assert sorted(index.train["group"]) == ["0", "0.x", "1"]


# Long tables, ids of columns, groups in the id


LONG = Multilabel(csv="train.csv", id="ID", label="Label", rows="{id}_{column}", columns=("any", "sub_dural"))


def test_a_table_with_a_row_per_id_and_column(tmp_path: Path) -> None:
    rows = "ID_a_sub_dural,1\nID_a_any,1\nID_b_any,0\nID_b_sub_dural,0\nID_b_any,0\n"
    write(tmp_path, "train.csv", "ID,Label\n" + rows)
    write(tmp_path, "sample_submission.csv", "ID,any,sub_dural\nt,0,0\n")
    touch(tmp_path, ["train/ID_a.png", "train/ID_b.png", "test/t.png"])
    index = build_index(competition(LONG), tmp_path)
    assert (list(index.train["id"]), labels_of(index)) == (["ID_a", "ID_b"], ["any|sub_dural", ""])
    assert [(problem.kind, problem.place) for problem in index.problems] == [("duplicate id", "train.csv:6")]


@pytest.mark.parametrize(
    ("rows", "kind", "place"),
    [
        ("ID_a_any,1\nID_b_any,0\nID_b_sub_dural,0\n", "missing row", "train.csv:2"),
        ("ID_a_any,1\nID_a_sub_dural,0\nID_a_any,0\n", "two labels for one id", "train.csv:4"),
        ("ID_a_any,1\nID_a_sub_dural,0\nID_a_epidural,0\n", "id of another form", "train.csv:4"),
    ],
)
def test_a_long_table_that_is_not_whole_is_an_error(tmp_path: Path, rows: str, kind: str, place: str) -> None:
    write(tmp_path, "train.csv", "ID,Label\n" + rows)
    write(tmp_path, "sample_submission.csv", "ID,any,sub_dural\nt,0,0\n")
    touch(tmp_path, ["train/ID_a.png", "train/ID_b.png", "test/t.png"])
    with pytest.raises(ProblemsError) as caught:
        build_index(competition(LONG), tmp_path)
    assert (kind, place) in [(problem.kind, problem.place) for problem in caught.value.problems]


@pytest.fixture
def breasts(tmp_path: Path) -> Path:
    """Two images a breast, patients with two breasts; the test rows have a table."""
    rows = "".join(f"p{p},{p}{side}{n},{side},{int(p == 1)}\n" for p in range(3) for side in "LR" for n in (1, 2))
    write(tmp_path, "train.csv", "patient_id,image_id,side,cancer\n" + rows)
    write(tmp_path, "test.csv", "patient_id,image_id,side,prediction_id\np9,9L1,L,p9_L\np9,9L2,L,p9_L\np9,9R1,R,p9_R\n")
    write(tmp_path, "sample_submission.csv", "prediction_id,cancer\np9_R,0\np9_L,0\n")
    touch(tmp_path, [f"train/p{p}/{p}{side}{n}.png" for p in range(3) for side in "LR" for n in (1, 2)])
    touch(tmp_path, [f"test/p9/{name}.png" for name in ("9L1", "9L2", "9R1")])
    return tmp_path


BREASTS = competition(
    Binary(csv="train.csv", id="{patient_id}_{side}", label="cancer", group="patient_id"),
    train_images="train/{patient_id}/{image_id}.png",
    test_images="test/{patient_id}/{image_id}.png",
    test_csv="test.csv",
)


def test_an_id_of_columns_has_several_images(breasts: Path) -> None:
    index = build_index(BREASTS, breasts)
    assert index.problems == ()
    assert list(index.train["id"])[:5] == ["p0_L", "p0_L", "p0_R", "p0_R", "p1_L"]
    assert list(index.test["path"]) == ["test/p9/9R1.png", "test/p9/9L1.png", "test/p9/9L2.png"]
    assert list(index.test["id"]) == ["p9_R", "p9_L", "p9_L"]
    counts = write_split(index, SplitPlan(folds=3), breasts / "folds.csv")
    folds = dict(line.split(",") for line in (breasts / "folds.csv").read_text().split())
    assert len(folds) == 7 and counts[0].rows == 4  # the header, and six breasts
    assert all(folds[f"p{p}_L"] == folds[f"p{p}_R"] for p in range(3))


def test_two_labels_or_groups_of_one_id_are_errors(breasts: Path) -> None:
    text = (breasts / "train.csv").read_text()
    (breasts / "train.csv").write_text(text.replace("p1,1L2,L,1", "p1,1L2,L,0"))
    with pytest.raises(ProblemsError, match=r"'p1_L' is on line 6 already, with another label"):
        build_index(BREASTS, breasts)


def test_a_test_id_that_the_test_table_lacks_is_an_error(breasts: Path) -> None:
    write(breasts, "sample_submission.csv", "prediction_id,cancer\np9_R,0\np8_L,0\n")
    with pytest.raises(ProblemsError, match=r"sample_submission.csv:3: 'p8_L' is not among the ids of test.csv"):
        build_index(BREASTS, breasts)


def test_a_group_is_a_part_of_the_id(tmp_path: Path) -> None:
    labels = Ordinal(csv="train.csv", id="image", label="level", group="{patient}_*")
    table = "image,level\n10_left,0\n10_right,1\n13_left,2\n"
    index = build(tmp_path, labels, table, "image,level\nt,0\n")
    assert list(index.train["group"]) == ["10", "10", "13"]
    (error,) = errors(tmp_path, labels, table.replace("13_left", "13left"), "image,level\nt,0\n")
    assert (error.kind, error.place) == ("id of another form", "train.csv:4")


# Names of images


def test_a_path_has_any_column_of_the_row_and_its_characters(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "image,chain,hotel\nabc.jpg,7,1\nxyz.jpg,9,2\n")
    write(tmp_path, "sample_submission.csv", "image,hotel\nt.jpg,1\n")
    touch(tmp_path, ["train/7/a/abc.jpg", "train/9/x/xyz.jpg", "test/t.jpg"])
    some = competition(
        Multiclass(csv="train.csv", id="image", label="hotel"),
        train_images="train/{chain}/{id[0]}/{id}",
        test_images="test/{id}",
        metric=ACCURACY,
    )
    assert list(build_index(some, tmp_path).train["path"]) == ["train/7/a/abc.jpg", "train/9/x/xyz.jpg"]
    write(tmp_path, "train.csv", "image,chain,hotel\nabc.jpg,7,1\nxyz.jpg,8,2\n")
    with pytest.raises(ProblemsError, match=r"train.csv:3: 'xyz.jpg' has no image train/8/x/xyz.jpg"):
        build_index(some, tmp_path)


def test_a_star_is_several_images_of_one_id(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "id,label\na,x\nab,y\n")
    write(tmp_path, "sample_submission.csv", "id,label\nt,x\n")
    touch(tmp_path, ["train/a_s1.png", "train/a_s2.png", "train/ab_s1.png", "test/t_s1.png", "test/t_s2.png"])
    some = competition(
        Multiclass(csv="train.csv"),
        train_images="train/{id}_s*.png",
        test_images="test/{id}_s*.png",
        metric=ACCURACY,
    )
    index = build_index(some, tmp_path)
    assert list(zip(index.train["id"], index.train["path"], strict=True)) == [
        ("a", "train/a_s1.png"),
        ("a", "train/a_s2.png"),
        ("ab", "train/ab_s1.png"),
    ]
    assert list(index.test["id"]) == ["t", "t"]


def test_a_column_may_have_the_whole_path(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 1, "file_name": "train/x/1.png"}, {"id": 2, "file_name": "train/y/2.png"}],
        "annotations": [
            {"id": 90, "image_id": 2, "category_id": 5},
            {"id": 91, "image_id": 1, "category_id": 4},
        ],
        "categories": [{"id": 4, "name": "oak"}, {"id": 5, "name": "elm"}],
    }
    write(tmp_path, "train.json", json.dumps(document))
    write(tmp_path, "test.json", json.dumps({"images": [{"id": 7, "file_name": "test/7.png"}]}))
    write(tmp_path, "sample_submission.csv", "Id,Predicted\n7,elm\n")
    touch(tmp_path, ["train/x/1.png", "train/y/2.png", "test/7.png"])
    some = competition(
        Multiclass(csv=Coco("train.json"), id="id", label="category_name"),
        train_images="train/{file_name}",
        test_images="test/{file_name}",
        test_csv=Coco("test.json"),
        metric=ACCURACY,
    )
    index = build_index(some, tmp_path)
    assert list(zip(index.train["id"], index.train["path"], labels_of(index), strict=True)) == [
        ("2", "train/y/2.png", "elm"),
        ("1", "train/x/1.png", "oak"),
    ]
    assert list(index.test["path"]) == ["test/7.png"]


def test_tabular_columns_come_from_the_table_of_test_rows(tmp_path: Path) -> None:
    write(tmp_path, "train.csv", "id,y,eyes,near\na,1,1,0\nb,2,0,1\n")
    write(tmp_path, "test.csv", "id,near,eyes\nu,1,0\nt,0,\n")
    write(tmp_path, "sample_submission.csv", "id,y\nt,0\nu,0\n")
    touch(tmp_path, ["train/a.png", "train/b.png", "test/t.png", "test/u.png"])
    some = competition(Regression(csv="train.csv", label="y"), test_csv="test.csv", tabular=("eyes", "near"))
    index = build_index(some, tmp_path)
    np.testing.assert_array_equal(read_tabular(some, index, "train"), [[1, 0], [0, 1]])
    np.testing.assert_array_equal(read_tabular(some, index, "test"), [[np.nan, 0], [0, 1]])


def annotated(folder: Path, names: list[str], labels: Labels) -> Index:
    """The index of two images: the first has the first three of these categories, the other the last."""
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(2)]
    annotations = [{"id": 9 + n, "image_id": int(n == 3), "category_id": n} for n in range(4)]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    write(folder, "train.json", json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    write(folder, "sample_submission.csv", "id,category_name\nt,\n")
    touch(folder, ["train/0.png", "train/1.png", "test/t.png"])
    fields = {"metric": MEAN_F1, "train_images": "train/{file_name}", "submission_sep": ","}
    return build_index(competition(labels, **fields), folder)


def test_the_annotations_of_an_image_are_its_tags(tmp_path: Path) -> None:
    labels = Multilabel(csv=Coco("train.json"), label="category_name", sep=",", may_be_empty=True)
    index = annotated(tmp_path, ["red fox", "owl", "red fox", "owl"], labels)
    assert labels_of(index) == ["red fox,owl", "owl"]
    assert index.classes == ("owl", "red fox")
    assert not any(problem.kind == "duplicate id" for problem in index.problems)


def test_a_category_that_holds_what_separates_tags_is_an_error(tmp_path: Path) -> None:
    labels = Multilabel(csv=Coco("train.json"), label="category_name", may_be_empty=True)
    with pytest.raises(ProblemsError, match="has the tag 'red fox', which holds ' ', that separates tags"):
        annotated(tmp_path, ["red fox", "owl", "owl", "owl"], labels)
