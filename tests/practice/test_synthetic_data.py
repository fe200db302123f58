"""What the painters paint: Kaggle's layouts, and images that bear what their labels say."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import py7zr
import pytest
from PIL import Image

from runner.hosts.grading import Usage, read_answers
from runner.practice.dog_breed import generate_dog_breed
from runner.practice.dogs import BREEDS, paint_dog
from runner.practice.iceberg import generate_iceberg
from runner.practice.noise import NoiseBank
from runner.practice.packing import pack
from runner.practice.planet import generate_planet
from runner.practice.radar import LOWEST, draw_scene, paint_target
from runner.practice.synthetic_data import Archive, Packing
from runner.practice.tiles import TAGS, WEATHER, draw_tags, paint_tile

Files = dict[str, Path]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def read_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def read_seven(path: Path, scratch: Path) -> dict[str, bytes]:
    with py7zr.SevenZipFile(path) as packed:
        packed.extractall(scratch)
        return {name: (scratch / name).read_bytes() for name in packed.getnames()}


def read_table(path: Path) -> list[dict[str, str]]:
    ((_, content),) = read_zip(path).items()
    return read_csv(content.decode())


# --- dog-breed ----------------------------------------------------------------------------------


def test_dogs_come_in_the_older_layout(files: Files) -> None:
    folder = files["dog-breed"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "labels.csv.zip",
        "sample_submission.csv.zip",
        "test.zip",
        "train.zip",
    ]
    labels, sample = read_table(folder / "labels.csv.zip"), read_table(folder / "sample_submission.csv.zip")
    assert {f"train/{row['id']}.jpg" for row in labels} == set(read_zip(folder / "train.zip"))
    assert {f"test/{row['id']}.jpg" for row in sample} == set(read_zip(folder / "test.zip"))
    assert list(labels[0]) == ["id", "breed"]
    assert list(sample[0]) == ["id", *sorted({row["breed"] for row in labels})]
    assert all(len(row["id"]) == 32 and int(row["id"], 16) >= 0 for row in labels + sample)
    assert sum(float(value) for value in list(sample[0].values())[1:]) == pytest.approx(1)


def test_dogs_are_photographed_in_many_sizes_and_shapes(files: Files) -> None:
    images = read_zip(files["dog-breed"] / "train.zip").values()
    sizes = [Image.open(io.BytesIO(content)).size for content in images]
    assert len(set(sizes)) > len(sizes) * 0.8
    assert min(width / height for width, height in sizes) < 1 < max(width / height for width, height in sizes)


def test_every_breed_is_there(files: Files) -> None:
    breeds = Counter(row["breed"] for row in read_table(files["dog-breed"] / "labels.csv.zip"))
    assert set(breeds) == {breed.name for breed in BREEDS}
    assert min(breeds.values()) >= 2


def test_no_breed_has_a_colour_of_its_own() -> None:
    random = np.random.default_rng(0)
    noise = NoiseBank(random)
    means = [[paint_dog(breed, random, noise).mean() for _ in range(40)] for breed in BREEDS]
    between, within = np.std(np.mean(means, axis=1)), np.mean(np.std(means, axis=1))
    assert between < 0.4 * within


# --- planet -------------------------------------------------------------------------------------


def test_tiles_come_in_archives_of_archives(files: Files, tmp_path: Path) -> None:
    folder = files["planet"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "sample_submission_v2.csv.zip",
        "test-jpg-additional.tar.7z",
        "test-jpg.tar.7z",
        "test_v2_file_mapping.csv.zip",
        "train-jpg.tar.7z",
        "train_v2.csv.zip",
    ]
    images = set()
    for name in ("train-jpg", "test-jpg", "test-jpg-additional"):
        ((inner, content),) = read_seven(folder / f"{name}.tar.7z", tmp_path).items()
        assert inner == f"{name}.tar"
        with tarfile.open(fileobj=io.BytesIO(content)) as packed:
            images |= set(packed.getnames())
    labels, sample = read_table(folder / "train_v2.csv.zip"), read_table(folder / "sample_submission_v2.csv.zip")
    folders = {"train": "train-jpg", "test": "test-jpg", "file": "test-jpg-additional"}
    names = [row["image_name"] for row in labels + sample]
    assert {f"{folders[name.split('_')[0]]}/{name}.jpg" for name in names} == images
    assert {name.split("_")[0] for name in names} == set(folders)


def test_some_tiles_are_cmyk() -> None:
    (train,) = (a for a in generate_planet(1, 0.05).archives if a.name == "train-jpg.tar.7z")
    modes = Counter(Image.open(io.BytesIO(content)).mode for content in train.members.values())
    assert modes["CMYK"] >= 1
    assert modes["RGB"] > 50


def test_all_tags_occur_in_both_parts(files: Files) -> None:
    for rows in (
        [row["tags"] for row in read_table(files["planet"] / "train_v2.csv.zip")],
        [answer.label for answer in read_answers(files["planet"].parent / "answers.csv")],
    ):
        assert {tag for tags in rows for tag in tags.split()} == set(TAGS)
    assert len(TAGS) == 17


def test_a_tile_has_one_weather_and_a_cloudy_one_nothing_else() -> None:
    random = np.random.default_rng(0)
    for tags in (draw_tags(random) for _ in range(500)):
        assert len(tags & set(WEATHER)) == 1
        assert "cloudy" not in tags or tags == {"cloudy"}


def test_tags_are_as_frequent_as_in_the_amazon() -> None:
    random = np.random.default_rng(0)
    counts = Counter(tag for _ in range(3000) for tag in draw_tags(random))
    real = {"primary": 0.927, "clear": 0.702, "agriculture": 0.304, "road": 0.199, "water": 0.183, "cultivation": 0.11}
    for tag, share in real.items():
        assert counts[tag] / 3000 == pytest.approx(share, abs=0.04)
    assert counts["conventional_mine"] < counts["habitation"] < counts["road"]


@pytest.mark.parametrize("tag", sorted(set(TAGS) - {"clear"}))
def test_every_tag_shows_on_the_tile(tag: str) -> None:
    def paint(*tags: str) -> Any:
        random = np.random.default_rng(7)  # the same ground under the same light
        return paint_tile(frozenset(tags), random, NoiseBank(random)).astype(float)

    bare = paint("clear")
    shown = paint(tag) if tag in WEATHER else paint("clear", tag)
    assert np.abs(shown - bare).max() > 40


# --- iceberg ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def records(files: Files, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Both JSON files, read."""
    scratch = tmp_path_factory.mktemp("json")
    read = {}
    for part in ("train", "test"):
        ((name, content),) = read_seven(files["iceberg"] / f"{part}.json.7z", scratch).items()
        assert name == f"data/processed/{part}.json"
        read[part] = json.loads(content)
    return read


Records = dict[str, list[dict[str, Any]]]


def test_targets_are_two_bands_of_75_by_75_decibels(records: Records) -> None:
    for record in records["train"] + records["test"]:
        assert len(record["band_1"]) == len(record["band_2"]) == 75 * 75
    assert list(records["train"][0]) == ["id", "band_1", "band_2", "inc_angle", "is_iceberg"]
    assert list(records["test"][0]) == ["id", "band_1", "band_2", "inc_angle"]
    values = np.array([record["band_1"] for record in records["train"]])
    assert LOWEST <= values.min() < -20 < 0 < values.max()


def test_the_json_says_what_was_painted(records: Records) -> None:
    painted = generate_iceberg(2017, 0.05)
    read = np.array([[record["band_1"], record["band_2"]] for record in records["train"]])
    painted_bands = np.stack([p.transpose(2, 0, 1).reshape(2, -1) for p in painted.train.images])
    assert np.abs(read - painted_bands).max() < 1e-4


def test_angles_are_shared_by_scenes_and_missing_in_train_only(records: Records) -> None:
    angles = [record["inc_angle"] for record in paint_records(generate_iceberg(3, 0.4))]
    missing = angles.count("na")
    assert 0.03 < missing / len(angles) < 0.15
    assert len(set(angles)) < len(angles) / 2
    assert all(isinstance(record["inc_angle"], float) for record in records["test"])


def paint_records(painted: Any) -> list[dict[str, Any]]:
    (train,) = (archive for archive in painted.archives if archive.name == "train.json.7z")
    ((_, content),) = train.members.items()
    read: list[dict[str, Any]] = json.loads(content)
    return read


def test_machine_made_rows_are_asked_for_and_ignored(files: Files, records: Records) -> None:
    answers = read_answers(files["iceberg"].parent / "answers.csv")
    ignored = {answer.id for answer in answers if answer.usage is Usage.IGNORED}
    assert {answer.id for answer in answers} == {record["id"] for record in records["test"]}
    assert 0.2 < len(ignored) / len(answers) < 0.4
    decimals = {record["id"]: len(str(record["inc_angle"]).split(".")[1]) for record in records["test"]}
    assert all((decimals[answer.id] > 4) == (answer.id in ignored) for answer in answers)


def test_both_kinds_are_as_bright_and_ice_is_relatively_weaker_in_hv() -> None:
    random = np.random.default_rng(0)
    noise = NoiseBank(random, side=256)
    scenes = [draw_scene(random) for _ in range(150)]
    peaks = {
        kind: np.mean([paint_target(kind, scene, random, noise).max(axis=(1, 2)) for scene in scenes], axis=0)
        for kind in (True, False)
    }
    assert abs(peaks[True][0] - peaks[False][0]) < 2.5
    assert peaks[True][0] - peaks[True][1] > peaks[False][0] - peaks[False][1]


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("paint", [generate_dog_breed, generate_iceberg, generate_planet])
def test_one_seed_paints_the_same_bytes_and_another_does_not(paint: Any, tmp_path: Path) -> None:
    def packed(seed: int, place: str) -> dict[str, bytes]:
        archives = paint(seed, 0.01).archives
        return {archive.name: pack(archive, tmp_path / place).read_bytes() for archive in archives}

    once = packed(5, "once")
    assert packed(5, "again") == once
    assert packed(6, "other").keys() == once.keys()
    assert packed(6, "other") != once


@pytest.mark.parametrize("packing", list(Packing))
def test_an_archive_does_not_depend_on_the_clock(
    packing: Packing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(f"a.{packing.value}", packing, {"in/one.jpg": b"1" * 99, "two.csv": b""})
    first = pack(archive, tmp_path / "first").read_bytes()
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert pack(archive, tmp_path / "second").read_bytes() == first
