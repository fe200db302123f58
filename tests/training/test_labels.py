"""Each kind of labels from the index to a score: a tiny network is trained, and predicts what can be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import (
    ACCURACY,
    BINARY_LOG_LOSS,
    KL_DIVERGENCE,
    MEAN_COLUMNWISE_AUC,
    RMSE,
    Binary,
    Competition,
    Metric,
    Multiclass,
    Multilabel,
    Ordinal,
    Regression,
    SeveralTargets,
    Stage,
    TrainMode,
    weighted_recall,
)
from runner.contract.targets import target_means
from runner.images.views import choose_views
from runner.options import Compute, PredictOptions
from runner.prediction.fit_postprocess import fit_postprocess
from runner.prediction.out_of_fold import find_members, oof_targets
from runner.prediction.predict import predict_fold
from runner.prediction.predictions import read_view_predictions
from runner.prediction.swa import choose_models
from runner.session import Session
from runner.steps.train import train
from runner.training.folds import build_folds
from runner.workspace import Workspace
from tests.builders import write_csv, write_image
from tests.competitions import SHAPES

TARGETS = SeveralTargets(
    Multiclass(csv="train.csv", label="shade", classes=("0", "1", "2")),
    Multiclass(csv="train.csv", label="light", classes=("0", "1")),
)
# Labels, metric, columns of the table and the values of an image of brightness 0, 1 or 2.
KINDS: dict[str, tuple[Any, Metric, tuple[str, ...], list[tuple[object, ...]]]] = {
    "grades": (Ordinal(csv="train.csv", grades=3), ACCURACY, ("label",), [(0,), (1,), (2,)]),
    "a number": (Regression(csv="train.csv", label="y", low=0), RMSE, ("y",), [(1,), (5.5,), (10,)]),
    "numbers with gaps": (
        Regression(csv="train.csv", columns=("y", "z")),
        RMSE,
        ("y", "z"),
        [(1, -4), ("", 0), (10, 4)],
    ),
    "columns of tags": (
        Multilabel(csv="train.csv", columns=("dark", "not_light")),
        MEAN_COLUMNWISE_AUC,
        ("dark", "not_light"),
        [(1, 1), (0, 1), (0, 0)],
    ),
    "votes": (
        Multiclass(csv="train.csv", columns=("p", "q"), soft=True),
        KL_DIVERGENCE,
        ("p", "q"),
        [(9, 1), (1, 1), (1, 9)],
    ),
    "several targets": (
        TARGETS,
        weighted_recall(2, 1, sizes=(3, 2)),
        ("shade", "light"),
        [(0, 0), (1, 0), (2, 1)],
    ),
}


def build_session(folder: Path, labels: Any, metric: Metric, columns: Sequence[str], values: list[Any]) -> Session:
    """A workspace with 36 training images of three brightnesses, and six test images."""
    recipe = replace(SHAPES.recipe, stages=(Stage(32, TrainMode.UNFROZEN, cycle_len=4),), batch_size=8)
    competition = replace(
        SHAPES,
        labels=labels,
        metric=metric,
        extra_metrics=(),
        recipe=recipe,
        train_images="train/{id}.png",
        test_images="test/{id}.png",
        submission_rows="{id}_{column}" if isinstance(labels, SeveralTargets) else "",
    )
    session = Session(competition, Workspace(folder), compute=Compute(device="cpu", workers=0))
    data = session.workspace.data_dir(session.name)
    random = np.random.default_rng(3)
    for subset, count in (("train", 36), ("test", 6)):
        for number in range(count):
            image = random.integers(0, 60, (32, 32, 3)).astype(np.uint8) + np.uint8(80 * (number % 3))
            write_image(data / subset / f"{subset}{number}.png", image)
    write_csv(data / "train.csv", ("id", *columns), [(f"train{n}", *values[n % 3]) for n in range(36)])
    ids = [f"test{n}" for n in range(6)]
    if isinstance(labels, SeveralTargets):
        rows = [(f"{id}_{column}", 0) for id in ids for column in columns]
        write_csv(data / "sample_submission.csv", ("row", "value"), rows)
    else:
        write_csv(data / "sample_submission.csv", ("id", *columns), [(id, *(0 for _ in columns)) for id in ids])
    (data / ".complete").touch()
    return session


def train_and_score(session: Session) -> tuple[dict[str, Any], Path]:
    """The content of score.json, and the file of test predictions."""
    run = train(session, session.competition.recipe)
    folds = build_folds(session, run)
    views = choose_views(session.competition.preset, "none")
    names = [model.name for model in choose_models(folds[0], PredictOptions())]
    for fold in folds:
        predict_fold(fold, choose_models(fold, PredictOptions()), views)
    members = find_members([fold.folder for fold in folds], names, [view.name for view in views])
    fold_of = dict(zip(session.index.train["id"], folds[0].fold_of.tolist(), strict=True))
    _, score = fit_postprocess(session.competition, members, oof_targets(session.index), fold_of)
    return score, members[0].test[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_network_beats_the_constant(kind: str, tmp_path: Path) -> None:
    labels, metric, columns, values = KINDS[kind]
    session = build_session(tmp_path, labels, metric, columns, values)
    score, test_file = train_and_score(session)
    targets = session.index.targets()
    constant = np.tile(target_means(targets, len(session.index.classes)), (len(targets), 1))
    assert metric.is_better(score["cv"]["value"], metric.score(targets, constant))
    test = read_view_predictions(test_file)
    assert test.ids == tuple(f"test{n}" for n in range(6))
    assert test.probabilities.shape == (6, 1, len(session.index.classes))


def test_the_images_of_one_id_are_averaged(tmp_path: Path) -> None:
    labels = Binary(csv="train.csv", id="{scan}_{side}", label="light")
    session = build_session(tmp_path, labels, BINARY_LOG_LOSS, ("light",), [(0,), (0,), (1,)])
    data = session.workspace.data_dir(session.name)
    rows = [(f"train{n}", n // 6, "LRL"[n % 3], int(n % 3 == 1)) for n in range(36)]
    write_csv(data / "train.csv", ("image", "scan", "side", "light"), rows)
    write_csv(data / "test.csv", ("image", "scan", "side"), [(f"test{n}", 9, "LRL"[n % 3]) for n in range(6)])
    write_csv(data / "sample_submission.csv", ("id", "light"), [("9_R", 0), ("9_L", 0)])
    images: dict[str, Any] = {"train_images": "train/{image}.png", "test_images": "test/{image}.png"}
    competition: Competition = replace(session.competition, test_csv="test.csv", **images)
    session = replace(session, competition=competition)
    score, test_file = train_and_score(session)
    assert len(session.index.train) == 36 and score["cv"]["rows"] in (2, 3)  # of twelve scans and sides, a fifth
    assert read_view_predictions(test_file).ids == ("9_R", "9_L")
