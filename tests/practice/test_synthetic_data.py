"""Synthetic data: Kaggle's file layouts, and images that match their labels."""

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

from runner.hosts.grading import Usage, read_solution
from runner.practice.archives import write_archive
from runner.practice.dog_breed import generate_dog_breed
from runner.practice.draw_dogs import BREEDS, draw_dog
from runner.practice.draw_radar import MIN_DB, draw_target, sample_scene
from runner.practice.draw_tiles import TAGS, WEATHER, draw_tile, sample_tags
from runner.practice.iceberg import generate_iceberg
from runner.practice.noise import NoiseBank
from runner.practice.planet import generate_planet
from runner.practice.synthetic_data import Archive, ArchiveType, SyntheticData

Folders = dict[str, Path]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def read_zip(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_7z(path: Path, temporary: Path) -> dict[str, bytes]:
    with py7zr.SevenZipFile(path) as archive:
        archive.extractall(temporary)
        return {name: (temporary / name).read_bytes() for name in archive.getnames()}


def read_zipped_csv(path: Path) -> list[dict[str, str]]:
    ((_, content),) = read_zip(path).items()
    return read_csv(content.decode())


# --- dog-breed ----------------------------------------------------------------------------------


def test_dog_breed_has_the_older_layout_of_four_zips(offered_dirs: Folders) -> None:
    folder = offered_dirs["dog-breed"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "labels.csv.zip",
        "sample_submission.csv.zip",
        "test.zip",
        "train.zip",
    ]
    labels, sample = read_zipped_csv(folder / "labels.csv.zip"), read_zipped_csv(folder / "sample_submission.csv.zip")
    assert {f"train/{row['id']}.jpg" for row in labels} == set(read_zip(folder / "train.zip"))
    assert {f"test/{row['id']}.jpg" for row in sample} == set(read_zip(folder / "test.zip"))
    assert list(labels[0]) == ["id", "breed"]
    assert list(sample[0]) == ["id", *sorted({row["breed"] for row in labels})]
    assert all(len(row["id"]) == 32 and int(row["id"], 16) >= 0 for row in labels + sample)
    assert sum(float(value) for value in list(sample[0].values())[1:]) == pytest.approx(1)


def test_dog_images_differ_in_size_and_aspect_ratio(offered_dirs: Folders) -> None:
    images = read_zip(offered_dirs["dog-breed"] / "train.zip").values()
    sizes = [Image.open(io.BytesIO(content)).size for content in images]
    assert len(set(sizes)) > len(sizes) * 0.8
    assert min(width / height for width, height in sizes) < 1 < max(width / height for width, height in sizes)


def test_every_breed_occurs_at_least_twice(offered_dirs: Folders) -> None:
    breeds = Counter(row["breed"] for row in read_zipped_csv(offered_dirs["dog-breed"] / "labels.csv.zip"))
    assert set(breeds) == {breed.name for breed in BREEDS}
    assert min(breeds.values()) >= 2


def test_the_mean_colour_does_not_give_the_breed_away() -> None:
    random = np.random.default_rng(0)
    noise = NoiseBank(random)
    means = [[draw_dog(breed, random, noise).mean() for _ in range(40)] for breed in BREEDS]
    between, within = np.std(np.mean(means, axis=1)), np.mean(np.std(means, axis=1))
    assert between < 0.4 * within


# --- planet -------------------------------------------------------------------------------------


def test_planet_has_tar_archives_inside_7z(offered_dirs: Folders, tmp_path: Path) -> None:
    folder = offered_dirs["planet"]
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
        ((tar_name, content),) = read_7z(folder / f"{name}.tar.7z", tmp_path).items()
        assert tar_name == f"{name}.tar"
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            images |= set(tar.getnames())
    labels, sample = (
        read_zipped_csv(folder / "train_v2.csv.zip"),
        read_zipped_csv(folder / "sample_submission_v2.csv.zip"),
    )
    folders = {"train": "train-jpg", "test": "test-jpg", "file": "test-jpg-additional"}
    names = [row["image_name"] for row in labels + sample]
    assert {f"{folders[name.split('_')[0]]}/{name}.jpg" for name in names} == images
    assert {name.split("_")[0] for name in names} == set(folders)


def test_some_tiles_are_cmyk() -> None:
    (train,) = (archive for archive in generate_planet(1, 0.05).archives if archive.name == "train-jpg.tar.7z")
    modes = Counter(Image.open(io.BytesIO(content)).mode for content in train.files.values())
    assert modes["CMYK"] >= 1
    assert modes["RGB"] > 50


def test_every_tag_occurs_in_train_and_in_test(offered_dirs: Folders) -> None:
    for rows in (
        [row["tags"] for row in read_zipped_csv(offered_dirs["planet"] / "train_v2.csv.zip")],
        [row.label for row in read_solution(offered_dirs["planet"].parent / "solution.csv")],
    ):
        assert {tag for tags in rows for tag in tags.split()} == set(TAGS)
    assert len(TAGS) == 17


def test_a_tile_has_one_weather_and_a_cloudy_tile_no_other_tag() -> None:
    random = np.random.default_rng(0)
    for tags in (sample_tags(random) for _ in range(500)):
        assert len(tags & set(WEATHER)) == 1
        assert "cloudy" not in tags or tags == {"cloudy"}


def test_tags_are_about_as_frequent_as_in_the_real_data() -> None:
    random = np.random.default_rng(0)
    counts = Counter(tag for _ in range(3000) for tag in sample_tags(random))
    frequencies = {
        "primary": 0.927,
        "clear": 0.702,
        "agriculture": 0.304,
        "road": 0.199,
        "water": 0.183,
        "cultivation": 0.11,
    }
    for tag, frequency in frequencies.items():
        assert counts[tag] / 3000 == pytest.approx(frequency, abs=0.04)
    assert counts["conventional_mine"] < counts["habitation"] < counts["road"]


@pytest.mark.parametrize("tag", sorted(set(TAGS) - {"clear"}))
def test_every_tag_changes_the_tile(tag: str) -> None:
    def draw(*tags: str) -> Any:
        random = np.random.default_rng(7)  # the same ground under the same light
        return draw_tile(frozenset(tags), random, NoiseBank(random)).astype(float)

    plain = draw("clear")
    tagged = draw(tag) if tag in WEATHER else draw("clear", tag)
    assert np.abs(tagged - plain).max() > 40


# --- iceberg ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def records(offered_dirs: Folders, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The objects of both JSON files."""
    temporary = tmp_path_factory.mktemp("json")
    records = {}
    for subset in ("train", "test"):
        ((name, content),) = read_7z(offered_dirs["iceberg"] / f"{subset}.json.7z", temporary).items()
        assert name == f"data/processed/{subset}.json"
        records[subset] = json.loads(content)
    return records


Records = dict[str, list[dict[str, Any]]]


def test_targets_are_two_bands_of_75_by_75_decibels(records: Records) -> None:
    for record in records["train"] + records["test"]:
        assert len(record["band_1"]) == len(record["band_2"]) == 75 * 75
    assert list(records["train"][0]) == ["id", "band_1", "band_2", "inc_angle", "is_iceberg"]
    assert list(records["test"][0]) == ["id", "band_1", "band_2", "inc_angle"]
    values = np.array([record["band_1"] for record in records["train"]])
    assert MIN_DB <= values.min() < -20 < 0 < values.max()


def test_the_json_has_the_generated_bands(records: Records) -> None:
    data = generate_iceberg(2017, 0.05)
    bands = np.array([[record["band_1"], record["band_2"]] for record in records["train"]])
    expected = np.stack([image.transpose(2, 0, 1).reshape(2, -1) for image in data.train.images])
    assert np.abs(bands - expected).max() < 1e-4


def test_angles_are_shared_by_targets_and_missing_in_train_only(records: Records) -> None:
    angles = [record["inc_angle"] for record in train_records(generate_iceberg(3, 0.4))]
    missing = angles.count("na")
    assert 0.03 < missing / len(angles) < 0.15
    assert len(set(angles)) < len(angles) / 2
    assert all(isinstance(record["inc_angle"], float) for record in records["test"])


def train_records(data: SyntheticData) -> list[dict[str, Any]]:
    (train,) = (archive for archive in data.archives if archive.name == "train.json.7z")
    ((_, content),) = train.files.items()
    records: list[dict[str, Any]] = json.loads(content)
    return records


def test_machine_generated_rows_count_in_no_score(offered_dirs: Folders, records: Records) -> None:
    solution = read_solution(offered_dirs["iceberg"].parent / "solution.csv")
    ignored = {row.id for row in solution if row.usage is Usage.IGNORED}
    assert {row.id for row in solution} == {record["id"] for record in records["test"]}
    assert 0.2 < len(ignored) / len(solution) < 0.4
    decimals = {record["id"]: len(str(record["inc_angle"]).split(".")[1]) for record in records["test"]}
    assert all((decimals[row.id] > 4) == (row.id in ignored) for row in solution)


def test_ships_and_icebergs_are_equally_bright_but_differ_in_hv() -> None:
    random = np.random.default_rng(0)
    noise = NoiseBank(random, side=256)
    scenes = [sample_scene(random) for _ in range(150)]
    peaks = {
        is_iceberg: np.mean(
            [draw_target(is_iceberg, scene, random, noise).max(axis=(1, 2)) for scene in scenes], axis=0
        )
        for is_iceberg in (True, False)
    }
    assert abs(peaks[True][0] - peaks[False][0]) < 2.5
    assert peaks[True][0] - peaks[True][1] > peaks[False][0] - peaks[False][1]


# --- all three ----------------------------------------------------------------------------------


@pytest.mark.parametrize("generate", [generate_dog_breed, generate_iceberg, generate_planet])
def test_the_same_seed_gives_the_same_bytes(generate: Any, tmp_path: Path) -> None:
    def archives(seed: int, folder: str) -> dict[str, bytes]:
        data = generate(seed, 0.01)
        return {archive.name: write_archive(archive, tmp_path / folder).read_bytes() for archive in data.archives}

    first = archives(5, "first")
    assert archives(5, "again") == first
    another = archives(6, "another")
    assert another.keys() == first.keys()
    assert another != first


@pytest.mark.parametrize("archive_type", list(ArchiveType))
def test_an_archive_does_not_depend_on_the_clock(
    archive_type: ArchiveType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(f"a.{archive_type.value}", archive_type, {"in/one.jpg": b"1" * 99, "two.csv": b""})
    first = write_archive(archive, tmp_path / "first").read_bytes()
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert write_archive(archive, tmp_path / "second").read_bytes() == first
