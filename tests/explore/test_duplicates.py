"""Duplicates: exact and near, with conflicting labels, across train and test, and across folds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.data.index import build_index
from runner.explore.duplicates import MAX_BITS, DuplicateGroup, connected_groups, near_pairs
from runner.explore.explore import explore
from tests.builders import write_csv
from tests.competitions import SHAPES


@pytest.fixture
def data_dir(shapes_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shapes_folder, tmp_path / "data"))


def duplicates(data_dir: Path) -> tuple[DuplicateGroup, ...]:
    return explore(SHAPES, build_index(SHAPES, data_dir), data_dir / "folds.csv").duplicates


def scene(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def test_a_resized_image_is_a_near_duplicate_and_a_copy_an_exact_one(data_dir: Path) -> None:
    scene(1).save(data_dir / "train/train000.jpg", quality=95)
    scene(1).resize((250, 187)).save(data_dir / "train/train001.jpg", quality=70)
    scene(2).save(data_dir / "train/train004.jpg")
    shutil.copy(data_dir / "train/train004.jpg", data_dir / "test/test005.jpg")
    groups = {group.paths: (group.exact, group.label_conflict, group.train_test) for group in duplicates(data_dir)}
    assert groups == {
        ("train/train000.jpg", "train/train001.jpg"): (False, True, False),
        ("train/train004.jpg", "test/test005.jpg"): (True, False, True),
    }


def test_a_near_duplicate_of_two_copies_is_paired_with_the_first(data_dir: Path) -> None:
    scene(1).save(data_dir / "train/train000.jpg", quality=95)
    shutil.copy(data_dir / "train/train000.jpg", data_dir / "train/train003.jpg")
    scene(1).resize((250, 187)).save(data_dir / "train/train006.jpg", quality=70)
    assert {(group.paths, group.exact) for group in duplicates(data_dir)} == {
        (("train/train000.jpg", "train/train003.jpg"), True),
        (("train/train000.jpg", "train/train006.jpg"), False),
    }


def test_copies_across_a_fold_are_a_leak(data_dir: Path) -> None:
    shutil.copy(data_dir / "train/train000.jpg", data_dir / "train/train003.jpg")
    write_csv(data_dir / "folds.csv", ("id", "fold"), ((f"train{n:03d}", 0 if n == 0 else -1) for n in range(60)))
    (group,) = duplicates(data_dir)
    assert (group.fold_leak, group.label_conflict, group.folds) == (True, False, (0, -1))


def test_plain_images_of_different_grey_are_no_duplicates(data_dir: Path) -> None:
    for number, shade in enumerate((10, 90, 91, 200)):
        Image.new("RGB", (40, 40), (shade, shade, shade)).save(data_dir / f"train/train{number:03d}.jpg")
    assert duplicates(data_dir) == ()


def test_the_most_harmful_duplicates_come_first(data_dir: Path) -> None:
    for source, copy in (("train/train000", "train/train003"), ("train/train001", "test/test001")):
        shutil.copy(data_dir / f"{source}.jpg", data_dir / f"{copy}.jpg")
    shutil.copy(data_dir / "train/train006.jpg", data_dir / "train/train008.jpg")
    harms = [(group.label_conflict, group.train_test) for group in duplicates(data_dir)]
    assert harms == [(True, False), (False, True), (False, False)]


def test_pairs_with_a_common_image_form_one_group() -> None:
    assert connected_groups([(9, 4), (1, 2), (4, 7)]) == [(1, 2), (4, 7, 9)]
    assert connected_groups([]) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=25), st.data())
def test_the_banded_search_equals_the_comparison_of_all_pairs(hashes: list[int], data: st.DataObject) -> None:
    if hashes:  # add some neighbours, else no pair would ever be near
        for bits in data.draw(st.lists(st.sets(st.integers(0, 63), max_size=MAX_BITS + 1), max_size=6)):
            hashes.append(hashes[0] ^ sum(1 << bit for bit in bits))
    near = {
        (left, right)
        for left in range(len(hashes))
        for right in range(left + 1, len(hashes))
        if (hashes[left] ^ hashes[right]).bit_count() <= MAX_BITS
    }
    assert set(map(tuple, near_pairs(np.array(hashes, dtype=np.uint64)).tolist())) == near
