"""What eight views of an image cost beside one: the network eight times, and the decoding once.

500 x 375 JPEGs that nothing has read before, through the feed and the network that `predict` uses; weights drawn at
random, which costs the same arithmetic. Turns of one view and of eight, and of decoding alone; medians are told. With
workers one view hides a part of its decoding beneath the network, and seven times less decoding is then more than it
ever paid; so all is measured in one process too, where times add up.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np

from benchmarks.claims import claim
from benchmarks.rot90 import in_turns
from benchmarks.scratch import paint_competition
from runner.contract import TOP_DOWN
from runner.images.cached import open_cached_images
from runner.images.decode import ImageReader
from runner.images.views import MultiView, View, default_views
from runner.prediction.predict import EachView
from runner.training.distributed import build_accelerator, looking
from runner.training.fold import default_workers
from runner.training.learner import predict_logits
from runner.training.loaders import ImageLoader, RowTargets, even_batches, inference_batch_size
from runner.training.model import build_network

BATCH = 64


def main() -> None:
    options = parse_options()
    accelerator = build_accelerator("auto")
    network = build_network(options.model, classes=10, channels=3, pretrained=False, weights=None, dropout=0)
    network.to(accelerator.device)
    with tempfile.TemporaryDirectory() as folder:
        paint_competition(Path(folder), options.images, test=1)
        paths = [f"train/{path.name}" for path in sorted((Path(folder) / "train").iterdir())]
        reader = open_cached_images(Path(folder), paths, TOP_DOWN, options.size)
        print(f"{options.images} JPEGs, {options.model} at {options.size} px, load before {os.getloadavg()[0]:.1f}")
        eight = default_views(TOP_DOWN)
        for workers in (default_workers(), 0):

            def predict(views: Sequence[View], workers: int = workers) -> Callable[[], object]:
                feed = feed_of(reader, views, options.size, workers)
                rows, size = np.arange(len(paths)), inference_batch_size(BATCH, len(views))

                def work() -> object:
                    with looking(accelerator):
                        return predict_logits(accelerator, EachView(network), feed, rows, size, title="predicting")

                return work

            told = in_turns(
                {"one view": predict(eight[:1]), "eight views": predict(eight), "decoding": decoding(reader, workers)},
                options.refit_of,
            )
            print_costs(told, options.images, f"{workers} workers" if workers else "in one process")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.view_speed", description=__doc__)
    parser.add_argument("--model", default="mobilenetv2_100", metavar="M")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument("--images", type=int, default=1200, metavar="N")
    parser.add_argument("--refit_of", type=int, default=3, metavar="N")
    return parser.parse_args()


def feed_of(reader: ImageReader, views: Sequence[View], size: int, workers: int) -> ImageLoader:
    """Images through these views, nothing else asked of them."""
    return ImageLoader(reader, RowTargets.none(len(reader)), MultiView(TOP_DOWN, views, size), workers)


def decoding(reader: ImageReader, workers: int) -> Callable[[], object]:
    """Reading every image, by as many workers, without a network."""
    feed = feed_of(reader, default_views(TOP_DOWN)[:1], 8, workers)
    return lambda: [len(batch.rows) for batch in feed.read(even_batches(np.arange(len(reader)), BATCH))]


def print_costs(seconds: dict[str, float], images: int, how: str) -> None:
    for name, each in seconds.items():
        print(f"{name:<14}{each:>8.2f} s{1000 * each / images:>9.2f} ms an image")
    bound = 8 * seconds["one view"] - 7 * seconds["decoding"]
    ratio = seconds["eight views"] / bound
    claim(f"eight views / (8 x one view - 7 x decoding), {how}", f"{ratio:.2f}", "<= 1", ratio <= 1)


if __name__ == "__main__":
    main()
