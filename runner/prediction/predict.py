"""Probabilities for the held-out rows and the test rows, from a fold's last snapshot."""

from __future__ import annotations

import numpy as np
from accelerate import Accelerator

from runner.data.pictures import open_pictures
from runner.data.transforms import build_plain
from runner.errors import RunnerError
from runner.prediction.files import Predictions, write_predictions
from runner.training.batches import Answers, PictureFeed
from runner.training.fold import Fold, Machine, load_snapshot
from runner.training.loop import predict_logits
from runner.training.outputs import probabilities_of
from runner.training.processes import by_main
from runner.training.snapshots import Snapshot, read_snapshots

PARTS = ("valid", "test")


def predict_fold(fold: Fold, machine: Machine, accelerator: Accelerator) -> None:
    """Write what the last snapshot says of both parts; a part that is there already is left alone."""
    snapshots = read_snapshots(fold.folder)
    if not snapshots:
        raise RunnerError(
            f"fold {fold.number} has no snapshot to predict with",
            where=fold.folder,
            cure=f"runner {fold.competition.name} train --run {fold.folder.parent.name} --resume",
        )
    for part in PARTS if len(fold.valid_rows) else PARTS[1:]:
        path = fold.folder / f"{snapshots[-1].name}.{part}.npz"
        if by_main(accelerator, path.exists):
            continue
        predictions = _predict(fold, machine, accelerator, snapshots[-1], part)
        if accelerator.is_main_process:
            write_predictions(path, predictions)
        accelerator.wait_for_everyone()


def _predict(fold: Fold, machine: Machine, accelerator: Accelerator, snapshot: Snapshot, part: str) -> Predictions:
    network = accelerator.prepare_model(load_snapshot(fold, snapshot), evaluation_mode=True)
    table = fold.index.train.iloc[fold.valid_rows] if part == "valid" else fold.index.test
    reader = open_pictures(fold.index.raw, table["path"].tolist())
    scalars = fold.scalars("train")[fold.valid_rows] if part == "valid" else fold.scalars("test")
    nothing = np.zeros((len(table), len(fold.index.classes)), dtype=np.float32)
    plain = build_plain(fold.competition.preset, snapshot.size)
    feed = PictureFeed(reader, Answers(scalars, nothing), plain, machine.workers)
    rows = np.arange(len(table))
    logits = predict_logits(accelerator, network, feed, rows, fold.recipe.batch_size, title=f"predicting {part}")
    probabilities = probabilities_of(fold.competition.labels, logits)
    return Predictions(tuple(table["id"]), fold.index.classes, probabilities)
