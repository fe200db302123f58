"""A tiny competition for each source of images: three shades that a tiny network learns, and the files as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.contract import Competition, Multiclass, Pixels, Stack, Stage, TrainMode
from tests.builders import write_csv
from tests.competitions import SHAPES

SHADES = ("dark", "grey", "light")
SIDE, TRAIN, TEST = 24, 36, 9

Grey = NDArray[np.uint8]
Writer = Callable[[Path, "Made"], dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """Grey images with their ids and shades: `train` and `test`."""

    ids: tuple[str, ...]
    shades: tuple[str, ...]
    images: tuple[Grey, ...]


def make(subset: str) -> Made:
    """The images of a subset; a shade is learned from a pixel, whatever the file made of it."""
    random = np.random.default_rng(len(subset))
    count = TRAIN if subset == "train" else TEST
    images = [random.integers(0, 60, (SIDE, SIDE)).astype(np.uint8) + np.uint8(80 * (n % 3)) for n in range(count)]
    return Made(tuple(f"{subset}{n}" for n in range(count)), tuple(SHADES[n % 3] for n in range(count)), tuple(images))


def write_tables(folder: Path, columns: Sequence[str] = ()) -> None:
    """labels.csv and sample_submission.csv."""
    train, test = make("train"), make("test")
    write_csv(folder / "labels.csv", ("id", "breed"), zip(train.ids, train.shades, strict=True))
    write_csv(folder / "sample_submission.csv", ("id", *SHADES), ((id, *[1 / 3] * 3) for id in test.ids))


def write_files(folder: Path, write: Callable[[Path, str, Grey], None]) -> None:
    """Call `write(folder of the subset, id, image)` for every image, and write the tables."""
    for subset in ("train", "test"):
        (folder / subset).mkdir(parents=True, exist_ok=True)
        made = make(subset)
        for id, image in zip(made.ids, made.images, strict=True):
            write(folder / subset, id, image)
    write_tables(folder)


def competition(train: Any, test: Any, **fields: Any) -> Competition:
    """The competition of these files."""
    recipe = replace(SHAPES.recipe, stages=(Stage(SIDE, TrainMode.UNFROZEN, cycle_len=4),), batch_size=8)
    return replace(SHAPES, train_images=train, test_images=test, recipe=recipe, extra_metrics=(), **fields)


def _stack(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        for number, colour in enumerate(COLOURS):
            Image.fromarray(image + np.uint8(5 * number)).save(folder / f"{id}_{colour}.png")

    write_files(folder, write)
    return competition(*(Stack(*(f"{subset}/{{id}}_{c}.png" for c in COLOURS)) for subset in ("train", "test")))


COLOURS = ("red", "green", "blue", "yellow", "far_red")


def _pixels(folder: Path) -> Competition:
    """As digit-recognizer: a column a pixel, and no ids."""
    header = [f"pixel{number}" for number in range(SIDE * SIDE)]
    train, test = make("train"), make("test")
    rows = [(shade, *image.ravel()) for shade, image in zip(train.shades, train.images, strict=True)]
    write_csv(folder / "train.csv", ("breed", *header), rows)
    write_csv(folder / "test.csv", header, (image.ravel() for image in test.images))
    write_csv(folder / "sample_submission.csv", ("ImageId", *SHADES), ((n, *[1 / 3] * 3) for n in range(1, TEST + 1)))
    return competition(
        Pixels("train.csv", "pixel*", (SIDE, SIDE)),
        Pixels("test.csv", "pixel*", (SIDE, SIDE)),
        labels=Multiclass(csv="train.csv", id="ImageId", label="breed"),
    )


def _cells(folder: Path) -> Competition:
    """As facial-keypoints-detection: all pixels in one cell, here with three bands and decimals."""

    def cell(image: Grey) -> str:
        return " ".join(f"{value / 100:.2f}" for band in (image, image // 2, image // 3) for value in band.ravel())

    for subset in ("train", "test"):
        made = make(subset)
        rows = zip(made.ids, made.shades, map(cell, made.images), strict=True)
        write_csv(folder / f"{subset}.csv", ("id", "breed", "Image"), rows)
    write_csv(folder / "sample_submission.csv", ("id", *SHADES), ((id, *[1 / 3] * 3) for id in make("test").ids))
    images = (Pixels(f"{subset}.csv", "Image", (3, SIDE, SIDE), id="id") for subset in ("train", "test"))
    return competition(*images, labels=Multiclass(csv="train.csv", id="id", label="breed"))


def _arrays(folder: Path) -> Competition:
    """As seti-breakthrough-listen: a .npy of six bands an image, of half precision."""

    def write(folder: Path, id: str, image: Grey) -> None:
        (folder / id[-1]).mkdir(exist_ok=True)
        np.save(folder / id[-1] / f"{id}.npy", np.stack([image / 50 - band for band in range(6)]).astype(np.float16))

    write_files(folder, write)
    return competition("train/*/{id}.npy", "test/*/{id}.npy")


def _zipped_arrays(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        np.savez_compressed(folder / f"{id}.npz", image=image.astype(np.uint16)[..., None] * 40)

    write_files(folder, write)
    return competition("train/{id}.npz", "test/{id}.npz")


def _deep(folder: Path) -> Competition:
    """X-rays: twelve bits in PNGs of 16."""

    def write(folder: Path, id: str, image: Grey) -> None:
        Image.fromarray(image.astype(np.uint16) * 16).save(folder / f"{id}.png")

    write_files(folder, write)
    return competition("train/{id}.png", "test/{id}.png")


def _decimals(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        Image.fromarray(image.astype(np.float32) / 300 - 0.4).save(folder / f"{id}.tif")

    write_files(folder, write)
    return competition("train/{id}.tif", "test/{id}.tif")


# What writes the files of each source into a folder, and says the competition; and the bands and type of its images.
SOURCES: dict[str, tuple[Callable[[Path], Competition], str]] = {
    "a stack of five files": (_stack, "5 bands of 8-bit values"),
    "a column a pixel": (_pixels, "3 bands of 8-bit values"),
    "pixels in one cell": (_cells, "3 bands of floating-point values"),
    "npy files": (_arrays, "6 bands of floating-point values"),
    "npz files": (_zipped_arrays, "1 band of 16-bit values"),
    "16-bit PNGs": (_deep, "1 band of 16-bit values"),
    "floating-point TIFFs": (_decimals, "1 band of floating-point values"),
}
