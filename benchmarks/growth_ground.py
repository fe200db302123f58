"""A made-up competition of any number of rows: tables, images, a split, and what three networks said of the rows.

The images are files of a few hundred bytes, each with a content of its own; or, where a million files would be more
than a disk should bear, rows of one .npy array, as iceberg's are. That array is a hole in the disk: it has its full
length and takes no room, and nothing that is measured reads more of it than the few dozen rows that the report shows.
Labels, predictions and folds are written by the same functions that write them for a real run.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

from runner.contract import (
    ACCURACY,
    LOG_LOSS,
    MEAN_F2,
    SIDE_ON,
    Competition,
    ImageArray,
    Multiclass,
    Multilabel,
    Recipe,
    Stage,
    TrainMode,
)
from runner.data.manifest import MARKER
from runner.prediction.predictions import Predictions, write_predictions
from runner.workspace import Workspace

NAME, RUN, CLASSES, FOLDS, MEMBERS = "growth", "grown", 10, 5, 2
KINDS = ("files", "array", "tags")  # images that are files; rows of an array; files again, with tags for labels


def competition_of(kind: str) -> Competition:
    """The competition whose images and labels are of this kind."""
    tags = kind == "tags"
    csv_and_id = {"csv": "labels.csv", "id": "id"}
    return Competition(
        slug=NAME,
        title="Growth",
        labels=Multilabel(**csv_and_id, label="tags") if tags else Multiclass(**csv_and_id, label="class"),
        train_images=ImageArray("train.npy", table="labels.csv") if kind == "array" else "train/{id}.jpg",
        test_images=ImageArray("test.npy", table="sample_submission.csv") if kind == "array" else "test/{id}.jpg",
        sample_submission="sample_submission.csv",
        preset=SIDE_ON,
        metric=MEAN_F2 if tags else LOG_LOSS,
        extra_metrics=() if tags else (ACCURACY,),
        recipe=Recipe("resnet18", (Stage(64, TrainMode.FROZEN),), lr=1e-3, folds=FOLDS, pretrained=False),
        name=NAME,
    )


def lay_ground(workspace: Workspace, kind: str, rows: int) -> None:
    """Data of as many labelled rows and as many to predict."""
    raw = workspace.data_dir(NAME)
    raw.mkdir(parents=True)
    numbers = np.random.default_rng(rows).integers(CLASSES, size=rows)
    _write_tables(raw, kind, rows, numbers)
    for part in ("train", "test"):
        if kind == "array":
            # Only its header is written: the rest is a hole.
            np.lib.format.open_memmap(raw / f"{part}.npy", mode="w+", dtype=np.float32, shape=(rows, 1, 16, 16))
        else:
            _write_images(raw / part, part, rows)
    (raw / MARKER).touch()


def _write_tables(raw: Path, kind: str, rows: int, numbers: np.ndarray) -> None:
    names = [f"class_{number}" for number in range(CLASSES)]
    tags = kind == "tags"
    with (raw / "labels.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("id", "tags" if tags else "class"))
        second = [f" {names[(number + 1) % CLASSES]}" if tags else "" for number in range(CLASSES)]
        writer.writerows((f"train_{row:07d}", names[n] + second[n]) for row, n in enumerate(numbers.tolist()))
    with (raw / "sample_submission.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("id", "tags") if tags else ("id", *names))
        values = (names[0],) if tags else ("0.1",) * CLASSES
        writer.writerows((f"test_{row:07d}", *values) for row in range(rows))


def _write_images(folder: Path, part: str, rows: int) -> None:
    folder.mkdir()
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 150)).save(buffer, "JPEG", quality=60)
    whole = buffer.getvalue()
    for row in range(rows):
        # What follows a JPEG's end is nobody's; it makes each file another.
        (folder / f"{part}_{row:07d}.jpg").write_bytes(whole + b"%d" % row)


def write_run(workspace: Workspace, kind: str, rows: int) -> None:
    """A finished run: what each member says of the rows that its fold held out, and of those to predict."""
    from runner.data.folds import copy_folds, read_folds, shared_folds
    from runner.data.index import build_index
    from runner.prediction.blend import oof_targets_file
    from runner.prediction.out_of_fold import oof_targets, write_oof_targets
    from runner.training.run import start_run

    competition = competition_of(kind)
    run = start_run(workspace, NAME, competition.recipe, RUN)
    copy_folds(shared_folds(workspace, competition), run.folds_file)
    truth = oof_targets(build_index(competition, workspace.data_dir(NAME)))
    write_oof_targets(oof_targets_file(run), truth)
    folds = read_folds(run.folds_file).fold_of
    fold_of = np.array([folds[name] for name in truth.ids])
    rng = np.random.default_rng(1)
    test_ids = tuple(f"test_{row:07d}" for row in range(rows))
    hidden = np.eye(CLASSES, dtype=np.float32)[rng.integers(CLASSES, size=rows)]
    for fold in range(FOLDS):
        held = np.flatnonzero(fold_of == fold)
        ids = tuple(truth.ids[row] for row in held)
        for member in range(MEMBERS):
            for part, names, shown in (("valid", ids, truth.targets[held]), ("test", test_ids, hidden)):
                said = Predictions(names, truth.classes, _seen(shown, member, rng, kind))
                write_predictions(run.fold_dir(fold) / f"snapshot-{member}.{part}.npz", said)


def _seen(shown: np.ndarray, member: int, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Probabilities that know something of what is shown; the later member sees a little better."""
    logits = (2 + 0.3 * member) * shown + rng.standard_normal(shown.shape, dtype=np.float32)
    if kind == "tags":
        return 1 / (1 + np.exp(1 - logits))
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def write_submission(workspace: Workspace, rows: int) -> Path:
    """A submission in the sample's form, every number of it spelt out as a network's are."""
    path = workspace.submissions_dir(NAME) / f"{RUN}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    powers = np.random.default_rng(2).random((rows, CLASSES))
    values = (powers / powers.sum(axis=1, keepdims=True)).tolist()
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("id", *(f"class_{number}" for number in range(CLASSES))))
        writer.writerows((f"test_{row:07d}", *cells) for row, cells in enumerate(values))
    return path
