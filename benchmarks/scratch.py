"""A scratch competition of dog-breed's form: painted photographs, its file in a workspace, and the commands on it.

paint_competition(raw, images=600)
write_plugin(workspace, "stage-speed", Recipe(...))
run_runner(workspace, "stage-speed", "download", "--from", raw)
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from runner.contract import Recipe

HEIGHT, WIDTH = 375, 500  # as most of dog-breed's photographs are

PLUGIN = '''"""A scratch competition: dog-breed with a recipe of its own."""

from dataclasses import replace

from competitions.dog_breed import COMPETITION as DOGS
from runner.contract import Recipe

COMPETITION = replace(DOGS, slug={name!r}, title={name!r}, recipe=Recipe.from_dict({recipe!r}))
'''


def paint_competition(folder: Path, images: int, breeds: int = 10, test: int = 20, workers: int = 2) -> None:
    """A dog-breed-shaped folder: labelled images, a few to predict, and the two tables. Always the same pixels."""
    names = [f"breed_{number}" for number in range(breeds)]
    with ThreadPoolExecutor(workers) as painters:
        for part, count in (("train", images), ("test", test)):
            (folder / part).mkdir(parents=True)
            paths = [folder / part / f"{part}{number:05d}.jpg" for number in range(count)]
            shown = [number % breeds for number in range(count)]
            seeds = [number + (part == "test") * 10**6 for number in range(count)]
            list(painters.map(paint_image, paths, shown, seeds))
    _write_table(folder / "labels.csv", ["id", "breed"], [[f"train{n:05d}", names[n % breeds]] for n in range(images)])
    uniform = [1 / breeds] * breeds
    _write_table(folder / "sample_submission.csv", ["id", *names], [[f"test{n:05d}", *uniform] for n in range(test)])


def paint_image(path: Path, breed: int, seed: int) -> None:
    """Clouds of noise at three scales with discs on them: as hard to decode as a photograph, about 60 kB."""
    random = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for cells, strength in ((6, 60), (40, 30), (190, 25)):
        noise = random.normal(scale=strength, size=(cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(breed + 1):
        centre = (int(random.integers(WIDTH)), int(random.integers(HEIGHT)))
        cv2.circle(image, centre, int(random.integers(20, 80)), random.normal(scale=70, size=3).tolist(), -1)
    cv2.imwrite(str(path), np.clip(image + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def _write_table(path: Path, header: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_plugin(workspace: Path, name: str, recipe: Recipe) -> None:
    """Make `name` a competition of the workspace, of dog-breed's form and trained by the recipe."""
    plugin = workspace / "competitions" / f"{name.replace('-', '_')}.py"
    plugin.parent.mkdir(parents=True, exist_ok=True)
    plugin.write_text(PLUGIN.format(name=name, recipe=recipe.to_dict()), encoding="utf-8")


def run_runner(workspace: Path, *words: object) -> str:
    """What a command prints, run as a person runs it; the benchmark ends where the command fails."""
    command = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"runner {' '.join(map(str, words))}: exit {done.returncode}")
    return done.stdout
