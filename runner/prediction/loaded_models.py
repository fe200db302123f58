"""A run's networks in memory, with its views and its postprocess: predictions of any images, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runner.contract import Competition
from runner.data.tabular import read_tabular, standardise_and_impute
from runner.errors import RunnerError, UsageError
from runner.images.view_size import size_in
from runner.images.views import View, choose_views
from runner.prediction.averaging import Matrix, TTAMode, average
from runner.prediction.blend import postprocess_file
from runner.prediction.postprocess import Postprocess, Predicted, read_postprocess, read_scored_views, read_tta_option
from runner.prediction.predict import EachView, RefitModels, input_size, load_network, most_trained_folds
from runner.prediction.swa import choose_models
from runner.prediction.weighted_models import WeightedModel, weighted_models
from runner.session import Session
from runner.training.distributed import get_accelerator, inference_context
from runner.training.fold import FoldRun
from runner.training.folds import build_folds
from runner.training.model import Network
from runner.training.run import Run, find_run

Tabular = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One model of a submission: a network for each fold, its input size and its views."""

    member: str  # as the postprocess has it
    size: int
    views: tuple[View, ...]
    networks: tuple[tuple[FoldRun, Network], ...]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A predicted run, ready to predict other images."""

    session: Session
    run: Run
    models: tuple[LoadedModel, ...]
    postprocess: Postprocess
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    exact: bool = False  # in single precision even where half precision is faster

    @property
    def competition(self) -> Competition:
        return self.session.competition

    @property
    def classes(self) -> tuple[str, ...]:
        """The columns of the predictions."""
        return self.session.index.classes

    @property
    def inputs(self) -> tuple[tuple[int, tuple[View, ...]], ...]:
        """Each size with its views, as `predict` wants them."""
        views: dict[int, dict[View, None]] = {}
        for model in self.models:
            views.setdefault(model.size, {}).update(dict.fromkeys(model.views))
        return tuple((size, tuple(of_size)) for size, of_size in views.items())

    def predict(self, batches: Mapping[int, NDArray[Any]], tabular: Tabular) -> Predicted:
        """Predictions of a batch of images: for each size of `inputs` they are (images, views, height, width, bands).

        `tabular` has the values of the competition's columns as they are, NaN where they are not known.
        """
        views = dict(self.inputs)

        def read(member: str) -> Iterator[Matrix]:
            model = next(model for model in self.models if model.member == member)
            images = batches[model.size]
            columns = [views[model.size].index(view) for view in model.views]
            inputs = images if len(columns) == images.shape[1] else images[:, columns]
            for fold, network in model.networks:
                yield self._predict_by(fold, network, inputs, tabular)

        return self.postprocess.apply(read)

    def _predict_by(self, fold: FoldRun, network: Network, images: NDArray[Any], tabular: Tabular) -> Matrix:
        """One network's predictions with its views averaged."""
        pixels = torch.from_numpy(images).movedim(-1, -3).to(self.device)
        columns = torch.from_numpy(standardised(fold, tabular)).to(self.device)
        with torch.inference_mode() if self.exact else inference_context():
            logits = EachView(network)(pixels, columns).float().cpu()
        flat = fold.to_predictions(logits.flatten(0, 1)).astype(np.float32)  # as prediction files have them
        if not np.isfinite(flat).all():
            raise RunnerError(f"{fold.run.name} predicts NaN", where=fold.folder)
        by_view = flat.reshape(logits.shape).astype(np.float64)
        tta = self.postprocess.tta
        if by_view.shape[1] == 1:
            return by_view[:, 0]
        return average(tta.mean, ((1.0, by_view[:, view]) for view in range(by_view.shape[1])), fold.outputs)


def standardised(fold: FoldRun, tabular: Tabular) -> Tabular:
    """Tabular values as the fold's network knows them; those that are not known are drawn from the training rows."""
    if not tabular.shape[1]:
        return tabular
    labelled = read_tabular(fold.competition, fold.session.index, "train")
    known = labelled[np.flatnonzero(fold.fold_of != fold.number)]
    return standardise_and_impute(tabular, known, fold.seed("scalars", "images"))


def load_run(session: Session, run: Run) -> LoadedRun:
    """The networks that have a weight in the run's submission; a UsageError if it is not predicted yet."""
    path = postprocess_file(run)
    if not path.exists():
        raise UsageError(
            f"{run.name} is not predicted yet, so nothing says how its models become one prediction",
            where=run.folder,
            fix=session.command("predict", "--run", run.name),
        )
    postprocess = read_postprocess(path)
    device = get_accelerator(session.compute).device
    models = tuple(_load(session, run, model, postprocess, device) for model in weighted_models(run))
    return LoadedRun(session, run, models, postprocess, device)


def _load(
    session: Session, run: Run, model: WeightedModel, postprocess: Postprocess, device: torch.device
) -> LoadedModel:
    owner = find_run(session.workspace, session.name, model.run)
    views = _views(session, run, owner, model, postprocess)
    networks = []
    size = 0
    for fold in most_trained_folds(build_folds(session, owner)):
        names = tuple(snapshot.name for snapshot in fold.read_snapshots())
        chosen = choose_models(fold, RefitModels((*names, model.model), (model.model,)))
        if not chosen:
            raise RunnerError(
                f"fold {fold.number} of {owner.name} has no {model.model}, which has a weight in {run.name}",
                where=fold.folder,
                fix=session.command("predict", "--run", owner.name),
            )
        size = input_size(chosen[0], views)
        networks.append((fold, load_network(fold, chosen[0], views).eval().to(device)))
    return LoadedModel(model.member, size, tuple(view.without_size for view in views), tuple(networks))


def _views(session: Session, run: Run, owner: Run, model: WeightedModel, postprocess: Postprocess) -> tuple[View, ...]:
    """The views that the postprocess averages; the plain one alone if it averages none."""
    option = read_tta_option(postprocess_file(owner))
    scored = read_scored_views(postprocess_file(run))[model.member]
    views = [view for view in choose_views(session.competition.preset, option, size_in(scored)) if view.name in scored]
    return tuple(views[:1] if postprocess.tta is TTAMode.NONE else views)


def tabular_values(rows: int, competition: Competition, values: NDArray[Any] | None = None) -> Tabular:
    """Tabular values of so many rows; a UsageError if the competition has columns and there are no values."""
    if values is not None:
        return np.asarray(values, dtype=np.float32).reshape(rows, len(competition.tabular))
    if competition.tabular:
        raise UsageError(
            f"the networks of {competition.name} also read {', '.join(competition.tabular)}, which an image lacks",
            fix="from Python, pass a DataFrame with the column `path` and these",
        )
    return np.zeros((rows, 0), dtype=np.float32)
