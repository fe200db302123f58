"""What is told of the images is true: sizes, copies, differences, and what cannot be read."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.contract import Stage, TrainMode
from runner.data.index import build_index
from runner.explore.duplicates import MOST_BITS, near_pairs
from runner.explore.explore import Exploration, Measure, explore, fit_sizes, spread_out
from runner.explore.image_stats import read_sizes
from tests.competitions import SHAPES

SIZES = (Stage(32, TrainMode.UNFROZEN), Stage(64, TrainMode.UNFROZEN))
COMPETITION = replace(SHAPES, recipe=replace(SHAPES.recipe, stages=SIZES))


@pytest.fixture
def raw(shapes_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shapes_folder, tmp_path / "raw"))


def _explore(raw: Path, most: int = 1000) -> Exploration:
    return explore(COMPETITION, build_index(COMPETITION, raw), raw / "folds.csv", most=most)


def _scene(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)


def test_counts_sizes_and_fits_are_those_of_the_files(raw: Path) -> None:
    found = _explore(raw)
    assert [(one.name, one.rows) for one in found.classes] == [("akita", 20), ("beagle", 20), ("collie", 20)]
    width, height, _ = found.sizes
    assert set(width.train) == set(range(40, 49)) and set(height.train) == {40.0}
    assert [(fit.size, fit.enlarged, fit.scale) for fit in found.fits] == [(32, 0.0, 0.8), (64, 1.0, 1.6)]
    assert not found.broken and not found.alike


def test_a_image_saved_again_smaller_is_nearly_the_same_and_a_copy_is_the_same(raw: Path) -> None:
    _scene(1).save(raw / "train/train000.jpg", quality=95)
    _scene(1).resize((250, 187)).save(raw / "train/train001.jpg", quality=70)
    _scene(2).save(raw / "train/train004.jpg")
    shutil.copy(raw / "train/train004.jpg", raw / "test/test005.jpg")
    found = _explore(raw)
    told = {one.paths: (one.exact, one.label_conflict, one.train_test) for one in found.alike}
    assert told == {
        ("train/train000.jpg", "train/train001.jpg"): (False, True, False),
        ("train/train004.jpg", "test/test005.jpg"): (True, False, True),
    }


def test_copies_on_both_sides_of_a_fold_are_a_leak(raw: Path) -> None:
    shutil.copy(raw / "train/train000.jpg", raw / "train/train003.jpg")
    rows = "".join(f"train{number:03d},{0 if number == 0 else -1}\n" for number in range(60))
    (raw / "folds.csv").write_text("id,fold\n" + rows)
    found = _explore(raw)
    assert [(one.fold_leak, one.label_conflict) for one in found.alike] == [(True, False)]
    assert found.fold_rows == {"never held out": 59, "fold 0": 1}


def test_broken_images_are_named_and_stop_nothing(raw: Path) -> None:
    whole = (raw / "train/train007.jpg").read_bytes()
    (raw / "train/train007.jpg").write_bytes(whole[: len(whole) // 2])
    (raw / "train/train008.jpg").write_bytes(b"")
    found = _explore(raw)
    assert {one.path for one in found.broken} == {"train/train007.jpg", "train/train008.jpg"}
    assert found.looked_at == 79


def test_flat_images_are_not_taken_for_one_another(raw: Path) -> None:
    for number, shade in enumerate((10, 90, 91, 200)):
        Image.new("RGB", (40, 40), (shade, shade, shade)).save(raw / f"train/train{number:03d}.jpg")
    assert _explore(raw).alike == ()


def test_darker_and_larger_test_images_are_told(raw: Path) -> None:
    for path in (raw / "test").iterdir():
        image = Image.open(io.BytesIO(path.read_bytes())).resize((90, 60)).point(lambda value: value // 3)
        image.save(path)
    verdicts = {one.name: one.verdict for one in _explore(raw).differences}
    assert verdicts["width"] == verdicts["height"] == verdicts["brightness"] == "different"


def test_a_small_gap_is_no_difference_however_many_images_show_it() -> None:
    random = np.random.default_rng(0)
    slight = Measure("x", random.normal(0, 1, 200_000), random.normal(0.05, 1, 200_000))
    assert slight.gap > slight.by_chance and slight.verdict == "alike"
    few = Measure("x", random.normal(0, 1, 12), random.normal(0.3, 1, 12))
    assert few.verdict == "alike"


def test_only_so_many_are_looked_at_and_those_from_everywhere(raw: Path) -> None:
    assert _explore(raw, most=9).looked_at == 9
    assert spread_out(100, 4) == [0, 25, 50, 75]
    assert spread_out(3, 4) == [0, 1, 2]


def test_what_is_cut_off_is_outside_the_centre_square() -> None:
    fit = fit_sizes(np.array([[200.0, 100.0]] * 5 + [[np.nan, np.nan]]), [50, 50, 100])
    assert [(one.size, one.cut, one.enlarged) for one in fit] == [(50, 0.5, 0.0), (100, 0.5, 0.0)]


def test_headers_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    for number in range(300):
        Image.new("L", (10 + number, 5)).save(tmp_path / f"{number}.png")
    found = read_sizes(tmp_path, [f"{number}.png" for number in range(300)])
    assert found.values[:, 0].tolist() == [10 + number for number in range(300)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=25), st.data())
def test_the_banded_search_finds_what_comparing_all_pairs_finds(hashes: list[int], data: st.DataObject) -> None:
    if hashes:  # some neighbours, else no pair would ever be near
        for bits in data.draw(st.lists(st.sets(st.integers(0, 63), max_size=MOST_BITS + 1), max_size=6)):
            hashes.append(hashes[0] ^ sum(1 << bit for bit in bits))
    every = {
        (one, other)
        for one in range(len(hashes))
        for other in range(one + 1, len(hashes))
        if (hashes[one] ^ hashes[other]).bit_count() <= MOST_BITS
    }
    assert set(map(tuple, near_pairs(np.array(hashes, dtype=np.uint64)).tolist())) == every
