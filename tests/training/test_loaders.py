"""Mini-batches: every row once, evenly cut, and the same for any number of workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import SIDE_ON
from runner.images.augment import build_augmentation
from runner.images.decode import open_images
from runner.training.loaders import FeatureLoader, ImageLoader, RowTargets, even_batches, shuffled_batches
from runner.training.seeds import seed_for


@given(rows=st.integers(1, 500), size=st.integers(1, 64), seed=st.integers(0, 2**62))
@settings(deadline=None)
def test_every_row_comes_once_in_batches_whose_sizes_differ_by_at_most_one(rows: int, size: int, seed: int) -> None:
    batches = shuffled_batches(np.arange(100, 100 + rows), size, seed)
    assert sorted(np.concatenate(batches).tolist()) == list(range(100, 100 + rows))
    sizes = {len(batch) for batch in batches}
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_the_order_is_the_seeds_alone() -> None:
    one, same, other = (shuffled_batches(np.arange(50), 16, seed) for seed in (1, 1, 2))
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in same]
    assert np.concatenate(one).tolist() != np.concatenate(other).tolist()


def test_cutting_keeps_the_order() -> None:
    assert [batch.tolist() for batch in even_batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]


def test_a_seed_depends_on_the_place_and_fits_in_63_bits() -> None:
    assert seed_for(1, "order", 2) == seed_for(1, "order", 2)
    assert len({seed_for(1, "order", 2), seed_for(2, "order", 2), seed_for(1, "order", 3), seed_for(1, "x", 2)}) == 4
    assert 0 <= seed_for(1, "order") < 2**63


def test_the_number_of_workers_changes_no_pixel(shapes_folder: Path) -> None:
    paths = [f"train/train{number:03d}.jpg" for number in range(12)]
    reader = open_images(shapes_folder, paths)
    answers = RowTargets(np.zeros((12, 0), np.float32), np.eye(12, dtype=np.float32))
    augment = build_augmentation(SIDE_ON, 32, is_rgb=True)
    orders = shuffled_batches(np.arange(12), 5, 3)
    by_workers = [
        [(batch.rows.tolist(), batch.inputs.clone(), batch.targets.clone()) for batch in feed.read(orders, 11)]
        for feed in (ImageLoader(reader, answers, augment, workers) for workers in (0, 1, 2))
    ]
    for other in by_workers[1:]:
        for (rows, images, labels), (their_rows, their_images, their_labels) in zip(by_workers[0], other, strict=True):
            assert rows == their_rows
            assert torch.equal(images, their_images)
            assert torch.equal(labels, their_labels)
            assert images.dtype == torch.uint8
            assert images.shape[1:] == (3, 32, 32)


def test_a_feed_augments_anew_each_epoch(shapes_folder: Path) -> None:
    reader = open_images(shapes_folder, ["train/train000.jpg"])
    augment = build_augmentation(SIDE_ON, 32, is_rgb=True)
    feed = ImageLoader(reader, RowTargets(np.zeros((1, 0), np.float32), np.zeros((1, 1), np.float32)), augment, 0)
    first, again, other = (next(feed.read([np.array([0])], seed)).inputs for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_activations_are_seen_through_another_view_each_epoch_and_plainly_when_validating() -> None:
    activations = np.arange(40 * 3 * 2, dtype=np.float32).reshape(40, 3, 2)
    answers = RowTargets(np.zeros((40, 0), np.float32), np.zeros((40, 1), np.float32))
    drawing, plain = (FeatureLoader(activations, answers, draws_views=draws) for draws in (True, False))
    rows = [np.array([5, 1]), np.array([30])]
    assert [batch.inputs.tolist() for batch in plain.read(rows, 3)] == [
        activations[[5, 1], 0].tolist(),
        activations[[30], 0].tolist(),
    ]
    seen = {batch.inputs[0].numpy().tobytes() for seed in range(30) for batch in drawing.read([np.array([7])], seed)}
    assert seen == {activations[7, view].tobytes() for view in range(3)}
