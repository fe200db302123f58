"""The index: one table of all images, and every problem about the data at once."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import competitions
from runner.contract import Competition, Multiclass
from runner.data.classes import probable_typos
from runner.data.index import Index, build_index
from runner.data.problems import Problem, describe
from runner.errors import DataError

DOG, PLANET, ICEBERG = (competitions.load(name) for name in ("dog-breed", "planet", "iceberg"))


def paint(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *str(path).encode()]).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="PNG")


def touch(*paths: Path) -> None:
    """Images that nobody opens."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def dog(tmp_path: Path) -> Path:
    """Four dogs of two breeds to learn from, two to name."""
    (tmp_path / "labels.csv").write_text("id,breed\na,beagle\nb,boxer\nc,beagle\nd,boxer\n")
    (tmp_path / "sample_submission.csv").write_text("id,beagle,boxer\nz,0.5,0.5\ny,0.5,0.5\n")
    for name in ("train/a", "train/b", "train/c", "train/d", "test/y", "test/z"):
        paint(tmp_path / f"{name}.jpg")
    return tmp_path


@pytest.fixture
def planet(tmp_path: Path) -> Path:
    """Twelve tiles with tags; a test set in two folders."""
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
    """Five scenes of radar, two of them with one angle, two without."""
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
)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder a class, with a `valid/` beside it."""
    (tmp_path / "sample_submission.csv").write_text("id,label\n2.png,cat\n1.jpg,cat\n")
    for name in ("train/dog/1.jpg", "train/cat/2.png", "train/cat/10.jpg", "valid/cat/7.jpg", "valid/dog/8.jpg"):
        touch(tmp_path / name)
    touch(tmp_path / "test/1.jpg", tmp_path / "test/2.png")
    return tmp_path


def faults(competition: Competition, raw: Path) -> str:
    """What is said when the data is too bad to go on."""
    with pytest.raises(DataError) as caught:
        build_index(competition, raw)
    assert caught.value.exit_code == 1
    return str(caught.value)


def remarks(index: Index) -> list[tuple[str, str]]:
    assert not any(problem.fatal for problem in index.problems)
    return [(problem.kind, problem.place) for problem in index.problems]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new).encode())


# What a sound index holds


def test_one_row_a_image_with_id_path_label_group_and_subset(dog: Path) -> None:
    index = build_index(DOG, dog)
    assert index.table.columns.tolist() == ["id", "path", "label", "group", "subset"]
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert index.train["path"].tolist()[0] == "train/a.jpg"
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.test["label"].tolist() == ["", ""]
    assert index.table["subset"].tolist() == ["train"] * 4 + ["test"] * 2
    assert index.problems == ()
    assert index.data_dir == dog


def test_test_rows_come_in_the_order_of_the_sample_submission(dog: Path, request: pytest.FixtureRequest) -> None:
    assert build_index(DOG, dog).test["id"].tolist() == ["z", "y"]
    shutil.rmtree(dog / "train")
    index = build_index(PLANET, request.getfixturevalue("planet"))
    assert index.test["path"].tolist() == ["test-jpg-additional/file_0.jpg", "test-jpg/test_0.jpg"]


def test_the_classes_are_the_sample_submissions_columns_in_its_order(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,boxer,beagle\nz,0.5,0.5\n")
    index = build_index(DOG, dog)
    assert index.classes == ("boxer", "beagle")
    assert index.targets().tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]


def test_with_one_column_in_the_sample_the_classes_are_the_labels_sorted(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,breed\nz,boxer\ny,boxer\n")
    assert build_index(DOG, dog).classes == ("beagle", "boxer")


def test_the_tags_are_those_of_the_training_rows_sorted(planet: Path) -> None:
    index = build_index(PLANET, planet)
    assert index.classes == ("agriculture", "clear", "haze", "primary", "road")
    assert index.targets()[2].tolist() == [0, 0, 1, 1, 1]


def test_closed_tags_keep_the_plugins_order(planet: Path) -> None:
    names = ("road", "haze", "primary", "clear", "agriculture")
    closed = replace(PLANET, labels=replace(PLANET.labels, names=names, mutually_exclusive=(), standalone=()))
    assert build_index(closed, planet).classes == names


def test_the_other_vintage_of_a_table_is_read_under_its_own_name(planet: Path) -> None:
    (planet / "train_v2.csv").rename(planet / "train_classes.csv")
    (planet / "sample_submission_v2.csv").rename(planet / "sample_submission.csv")
    assert len(build_index(PLANET, planet).train) == 12


def test_bands_are_named_by_array_and_row(iceberg: Path) -> None:
    index = build_index(ICEBERG, iceberg)
    assert index.train["path"].tolist()[3] == "train.npy#3"
    assert index.test[["id", "path"]].to_numpy().tolist()[0] == ["t2", "test.npy#2"]
    assert index.classes == ("is_iceberg",)
    assert index.targets().ravel().tolist() == [1, 0, 1, 0, 1]


def test_equal_group_text_is_one_group_and_a_missing_one_is_nobodys(iceberg: Path) -> None:
    groups = build_index(ICEBERG, iceberg).train["group"].tolist()
    assert groups[0] == groups[1] == "30.5"
    assert groups[4] == "30.50"  # the text decides: to the last decimal
    assert len({groups[2], groups[3], *groups}) == 4


def test_without_groups_each_row_is_its_own(dog: Path) -> None:
    assert build_index(DOG, dog).table["group"].is_unique


def test_ids_are_text_and_keep_their_zeros(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "007,beagle")
    (dog / "train/a.jpg").rename(dog / "train/007.jpg")
    assert build_index(DOG, dog).train["id"].tolist()[0] == "007"


@pytest.mark.parametrize("id", ["NA", "nan", "1e5", "None", "a b", "{id}", "x,y"])
def test_no_id_is_taken_for_something_else(dog: Path, id: str) -> None:
    edit(dog / "labels.csv", "a,beagle", f'"{id}",beagle')
    (dog / "train/a.jpg").rename(dog / f"train/{id}.jpg")
    assert build_index(DOG, dog).train["id"].tolist()[0] == id


# One folder a class


def test_the_folder_is_the_label(pets: Path) -> None:
    index = build_index(FOLDERS, pets)
    assert index.train[["id", "path", "label", "subset"]].to_numpy().tolist() == [
        ["cat/10.jpg", "train/cat/10.jpg", "cat", "train"],
        ["cat/2.png", "train/cat/2.png", "cat", "train"],
        ["dog/1.jpg", "train/dog/1.jpg", "dog", "train"],
        ["cat/7.jpg", "valid/cat/7.jpg", "cat", "valid"],
        ["dog/8.jpg", "valid/dog/8.jpg", "dog", "valid"],
    ]
    assert index.classes == ("cat", "dog") and index.problems == ()
    assert index.targets().argmax(axis=1).tolist() == [0, 0, 1, 0, 1]


def test_without_a_valid_folder_all_rows_are_for_training(pets: Path) -> None:
    shutil.rmtree(pets / "valid")
    assert set(build_index(replace(FOLDERS, valid_images=None), pets).train["subset"]) == {"train"}
    assert remarks(build_index(FOLDERS, pets)) == [("missing folder", "valid")]


def test_a_template_may_say_the_suffix_and_then_the_id_lacks_it(pets: Path) -> None:
    for path in [*pets.glob("*/*/*"), *pets.glob("test/*")]:
        path.rename(path.with_suffix(".JPG"))
    (pets / "sample_submission.csv").write_text("id,label\n1,cat\n")
    suffixed = replace(FOLDERS, train_images="train/{label}/{id}.jpg", valid_images=None, test_images="test/{id}.jpg")
    assert build_index(suffixed, pets).train["id"].tolist() == ["cat/10", "cat/2", "dog/1"]


def test_held_out_images_named_like_training_images_get_their_whole_path_as_id(pets: Path) -> None:
    touch(pets / "valid/dog/1.jpg")
    index = build_index(FOLDERS, pets)
    assert index.train["id"].is_unique
    assert index.train["id"].tolist()[-1] == "valid/dog/8.jpg"


def test_hidden_files_are_ignored_and_others_that_are_no_images_remarked(pets: Path) -> None:
    touch(pets / "train/cat/.DS_Store", pets / "train/.cache/x.jpg", pets / "train/cat/Thumbs.db")
    index = build_index(FOLDERS, pets)
    assert len(index.train) == 5
    assert remarks(index) == [("file that is no image", "train/cat/Thumbs.db")]


def test_an_empty_class_folder_stops(pets: Path) -> None:
    (pets / "train/hamster").mkdir()
    assert "empty class folder: 1\n    train/hamster" in faults(FOLDERS, pets)


def test_a_folder_that_is_no_class_of_the_sample_is_told_once_with_a_guess(pets: Path) -> None:
    (pets / "sample_submission.csv").write_text("id,cat,dog\n1.jpg,0,1\n")
    (pets / "train/cat").rename(pets / "train/catt")
    shutil.rmtree(pets / "valid/cat")
    text = faults(FOLDERS, pets)
    assert "unknown class: 1\n    train/catt" in text and "did you mean 'cat'?" in text


def test_missing_or_empty_training_folders_stop(pets: Path) -> None:
    shutil.rmtree(pets / "train/cat")
    shutil.rmtree(pets / "train/dog")
    assert "no image below it is of the form train/{label}/{id}" in faults(FOLDERS, pets)
    shutil.rmtree(pets / "train")
    assert "missing folder: 1\n    train: the folder is not there" in faults(FOLDERS, pets)


# Images and ids


def test_an_id_without_a_image_is_told_with_its_line_and_its_cure(dog: Path) -> None:
    (dog / "train/c.jpg").unlink()
    text = faults(DOG, dog)
    assert "labels.csv:4: 'c' has no image train/c.jpg" in text
    assert "fix: runner dog-breed download --force" in text


def test_a_test_id_without_a_image_stops(planet: Path) -> None:
    (planet / "test-jpg/test_0.jpg").unlink()
    touch(planet / "test-jpg/other.jpg")
    wanted = "sample_submission_v2.csv:3: 'test_0' has no image test-jpg/test_0.jpg or test-jpg-additional/test_0.jpg"
    assert wanted in faults(PLANET, planet)


def test_a_missing_folder_is_one_complaint_and_not_one_a_row(planet: Path) -> None:
    shutil.rmtree(planet / "train-jpg")
    text = faults(PLANET, planet)
    assert "has 1 fault" in text and "train-jpg: the folder is not there; 12 ids of train_v2.csv" in text


def test_both_test_sets_in_one_folder_will_do(planet: Path) -> None:
    (planet / "test-jpg-additional/file_0.jpg").rename(planet / "test-jpg/file_0.jpg")
    shutil.rmtree(planet / "test-jpg-additional")
    assert set(build_index(PLANET, planet).test["path"]) == {"test-jpg/file_0.jpg", "test-jpg/test_0.jpg"}


def test_a_image_without_a_label_is_a_remark(dog: Path) -> None:
    touch(dog / "train/e.jpg")
    assert remarks(build_index(DOG, dog)) == [("image without a label", "train/e.jpg")]


def test_a_test_image_that_the_sample_lacks_is_a_remark(dog: Path) -> None:
    touch(dog / "test/x.jpg")
    assert remarks(build_index(DOG, dog)) == [("image that is not asked for", "test/x.jpg")]


def test_where_train_and_test_share_a_folder_neither_complains_of_the_other(dog: Path) -> None:
    for path in [*dog.glob("train/*"), *dog.glob("test/*")]:
        (dog / "images").mkdir(exist_ok=True)
        path.rename(dog / "images" / path.name)
    shared = replace(DOG, train_images="images/{id}.jpg", test_images="images/{id}.jpg")
    assert remarks(build_index(shared, dog)) == []


def test_a_suffix_in_another_spelling_is_taken_and_said_once(dog: Path) -> None:
    (dog / "train/a.jpg").rename(dog / "train/a.JPG")
    (dog / "train/b.jpg").rename(dog / "train/b.jpeg")
    index = build_index(DOG, dog)
    assert index.train["path"].tolist()[:2] == ["train/a.JPG", "train/b.jpeg"]
    assert remarks(index) == [("suffix spelt otherwise", "train")]


def test_ids_that_bear_the_suffix_already_are_met_with_the_right_template(dog: Path) -> None:
    (dog / "labels.csv").write_text("id,breed\na.jpg,beagle\nb.jpg,boxer\n")
    text = faults(DOG, dog)
    assert "'a.jpg' has no image train/a.jpg.jpg" in text
    assert "the ids end in .jpg already: write 'train/{id}' in the plugin" in text


def test_a_template_that_lacks_the_suffix_is_met_with_the_right_one(dog: Path) -> None:
    text = faults(replace(DOG, train_images="train/{id}"), dog)
    assert "the images end in .jpg: write 'train/{id}.jpg' in the plugin" in text


def test_an_id_cannot_lead_out_of_its_folder(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "../test/y,beagle")
    assert "'../test/y' has no image" in faults(DOG, dog)


def test_an_id_twice_with_one_label_is_said_and_used_once(dog: Path) -> None:
    edit(dog / "labels.csv", "d,boxer\n", "d,boxer\na,beagle\n")
    index = build_index(DOG, dog)
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert remarks(index) == [("id twice", "labels.csv:6")]


def test_the_same_id_with_two_labels_stops(dog: Path) -> None:
    edit(dog / "labels.csv", "d,boxer\n", "d,boxer\na,boxer\n")
    text = faults(DOG, dog)
    assert "labels.csv:6: the id 'a' is on line 2 already, with another label: 'beagle' there, 'boxer' here" in text


def test_the_order_of_tags_makes_no_second_label_but_another_tag_does(planet: Path) -> None:
    edit(planet / "train_v2.csv", "train_11,", "train_0,clear  primary\ntrain_11,")
    assert remarks(build_index(PLANET, planet)) == [("id twice", "train_v2.csv:13")]
    edit(planet / "train_v2.csv", "train_0,clear  primary", "train_0,clear")
    assert "the same id with two labels" in faults(PLANET, planet)


def test_an_id_twice_in_the_sample_submission_stops(dog: Path) -> None:
    edit(dog / "sample_submission.csv", "y,0.5,0.5", "y,0.5,0.5\nz,0.5,0.5")
    assert "id twice: 1\n    sample_submission.csv:4: the id 'z' is on line 2 already" in faults(DOG, dog)


def test_rows_without_an_id_or_a_label_stop(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer", ",beagle\nb,  ")
    edit(dog / "sample_submission.csv", "y,", ",")
    text = faults(DOG, dog)
    assert "labels.csv:2: the row has no id" in text
    assert "empty label: 1\n    labels.csv:3: 'b' has no label" in text
    assert "sample_submission.csv:3: the row has no id" in text


# Labels


def test_a_class_that_the_sample_lacks_stops_with_a_guess(dog: Path) -> None:
    edit(dog / "labels.csv", "c,beagle", "c,Beagel")
    text = faults(DOG, dog)
    assert "labels.csv:4: the class 'Beagel' of 'c' is not among the sample submission's columns" in text
    assert "did you mean 'beagle'?" in text


def test_a_tag_outside_a_closed_vocabulary_stops_with_a_guess(planet: Path) -> None:
    names = ("agriculture", "clear", "haze", "primary", "road")
    closed = replace(PLANET, labels=replace(PLANET.labels, names=names, mutually_exclusive=(), standalone=()))
    edit(planet / "train_v2.csv", "train_4,agriculture clear", "train_4,agricultre clear")
    text = faults(closed, planet)
    assert "train_v2.csv:6: the tag 'agricultre' of 'train_4'" in text and "did you mean 'agriculture'?" in text


def test_a_rare_tag_that_is_nearly_a_frequent_one_stops(planet: Path) -> None:
    more = "".join(f"more_{n},agriculture clear\n" for n in range(10))
    edit(planet / "train_v2.csv", "train_11,", f"{more}odd,agricultre clear\ntrain_11,")
    touch(*(planet / f"train-jpg/more_{n}.jpg" for n in range(10)), planet / "train-jpg/odd.jpg")
    text = faults(PLANET, planet)
    assert "train_v2.csv:23: the tag 'agricultre' of 'odd' is rare and looks like 'agriculture'" in text
    assert "Multilabel(classes=...)" in text


def test_planets_own_tags_with_their_own_frequencies_are_no_slips() -> None:
    counts = {
        "primary": 37513, "clear": 28431, "agriculture": 12315, "road": 8071, "water": 7411,
        "partly_cloudy": 7261, "cultivation": 4477, "habitation": 3660, "haze": 2697, "cloudy": 2089,
        "bare_ground": 862, "selective_logging": 340, "artisinal_mine": 339, "blooming": 332,
        "slash_burn": 209, "blow_down": 101, "conventional_mine": 100,
    }  # fmt: skip
    assert probable_typos(Counter(counts)) == {}


@pytest.mark.parametrize(
    ("rare", "frequent", "slip"),
    [
        ("agricultre", "agriculture", True),
        ("Clear", "clear", True),
        ("species_12", "species_13", False),
        ("atypical", "typical", False),
        ("cloudy", "partly_cloudy", False),
    ],
)
def test_what_is_a_slip_and_what_is_a_word(rare: str, frequent: str, slip: bool) -> None:
    assert (rare in probable_typos(Counter({rare: 1, frequent: 500}))) == slip
    assert probable_typos(Counter({rare: 100, frequent: 500})) == {}


@pytest.mark.parametrize("label", ["0.5", "2", "yes", "-1", "nan"])
def test_a_probability_that_is_neither_0_nor_1_stops(iceberg: Path, label: str) -> None:
    edit(iceberg / "train.csv", "i1,0,", f"i1,{label},")
    assert f"train.csv:3: the label of 'i1' is '{label}', not 0 or 1" in faults(ICEBERG, iceberg)


def test_a_probability_may_be_written_as_a_decimal(iceberg: Path) -> None:
    edit(iceberg / "train.csv", "i0,1,", "i0,1.0,")
    assert build_index(ICEBERG, iceberg).train["label"].tolist()[0] == "1"


def test_one_class_only_stops(dog: Path) -> None:
    edit(dog / "labels.csv", "boxer", "beagle")
    assert "one class only: 1\n    labels.csv: every training row has the same label, 'beagle'" in faults(DOG, dog)


def test_one_kind_of_probability_only_stops(iceberg: Path) -> None:
    for row in ("i0,1", "i2,1", "i4,1"):
        edit(iceberg / "train.csv", row, row[:-1] + "0")
    assert "one class only" in faults(ICEBERG, iceberg)


def test_a_class_that_no_image_shows_is_a_remark(dog: Path) -> None:
    (dog / "sample_submission.csv").write_text("id,beagle,boxer,pug\nz,1,0,0\ny,1,0,0\n")
    index = build_index(DOG, dog)
    assert index.classes == ("beagle", "boxer", "pug") and index.targets().shape == (4, 3)
    assert remarks(index) == [("class without an image", "labels.csv")]


# CsvFiles as people and programs leave them


def test_a_byte_order_mark_is_accepted_and_said(dog: Path) -> None:
    for name in ("labels.csv", "sample_submission.csv"):
        (dog / name).write_bytes(b"\xef\xbb\xbf" + (dog / name).read_bytes())
    index = build_index(DOG, dog)
    assert index.classes == ("beagle", "boxer") and len(index.train) == 4
    assert remarks(index) == [("byte order mark", "sample_submission.csv:1"), ("byte order mark", "labels.csv:1")]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_other_line_ends_are_accepted_silently(dog: Path, end: bytes) -> None:
    for name in ("labels.csv", "sample_submission.csv"):
        (dog / name).write_bytes((dog / name).read_bytes().replace(b"\n", end))
    index = build_index(DOG, dog)
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.problems == ()


def test_quotes_are_accepted_silently(dog: Path) -> None:
    (dog / "labels.csv").write_text('"id","breed"\n"a","beagle"\n"b","boxer"\nc,beagle\nd,"boxer"\n')
    index = build_index(DOG, dog)
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert index.problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "id , breed\na,beagle\nb,boxer\nc,beagle\nd,boxer\n",
        "id,breed\na ,beagle\nb,boxer  \nc,beagle\nd,boxer\n",
        "id,breed\na, beagle\n  b, boxer\nc, beagle\nd, boxer\n",
        'id, "breed"\na, "beagle"\nb,boxer\nc,beagle\nd,boxer\n',
        "id,breed\n a,beagle\nb,boxer\nc,beagle\nd,boxer\n",
        "id,breed\na,\tbeagle\nb,boxer\nc,beagle\nd,boxer\n",
    ],
)
def test_blanks_around_names_and_values_are_left_out_and_said_once(dog: Path, text: str) -> None:
    (dog / "labels.csv").write_text(text)
    index = build_index(DOG, dog)
    assert index.train["id"].tolist() == ["a", "b", "c", "d"]
    assert index.train["label"].tolist() == ["beagle", "boxer", "beagle", "boxer"]
    assert remarks(index) == [("blanks around values", "labels.csv")]


def test_empty_lines_and_other_columns_are_no_matter(dog: Path) -> None:
    text = '\nid,note,breed\n\na,"one, two",beagle\nb,,boxer\n\n\nc,"over\ntwo lines",beagle\nd,,nobreed\n'
    (dog / "labels.csv").write_text(text)
    assert "labels.csv:10: the class 'nobreed' of 'd'" in faults(DOG, dog)


@pytest.mark.parametrize(
    ("header", "guess"),
    [("id,Breed", "'Breed'"), ("id,breeds", "'breeds'"), ("ID,breed", "'ID'"), ("id,bred", "'bred'")],
)
def test_a_misspelt_column_stops_with_a_guess(dog: Path, header: str, guess: str) -> None:
    edit(dog / "labels.csv", "id,breed", header)
    text = faults(DOG, dog)
    assert "missing column: 1\n    labels.csv:1: no column is named" in text and f"did you mean {guess}?" in text


def test_a_missing_column_stops_and_says_which_there_are(dog: Path) -> None:
    edit(dog / "labels.csv", "id,breed", "id,zzz")
    assert "no column is named 'breed'; there are 'id', 'zzz'" in faults(DOG, dog)


def test_a_column_twice_stops(dog: Path) -> None:
    (dog / "labels.csv").write_text("id,breed,breed\na,beagle,boxer\n")
    assert "2 columns are named 'breed'" in faults(DOG, dog)


@pytest.mark.parametrize("name", ["labels.csv", "sample_submission.csv"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "the file is empty: 0 bytes"),
        (b"\n \n", "the file is empty: 3 bytes"),
        (b"<!DOCTYPE html>\n<html><title>Sign in</title></html>", "an HTML page"),
        (b"\n  <html></html>", "an HTML page"),
        (b"PK\x03\x04\x14\x00\x06\x00", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b'[{"id": "a"}]', "JSON"),
        ("id,breed\na,beagle\n".encode("utf-16"), "UTF-16"),
        (b"id,breed\na\x00,beagle\n", "a binary file"),
        (b"id,breed\na,\xe9pagneul\n", "not text in UTF-8: the byte 0xe9"),
        (b"id;breed\na;beagle\n", "separated by semicolons"),
        (b"id\tbreed\na\tbeagle\n", "separated by tabs"),
        (b"id,breed\n", "no rows below"),
        (b'id,breed\n"a,beagle\nb,boxer\n', "a quote is opened here and never closed"),
        (b'"id,breed\na,beagle\nb,boxer\n', "a quote is opened here and never closed"),
        (b'id,breed\n"' + b"a,beagle\n" * 20_000, "a quote is opened here and never closed"),
    ],
)
def test_what_is_no_table_stops_and_says_what_it_is(dog: Path, name: str, content: bytes, found: str) -> None:
    (dog / name).write_bytes(content)
    text = faults(DOG, dog)
    assert found in text and name in text and "has 1 fault\n" in text


def test_a_missing_table_stops(dog: Path) -> None:
    (dog / "labels.csv").unlink()
    assert "missing table: 1\n    labels.csv: the file is not there" in faults(DOG, dog)


def test_rows_of_the_wrong_length_stop(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer", "a,beagle,or boxer\nb")
    text = faults(DOG, dog)
    assert "labels.csv:2: 3 values under 2 names: a, beagle, or boxer" in text
    assert "labels.csv:3: 1 values under 2 names: b" in text


def test_commas_left_over_at_the_end_are_no_matter(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle", "a,beagle,,")
    assert build_index(DOG, dog).problems == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id\nz\ny\n", "there is nothing beside the id"),
        (",id,beagle,boxer\n0,z,1,0\n1,y,1,0\n", "column 1 has no name: an index column left in?"),
        ("id,beagle,boxer,boxer\nz,1,0,0\ny,1,0,0\n", "2 columns are named 'boxer'"),
    ],
)
def test_a_sample_submission_with_columns_that_cannot_be_meant_stops(dog: Path, text: str, found: str) -> None:
    (dog / "sample_submission.csv").write_text(text)
    assert found in faults(DOG, dog)


def test_a_sample_of_one_probability_has_one_column(iceberg: Path) -> None:
    (iceberg / "sample_submission.csv").write_text("id,ship,iceberg\nt0,0,1\n")
    assert "there are 2 columns beside the id, where one is to be predicted" in faults(ICEBERG, iceberg)


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=80) | st.text(alphabet='ab,;"\n\r \ufeff\x00', max_size=60).map(str.encode))
def test_no_table_whatever_it_holds_ends_in_anything_but_a_message(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    (folder / "labels.csv").write_bytes(content)
    (folder / "sample_submission.csv").write_bytes(content)
    with pytest.raises(DataError):
        build_index(DOG, folder)


# Arrays


def test_an_array_and_its_table_must_be_of_one_length(iceberg: Path) -> None:
    np.save(iceberg / "train.npy", np.zeros((4, 2, 75, 75), dtype=np.float32))
    assert "train.npy: it holds 4 images, and train.csv 5 rows" in faults(ICEBERG, iceberg)


def test_a_missing_or_broken_array_stops(iceberg: Path) -> None:
    (iceberg / "train.npy").unlink()
    (iceberg / "test.npy").write_bytes(b"not an array")
    text = faults(ICEBERG, iceberg)
    assert "unreadable array: 2" in text and "train.npy" in text and "test.npy" in text


def test_bands_that_the_sample_lacks_or_has_in_excess(iceberg: Path) -> None:
    (iceberg / "sample_submission.csv").write_text("id,is_iceberg\nt0,0.5\nt1,0.5\n")
    assert remarks(build_index(ICEBERG, iceberg)) == [("image that is not asked for", "test.npy#2")]
    (iceberg / "sample_submission.csv").write_text("id,is_iceberg\nt0,0.5\nt9,0.5\n")
    assert "sample_submission.csv:3: 't9' has no image: test.csv does not list it" in faults(ICEBERG, iceberg)


def test_two_images_for_one_id_stop_and_are_told_once(iceberg: Path) -> None:
    edit(iceberg / "train.csv", "i1,0,30.5", "i0,1,30.5")
    assert "two images for one id: 1\n    train.csv:3" in faults(ICEBERG, iceberg)


# All at once


def test_everything_is_told_at_once_and_not_the_first(dog: Path) -> None:
    edit(dog / "labels.csv", "a,beagle\nb,boxer\nc,beagle\n", "a,\nb,boxxer\nc,beagle\nc,boxer\n")
    (dog / "train/d.jpg").unlink()
    (dog / "test/z.jpg").unlink()
    text = faults(DOG, dog)
    assert text.startswith("the data of dog-breed has 5 faults\n")
    for kind in ("empty label: 1", "unknown class: 1", "same id with two labels: 1", "id without an image: 2"):
        assert kind in text
    assert f"where: {dog}" in text


def test_a_long_list_is_cut_and_counted() -> None:
    alike = [Problem("id without an image", "labels.csv", n, f"no {n}", "again", fatal=True) for n in range(47)]
    text = describe([*alike, Problem("empty label", "labels.csv", 9, "none", "fill it in", fatal=True)])
    lines = text.splitlines()
    assert lines[0] == "- id without an image: 47"
    assert lines[10:13] == ["    labels.csv:9: no 9", "    and 37 more like this", "      fix: again"]
    assert lines[13:] == ["- empty label: 1", "    labels.csv:9: none", "      fix: fill it in"]


def test_each_folder_is_listed_once_and_no_file_is_asked_for(dog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    scandir = os.scandir

    def counted(path: Path) -> Iterator[os.DirEntry[str]]:
        listed.append(Path(path).name)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counted)
    asked: list[Path] = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: asked.append(self) or is_file(self))
    build_index(DOG, dog)
    assert sorted(listed) == ["test", "train"]
    assert {path.suffix for path in asked} == {".csv"}
