"""fastai's fine-tuning of a timm backbone. Runs in `.venv-peers`, without the runner.

`python -m benchmarks.peers.fastai`: as a script, this file would be what `import fastai` finds.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()  # before fastai is imported, which a user waits for too

import argparse  # noqa: E402
import os  # noqa: E402
from importlib.metadata import version  # noqa: E402
from typing import Any  # noqa: E402

import fastai.callback.channelslast  # noqa: F401, E402  # gives learners `to_channelslast`
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

from benchmarks.peers.tables import (  # noqa: E402
    LabelledImage,
    parser_of,
    read_test,
    read_train,
    write_result,
    write_submission,
)


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
    learner = build_learner(options, read_train(options.folder))
    test = read_test(options.folder)
    clock = Clock()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs, base_lr=options.lr, freeze_epochs=1, cbs=clock)
        trained = seconds()
        # fastai's TTA: four augmented views and the plain one.
        probabilities = learner.tta(dl=learner.dls.test_dl([row.image for row in test]))[0]
    ids, classes = [row.id for row in test], list(learner.dls.vocab)
    write_submission(options.out / "submission.csv", ids, classes, probabilities.tolist())
    settings = {name: str(value) for name, value in vars(options).items()} | environment()
    write_result(options.out, settings, clock.epochs, trained, seconds())


def parse_options() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--epochs", type=int, default=3, help="unfrozen epochs, after one frozen")
    parser.add_argument("--lr", type=float, default=2e-3, help="fastai's default is 2e-3")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--channels-last", action="store_true")
    return parser.parse_args()


def build_learner(options: argparse.Namespace, rows: list[LabelledImage]) -> Learner:
    """The learner of fastai's documentation; `vision_learner` adds Normalize."""
    label_of = {row.image: row.label for row in rows}
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_y=lambda image: label_of[image],  # fastai needs a function with a signature
        splitter=IndexSplitter([number for number, row in enumerate(rows) if row.is_validation]),
        item_tfms=Resize(options.size),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(list(label_of), bs=options.batch_size, num_workers=options.workers)
    overlay = {"pretrained_cfg_overlay": {"file": str(options.weights)}} if options.weights else {}
    learner = vision_learner(loaders, options.model, metrics=accuracy, **overlay)
    return learner.to_channelslast(use_amp=False) if options.channels_last else learner


def environment() -> dict[str, str]:
    """Versions, and what decides the speed."""
    versions = {name: version(name) for name in ("fastai", "torch", "torchvision", "timm", "pillow")}
    policy = os.environ.get("OMP_WAIT_POLICY", "as the system has it")
    return {**versions, "threads": str(torch.get_num_threads()), "OMP_WAIT_POLICY": policy}


if __name__ == "__main__":
    main()
