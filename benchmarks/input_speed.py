"""Images a second that reach a model: ours by epoch, with the cache and without, beside fastai's loader and timm's.

Every side has the same 500 x 375 JPEGs, the same size, batches and workers, and gives what its model takes in:
normalised floats. Sides take turns; medians of the turns are printed, and each turn of ours begins without a cache.
The peers run in `.venv-peers` (`make peers`); where that is not there, ours stands alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
import torch

from benchmarks.claims import claim
from benchmarks.scratch import paint_image
from runner.contract import SIDE_ON
from runner.images.augment import build_augmentation
from runner.images.cache import CacheOptions
from runner.images.cached import open_cached_images
from runner.training.distributed import keep_freed_memory
from runner.training.loaders import ImageLoader, RowTargets, shuffled_batches
from runner.training.model import normalise

PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
Rates = dict[str, list[list[float]]]  # by side, a list a turn, of images a second in each epoch


def main() -> None:
    options = parse_options()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        paint_folders(images, options.images)
        print(f"{options.images} JPEGs 500 x 375, SIDE_ON at {options.size} px, {options.workers} workers, ", end="")
        print(f"load before {os.getloadavg()[0]:.1f}")
        rates: Rates = {}
        for turn in range(options.refit_of):
            for side, epochs in measure_all(options, images, Path(folder) / f"cache-{turn}"):
                rates.setdefault(side, []).append(epochs)
        print_rates(rates)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.input_speed", description=__doc__)
    parser.add_argument("--images", type=int, default=3000, metavar="N")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--epochs", type=int, default=3, metavar="N")
    parser.add_argument("--refit_of", type=int, default=3, metavar="N")
    return parser.parse_args()


def paint_folders(folder: Path, images: int) -> None:
    """One folder a class, as the peers like it."""
    for number in range(images):
        path = folder / f"breed_{number % 10}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        paint_image(path, number % 10, seed=number)


def measure_all(options: argparse.Namespace, images: Path, cache: Path) -> list[tuple[str, list[float]]]:
    """One turn of every side."""
    told = [
        ("ours", our_epochs(options, images, CacheOptions(cache, 10**10))),
        ("ours, --cache-gb 0", our_epochs(options, images, None)),
    ]
    if PEERS.exists():
        told += [peer_epochs(peer, options, images) for peer in ("fastai", "timm")]
    return told


def our_epochs(options: argparse.Namespace, images: Path, keeping: CacheOptions | None) -> list[float]:
    paths = [path.relative_to(images).as_posix() for path in sorted(images.rglob("*.jpg"))]
    reader = open_cached_images(images, paths, SIDE_ON, options.size, keeping)
    nothing = np.zeros((len(paths), 1), dtype=np.float32)
    augment = build_augmentation(SIDE_ON, options.size, is_rgb=True)
    feed = ImageLoader(reader, RowTargets(nothing, nothing), augment, options.workers)
    mean, std = torch.full((1, 3, 1, 1), 120.0), torch.full((1, 3, 1, 1), 60.0)
    rates = []
    for epoch in range(options.epochs):
        begun, seen = time.perf_counter(), 0
        for batch in feed.read(shuffled_batches(range(len(paths)), options.batch_size, epoch), epoch):
            seen += len(normalise(batch.inputs, mean, std))
        rates.append(seen / (time.perf_counter() - begun))
    return rates


def peer_epochs(peer: str, options: argparse.Namespace, images: Path) -> tuple[str, list[float]]:
    """The name and version of a peer, and its rates. Threads that wait sleep there too."""
    names = ("size", "batch_size", "workers", "epochs")
    flags = [f"--{name.replace('_', '-')}={getattr(options, name)}" for name in names]
    command = [PEERS, Path(__file__).with_name("loader_peers.py"), peer, images, *flags]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return told["peer"], told["images_per_second"]


def print_rates(rates: Rates) -> None:
    """Medians over the turns: the first epoch, a later one, and what ours is of each."""
    first = {side: statistics.median(turn[0] for turn in turns) for side, turns in rates.items()}
    later = {side: statistics.median(rate for turn in turns for rate in turn[1:]) for side, turns in rates.items()}
    print(f"\n{'images a second':<22}{'first epoch':>13}{'later':>9}{'ours / it, first':>19}{'later':>9}")
    for side in rates:
        ratios = f"{first['ours'] / first[side]:>18.1f}x{later['ours'] / later[side]:>8.1f}x"
        print(f"{side:<22}{first[side]:>13.0f}{later[side]:>9.0f}{ratios}")
    for side in [side for side in rates if not side.startswith("ours")]:
        once, again = first["ours"] / first[side], later["ours"] / later[side]
        claim(f"images a second / {side}, first epoch", f"{once:.1f} x", ">= 1 x", once >= 1)
        claim(f"images a second / {side}, later epochs", f"{again:.1f} x", ">= 4 x", again >= 4)


if __name__ == "__main__":
    sys.exit(main())
