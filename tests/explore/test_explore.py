"""Statistics of the images: classes, sizes, train/test shift, and unreadable images."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.contract import Stage, TrainMode
from runner.data.index import build_index
from runner.explore.explore import Exploration, ImageStatistic, Quantiles, explore, sample_evenly, size_effects
from runner.explore.image_stats import compute_image_stats, read_sizes
from tests.builders import write_csv
from tests.competitions import SHAPES
from tests.explore.arrays import write_arrays

STAGES = (Stage(32, TrainMode.UNFROZEN), Stage(64, TrainMode.UNFROZEN))
COMPETITION = replace(SHAPES, recipe=replace(SHAPES.recipe, stages=STAGES))


@pytest.fixture
def data_dir(shapes_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shapes_folder, tmp_path / "data"))


def explore_folder(data_dir: Path, max_decoded: int = 1000) -> Exploration:
    return explore(COMPETITION, build_index(COMPETITION, data_dir), data_dir / "folds.csv", max_decoded=max_decoded)


def test_classes_sizes_and_size_effects_are_those_of_the_files(data_dir: Path) -> None:
    exploration = explore_folder(data_dir)
    assert [(count.name, count.rows) for count in exploration.classes] == [
        ("akita", 20),
        ("beagle", 20),
        ("collie", 20),
    ]
    width, height, aspect = exploration.sizes
    assert set(width.train) == set(range(40, 49)) and set(height.train) == {40.0}
    assert np.array_equal(aspect.train, width.train / 40)
    effects = [(effect.size, effect.upscaled, effect.scale) for effect in exploration.size_effects]
    assert effects == [(32, 0.0, 0.8), (64, 1.0, 1.6)]
    assert exploration.unreadable == () and exploration.duplicates == ()


def test_unreadable_images_are_listed_and_left_out(data_dir: Path) -> None:
    complete = (data_dir / "train/train007.jpg").read_bytes()
    (data_dir / "train/train007.jpg").write_bytes(complete[: len(complete) // 2])
    (data_dir / "train/train003.jpg").write_bytes(b"")
    exploration = explore_folder(data_dir)
    paths = exploration.index.table["path"].tolist()
    assert {(image.path, paths[image.row]) for image in exploration.unreadable} == {
        ("train/train003.jpg", "train/train003.jpg"),
        ("train/train007.jpg", "train/train007.jpg"),
    }
    assert exploration.decoded == 79 and exploration.all_decoded


def test_the_validation_rows_of_a_holdout_are_counted(data_dir: Path) -> None:
    write_csv(data_dir / "folds.csv", ("id", "fold"), ((f"train{n:03d}", 0 if n < 2 else -1) for n in range(60)))
    assert explore_folder(data_dir).fold_rows == {"train only": 58, "holdout": 2}


def test_the_validation_rows_of_each_fold_are_counted(data_dir: Path) -> None:
    write_csv(data_dir / "folds.csv", ("id", "fold"), ((f"train{n:03d}", n % 3) for n in range(60)))
    assert explore_folder(data_dir).fold_rows == {"fold 0": 20, "fold 1": 20, "fold 2": 20}


def test_at_most_max_decoded_images_are_decoded(data_dir: Path) -> None:
    exploration = explore_folder(data_dir, max_decoded=9)
    assert exploration.decoded == 9 and not exploration.all_decoded


def test_a_sample_is_spread_evenly_over_all_rows() -> None:
    assert sample_evenly(100, 4) == [0, 25, 50, 75]
    assert sample_evenly(3, 4) == [0, 1, 2]


# Train/test shift


def test_darker_and_larger_test_images_are_a_large_shift(data_dir: Path) -> None:
    for path in (data_dir / "test").iterdir():
        with Image.open(path) as image:
            image.resize((90, 60)).point(lambda value: value // 3).save(path)
    shifts = {measure.name: measure.shift for measure in explore_folder(data_dir).measures}
    assert shifts["width"] == shifts["height"] == shifts["brightness"] == "large"


def test_a_small_ks_statistic_is_no_shift_however_significant() -> None:
    random = np.random.default_rng(0)
    many = ImageStatistic("x", random.normal(0, 1, 200_000), random.normal(0.05, 1, 200_000))
    assert many.ks_statistic > many.ks_critical and many.shift == "none"
    few = ImageStatistic("x", random.normal(0, 1, 12), random.normal(0.3, 1, 12))
    assert few.shift == "none"


def test_a_medium_ks_statistic_is_a_small_shift() -> None:
    random = np.random.default_rng(0)
    measure = ImageStatistic("x", random.normal(0, 1, 5000), random.normal(0.4, 1, 5000))
    assert 0.1 < measure.ks_statistic < 0.25 and measure.shift == "small"


def test_the_ks_statistic_is_the_largest_gap_between_distributions() -> None:
    nan = float("nan")
    assert ImageStatistic("x", np.array([1.0, 2.0, nan]), np.array([3.0, 4.0])).ks_statistic == 1.0
    assert ImageStatistic("x", np.array([1.0, 2.0, 3.0, 4.0]), np.array([3.0, 4.0, nan])).ks_statistic == 0.5
    assert ImageStatistic("x", np.array([1.0, 2.0]), np.array([2.0, 1.0])).ks_statistic == 0.0


@pytest.mark.parametrize("test", [[], [float("nan")]])
def test_a_measure_without_test_values_has_no_shift(test: list[float]) -> None:
    measure = ImageStatistic("x", np.array([1.0, 2.0]), np.array(test))
    assert (measure.ks_statistic, measure.ks_critical, measure.shift) == (0.0, 0.0, "none")


def test_quantiles_leave_out_nan() -> None:
    values = np.array([*range(101), float("nan")], dtype=float)
    assert Quantiles.of(values) == Quantiles(101, p5=5, p25=25, median=50, p75=75, p95=95)
    assert Quantiles.of(np.array([float("nan")])) is None


# Sizes


def test_the_cropped_share_is_outside_the_center_crop() -> None:
    effects = size_effects(np.array([[200.0, 100.0]] * 5 + [[np.nan, np.nan]]), [50, 50, 100])
    assert [(effect.size, effect.cropped, effect.upscaled) for effect in effects] == [(50, 0.5, 0.0), (100, 0.5, 0.0)]


def test_sizes_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    for number in range(300):
        Image.new("L", (10 + number, 5)).save(tmp_path / f"{number}.png")
    sizes = read_sizes(tmp_path, [f"{number}.png" for number in range(300)])
    assert sizes.values.tolist() == [[10 + number, 5] for number in range(300)]


# Arrays


@pytest.mark.parametrize(
    ("bands", "dtype"), [(1, np.float32), (2, np.uint8), (2, np.float32), (3, np.float32), (4, np.uint8)]
)
def test_arrays_of_any_number_of_bands_are_measured(tmp_path: Path, bands: int, dtype: type) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, bands, 6, 5)).astype(dtype)
    np.save(tmp_path / "a.npy", images)
    stats = compute_image_stats(tmp_path, [f"a.npy#{row}" for row in range(4)], range(4))
    assert stats.measures == tuple(
        f"{name} of band {band}" for band in range(1, bands + 1) for name in ("mean", "maximum")
    )
    assert np.allclose(stats.values[:, ::2], images.mean(axis=(2, 3)))
    assert np.array_equal(stats.values[:, 1::2], images.max(axis=(2, 3)))


def test_each_array_has_its_own_size(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.zeros((2, 3, 6, 5), dtype=np.float32))
    np.save(tmp_path / "test.npy", np.zeros((2, 3, 8, 9), dtype=np.float32))
    sizes = read_sizes(tmp_path, ["train.npy#0", "test.npy#1", "train.npy#1"])
    assert sizes.values.tolist() == [[5, 6], [9, 8], [5, 6]]


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_competition_of_arrays_is_explored(tmp_path: Path, bands: int) -> None:
    competition = write_arrays(tmp_path, bands)
    exploration = explore(competition, build_index(competition, tmp_path), tmp_path / "folds.csv")
    assert [measure.name for measure in exploration.sizes] == ["width", "height", "aspect ratio"]
    assert len(exploration.image_stats) == 2 * bands and exploration.decoded == 18
