"""Probabilities for the held-out rows and the test rows, from a fold's last snapshot."""

from __future__ import annotations

import numpy as np

from runner.data.pictures import open_pictures
from runner.data.transforms import build_plain
from runner.errors import RunnerError
from runner.prediction.files import Predictions, write_predictions
from runner.training.batches import Feed
from runner.training.fold import Fold, Machine, load_fold_network
from runner.training.loop import build_accelerator, predict_logits
from runner.training.outputs import probabilities_of
from runner.training.snapshots import Snapshot, read_snapshots

PARTS = ("valid", "test")


def predict_fold(fold: Fold, machine: Machine) -> None:
    """Write what the last snapshot says of both parts; a part that is there already is left alone."""
    snapshots = read_snapshots(fold.folder)
    if not snapshots:
        raise RunnerError(
            f"fold {fold.number} has no snapshot to predict with",
            where=fold.folder,
            cure=f"runner {fold.competition.name} train --run {fold.folder.parent.name} --resume",
        )
    for part in PARTS:
        path = fold.folder / f"{snapshots[-1].name}.{part}.npz"
        if not path.exists():
            write_predictions(path, _predict(fold, machine, snapshots[-1], part))


def _predict(fold: Fold, machine: Machine, snapshot: Snapshot, part: str) -> Predictions:
    accelerator = build_accelerator(machine.device)
    network = load_fold_network(fold, snapshot)
    table = fold.index.train.iloc[fold.valid_rows] if part == "valid" else fold.index.test
    reader = open_pictures(fold.index.raw, table["path"].tolist())
    nothing = np.zeros((len(table), len(fold.index.classes)), dtype=np.float32)
    feed = Feed(reader, nothing, build_plain(fold.competition.preset, snapshot.size), machine.workers)
    logits = predict_logits(
        accelerator,
        accelerator.prepare(network),
        feed,
        np.arange(len(table)),
        fold.recipe.batch_size,
        title=f"predicting {part}",
    )
    probabilities = probabilities_of(fold.competition.labels, logits)
    return Predictions(tuple(table["id"]), fold.index.classes, probabilities)
