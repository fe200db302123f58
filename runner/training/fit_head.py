"""The head of a features stage at its optimum, as weights that load like those of any other training."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from runner.data.splits import split_folds
from runner.images.views import default_views
from runner.training.fold import FoldRun
from runner.training.learner import EpochStats
from runner.training.loaders import Rows
from runner.training.model import Head
from runner.training.regression import FOLDS, Regression, Samples, Solution, StrengthSearch, standardised

_MAX_BYTES = 2 << 30  # of features in memory: views are left out, the plain one last


@dataclass(frozen=True)
class HeadFit:
    """The fitted head's tensors by name, and how they came about."""

    state: dict[str, Tensor]
    search: StrengthSearch
    stats: EpochStats

    def __str__(self) -> str:
        search = self.search
        how = "that of the run that it refits" if search.is_given else "no rows to choose it by"
        if search.loss is not None:
            error = f" ± {search.error:.4f}" if search.error is not None else ""
            how = f"loss {search.loss:.4f}{error} by {FOLDS} folds of the training rows, {len(search.tried)} tried"
        steps = f"{len(self.stats.losses)} evaluations in {self.stats.seconds:.1f} s"
        return f"converged: strength {search.strength:g} ({how}), {steps}"


def fit_head(
    fold: FoldRun, head: Head, features: NDArray[np.float32], rows: Rows, strength: float | None = None
) -> HeadFit:
    """Fit the head to these rows' features (all rows, views, width); repeated rows count as often as they are named.

    Every symmetry of an image is a row of its own, with its row's target. The strength is searched unless it is given.
    """
    started = time.perf_counter()
    views = _symmetries(fold)[: max(1, _MAX_BYTES // (len(rows) * features.shape[2] * 4))]
    values, mean, variance = standardised(features[:, views], rows, head.norm.eps)
    batch = fold.train.targets.batch(rows, values)
    tabular = batch.tabular[:, None].expand(-1, values.shape[1], -1)
    inputs = torch.cat([values, tabular], dim=2) if tabular.shape[2] else values
    device = PartialState().device
    regression = Regression(Samples(inputs.to(device), batch.targets.to(device), fold.outputs))
    search = StrengthSearch(strength, is_given=True) if strength else regression.find_strength(_inner_folds(fold, rows))
    solution = regression.solve(search.strength)
    stats = EpochStats(regression.training_loss(solution), time.perf_counter() - started, solution.losses, ())
    return HeadFit(_state(head, solution, mean, variance), search, stats)


def _symmetries(fold: FoldRun) -> list[int]:
    """Which default views show the whole image: on photographs, rows of zoomed crops made the hidden score worse."""
    return [number for number, view in enumerate(default_views(fold.competition.preset)) if view.zoom == 1]


def _state(head: Head, solution: Solution, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
    """The tensors of a head whose BatchNorm standardises, and whose linear layer is the regression."""
    fitted = {
        "norm.running_mean": mean,
        "norm.running_var": variance,
        "norm.weight": torch.ones_like(mean),
        "norm.bias": torch.zeros_like(mean),
        "linear.weight": solution.weight.cpu(),
        "linear.bias": solution.bias.cpu(),
    }
    return {**{name: tensor.detach().cpu() for name, tensor in head.state_dict().items()}, **fitted}


def _inner_folds(fold: FoldRun, rows: Rows) -> NDArray[np.int64]:
    """The inner fold of each row, groups whole; one fold if there are fewer than two groups."""
    table, members = fold.train.table, fold.session.index.strata().members
    unique, position = np.unique(rows, return_inverse=True)  # oversampled rows are repeated
    ids, groups = (table[column].iloc[unique].tolist() for column in ("id", "group"))
    units = len({group or name for name, group in zip(ids, groups, strict=True)})
    if units < 2:
        return np.zeros(len(rows), dtype=np.int64)
    folds = split_folds(ids, members[unique], groups, folds=min(FOLDS, units), seed=fold.seed("inner folds"))
    return np.asarray(folds[position])
