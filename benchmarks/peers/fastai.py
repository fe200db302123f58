"""fastai's fine-tuning on photographs laid out as dog-breed. Runs in `.venv-peers`, without the runner.

Run it with `python -P`: this folder must not be on the path, or `import fastai` finds this file.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()  # before fastai is imported, which a user waits for too

import argparse  # noqa: E402
import csv  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
from importlib.metadata import version  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import fastai.callback.channelslast  # noqa: F401, E402  # gives learners `to_channelslast`
import numpy as np  # noqa: E402
import torch  # noqa: E402
from fastai.vision.all import (  # noqa: E402
    Callback,
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    Learner,
    Resize,
    accuracy,
    aug_transforms,
    set_seed,
    vision_learner,
)

Ids = list[str]


class Clock(Callback):
    """Records seconds, losses and accuracy after every epoch."""

    order = 60  # after the recorder

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []

    def after_epoch(self) -> None:
        train_loss, valid_loss, valid_accuracy = map(float, self.learn.recorder.values[-1])
        self.epochs.append(
            {
                "seconds": seconds(),
                "mode": "frozen" if self.learn.opt.frozen_idx else "unfrozen",
                "train_loss": train_loss,
                "valid_loss": valid_loss,
                "valid_accuracy": valid_accuracy,
            }
        )


def seconds() -> float:
    """Seconds since the start of the process."""
    return round(time.perf_counter() - STARTED, 3)


def main() -> None:
    options = parse_options()
    set_seed(options.seed)
    ids, labels = zip(*read_table(options.folder / "labels.csv"), strict=True)
    learner = build_learner(options, list(ids), list(labels))
    clock = Clock()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs, base_lr=options.lr, freeze_epochs=1, cbs=clock)
        trained = seconds()
        test_ids, probabilities = predict_test(learner, options.folder)
    write_submission(options.out / "submission.csv", test_ids, list(learner.dls.vocab), probabilities)
    result = {
        "settings": {name: str(value) for name, value in vars(options).items()} | environment(),
        "epochs": clock.epochs,
        "train_seconds": trained,
        "tta_seconds": round(seconds() - trained, 3),
        "total_seconds": seconds(),
    }
    (options.out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with train/, test/, labels.csv and sample_submission.csv")
    parser.add_argument("--model", required=True, help="a timm model")
    parser.add_argument("--weights", type=Path, help="its weights; without, timm fetches them")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--folds-file", type=Path, help="a folds.csv; rows of fold 0 are validation rows")
    parser.add_argument("--epochs", type=int, default=3, help="unfrozen epochs, after one frozen")
    parser.add_argument("--lr", type=float, default=2e-3, help="fastai's default is 2e-3")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, required=True, help="folder for result.json and submission.csv")
    return parser.parse_args()


def read_table(path: Path) -> list[list[str]]:
    """The rows below the header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))[1:]


def build_learner(options: argparse.Namespace, ids: Ids, labels: Ids) -> Learner:
    """The learner of fastai's documentation; `vision_learner` adds Normalize."""
    label_of = dict(zip(ids, labels, strict=True))
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=lambda name: options.folder / "train" / f"{name}.jpg",
        get_y=lambda name: label_of[name],  # fastai needs a function with a signature
        splitter=IndexSplitter(validation_rows(options, ids)),
        item_tfms=Resize(options.size),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(ids, bs=options.batch_size, num_workers=options.workers)
    overlay = {"pretrained_cfg_overlay": {"file": str(options.weights)}} if options.weights else {}
    learner = vision_learner(loaders, options.model, metrics=accuracy, **overlay)
    return learner.to_channelslast(use_amp=False) if options.channels_last else learner


def validation_rows(options: argparse.Namespace, ids: Ids) -> list[int]:
    """The rows of fold 0; a random fifth without a folds.csv."""
    if options.folds_file:
        fold_of = dict(read_table(options.folds_file))
        return [row for row, name in enumerate(ids) if fold_of[name] == "0"]
    order = np.random.default_rng(options.seed).permutation(len(ids))
    return sorted(order[: len(ids) // 5].tolist())


def predict_test(learner: Learner, folder: Path) -> tuple[Ids, torch.Tensor]:
    """Probabilities of the test images with fastai's TTA: four augmented views and the plain one."""
    ids = [row[0] for row in read_table(folder / "sample_submission.csv")]
    # A DataBlock's test items go through get_x, which reads from train/.
    test = learner.dls.test_dl([f"../test/{name}" for name in ids])
    return ids, learner.tta(dl=test)[0]


def write_submission(path: Path, ids: Ids, classes: Ids, probabilities: torch.Tensor) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *classes])
        writer.writerows([name, *row] for name, row in zip(ids, probabilities.tolist(), strict=True))


def environment() -> dict[str, str]:
    """Versions, and what decides the speed."""
    versions = {name: version(name) for name in ("fastai", "torch", "torchvision", "timm", "pillow")}
    policy = os.environ.get("OMP_WAIT_POLICY", "as the system has it")
    return {**versions, "threads": str(torch.get_num_threads()), "OMP_WAIT_POLICY": policy}


if __name__ == "__main__":
    main()
