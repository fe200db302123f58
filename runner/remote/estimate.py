"""How long a run's inference takes, measured on a few images here before anything is pushed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from runner.contract import TrainMode
from runner.images.views import View, choose_views
from runner.prediction.blend import postprocess_file
from runner.prediction.postprocess import read_size_option, read_tta_option
from runner.prediction.predict import RefitModels, load_network, predict_rows
from runner.prediction.swa import choose_models
from runner.prediction.weighted_models import weighted_models
from runner.session import Session
from runner.training.distributed import get_accelerator
from runner.training.fold import FoldRun
from runner.training.folds import build_folds
from runner.training.run import Run, find_run

_IMAGES = 16


def measure_inference(session: Session, run: Run) -> float | None:
    """Seconds per image for all models and views of a run's submission; None if only features are predicted from."""
    total = 0.0
    for packed in weighted_models(run):
        owner = find_run(session.workspace, session.name, packed.run)
        folds = [fold for fold in build_folds(session, owner) if any(fold.folder.glob("*.safetensors"))]
        file = postprocess_file(owner)
        views = choose_views(session.competition.preset, read_tta_option(file), read_size_option(file))
        seconds = _measure(folds[0], packed.model, views)
        if seconds is None:
            return None
        total += seconds * len(folds)
    return total


def _measure(fold: FoldRun, name: str, views: Sequence[View]) -> float | None:
    """Seconds per image of one network, without its loading."""
    names = tuple(snapshot.name for snapshot in fold.read_snapshots())
    (model,) = choose_models(fold, RefitModels((*names, name), (name,)))
    if fold.recipe.stages[model.stage].mode is TrainMode.FEATURES:
        return None  # features of the whole test set would be computed
    network = load_network(fold, model, views).to(get_accelerator(fold.session.compute).device)
    rows = replace(fold.test, rows=fold.test.rows[:_IMAGES])
    start = time.perf_counter()
    predict_rows(fold, network, model, rows, views, title="measuring inference")
    return (time.perf_counter() - start) / max(len(rows), 1)
