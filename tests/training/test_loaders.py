"""Mini-batches: every row once, evenly cut, and the same for any number of workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import SIDE_ON
from runner.errors import DataError
from runner.images.augment import build_augmentation
from runner.images.readers import open_images
from runner.training.loaders import (
    AllViewsFeatureLoader,
    FeatureLoader,
    ImageLoader,
    RowTargets,
    balanced_batches,
    shuffled_batches,
)
from runner.training.seeds import seed_for


@given(rows=st.integers(1, 500), size=st.integers(1, 64), seed=st.integers(0, 2**62))
@settings(deadline=None)
def test_every_row_comes_once_in_batches_whose_sizes_differ_by_at_most_one(rows: int, size: int, seed: int) -> None:
    batches = shuffled_batches(np.arange(100, 100 + rows), size, seed)
    assert sorted(np.concatenate(batches).tolist()) == list(range(100, 100 + rows))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_the_order_depends_on_the_seed_alone() -> None:
    first, same, different = (shuffled_batches(np.arange(50), 16, seed) for seed in (1, 1, 2))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in same]
    assert np.concatenate(first).tolist() != np.concatenate(different).tolist()


def test_even_batches_keep_the_order() -> None:
    assert [batch.tolist() for batch in balanced_batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]


def test_a_seed_depends_on_its_names_and_fits_in_63_bits() -> None:
    assert seed_for(1, "order", 2) == seed_for(1, "order", 2)
    assert len({seed_for(1, "order", 2), seed_for(2, "order", 2), seed_for(1, "order", 3), seed_for(1, "x", 2)}) == 4
    assert 0 <= seed_for(1, "order") < 2**63


def test_seeds_never_change() -> None:
    assert seed_for(42, "fold", 0, "order", 3) == 6511014116043008363


def test_the_number_of_workers_changes_no_pixel(shapes_folder: Path) -> None:
    paths = [f"train/train{number:03d}.jpg" for number in range(12)]
    images = open_images(shapes_folder, paths)
    targets = RowTargets(np.zeros((12, 0), np.float32), np.eye(12, dtype=np.float32))
    augment = build_augmentation(SIDE_ON, 32, is_rgb=True)
    batches = shuffled_batches(np.arange(12), 5, 3)
    by_workers = [
        [(batch.rows.tolist(), batch.inputs.clone(), batch.targets.clone()) for batch in loader.read(batches, 11)]
        for loader in (ImageLoader(images, targets, augment, workers) for workers in (0, 1, 2))
    ]
    for read in by_workers[1:]:
        for (rows, pixels, labels), (same_rows, same_pixels, same_labels) in zip(by_workers[0], read, strict=True):
            assert rows == same_rows
            assert torch.equal(pixels, same_pixels)
            assert torch.equal(labels, same_labels)
            assert pixels.dtype == torch.uint8
            assert pixels.shape[1:] == (3, 32, 32)


def test_each_epoch_augments_differently(shapes_folder: Path) -> None:
    images = open_images(shapes_folder, ["train/train000.jpg"])
    augment = build_augmentation(SIDE_ON, 32, is_rgb=True)
    targets = RowTargets(np.zeros((1, 0), np.float32), np.zeros((1, 1), np.float32))
    loader = ImageLoader(images, targets, augment, 0)
    first, same, different = (next(loader.read([np.array([0])], seed)).inputs for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, different)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_one_error_from_any_worker(workers: int, shapes_folder: Path, tmp_path: Path) -> None:
    for number in range(8):
        shutil.copy(shapes_folder / "train" / f"train{number:03d}.jpg", tmp_path / f"{number}.jpg")
    broken = tmp_path / "5.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    images = open_images(tmp_path, [f"{number}.jpg" for number in range(8)])
    loader = ImageLoader(images, RowTargets.none(8), build_augmentation(SIDE_ON, 32, is_rgb=True), workers)
    with pytest.raises(DataError) as caught:
        list(loader.read(balanced_batches(np.arange(8), 2)))
    assert caught.value.where == str(broken)
    assert len(list(loader.read([np.arange(5)]))) == 1  # the workers still run


def test_features_are_drawn_from_all_views_in_training_and_plain_in_validation() -> None:
    features = np.arange(40 * 3 * 2, dtype=np.float32).reshape(40, 3, 2)
    targets = RowTargets(np.zeros((40, 0), np.float32), np.zeros((40, 1), np.float32))
    drawing, plain = (FeatureLoader(features, targets, draws_views=draws) for draws in (True, False))
    rows = [np.array([5, 1]), np.array([30])]
    assert [batch.inputs.tolist() for batch in plain.read(rows, 3)] == [
        features[[5, 1], 0].tolist(),
        features[[30], 0].tolist(),
    ]
    drawn = {batch.inputs[0].numpy().tobytes() for seed in range(30) for batch in drawing.read([np.array([7])], seed)}
    assert drawn == {features[7, view].tobytes() for view in range(3)}


def test_features_in_several_views_keep_the_order_of_the_views() -> None:
    features = np.arange(4 * 3 * 2, dtype=np.float32).reshape(4, 3, 2)
    (batch,) = AllViewsFeatureLoader(features, [2, 0], RowTargets.none(4)).read([np.array([3, 1])])
    assert batch.inputs.tolist() == features[[3, 1]][:, [2, 0]].tolist()
