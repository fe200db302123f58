"""What the network is given in a first batch, and the losses of its first epochs, beside what is recorded.

A fault in how images become pixels leaves every other law in place: the loss still falls, and a run is still repeated
bit for bit. So the pixels themselves are compared, after index, cache, decoding and augmentation, as a training reads
them. Between processors of different instructions they differ by less than a tenth of what is allowed here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runner.contract import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Preset, Recipe, Resize, Stage, TrainMode
from runner.data.index import build_index
from runner.session import Session
from runner.training.fold import FoldRun
from runner.training.learner import Learner
from runner.training.loaders import Batch
from runner.training.log import read_log
from runner.training.run import Run
from runner.training.trainer import train_fold
from runner.workspace import Workspace
from tests.builders import BREEDS, write_csv, write_image
from tests.competitions import SHAPES
from tests.training.conftest import CPU

SIZE = 32
# Width and height of images that the network's 32 pixels take as they are, that augmentation reduces (from 48 pixels),
# and that are reduced before they are cached (above 60).
SIDES = {"kept": (40, 72), "reduced": (56, 100), "cached": (112, 240)}
SHAPES_OF = {
    f"{name} {shape}": sides
    for name, (short, long) in SIDES.items()
    for shape, sides in {"square": (short, short), "wide": (long, short), "tall": (short, long)}.items()
}
EACH = 5  # images of a shape: one of them is held out
PRESETS = {
    "SIDE_ON": SIDE_ON,
    "TOP_DOWN": TOP_DOWN,
    "RADAR": RADAR,
    "NO_FLIP": NO_FLIP,
    "squashed": replace(SIDE_ON, resize=Resize.SQUASH),
    "padded": replace(SIDE_ON, resize=Resize.PAD),
}

# Of the first image of each shape; see `measure`.
RECORDED: dict[str, dict[str, tuple[float, ...]]] = {
    "SIDE_ON": {
        "kept square": (149.6, 83.3, 72.6, 139.7, 2.4, 37.7),
        "kept wide": (85.1, 117.1, 65.5, 123.2, 32.3, 3.5),
        "kept tall": (58.6, 116.8, 88.4, 120.7, 17.7, 17.8),
        "reduced square": (109.3, 66.3, 67.2, 111.1, 2.8, 20.4),
        "reduced wide": (83.9, 110.6, 65.8, 113.1, 20.5, 3.0),
        "reduced tall": (153.2, 78.0, 84.1, 126.7, 13.3, 13.2),
        "cached square": (100.3, 54.0, 63.5, 109.5, 1.8, 25.9),
        "cached wide": (96.0, 73.5, 66.9, 107.3, 22.2, 1.2),
        "cached tall": (104.5, 64.6, 97.4, 116.0, 11.8, 11.8),
    },
    "TOP_DOWN": {
        "kept square": (75.1, 139.0, 132.0, 69.6, 2.3, 35.4),
        "kept wide": (105.1, 101.5, 100.1, 96.3, 3.6, 32.9),
        "kept tall": (63.0, 122.2, 93.1, 126.0, 17.9, 17.8),
        "reduced square": (68.2, 118.6, 116.9, 65.7, 3.2, 22.6),
        "reduced wide": (86.5, 116.5, 66.5, 119.7, 23.1, 3.3),
        "reduced tall": (110.7, 102.8, 95.3, 100.1, 11.8, 11.9),
        "cached square": (85.6, 84.8, 92.6, 94.7, 29.5, 2.0),
        "cached wide": (92.8, 92.4, 92.9, 98.0, 1.4, 27.0),
        "cached tall": (90.6, 89.6, 114.6, 115.2, 13.9, 14.4),
    },
    "RADAR": {
        "kept square": (97.5, 113.2, 102.2, 102.2, 36.0, 1.2),
        "kept wide": (110.0, 110.0, 103.2, 111.4, 1.2, 38.6),
        "kept tall": (133.0, 73.3, 126.4, 93.6, 24.0, 25.6),
        "reduced square": (81.4, 89.6, 102.2, 102.2, 38.0, 1.2),
        "reduced wide": (109.3, 109.3, 95.6, 84.4, 1.2, 38.1),
        "reduced tall": (130.0, 70.6, 82.2, 50.0, 23.9, 24.8),
        "cached square": (88.7, 87.6, 98.5, 98.5, 37.9, 1.2),
        "cached wide": (86.0, 108.9, 58.9, 116.1, 38.2, 1.2),
        "cached tall": (90.6, 90.5, 125.4, 125.4, 23.2, 24.1),
    },
    "NO_FLIP": {
        "kept square": (83.3, 149.6, 72.4, 139.9, 2.1, 38.0),
        "kept wide": (85.4, 117.4, 65.8, 123.6, 32.3, 2.7),
        "kept tall": (58.6, 116.8, 88.3, 120.8, 17.5, 17.9),
        "reduced square": (66.0, 109.1, 67.0, 110.9, 2.2, 20.2),
        "reduced wide": (83.7, 111.1, 65.8, 113.4, 19.9, 2.3),
        "reduced tall": (77.8, 153.5, 84.1, 126.8, 13.6, 13.5),
        "cached square": (54.0, 100.2, 63.4, 109.5, 1.5, 25.6),
        "cached wide": (73.5, 96.0, 66.8, 107.3, 22.3, 1.1),
        "cached tall": (64.6, 104.5, 97.4, 116.0, 11.8, 11.9),
    },
    "squashed": {
        "kept square": (149.6, 83.3, 72.6, 139.7, 2.4, 37.7),
        "kept wide": (66.4, 123.7, 65.5, 122.7, 17.5, 3.1),
        "kept tall": (60.0, 118.3, 59.6, 117.9, 5.9, 7.6),
        "reduced square": (109.3, 66.3, 67.2, 111.1, 2.8, 20.4),
        "reduced wide": (65.9, 112.8, 65.5, 112.5, 14.3, 3.1),
        "reduced tall": (152.8, 77.5, 77.7, 153.0, 3.5, 4.2),
        "cached square": (100.3, 54.0, 63.5, 109.5, 1.8, 25.9),
        "cached wide": (106.3, 66.2, 66.8, 107.4, 10.4, 1.0),
        "cached tall": (102.7, 62.8, 70.4, 110.2, 3.9, 5.1),
    },
    "padded": {
        "kept square": (149.6, 83.3, 72.6, 139.7, 2.4, 37.7),
        "kept wide": (66.5, 123.7, 61.1, 125.3, 17.5, 4.0),
        "kept tall": (55.7, 120.2, 59.6, 118.0, 4.0, 3.2),
        "reduced square": (109.3, 66.3, 67.2, 111.1, 2.8, 20.4),
        "reduced wide": (66.0, 112.9, 66.4, 114.8, 14.3, 3.7),
        "reduced tall": (153.4, 78.1, 77.7, 153.0, 3.6, 2.5),
        "cached square": (100.3, 54.0, 63.5, 109.5, 1.8, 25.9),
        "cached wide": (105.8, 65.6, 66.8, 98.2, 10.4, 2.0),
        "cached tall": (105.6, 68.8, 70.5, 110.4, 2.9, 2.1),
    },
}
LOSSES = (1.219, 0.912, 0.921)


def scene(width: int, height: int, number: int) -> NDArray[np.uint8]:
    """Red grows to the right and green downwards; the class is the direction of stripes a few pixels wide."""
    y, x = np.mgrid[0:height, 0:width]
    period = min(width, height) / 9  # 3.5 pixels of the network's
    waves = [np.cos(2 * np.pi * axis / period) for axis in (x, y)]
    stripes = [*waves, waves[0] * waves[1]][number % len(BREEDS)]
    channels = [40 + 120 * x / width, 40 + 120 * y / height, np.full_like(stripes, 90 + number % 5)]
    return np.clip(np.stack(channels, axis=2) + 40 * stripes[..., None], 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images of every shape, in a lossless format."""
    folder = tmp_path_factory.mktemp("scenes")
    shapes = {f"{shape} {number}": sides for shape, sides in SHAPES_OF.items() for number in range(EACH)}
    for number, (id, (width, height)) in enumerate(shapes.items()):
        write_image(folder / "train" / f"{id}.png", scene(width, height, number))
    write_image(folder / "test" / "test.png", scene(40, 40, 0))
    write_csv(folder / "labels.csv", ("id", "breed"), [(id, BREEDS[n % 3]) for n, id in enumerate(shapes)])
    write_csv(folder / "sample_submission.csv", ("id", *BREEDS), [("test", 0.3, 0.3, 0.4)])
    return folder


def fold_of(data_dir: Path, root: Path, preset: Preset, recipe: Recipe) -> FoldRun:
    images = {"train_images": "train/{id}.png", "test_images": "test/{id}.png"}
    session = Session(replace(SHAPES, preset=preset, recipe=recipe, **images), Workspace(root), compute=CPU)
    vars(session)["index"] = build_index(session.competition, data_dir)
    run = Run(session.name, "first", session.workspace.run_dir(session.name, "first"))
    return FoldRun(session, run, recipe, 0, np.arange(len(session.index.train)) % EACH)


def recipe_of(**fields: Any) -> Recipe:
    return replace(SHAPES.recipe, stages=(Stage(SIZE, TrainMode.UNFROZEN, cycle_len=3),), **fields)


class FirstBatch(Exception):  # noqa: N818  # it ends no test
    """Ends a training at its first step."""

    def __init__(self, batch: Batch):
        self.batch = batch


def first_batch(fold: FoldRun, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """All training images as the network would be given them in the first epoch."""

    def step(learner: Learner, batch: Batch, *_: object, **__: object) -> None:
        raise FirstBatch(batch)

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(FirstBatch) as caught:
        train_fold(fold)
    return caught.value.batch


def measure(image: NDArray[np.float64]) -> list[float]:
    """Of (3, height, width): red left and right, green above and below, how much neighbours differ in x and in y."""
    half = SIZE // 2
    red, green = image[0], image[1]
    halves = [red[:, :half].mean(), red[:, half:].mean(), green[:half].mean(), green[half:].mean()]
    return [*halves, np.abs(np.diff(image, axis=2)).mean(), np.abs(np.diff(image, axis=1)).mean()]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_first_batch_has_the_recorded_pixels(
    preset: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = first_batch(fold_of(data_dir, tmp_path, PRESETS[preset], recipe_of(batch_size=64)), monkeypatch)
    images = batch.inputs.numpy().astype(np.float64)[np.argsort(batch.rows)]
    assert images.shape == (len(SHAPES_OF) * (EACH - 1), 3, SIZE, SIZE)
    for row, (shape, recorded) in enumerate(RECORDED[preset].items()):
        measured = measure(images[row * (EACH - 1)])
        np.testing.assert_allclose(measured, recorded, rtol=0.01, atol=0.3, err_msg=shape)


def test_the_first_epochs_have_the_recorded_losses(data_dir: Path, tmp_path: Path) -> None:
    fold = fold_of(data_dir, tmp_path, PRESETS["padded"], recipe_of())
    train_fold(fold)
    losses = [line["train_loss"] for line in read_log(fold.run.log_file)]
    # With the oldest instructions of a processor they differ by 0.001, with one side of the images blurred by 0.1.
    np.testing.assert_allclose(losses, LOSSES, atol=0.02)
