"""The index: one table of all images, and every problem with the data at once."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import competitions
from runner.contract import ACCURACY, GAP, LOG_LOSS, LWLRAP, Competition, Metric, Multiclass, Multilabel, map_at
from runner.data.classes import probable_typos
from runner.data.index import Index, build_index
from runner.data.tabular import read_tabular
from runner.errors import DataError
from runner.problems import Problem, ProblemsError
from runner.submission_format.submission_format import read_submission_format
from tests.builders import write_csv

DOG, PLANET, ICEBERG = (competitions.load(name) for name in ("dog-breed", "planet", "iceberg"))


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *str(path).encode()]).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="PNG")


def touch(*paths: Path) -> None:
    """Empty files in the place of images."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def dog(tmp_path: Path) -> Path:
    """Four training images of two breeds, two test images."""
    (tmp_path / "labels.csv").write_text("id,breed\na,beagle\nb,boxer\nc,beagle\nd,boxer\n")
    (tmp_path / "sample_submission.csv").write_text("id,beagle,boxer\nz,0.5,0.5\ny,0.5,0.5\n")
    for name in ("train/a", "train/b", "train/c", "train/d", "test/y", "test/z"):
        write_image(tmp_path / f"{name}.jpg")
    return tmp_path


@pytest.fixture
def planet(tmp_path: Path) -> Path:
    """Twelve training images with tags; test images in two folders."""
    tags = ["clear primary", "agriculture clear", "haze primary road"] * 4
    rows = "".join(f"train_{n},{tag}\n" for n, tag in enumerate(tags))
    (tmp_path / "train_v2.csv").write_text("image_name,tags\n" + rows)
    sample = "image_name,tags\nfile_0,primary\ntest_0,primary\n"
    (tmp_path / "sample_submission_v2.csv").write_text(sample)
    touch(*(tmp_path / f"train-jpg/train_{n}.jpg" for n in range(12)))
    touch(tmp_path / "test-jpg/test_0.jpg", tmp_path / "test-jpg-additional/file_0.jpg")
    return tmp_path


@pytest.fixture
def iceberg(tmp_path: Path) -> Path:
    """Five training images, two with the same angle, two without one."""
    rows = "i0,1,30.5\ni1,0,30.5\ni2,1,\ni3,0,\ni4,1,30.50\n"
    (tmp_path / "train.csv").write_text("id,is_iceberg,inc_angle\n" + rows)
    (tmp_path / "test.csv").write_text("id,inc_angle\nt0,31\nt1,32\nt2,33\n")
    (tmp_path / "sample_submission.csv").write_text("id,is_iceberg\nt2,0.5\nt0,0.5\nt1,0.5\n")
    values = np.random.default_rng(0).normal(-20, 4, (8, 2, 75, 75)).astype(np.float32)
    np.save(tmp_path / "train.npy", values[:5])
    np.save(tmp_path / "test.npy", values[5:])
    return tmp_path


FOLDERS = replace(
    DOG,
    name="pets",
    labels=Multiclass(),
    train_images="train/{label}/{id}",
    valid_images="valid/{label}/{id}",
    test_images="test/{id}",
    metric=ACCURACY,
    extra_metrics=(),
)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder per class, and `valid/` beside `train/`."""
    (tmp_path / "sample_submission.csv").write_text("id,label\n2.png,cat\n1.jpg,cat\n")
    for name in ("train/dog/1.jpg", "train/cat/2.png", "train/cat/10.jpg", "valid/cat/7.jpg", "valid/dog/8.jpg"):
        touch(tmp_path / name)
    touch(tmp_path / "test/1.jpg", tmp_path / "test/2.png")
    return tmp_path


def errors(competition: Competition, data_dir: Path) -> list[Problem]:
    """The errors of data that cannot be used."""
    with pytest.raises(ProblemsError) as caught:
        build_index(competition, data_dir)
    assert caught.value.exit_code == 1
    assert caught.value.where == str(data_dir)
    return list(caught.value.problems)


def only_error(competition: Competition, data_dir: Path) -> Problem:
    (error,) = errors(competition, data_dir)
    assert error.more == 0
    return error


def places(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    return [(problem.kind, problem.place) for problem in problems]


def warnings(index: Index) -> list[tuple[str, str]]:
    assert not any(problem.is_error for problem in index.problems)
    return places(index.problems)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


# The table


def test_the_index_has_a_row_per_image_with_label_group_and_subset(dog: Path) -> None:
    index = build_index(DOG, dog)
    assert index.table.columns.tolist() == ["id", "path", "label", "group", "subset"]
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert index.train["path"].tolist()[0] == "train/a.jpg"
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.test["label"].tolist() == ["", ""]
    assert index.table["subset"].tolist() == ["train"] * 4 + ["test"] * 2
    assert index.problems == ()
    assert index.data_dir == dog


def test_test_rows_are_in_the_order_of_the_sample_submission(dog: Path, request: pytest.FixtureRequest) -> None:
    assert build_index(DOG, dog).test["id"].tolist() == ["z", "y"]
    shutil.rmtree(dog / "train")
    index = build_index(PLANET, request.getfixturevalue("planet"))
    assert index.test["path"].tolist() == ["test-jpg-additional/file_0.jpg", "test-jpg/test_0.jpg"]


def test_the_classes_are_the_sample_submissions_columns_in_order(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,boxer,beagle\nz,0.5,0.5\n")
    index = build_index(DOG, dog)
    assert index.classes == ("boxer", "beagle")
    assert index.targets().tolist() == [1, 0, 1, 0]


def test_with_one_sample_column_the_classes_are_the_labels_sorted(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,breed\nz,boxer\ny,boxer\n")
    assert build_index(replace(DOG, metric=ACCURACY), dog).classes == ("beagle", "boxer")


# The metric and the sample submission, then of the error: the line, and what names both.
CONTRADICTIONS = [
    (LOG_LOSS, "id,breed\nz,boxer\ny,boxer\n", 1, "log_loss scores a probability for each class, and.*: 'breed'"),
    (ACCURACY, "id,breed\nz,beagle boxer\ny,\n", 2, "accuracy scores one class, and the cell is a list of 2"),
    (ACCURACY, "id,breed\nz,\ny,0.5\n", 3, "accuracy scores one class, and the cell is a number: '0.5'"),
    (ACCURACY, "id,breed\nz,1\ny,1\n", 2, "one class, and the cell is a number, and no class is one: '1'"),
    (ACCURACY, "id,breed\nz,boxer 0.5\ny,boxer 0\n", 2, "the cell is a class with a number: 'boxer 0.5'"),
    (ACCURACY, "id,beagle,boxer\nz,0,1\ny,0,1\n", 1, "scores one class, and there are 2 columns.*: beagle, boxer"),
    (map_at(1), "id,breed\nz,beagle boxer\ny,\n", 2, "map_at_1 scores up to 1 classes, and the cell is a list of 2"),
    (map_at(2), 'id,breed\nz,"beagle,boxer"\ny,\n', 2, "the cell is a list with ',' between its names"),
    (GAP, "id,breed\nz,boxer\ny,boxer\n", 2, "gap scores a class with its confidence, and the cell is a class alone"),
    (LOG_LOSS, "id,beagle,boxer\nz,0,boxer\ny,0,1\n", 2, "a probability for each class, and the cell is not a number"),
]


@pytest.mark.parametrize(("metric", "sample", "line", "words"), CONTRADICTIONS)
def test_a_metric_that_the_sample_submission_cannot_hold_is_an_error(
    dog: Path, metric: Metric, sample: str, line: int, words: str
) -> None:
    (dog / "sample_submission.csv").write_text(sample)
    found = [error for error in errors(replace(DOG, metric=metric, extra_metrics=()), dog) if error.line == line]
    assert any(re.search(words, error.message) for error in found), found


def test_columns_that_the_labels_lack_are_an_error_that_names_both(planet: Path) -> None:
    (planet / "sample_submission_v2.csv").write_text("image_name,agriculture,clear,hase,road\ntest_0,0,0,0,0\n")
    tags = ("agriculture", "clear", "haze", "primary", "road")
    labels = Multilabel(csv="train_v2.csv", id="image_name", label="tags", classes=tags)
    error = only_error(replace(PLANET, labels=labels, metric=LWLRAP), planet)
    assert (error.kind, error.place) == ("form of the submission", "sample_submission_v2.csv:1")
    assert error.message.startswith("it asks for 4 columns, and the labels have 5; not asked for: haze, primary")
    assert "not in the labels: hase (did you mean 'haze'?)" in error.message


def test_a_list_of_one_class_where_several_are_scored_is_a_warning(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,breed\nz,boxer\ny,boxer\n")
    (warning,) = build_index(replace(DOG, metric=map_at(2), extra_metrics=()), dog).problems
    assert warning.message == "the metric map_at_2 scores up to 2 classes, and every cell has one"


def test_the_images_of_a_sample_with_a_row_per_id_and_column_are_its_distinct_ids(dog: Path) -> None:
    rows = "".join(f"{id}_{name},0\n" for id in ("z", "y") for name in ("boxer", "beagle"))
    (dog / "sample_submission.csv").write_text(f"row,p\n{rows}")
    index = build_index(replace(DOG, submission_rows="{id}_{column}"), dog)
    assert index.test["id"].tolist() == ["z", "y"]
    assert index.classes == ("boxer", "beagle")


def test_a_row_without_the_form_of_a_long_submission_is_an_error(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("row,p\nz_boxer,0\nz_beagle,0\ny,0\n")
    found = errors(replace(DOG, submission_rows="{id}_{column}"), dog)
    assert ("sample_submission.csv:4", "row without an image") in [(error.place, error.kind) for error in found]


def test_the_tags_are_those_of_the_training_rows_sorted(planet: Path) -> None:
    index = build_index(PLANET, planet)
    assert index.classes == ("agriculture", "clear", "haze", "primary", "road")
    assert index.targets()[2].tolist() == [0, 0, 1, 1, 1]


def test_declared_tags_keep_their_order(planet: Path) -> None:
    names = ("road", "haze", "primary", "clear", "agriculture")
    declared = replace(PLANET, labels=replace(PLANET.labels, classes=names, mutually_exclusive=(), standalone=()))
    assert build_index(declared, planet).classes == names


def test_a_csv_file_is_read_under_its_other_name(planet: Path) -> None:
    (planet / "train_v2.csv").rename(planet / "train_classes.csv")
    (planet / "sample_submission_v2.csv").rename(planet / "sample_submission.csv")
    assert len(build_index(PLANET, planet).train) == 12


def test_the_path_of_an_array_image_is_the_array_and_the_row(iceberg: Path) -> None:
    index = build_index(ICEBERG, iceberg)
    assert index.train["path"].tolist()[3] == "train.npy#3"
    assert index.test[["id", "path"]].to_numpy().tolist()[0] == ["t2", "test.npy#2"]
    assert index.classes == ("is_iceberg",)
    assert index.targets().ravel().tolist() == [1, 0, 1, 0, 1]


def test_rows_with_the_same_group_text_share_a_group(iceberg: Path) -> None:
    groups = build_index(ICEBERG, iceberg).train["group"].tolist()
    assert groups[0] == groups[1] == "30.5"
    assert groups[4] == "30.50"  # as text: to the last decimal
    assert len({groups[2], groups[3], *groups}) == 4


def test_without_a_group_column_each_row_has_its_own_group(dog: Path) -> None:
    assert build_index(DOG, dog).table["group"].is_unique


def test_ids_are_text_and_keep_their_zeros(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "007,beagle")
    (dog / "train/a.jpg").rename(dog / "train/007.jpg")
    assert build_index(DOG, dog).train["id"].tolist()[0] == "007"


@pytest.mark.parametrize("id", ["NA", "nan", "1e5", "None", "a b", "{id}", "x,y"])
def test_an_id_that_looks_like_something_else_is_kept(dog: Path, id: str) -> None:
    edit(dog / "labels.csv", "a,beagle", f'"{id}",beagle')
    (dog / "train/a.jpg").rename(dog / f"train/{id}.jpg")
    assert build_index(DOG, dog).train["id"].tolist()[0] == id


# Class folders


def test_the_label_of_an_image_in_a_class_folder_is_the_folder(pets: Path) -> None:
    index = build_index(FOLDERS, pets)
    assert index.train[["id", "path", "label", "subset"]].to_numpy().tolist() == [
        ["cat/10.jpg", "train/cat/10.jpg", "cat", "train"],
        ["cat/2.png", "train/cat/2.png", "cat", "train"],
        ["dog/1.jpg", "train/dog/1.jpg", "dog", "train"],
        ["cat/7.jpg", "valid/cat/7.jpg", "cat", "valid"],
        ["dog/8.jpg", "valid/dog/8.jpg", "dog", "valid"],
    ]
    assert index.classes == ("cat", "dog") and index.problems == ()
    assert index.targets().tolist() == [0, 0, 1, 0, 1]


def test_without_a_valid_folder_all_rows_are_training_rows(pets: Path) -> None:
    shutil.rmtree(pets / "valid")
    assert set(build_index(replace(FOLDERS, valid_images=None), pets).train["subset"]) == {"train"}
    assert warnings(build_index(FOLDERS, pets)) == [("missing folder", "valid")]


def test_ids_lack_the_suffix_if_the_template_has_it(pets: Path) -> None:
    for path in [*pets.glob("*/*/*"), *pets.glob("test/*")]:
        path.rename(path.with_suffix(".JPG"))
    (pets / "sample_submission.csv").write_text("id,label\n1,cat\n")
    suffixed = replace(FOLDERS, train_images="train/{label}/{id}.jpg", valid_images=None, test_images="test/{id}.jpg")
    assert build_index(suffixed, pets).train["id"].tolist() == ["cat/10", "cat/2", "dog/1"]


def test_validation_images_named_like_training_images_get_their_paths_as_ids(pets: Path) -> None:
    touch(pets / "valid/dog/1.jpg")
    index = build_index(FOLDERS, pets)
    assert index.train["id"].is_unique
    assert index.train["id"].tolist()[-1] == "valid/dog/8.jpg"


def test_hidden_files_are_ignored_and_other_files_are_a_warning(pets: Path) -> None:
    touch(pets / "train/cat/.DS_Store", pets / "train/.cache/x.jpg", pets / "train/cat/Thumbs.db")
    index = build_index(FOLDERS, pets)
    assert len(index.train) == 5
    assert warnings(index) == [("file that is not an image", "train/cat/Thumbs.db")]


def test_an_empty_class_folder_is_an_error(pets: Path) -> None:
    (pets / "train/hamster").mkdir()
    assert places(errors(FOLDERS, pets)) == [("empty class folder", "train/hamster")]


def test_a_folder_that_is_not_a_class_is_one_error_with_a_guess(pets: Path) -> None:
    (pets / "sample_submission.csv").write_text("id,cat,dog\n1.jpg,0,1\n")
    (pets / "train/cat").rename(pets / "train/catt")
    shutil.rmtree(pets / "valid/cat")
    error = only_error(replace(FOLDERS, metric=LOG_LOSS), pets)
    assert (error.kind, error.place) == ("unknown class", "train/catt")
    assert error.fix == "did you mean 'cat'? correct the label, or: `runner pets download --force`"


def test_missing_and_empty_training_folders_are_errors(pets: Path) -> None:
    shutil.rmtree(pets / "train/cat")
    shutil.rmtree(pets / "train/dog")
    error = only_error(FOLDERS, pets)
    assert (error.kind, error.place) == ("empty folder", "train")
    assert error.message == "no image below it matches train/{label}/{id}"
    shutil.rmtree(pets / "train")
    assert places(errors(FOLDERS, pets)) == [("missing folder", "train")]


# Images and ids


def test_an_id_without_an_image_is_an_error_with_its_line_and_fix(dog: Path) -> None:
    (dog / "train/c.jpg").unlink()
    assert errors(DOG, dog) == [
        Problem(
            "id without an image",
            "'c' has no image train/c.jpg",
            file="labels.csv",
            line=4,
            fix="runner dog-breed download --force",
        )
    ]


def test_a_test_id_without_an_image_is_an_error(planet: Path) -> None:
    (planet / "test-jpg/test_0.jpg").unlink()
    touch(planet / "test-jpg/other.jpg")
    error = only_error(PLANET, planet)
    assert (error.kind, error.place) == ("id without an image", "sample_submission_v2.csv:3")
    assert error.message == "'test_0' has no image test-jpg/test_0.jpg or test-jpg-additional/test_0.jpg"


def test_a_missing_folder_is_one_error(planet: Path) -> None:
    shutil.rmtree(planet / "train-jpg")
    error = only_error(PLANET, planet)
    assert (error.kind, error.place) == ("missing folder", "train-jpg")
    assert error.message == "the folder does not exist; 12 ids of train_v2.csv have no image"


def test_both_test_sets_may_be_in_one_folder(planet: Path) -> None:
    (planet / "test-jpg-additional/file_0.jpg").rename(planet / "test-jpg/file_0.jpg")
    shutil.rmtree(planet / "test-jpg-additional")
    assert set(build_index(PLANET, planet).test["path"]) == {"test-jpg/file_0.jpg", "test-jpg/test_0.jpg"}


def test_an_image_without_a_label_is_a_warning(dog: Path) -> None:
    touch(dog / "train/e.jpg")
    assert warnings(build_index(DOG, dog)) == [("image without a label", "train/e.jpg")]


def test_a_test_image_that_the_sample_lacks_is_a_warning(dog: Path) -> None:
    touch(dog / "test/x.jpg")
    assert warnings(build_index(DOG, dog)) == [("image not in the sample submission", "test/x.jpg")]


def test_train_and_test_images_may_share_a_folder(dog: Path) -> None:
    for path in [*dog.glob("train/*"), *dog.glob("test/*")]:
        (dog / "images").mkdir(exist_ok=True)
        path.rename(dog / "images" / path.name)
    shared = replace(DOG, train_images="images/{id}.jpg", test_images="images/{id}.jpg")
    assert warnings(build_index(shared, dog)) == []


def test_a_suffix_in_another_spelling_is_accepted_with_one_warning(dog: Path) -> None:
    (dog / "train/a.jpg").rename(dog / "train/a.JPG")
    (dog / "train/b.jpg").rename(dog / "train/b.jpeg")
    index = build_index(DOG, dog)
    assert index.train["path"].tolist()[:2] == ["train/a.JPG", "train/b.jpeg"]
    assert warnings(index) == [("other suffix", "train")]


def test_ids_that_end_in_the_suffix_are_an_error_with_the_right_template(dog: Path) -> None:
    (dog / "labels.csv").write_text("id,breed\na.jpg,beagle\nb.jpg,boxer\n")
    first, _ = errors(DOG, dog)
    assert first.message == "'a.jpg' has no image train/a.jpg.jpg"
    assert first.fix
    assert first.fix.startswith("the ids end in .jpg already: write 'train/{id}' in the competition file")


def test_a_template_without_the_suffix_is_an_error_with_the_right_one(dog: Path) -> None:
    fix = errors(replace(DOG, train_images="train/{id}"), dog)[0].fix
    assert fix and fix.startswith("the images end in .jpg: write 'train/{id}.jpg' in the competition file")


def test_an_id_cannot_leave_its_folder(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "../test/y,beagle")
    assert only_error(DOG, dog).message.startswith("'../test/y' has no image")


def test_a_repeated_row_is_used_once_with_a_warning(dog: Path) -> None:
    edit(dog / "labels.csv", "d,boxer\n", "d,boxer\na,beagle\n")
    index = build_index(DOG, dog)
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert warnings(index) == [("duplicate id", "labels.csv:6")]


def test_two_labels_for_one_id_are_an_error(dog: Path) -> None:
    edit(dog / "labels.csv", "d,boxer\n", "d,boxer\na,boxer\n")
    error = only_error(DOG, dog)
    assert (error.kind, error.place) == ("two labels for one id", "labels.csv:6")
    assert error.message == "the id 'a' is on line 2 already, with another label: 'beagle' there, 'boxer' here"


def test_tags_in_another_order_are_the_same_label(planet: Path) -> None:
    edit(planet / "train_v2.csv", "train_11,", "train_0,clear  primary\ntrain_11,")
    assert warnings(build_index(PLANET, planet)) == [("duplicate id", "train_v2.csv:13")]
    edit(planet / "train_v2.csv", "train_0,clear  primary", "train_0,clear")
    assert only_error(PLANET, planet).kind == "two labels for one id"


def test_a_duplicate_id_in_the_sample_submission_is_an_error(dog: Path) -> None:
    edit(dog / "sample_submission.csv", "y,0.5,0.5", "y,0.5,0.5\nz,0.5,0.5")
    error = only_error(DOG, dog)
    assert (error.kind, error.place) == ("duplicate id", "sample_submission.csv:4")
    assert error.message == "the id 'z' is on line 2 already"


def test_rows_without_an_id_or_a_label_are_errors(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer", ",beagle\nb,  ")
    edit(dog / "sample_submission.csv", "y,", ",")
    assert places(errors(DOG, dog)) == [
        ("empty id", "sample_submission.csv:3"),
        ("empty id", "labels.csv:2"),
        ("empty label", "labels.csv:3"),
    ]


# Labels


def test_a_class_that_the_sample_lacks_is_an_error_with_a_guess(dog: Path) -> None:
    edit(dog / "labels.csv", "c,beagle", "c,Beagel")
    error = only_error(DOG, dog)
    assert (error.kind, error.place) == ("unknown class", "labels.csv:4")
    assert error.message == "the class 'Beagel' of 'c' is not among the columns of sample_submission.csv"
    assert error.fix and error.fix.startswith("did you mean 'beagle'?")


def test_a_tag_that_is_not_declared_is_an_error_with_a_guess(planet: Path) -> None:
    names = ("agriculture", "clear", "haze", "primary", "road")
    declared = replace(PLANET, labels=replace(PLANET.labels, classes=names, mutually_exclusive=(), standalone=()))
    edit(planet / "train_v2.csv", "train_4,agriculture clear", "train_4,agricultre clear")
    error = only_error(declared, planet)
    assert (error.kind, error.place) == ("unknown tag", "train_v2.csv:6")
    assert error.fix and error.fix.startswith("did you mean 'agriculture'?")


def test_a_rare_tag_similar_to_a_frequent_one_is_an_error(planet: Path) -> None:
    more = "".join(f"more_{n},agriculture clear\n" for n in range(10))
    edit(planet / "train_v2.csv", "train_11,", f"{more}odd,agricultre clear\ntrain_11,")
    touch(*(planet / f"train-jpg/more_{n}.jpg" for n in range(10)), planet / "train-jpg/odd.jpg")
    error = only_error(PLANET, planet)
    assert (error.kind, error.place) == ("unknown tag", "train_v2.csv:23")
    assert error.message == "the tag 'agricultre' of 'odd' is rare and similar to 'agriculture'"
    assert error.fix and "Multilabel(classes=...)" in error.fix


def test_planets_own_tags_are_not_typos() -> None:
    counts = {
        "primary": 37513, "clear": 28431, "agriculture": 12315, "road": 8071, "water": 7411,
        "partly_cloudy": 7261, "cultivation": 4477, "habitation": 3660, "haze": 2697, "cloudy": 2089,
        "bare_ground": 862, "selective_logging": 340, "artisinal_mine": 339, "blooming": 332,
        "slash_burn": 209, "blow_down": 101, "conventional_mine": 100,
    }  # fmt: skip
    assert probable_typos(Counter(counts)) == {}


@pytest.mark.parametrize(
    ("rare", "frequent", "is_typo"),
    [
        ("agricultre", "agriculture", True),
        ("Clear", "clear", True),
        ("species_12", "species_13", False),
        ("atypical", "typical", False),
        ("cloudy", "partly_cloudy", False),
    ],
)
def test_typos_are_told_from_words(rare: str, frequent: str, is_typo: bool) -> None:
    assert (rare in probable_typos(Counter({rare: 1, frequent: 500}))) == is_typo
    assert probable_typos(Counter({rare: 100, frequent: 500})) == {}


@pytest.mark.parametrize("label", ["0.5", "2", "yes", "-1", "nan"])
def test_a_binary_label_that_is_neither_0_nor_1_is_an_error(iceberg: Path, label: str) -> None:
    edit(iceberg / "train.csv", "i1,0,", f"i1,{label},")
    error = only_error(ICEBERG, iceberg)
    assert (error.kind, error.place) == ("label not 0 or 1", "train.csv:3")
    assert error.message == f"the label of 'i1' is '{label}', not 0 or 1"


def test_a_binary_label_may_be_a_decimal(iceberg: Path) -> None:
    edit(iceberg / "train.csv", "i0,1,", "i0,1.0,")
    assert build_index(ICEBERG, iceberg).train["label"].tolist()[0] == "1"


def test_one_class_only_is_an_error(dog: Path) -> None:
    edit(dog / "labels.csv", "boxer", "beagle")
    error = only_error(DOG, dog)
    assert (error.kind, error.place) == ("one class only", "labels.csv")
    assert error.message == "every training row has the same label, 'beagle': there is nothing to learn"


def test_one_binary_label_only_is_an_error(iceberg: Path) -> None:
    for row in ("i0,1", "i2,1", "i4,1"):
        edit(iceberg / "train.csv", row, row[:-1] + "0")
    assert only_error(ICEBERG, iceberg).kind == "one class only"


def test_a_class_without_a_training_image_is_a_warning(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,beagle,boxer,pug\nz,1,0,0\ny,1,0,0\n")
    index = build_index(DOG, dog)
    assert index.classes == ("beagle", "boxer", "pug") and set(index.targets()) == {0, 1}
    assert warnings(index) == [("class without an image", "labels.csv")]


# Untidy CSV files


def test_a_byte_order_mark_is_accepted_with_a_warning(dog: Path) -> None:
    for name in ("labels.csv", "sample_submission.csv"):
        (dog / name).write_bytes(b"\xef\xbb\xbf" + (dog / name).read_bytes())
    index = build_index(DOG, dog)
    assert index.classes == ("beagle", "boxer") and len(index.train) == 4
    assert warnings(index) == [("byte order mark", "sample_submission.csv:1"), ("byte order mark", "labels.csv:1")]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_are_accepted(dog: Path, end: bytes) -> None:
    for name in ("labels.csv", "sample_submission.csv"):
        (dog / name).write_bytes((dog / name).read_bytes().replace(b"\n", end))
    index = build_index(DOG, dog)
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.problems == ()


def test_quotes_are_accepted(dog: Path) -> None:
    (dog / "labels.csv").write_text('"id","breed"\n"a","beagle"\n"b","boxer"\nc,beagle\nd,"boxer"\n')
    index = build_index(DOG, dog)
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "id , breed\na,beagle\nb,boxer\nc,beagle\nd,boxer\n",
        "id ,breed\na,beagle\nb,boxer\nc,beagle\nd,boxer\n",
        "id,breed\na ,beagle\nb,boxer  \nc,beagle\nd,boxer\n",
        "id,breed\na, beagle\n  b, boxer\nc, beagle\nd, boxer\n",
        'id, "breed"\na, "beagle"\nb,boxer\nc,beagle\nd,boxer\n',
        "id,breed\n a,beagle\nb,boxer\nc,beagle\nd,boxer\n",
        "id,breed\na,\tbeagle\nb,boxer\nc,beagle\nd,boxer\n",
        'id,breed\n"a" ,"beagle"\nb,boxer\nc,beagle\nd,boxer\n',
    ],
)
def test_blanks_around_names_and_values_are_dropped_with_one_warning(dog: Path, text: str) -> None:
    (dog / "labels.csv").write_text(text)
    index = build_index(DOG, dog)
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert warnings(index) == [("blanks around values", "labels.csv")]


def test_empty_lines_and_other_columns_are_accepted(dog: Path) -> None:
    text = '\nid,note,breed\n\na,"one, two",beagle\nb,,boxer\n\n\nc,"over\ntwo lines",beagle\nd,,nobreed\n'
    (dog / "labels.csv").write_text(text)
    assert places(errors(DOG, dog)) == [("unknown class", "labels.csv:10")]


@pytest.mark.parametrize(
    ("header", "guess"),
    [("id,Breed", "'Breed'"), ("id,breeds", "'breeds'"), ("ID,breed", "'ID'"), ("id,bred", "'bred'")],
)
def test_a_misspelt_column_is_an_error_with_a_guess(dog: Path, header: str, guess: str) -> None:
    edit(dog / "labels.csv", "id,breed", header)
    error = only_error(DOG, dog)
    assert (error.kind, error.place) == ("missing column", "labels.csv:1")
    assert error.fix and error.fix.startswith(f"did you mean {guess}?")


def test_the_error_of_a_missing_column_lists_the_columns(dog: Path) -> None:
    edit(dog / "labels.csv", "id,breed", "id,zzz")
    assert only_error(DOG, dog).message == "no column is named 'breed'; there are 'id', 'zzz'"


def test_a_duplicate_column_is_an_error(dog: Path) -> None:
    (dog / "labels.csv").write_text("id,breed,breed\na,beagle,boxer\n")
    assert only_error(DOG, dog).message == "2 columns are named 'breed'"


@pytest.mark.parametrize("name", ["labels.csv", "sample_submission.csv"])
@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "empty file", "0 bytes"),
        (b"\n \n", "empty file", "3 bytes"),
        (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>", "not a CSV", "an HTML page"),
        (b"\n  <html></html>", "not a CSV", "an HTML page"),
        (b"PK\x03\x04\x14\x00\x06\x00", "not a CSV", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not a CSV", "an old Excel workbook"),
        (b"7z\xbc\xaf\x27\x1c", "not a CSV", "a 7z archive"),
        (b"\x1f\x8b\x08\x00", "not a CSV", "a gzip archive"),
        (b'[{"id": "a"}]', "not a CSV", "JSON"),
        ("id,breed\na,beagle\n".encode("utf-16"), "not a CSV", "UTF-16"),
        (b"id,breed\na\x00,beagle\n", "not a CSV", "binary"),
        (b"id,breed\na,\xe9pagneul\n", "not UTF-8", "0xe9"),
        (b"id;breed\na;beagle\n", "wrong separator", "semicolons"),
        (b"id\tbreed\na\tbeagle\n", "wrong separator", "tabs"),
        (b"id,breed\n", "empty file", "no rows"),
        (b'id,breed\n"a,beagle\nb,boxer\n', "open quote", "never closed"),
        (b'"id,breed\na,beagle\nb,boxer\n', "open quote", "never closed"),
        (b'id,breed\n"' + b"a,beagle\n" * 20_000, "open quote", "never closed"),
    ],
)
def test_a_file_that_is_not_a_csv_is_one_error(dog: Path, name: str, content: bytes, kind: str, words: str) -> None:
    (dog / name).write_bytes(content)
    error = only_error(DOG, dog)
    assert (error.kind, error.file) == (kind, name)
    assert words in error.message
    assert error.fix and error.fix.strip("`").endswith("runner dog-breed download --force")


def in_latin1(folder: Path, name: str) -> None:
    """Write a file of the folder again with another class, in latin-1."""
    text = (folder / name).read_text().replace("beagle", "épagneul")
    (folder / name).write_bytes(text.encode("latin-1"))


def test_labels_and_sample_submission_in_latin1_are_read_and_told(dog: Path) -> None:
    in_latin1(dog, "labels.csv")
    in_latin1(dog, "sample_submission.csv")
    index = build_index(DOG, dog)
    assert "épagneul" in index.classes
    assert [problem.kind for problem in index.problems] == ["not UTF-8", "not UTF-8"]
    form = read_submission_format(DOG, dog / "sample_submission.csv")
    assert "épagneul" in form.columns


@pytest.mark.parametrize("name", ["labels.csv", "sample_submission.csv"])
def test_one_table_in_latin1_is_an_error(dog: Path, name: str) -> None:
    in_latin1(dog, name)
    error = only_error(DOG, dog)
    assert (error.kind, error.file) == ("not UTF-8", name)


def test_a_broken_byte_of_utf8_is_not_latin1(dog: Path) -> None:
    for name in ("labels.csv", "sample_submission.csv"):
        text = (dog / name).read_text().replace("beagle", "épagneul")
        (dog / name).write_bytes(text.encode() + b"\xe9,\xe9\n")
    assert {error.kind for error in errors(DOG, dog)} == {"not UTF-8"}


def test_a_sample_submission_that_ends_in_a_quote_is_one_error_with_columns_of_the_classes_too(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text('id,beagle,boxer\nz,0.5,0.5\n"y,0.5,0.5\n')
    assert only_error(DOG, dog).kind == "open quote"


def test_a_missing_csv_is_an_error(dog: Path) -> None:
    (dog / "labels.csv").unlink()
    assert places(errors(DOG, dog)) == [("missing file", "labels.csv")]


def test_rows_of_the_wrong_length_are_errors(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer", "a,beagle,or boxer\nb")
    assert [(error.place, error.message) for error in errors(DOG, dog) if error.kind == "rows of the wrong length"] == [
        ("labels.csv:2", "3 values under 2 names: a, beagle, or boxer"),
        ("labels.csv:3", "1 values under 2 names: b"),
    ]


def test_empty_cells_after_the_last_column_are_accepted(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "a,beagle,,")
    assert build_index(DOG, dog).problems == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\nz\ny\n", "there is no column beside the id: id"),
        (",id,beagle,boxer\n0,z,1,0\n1,y,1,0\n", "column 1 has no name; is it an index column?"),
        ("id,beagle,boxer,boxer\nz,1,0,0\ny,1,0,0\n", "2 columns are named 'boxer'"),
    ],
)
def test_impossible_columns_of_the_sample_submission_are_an_error(dog: Path, text: str, message: str) -> None:
    (dog / "sample_submission.csv").write_text(text)
    found = {error.message for error in errors(DOG, dog) if error.kind == "sample submission's columns"}
    assert found == {message}


def test_a_binary_sample_submission_has_one_column(iceberg: Path) -> None:
    (iceberg / "sample_submission.csv").write_text("id,ship,iceberg\nt0,0,1\n")
    message = "the metric binary_log_loss scores one probability, and there are 2 columns beside the id: ship, iceberg"
    assert message in [error.message for error in errors(ICEBERG, iceberg)]


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=80) | st.text(alphabet='ab,;"\n\r \ufeff\x00', max_size=60).map(str.encode))
def test_a_csv_with_any_content_ends_in_a_data_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / "labels.csv").write_bytes(content)
    (folder / "sample_submission.csv").write_bytes(content)
    with pytest.raises(DataError):
        build_index(DOG, folder)


# Arrays


def test_an_array_and_its_table_must_have_the_same_length(iceberg: Path) -> None:
    np.save(iceberg / "train.npy", np.zeros((4, 2, 75, 75), dtype=np.float32))
    error = only_error(ICEBERG, iceberg)
    assert (error.kind, error.place) == ("array of another length", "train.npy")
    assert error.message == "it has 4 images, and train.csv has 5 rows"


def test_missing_and_broken_arrays_are_errors(iceberg: Path) -> None:
    (iceberg / "train.npy").unlink()
    (iceberg / "test.npy").write_bytes(b"not an array")
    assert places(errors(ICEBERG, iceberg)) == [("unreadable array", "train.npy"), ("unreadable array", "test.npy")]


def test_array_rows_that_the_sample_lacks_or_that_do_not_exist(iceberg: Path) -> None:
    (iceberg / "sample_submission.csv").write_text("id,is_iceberg\nt0,0.5\nt1,0.5\n")
    assert warnings(build_index(ICEBERG, iceberg)) == [("image not in the sample submission", "test.npy#2")]
    (iceberg / "sample_submission.csv").write_text("id,is_iceberg\nt0,0.5\nt9,0.5\n")
    error = only_error(ICEBERG, iceberg)
    assert (error.kind, error.place) == ("id without an image", "sample_submission.csv:3")
    assert error.message == "'t9' has no image: test.csv does not list it"


def test_two_array_rows_for_one_id_are_one_error(iceberg: Path) -> None:
    edit(iceberg / "train.csv", "i1,0,30.5", "i0,1,30.5")
    assert places(errors(ICEBERG, iceberg)) == [("two images for one id", "train.csv:3")]


# Tabular columns


def test_tabular_columns_follow_the_rows_of_the_index(iceberg: Path) -> None:
    index = build_index(ICEBERG, iceberg)
    train, test = (read_tabular(ICEBERG, index, subset) for subset in ("train", "test"))
    assert train.dtype == np.float32
    np.testing.assert_array_equal(train.ravel(), np.float32([30.5, 30.5, np.nan, np.nan, 30.5]))
    assert test.tolist() == [[33], [31], [32]]


def test_tabular_columns_of_a_table_with_blanks_around_values_are_read(iceberg: Path) -> None:
    edit(
        iceberg / "train.csv",
        "id,is_iceberg,inc_angle\ni0,1,30.5\ni1,0,",
        " id, is_iceberg ,inc_angle \ni0 ,1, 30.5\n i1,0 ,",
    )
    index = build_index(ICEBERG, iceberg)
    assert warnings(index) == [("blanks around values", "train.csv")]
    assert read_tabular(ICEBERG, index, "train").ravel().tolist()[:2] == [30.5, 30.5]


def test_a_csv_with_a_byte_order_mark_has_tabular_columns_too(iceberg: Path) -> None:
    (iceberg / "test.csv").write_bytes(b"\xef\xbb\xbf" + (iceberg / "test.csv").read_bytes())
    assert read_tabular(ICEBERG, build_index(ICEBERG, iceberg), "test").tolist() == [[33], [31], [32]]


@pytest.mark.parametrize("cell", ["", "na", "NaN", "null", "N/A", "None"])
def test_a_missing_tabular_number_is_nan(iceberg: Path, cell: str) -> None:
    edit(iceberg / "test.csv", "t0,31", f"t0,{cell}")
    assert np.isnan(read_tabular(ICEBERG, build_index(ICEBERG, iceberg), "test")).ravel().tolist() == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("cell", ["31 degrees", "inf", "1_0", "1e999", "٣", "0x1f"])
def test_a_tabular_cell_that_is_not_a_number_is_an_error(iceberg: Path, cell: str) -> None:
    edit(iceberg / "test.csv", "t0,31", f"t0,{cell}")
    error = only_error(ICEBERG, iceberg)
    assert (error.kind, error.place) == ("not a number", "test.csv:2")
    assert error.message == f"inc_angle is {cell!r}, not a number"


def test_a_missing_tabular_column_is_an_error_of_the_index(iceberg: Path) -> None:
    (iceberg / "test.csv").write_text("id,angle\nt0,31\nt1,32\nt2,33\n")
    assert ("missing column", "test.csv:1") in places(errors(ICEBERG, iceberg))


# All at once


def test_all_errors_are_listed_at_once(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer\nc,beagle\n", "a,\nb,boxxer\nc,beagle\nc,boxer\n")
    (dog / "train/d.jpg").unlink()
    (dog / "test/z.jpg").unlink()
    with pytest.raises(ProblemsError) as caught:
        build_index(DOG, dog)
    assert str(caught.value) == (
        "dog-breed: 5 errors in the data\n"
        "- empty label: 1\n"
        "    labels.csv:2: 'a' has no label\n"
        "      fix: fill it in, or delete the row\n"
        "- two labels for one id: 1\n"
        "    labels.csv:5: the id 'c' is on line 4 already, with another label: 'beagle' there, 'boxer' here\n"
        "      fix: delete the row that is wrong\n"
        "- id without an image: 2\n"
        "    labels.csv:6: 'd' has no image train/d.jpg\n"
        "    sample_submission.csv:2: 'z' has no image test/z.jpg\n"
        "      fix: runner dog-breed download --force\n"
        "- unknown class: 1\n"
        "    labels.csv:3: the class 'boxxer' of 'b' is not among the columns of sample_submission.csv\n"
        "      fix: did you mean 'boxer'? correct the label, or: `runner dog-breed download --force`\n"
        f"  where: {dog}\n"
        "  fix: fix what is listed, then: `...`"
    )


def test_each_folder_is_listed_once_and_no_image_is_touched(dog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def counting_scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        listed.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting_scandir)
    checked: list[Path] = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: checked.append(self) or is_file(self))
    build_index(DOG, dog)
    assert sorted(listed) == ["test", "train"]
    assert {path.suffix for path in checked} == {".csv"}


WIDE = 120_000
PATHOLOGICAL = {
    "more columns than classes can be": ("id", *(f"class_{number}" for number in range(WIDE))),
    "columns that are all there twice": (
        "id",
        *(f"class_{number}" for number in range(WIDE // 4)),
        *(f"class_{number}" for number in range(WIDE // 4)),
    ),
    "one name for all columns": ("id", *["class"] * (WIDE // 2)),
    "a name of megabytes": ("id", "beagle" * WIDE, "pug"),
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_a_pathological_sample_submission_is_an_error_within_seconds(name: str, tmp_path: Path) -> None:
    header = PATHOLOGICAL[name]
    write_csv(tmp_path / "sample_submission.csv", header, [("c", *["0.5"] * (len(header) - 1))])
    write_csv(tmp_path / "labels.csv", ("id", "breed"), [(f"a{number}", f"unknown {number}") for number in range(50)])
    for image in ("test/c", *(f"train/a{number}" for number in range(50))):
        write_image(tmp_path / f"{image}.jpg")
    started = time.monotonic()
    with pytest.raises(ProblemsError) as caught:
        build_index(competitions.load("dog-breed"), tmp_path)
    assert time.monotonic() - started < 60  # by squares it would be many minutes
    assert len(str(caught.value)) < 10_000
