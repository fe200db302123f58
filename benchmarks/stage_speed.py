"""What an epoch costs in each state (head, frozen, unfrozen), and activations against the bare model.

The pictures are painted here, 500 x 375 JPEGs as photographs come; the weights are drawn at random, which
costs the same arithmetic. The stages run by the command line, from a competition file in a scratch workspace.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import cv2
import numpy as np
import torch

from runner.contract import SIDE_ON
from runner.data.pictures.reading import open_pictures
from runner.data.pictures.views import default_views
from runner.training.activations import activations_of
from runner.training.fold import default_workers
from runner.training.model import Network, build_network
from runner.training.processes import build_accelerator

SHAPE, BREEDS, BATCH = (375, 500), 10, 64

COMPETITION = '''"""A scratch competition whose recipe has a stage of each state."""

from runner.contract import LOG_LOSS, SIDE_ON, Competition, OneOfMany, Recipe, Stage, State

COMPETITION = Competition(
    slug="stage-speed",
    title="Stage speed",
    labels=OneOfMany(csv="labels.csv", id="id", label="breed"),
    train_images="train/{{id}}.jpg",
    test_images="test/{{id}}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=LOG_LOSS,
    recipe=Recipe(
        backbone="{model}",
        stages=tuple(
            Stage({size}, state, cycles=1, cycle_len={epochs})
            for state in (State.HEAD, State.FROZEN, State.UNFROZEN)
        ),
        lr=1e-3,
        batch_size={batch},
        pretrained=False,
    ),
)
'''


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        raw, workspace = Path(folder) / "raw", Path(folder) / "workspace"
        paint_competition(raw, options.pictures)
        workers = default_workers()
        print(f"{options.pictures} JPEGs {SHAPE[1]} x {SHAPE[0]}, {options.model} at {options.size} px, ", end="")
        print(f"{torch.get_num_threads()} threads, {workers} workers, load before {os.getloadavg()[0]:.1f}")
        print_stages(train_stages(options, raw, workspace))
        print_activations(options, raw, workers, Path(folder) / "cache")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage_speed", description=__doc__)
    parser.add_argument("--model", default="mobilenetv2_100", metavar="M")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument("--pictures", type=int, default=600, metavar="N")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="of each stage; medians are printed")
    return parser.parse_args()


def paint_competition(raw: Path, pictures: int) -> None:
    """A dog-breed-shaped folder: labelled pictures, a few to predict, and the two tables."""
    breeds = [f"breed_{number}" for number in range(BREEDS)]
    parts = {"train": pictures, "test": 2 * BREEDS}
    for part, count in parts.items():
        (raw / part).mkdir(parents=True)
        for number in range(count):
            paint_picture(
                raw / part / f"{part}{number:05d}.jpg", number % BREEDS, seed=number + (part == "test") * 10**6
            )
    _write(raw / "labels.csv", ["id", "breed"], [[f"train{n:05d}", breeds[n % BREEDS]] for n in range(pictures)])
    uniform = [1 / BREEDS] * BREEDS
    _write(raw / "sample_submission.csv", ["id", *breeds], [[f"test{n:05d}", *uniform] for n in range(parts["test"])])


def paint_picture(path: Path, breed: int, seed: int) -> None:
    """Clouds of noise at three scales with discs on them: as hard to decode as a photograph, about 60 kB."""
    random = np.random.default_rng(seed)
    picture = np.zeros((*SHAPE, 3), dtype=np.float32)
    for cells, strength in ((6, 60), (40, 30), (190, 25)):
        noise = random.normal(scale=strength, size=(cells, cells, 3)).astype(np.float32)
        picture += cv2.resize(noise, SHAPE[::-1], interpolation=cv2.INTER_CUBIC)
    for _ in range(breed + 1):
        centre = (int(random.integers(SHAPE[1])), int(random.integers(SHAPE[0])))
        cv2.circle(picture, centre, int(random.integers(20, 80)), random.normal(scale=70, size=3).tolist(), -1)
    cv2.imwrite(str(path), np.clip(picture + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def _write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def train_stages(options: argparse.Namespace, raw: Path, workspace: Path) -> dict[str, list[float]]:
    """Seconds of every epoch by state, as the log has them."""
    plugin = workspace / "competitions" / "stage_speed.py"
    plugin.parent.mkdir(parents=True)
    filled = COMPETITION.format(model=options.model, size=options.size, epochs=options.epochs, batch=BATCH)
    plugin.write_text(filled, encoding="utf-8")
    command = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q", "stage-speed"]
    for step in (["download", "--from", str(raw)], ["split"], ["train", "--run", "stages"]):
        subprocess.run([*command, *step], check=True, stdout=subprocess.DEVNULL)
    seconds: dict[str, list[float]] = {}
    for line in (workspace / "runs" / "stage-speed" / "stages" / "log.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        if "seconds" in epoch and "state" in epoch:
            seconds.setdefault(epoch["state"], []).append(epoch["seconds"])
    return seconds


def print_stages(seconds: dict[str, list[float]]) -> None:
    """Medians over the epochs of each state; an epoch of a head is the unit of the last column."""
    unit = statistics.median(seconds["head"])
    print(f"\n{'state':<10}{'epochs':>8}{'median s':>10}{'least':>8}{'most':>8}{'head epochs':>13}")
    for state, all_of_it in seconds.items():
        middle = statistics.median(all_of_it)
        spread = f"{min(all_of_it):>8.2f}{max(all_of_it):>8.2f}"
        print(f"{state:<10}{len(all_of_it):>8}{middle:>10.3f}{spread}{middle / unit:>11.1f} x")


def print_activations(options: argparse.Namespace, raw: Path, workers: int, cache: Path) -> None:
    """Looks a second: activations from the JPEGs on, and the body alone on a batch that lies in memory. In turns."""
    accelerator = build_accelerator("auto")
    network = build_network(options.model, classes=BREEDS, channels=3, pretrained=False, weights=None, dropout=0).to(
        accelerator.device
    )
    paths = [f"train/{path.name}" for path in sorted((raw / "train").iterdir())]
    reader, views = open_pictures(raw, paths), default_views(SIDE_ON)
    rates: dict[str, list[float]] = {"activations": [], "bare model": []}
    for turn in range(3):
        begun = time.perf_counter()
        activations_of(
            accelerator,
            network,
            reader,
            preset=SIDE_ON,
            views=views,
            size=options.size,
            cache=cache / str(turn),
            batch_size=BATCH,
            workers=workers,
        )
        looks = len(paths) * len(views)
        rates["activations"].append(looks / (time.perf_counter() - begun))
        rates["bare model"].append(bare_rate(network, options.size, looks))
    computed, bare = (statistics.median(rate) for rate in rates.values())
    print(
        f"\nactivations {computed:.0f} looks/s ({len(views)} views a picture), bare model {bare:.0f} looks/s: ", end=""
    )
    print(f"{computed / bare:.0%}")


@torch.inference_mode()
def bare_rate(network: Network, size: int, looks: int) -> float:
    """Looks a second through the body alone, of floats that lie ready."""
    network.eval()
    batch = torch.rand(BATCH, 3, size, size, device=network.mean.device).contiguous(memory_format=torch.channels_last)
    network.body(batch)
    batches = max(1, looks // BATCH)
    begun = time.perf_counter()
    for _ in range(batches):
        network.body(batch)
    if batch.is_cuda:
        torch.cuda.synchronize()
    return batches * BATCH / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
