"""What looking fast costs in score: a linear probe on what a body says, looked at the plain way and our way.

`python -m benchmarks.score_of_speed FOLDER --model M --weights FILE`, on a folder of dog-breed's form with real
photographs. The plain way decodes every image whole, scales it once, and looks in single precision through the body
as timm made it. Ours decodes at a reduced scale, resizes to the cache's size, scales from there, and looks through the
folded body in the processor's best precision. The same rows, folds and probe; the difference is told with its own
standard error (rows paired), and beside that of the log loss, which is how far chance alone moves a score.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.claims import claim
from competitions import load
from runner.contract import LOG_LOSS, SIDE_ON
from runner.data.index import build_index
from runner.images.cached import open_cached_images
from runner.images.decode import ImageReader, open_images
from runner.images.views import PLAIN, MultiView
from runner.training.distributed import build_accelerator, looking
from runner.training.fold import default_workers
from runner.training.loaders import ImageLoader, RowTargets, even_batches
from runner.training.model import build_network, normalise

BATCH, FOLDS = 64, 5
TTAMode = Callable[[torch.Tensor], torch.Tensor]


def main() -> None:
    options = parse_options()
    index = build_index(load("dog-breed"), options.folder)
    paths, targets = index.train["path"].tolist(), index.targets()
    accelerator = build_accelerator("auto")
    network = build_network(
        options.model, classes=2, channels=3, pretrained=True, weights=options.weights, dropout=0
    ).to(accelerator.device)
    network.eval()

    def plainly(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network.backbone(normalise(images, network.mean, network.std))  # type: ignore[no-any-return]

    def quickly(images: torch.Tensor) -> torch.Tensor:
        with looking(accelerator):
            return network.features(images)

    print(f"{len(paths)} images, {options.model}, load before {os.getloadavg()[0]:.1f}")
    print(f"{'size':<8}{'plain way':>18}{'our way':>10}{'difference':>20}")
    for size in options.sizes:
        whole = losses(said(open_images(options.folder, paths), size, plainly), targets)
        small = losses(said(open_cached_images(options.folder, paths, SIDE_ON, size), size, quickly), targets)
        apart = small - whole
        error, chance = (each.std() / np.sqrt(len(each)) for each in (apart, whole))
        print(f"{size:<8}{whole.mean():>9.4f} ± {chance:.4f}{small.mean():>10.4f}{apart.mean():>+11.4f} ± {error:.4f}")
        lost = apart.mean() / chance
        claim(f"log loss lost by looking fast, {size} px / its standard error", f"{lost:.2f}", "<= 0.2", lost <= 0.2)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score_of_speed", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="mobilenetv2_100", metavar="M")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[72, 96, 112, 160], metavar="N")
    return parser.parse_args()


def said(reader: ImageReader, size: int, look: TTAMode) -> NDArray[np.float32]:
    """What the body says of every image's centre square."""
    looks = MultiView(SIDE_ON, (PLAIN,), size)
    feed = ImageLoader(reader, RowTargets.none(len(reader)), looks, default_workers())
    batches = feed.read(even_batches(np.arange(len(reader)), BATCH))
    return np.concatenate([look(batch.inputs.flatten(0, 1)).float().cpu().numpy() for batch in batches])


def losses(features: NDArray[np.float32], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log loss of each row, by a probe that was fitted on the other folds."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
    given = cross_val_predict(probe, features, targets.argmax(axis=1), cv=FOLDS, method="predict_proba")
    assert LOG_LOSS.per_row is not None
    return LOG_LOSS.per_row(targets, given)


if __name__ == "__main__":
    main()
