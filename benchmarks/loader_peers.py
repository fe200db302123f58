"""The loaders of fastai and of timm over a folder of JPEGs. Runs in `.venv-peers`, knows nothing of the runner.

Each is asked for its batches as a model would get them: on the device, as normalised floats. Prints JSON.
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
    told = {"peer": f"{options.peer} {version(options.peer)}", "images_per_second": epochs}
    print(json.dumps(told))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["fastai", "timm"])
    parser.add_argument("folder", type=Path, help="one folder a class, JPEGs inside")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    return parser.parse_args()


def fastai_epochs(options: argparse.Namespace) -> list[float]:
    """As fastai's documentation has it: `Resize` for each image, `aug_transforms` and `Normalize` for the batch."""
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
    return timed(lambda: loaders.train, options.epochs)


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
    return timed(lambda: loader, options.epochs)


def timed(loader: Callable[[], Any], epochs: int) -> list[float]:
    """Images a second of each epoch, from asking for the first batch to having the last."""
    rates = []
    for _ in range(epochs):
        begun, images = time.perf_counter(), 0
        for batch in loader():
            images += len(batch[0])
        rates.append(images / (time.perf_counter() - begun))
    return rates


if __name__ == "__main__":
    main()
