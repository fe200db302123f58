"""Probabilities of the validation and test rows: a file for each snapshot and subset, with every view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor, nn

from runner.console import log
from runner.contract import TrainMode
from runner.errors import RunnerError, UsageError
from runner.images.views import MultiView, View, default_views
from runner.prediction.out_of_fold import row_blocks
from runner.prediction.predictions import (
    ViewPredictions,
    predictions_file,
    read_view_predictions,
    write_view_predictions,
)
from runner.training.distributed import broadcast_from_main, get_accelerator, inference_context
from runner.training.features import FeatureSpec, cached_features
from runner.training.fold import FoldRun, RowSet, load_snapshot, worker_count
from runner.training.learner import predict_logits
from runner.training.loaders import AllViewsFeatureLoader, ImageLoader, Loader, inference_batch_size
from runner.training.model import Network
from runner.training.snapshot_list import train_fold_again
from runner.training.snapshots import Snapshot, file_sha256, weights_file


@dataclass(frozen=True)
class RefitModels:
    """The models to repeat of the run that was refitted on all data."""

    names: tuple[str, ...]  # all of its models: the weights of the last stage's are averaged
    weighted: tuple[str, ...]  # those with a weight in its ensemble: the ones to predict with


def most_trained_folds(folds: Sequence[FoldRun]) -> tuple[FoldRun, ...]:
    """The folds with the most snapshots; a warning names the others. A fold may be trained on another machine."""
    counts = [len(fold.read_snapshots()) for fold in folds]
    run, resume = folds[0].run, folds[0].session.command("train", "--run", folds[0].run.name, "--resume")
    if not max(counts):
        raise RunnerError(f"{run.name} has no snapshot to predict with", where=run.folder, fix=resume)
    for fold, count in zip(folds, counts, strict=True):
        if count < max(counts):
            state = f"has {count} of {max(counts)} snapshots" if count else "is not trained"
            log.warning(f"fold {fold.number} {state} and is left out\n  fix: `{resume}`")
    return tuple(fold for fold, count in zip(folds, counts, strict=True) if count == max(counts))


def predict_fold(
    fold: FoldRun, models: Sequence[Snapshot], views: Sequence[View], subsets: Sequence[str] = ("valid", "test")
) -> None:
    """Write each model's probabilities for validation and test rows; views already predicted are not repeated."""
    device = get_accelerator(fold.session.compute).device
    for model in models:
        network: Network | None = None
        for subset in subsets:
            rows = fold.valid if subset == "valid" else fold.test
            if not len(rows):
                continue
            path = predictions_file(fold.folder, model.name, subset)
            known = broadcast_from_main(lambda: _read_known(fold, model, rows, subset))  # noqa: B023  (called at once)
            missing = [view for view in views if known is None or repr(view) not in known.view_ids]
            if missing:
                network = network or load_network(fold, model, views).to(device)
                predicted = predict_rows(
                    fold, network, model, rows, missing, title=f"fold {fold.number} {model.name} {subset}"
                )
                if PartialState().is_main_process:
                    write_view_predictions(path, _merged(known, predicted, views))
                PartialState().wait_for_everyone()


def load_network(fold: FoldRun, model: Snapshot, views: Sequence[View]) -> Network:
    """A snapshot's network, for images of the views' size; a UsageError if it takes no other than its own."""
    network = load_snapshot(fold, model)
    size = views[0].size
    if size is None:
        return network
    try:
        network.set_size(size)
        with torch.inference_mode():
            network.backbone.eval()(torch.zeros(1, network.mean.shape[1], size, size))
    except (RuntimeError, AssertionError, ValueError) as error:  # each of timm's models has its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"{fold.recipe.backbone}, trained at {model.size} px, cannot predict at {size} px: {reason}",
            where=fold.folder,
            fix=f"leave --size out: `{fold.session.command('predict', '--run', fold.run.name)}`",
        ) from error
    return network


def input_size(model: Snapshot, views: Sequence[View]) -> int:
    """The size of a snapshot's images in these views: that of `--size`, else that of its training."""
    return views[0].size or model.size


def _read_known(fold: FoldRun, model: Snapshot, rows: RowSet, subset: str) -> ViewPredictions | None:
    """The predictions on disk, if they are of these rows, images, classes and weights."""
    path = predictions_file(fold.folder, model.name, subset)
    if not path.exists():
        return None
    try:
        known = read_view_predictions(path)
    except RunnerError:
        return None  # cut off while it was copied: it is written again
    same = (known.ids, known.classes) == (rows.ids, fold.session.index.classes)
    same = same and rows.images_digest in (known.images_digest or rows.images_digest, "")
    # If the weights are deleted, nothing better can be computed: the file counts.
    return known if same and weights_digest(fold, model) in (known.weights_digest, "") else None


def weights_digest(fold: FoldRun, model: Snapshot) -> str:
    """A digest of a snapshot's weights file; empty if it was deleted."""
    path = weights_file(fold.folder, model)
    return file_sha256(path)[:32] if path.exists() else ""


def _merged(known: ViewPredictions | None, new: ViewPredictions, wanted: Sequence[View]) -> ViewPredictions:
    """Old and new views in one, the wanted ones first and in their order."""
    if known is None:
        return new
    # A view redefined under its name replaces its old predictions.
    kept = [column for column, name in enumerate(known.views) if name not in new.views]
    merged = replace(
        new,
        views=(*(known.views[column] for column in kept), *new.views),
        view_ids=(*(known.view_ids[column] for column in kept), *new.view_ids),
        probabilities=np.concatenate([known.probabilities[:, kept], new.probabilities], axis=1),
    )
    first = [merged.views.index(view.name) for view in wanted]
    order = [*first, *(column for column in range(len(merged.views)) if column not in first)]
    return replace(
        merged,
        views=tuple(merged.views[column] for column in order),
        view_ids=tuple(merged.view_ids[column] for column in order),
        probabilities=merged.probabilities[:, order],
    )


def predict_rows(
    fold: FoldRun, network: Network, model: Snapshot, rows: RowSet, views: Sequence[View], *, title: str
) -> ViewPredictions:
    """One network's probabilities for these rows, in every view."""
    on_features = fold.recipe.stages[model.stage].mode is TrainMode.FEATURES
    build_loader = _feature_loader if on_features else _image_loader
    loader = build_loader(fold, network, model, rows, views)
    module = EachView(network.head if on_features else network)
    batch_size = inference_batch_size(fold.recipe.batch_size, len(views))
    with inference_context():
        logits = predict_logits(module, loader, rows.rows, batch_size, title=title)
    probabilities = np.empty(logits.shape, dtype=np.float32)
    for some in row_blocks(len(logits), logits[:1].numel()):
        flat = fold.to_predictions(logits[some].flatten(0, 1))
        probabilities[some] = flat.reshape(logits[some].shape)
    if not np.isfinite(probabilities).all():
        weights = weights_file(fold.folder, model)
        raise RunnerError(f"{title}: the network predicts NaN", where=weights, fix=train_fold_again(weights))
    # Of unreadable test images nothing is known but the mean of the others.
    probabilities[np.isin(rows.rows, sorted(rows.skipped))] = fold.mean_target
    return ViewPredictions(
        rows.ids,
        fold.session.index.classes,
        tuple(view.name for view in views),
        tuple(map(repr, views)),
        rows.mean_by_id(probabilities),
        weights_digest(fold, model),
        rows.images_digest,
    )


class EachView(nn.Module):
    """Logits shaped (rows, views, classes) of inputs shaped (rows, views, ...)."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor, tabular: Tensor) -> Tensor:
        """The module applied to every view as if it were a row."""
        views = inputs.shape[1]
        logits: Tensor = self.module(inputs.flatten(0, 1), tabular.repeat_interleave(views, dim=0))
        return logits.reshape(len(inputs), views, logits.shape[1])


def _image_loader(fold: FoldRun, _: Network, model: Snapshot, rows: RowSet, views: Sequence[View]) -> Loader:
    """Images, each read and decoded once for all its views."""
    size = input_size(model, views)
    transform = MultiView(fold.competition.preset, views, size)
    return ImageLoader(rows.images(size), rows.targets, transform, worker_count(fold.session.compute))


def _feature_loader(fold: FoldRun, network: Network, model: Snapshot, rows: RowSet, views: Sequence[View]) -> Loader:
    """Cached features: all snapshots and folds with the same backbone share them."""
    preset, size = fold.competition.preset, input_size(model, views)
    default, shown = default_views(preset), tuple(view.without_size for view in views)
    computed = default if set(shown) <= set(default) else shown
    features = cached_features(
        FeatureSpec(network, rows.images(size), preset, computed, size),
        fold.session.cache_dir,
        batch_size=fold.recipe.batch_size,
        workers=worker_count(fold.session.compute),
    )
    return AllViewsFeatureLoader(features, [computed.index(view) for view in shown], rows.targets)
