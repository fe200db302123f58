"""Speed of the loaders of fastai and timm on a folder of JPEGs. Runs in `.venv-peers`, without the runner.

Batches are as a model gets them: on the device, as normalised floats. Prints JSON. Run it with `python -P`: this folder
must not be on the path, or `import fastai` finds the file of that name here.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")


def main() -> None:
    options = parse_options()
    epochs = {"fastai": fastai_epochs, "timm": timm_epochs}[options.peer](options)
    result = {"peer": f"{options.peer} {version(options.peer)}", "images_per_second": epochs}
    print(json.dumps(result))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["fastai", "timm"])
    parser.add_argument("folder", type=Path, help="a folder of JPEGs for each class")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    return parser.parse_args()


def fastai_epochs(options: argparse.Namespace) -> list[float]:
    """As in fastai's documentation: `Resize` for each image, `aug_transforms` and `Normalize` for the batch."""
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, aug_transforms, imagenet_stats

    loaders = ImageDataLoaders.from_folder(
        options.folder,
        valid_pct=0.01,
        seed=1,
        item_tfms=Resize(options.size),
        batch_tfms=[*aug_transforms(), Normalize.from_stats(*imagenet_stats)],
        bs=options.batch_size,
        num_workers=options.workers,
    )
    return measure(lambda: loaders.train, options.epochs)


def timm_epochs(options: argparse.Namespace) -> list[float]:
    """`create_loader` with its default augmentation for training."""
    import torch
    from timm.data import create_dataset, create_loader

    loader = create_loader(
        create_dataset("", root=str(options.folder)),
        input_size=(3, options.size, options.size),
        batch_size=options.batch_size,
        is_training=True,
        num_workers=options.workers,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    return measure(lambda: loader, options.epochs)


def measure(loader: Callable[[], Any], epochs: int) -> list[float]:
    """Images a second of each epoch."""
    speeds = []
    for _ in range(epochs):
        started, images = time.perf_counter(), 0
        for batch in loader():
            images += len(batch[0])
        speeds.append(images / (time.perf_counter() - started))
    return speeds


if __name__ == "__main__":
    main()
