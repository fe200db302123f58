"""Small images, datasets, zips and leaderboards that tests of several rooms build."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.contract import EnsembleRecipe, Recipe
from runner.hosts.protocol import Leaderboard, LeaderboardRow
from runner.training.run import Run, started_run
from runner.workspace import Workspace

SUBMITTED = datetime(2018, 1, 1, tzinfo=UTC)
BREEDS = ("akita", "beagle", "collie")


def random_image(seed: int = 0, width: int = 40, height: int = 40) -> NDArray[np.uint8]:
    """RGB noise, (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_image(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write the image in the format of the suffix; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=90)
    return path


def write_images(folder: Path, names: Iterable[str], *, width: int = 40, height: int = 40) -> list[Path]:
    """Write an image of different noise under each name."""
    return [write_image(folder / name, random_image(seed, width, height)) for seed, name in enumerate(names)]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a CSV file; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return path


def write_dataset(folder: Path, train: int = 60, test: int = 21) -> None:
    """Write the files of `tests.competitions.SHAPES`: the class is the height of a bright band, and easy to learn.

    `solution.csv` has the labels of the test images.
    """
    random = np.random.default_rng(7)
    labels: dict[str, list[tuple[str, str]]] = {}
    for subset, count in (("train", train), ("test", test)):
        for number in range(count):
            breed = number % len(BREEDS)
            image = random.integers(0, 90, (40, 40 + number % 9, 3), dtype=np.uint8)
            image[breed * 13 : breed * 13 + 12] += 120
            id = f"{subset}{number:03d}"
            write_image(folder / subset / f"{id}.jpg", image)
            labels.setdefault(subset, []).append((id, BREEDS[breed]))
    write_csv(folder / "labels.csv", ("id", "breed"), labels["train"])
    write_csv(folder / "solution.csv", ("id", "breed"), labels["test"])
    uniform = ("0.333333",) * len(BREEDS)
    write_csv(folder / "sample_submission.csv", ("id", *BREEDS), ((id, *uniform) for id, _ in labels["test"]))


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """The content of a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def make_leaderboard(*scores: float, private: bool = True, team: str = "team {}") -> Leaderboard:
    """A leaderboard with these scores in this order, all submitted at once; teams are numbered from 1."""
    rows = tuple(LeaderboardRow(team.format(number), score, SUBMITTED) for number, score in enumerate(scores, start=1))
    return Leaderboard(rows, private)


def start_run(workspace: Workspace, competition: str, recipe: Recipe | EnsembleRecipe, name: str | None = None) -> Run:
    """A run that is started and no longer locked."""
    with started_run(workspace, competition, recipe, name, "train") as run:
        return run
