"""The metrics of leaderboards and their direction.

Every metric takes two matrices shaped (rows, classes): the targets (one-hot, multi-hot, or one
column of 0 and 1) and the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from runner.contract.metric_functions import Matrix

Item = TypeVar("Item")


@dataclass(frozen=True)
class _Function:
    """A function of metric_functions, which is imported at the first call: `runner list` needs no numpy."""

    name: str

    def __call__(self, targets: Matrix, predictions: Matrix) -> Any:
        return getattr(import_module("runner.contract.metric_functions"), self.name)(targets, predictions)


@dataclass(frozen=True)
class Metric:
    """A score and its direction. `takes_decisions`: it scores decisions (0 or 1), not probabilities.

    `per_row` returns a value a row whose mean is the score, if there is one: models are then compared row by row,
    with less noise, and resampled without scoring again.
    """

    key: str
    title: str
    function: Callable[[Matrix, Matrix], float]
    higher_is_better: bool
    takes_decisions: bool = False
    per_row: Callable[[Matrix, Matrix], Matrix] | None = None

    @property
    def direction(self) -> str:
        """The direction in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    def score(self, targets: Matrix, predicted: Matrix) -> float:
        """The score of these rows; ValueError if shapes differ or there are no rows."""
        import numpy as np

        if targets.shape != predicted.shape or targets.ndim != 2:
            raise ValueError(f"{self.key}: targets {targets.shape} and predictions {predicted.shape} differ")
        if len(targets) == 0:
            raise ValueError(f"{self.key}: no rows to score")
        return float(self.function(np.asarray(targets, dtype=float), np.asarray(predicted, dtype=float)))

    def is_better(self, score: float, than: float) -> bool:
        """Whether a score is strictly better than another."""
        return score > than if self.higher_is_better else score < than

    def gain(self, score: float, baseline: float) -> float:
        """How much better `score` is than `baseline`, in the metric's unit; negative if it is worse."""
        return score - baseline if self.higher_is_better else baseline - score

    def sort_key(self, score: float) -> float:
        """Key for `sorted`: the best score first."""
        return -score if self.higher_is_better else score

    def best(self, items: Iterable[Item], key: Callable[[Item], float]) -> Item:
        """The item with the best score, the first of them if several tie; ValueError if there is none."""
        return min(items, key=lambda item: self.sort_key(key(item)))


LOG_LOSS = Metric(
    "log_loss", "log loss", _Function("log_loss"), higher_is_better=False, per_row=_Function("log_loss_per_row")
)
BINARY_LOG_LOSS = Metric(
    "binary_log_loss",
    "log loss",
    _Function("binary_log_loss"),
    higher_is_better=False,
    per_row=_Function("binary_log_loss_per_row"),
)
MEAN_F2 = Metric(
    "mean_f2",
    "mean F2",
    _Function("mean_f2"),
    higher_is_better=True,
    takes_decisions=True,
    per_row=_Function("f2_per_row"),
)
ACCURACY = Metric(
    "accuracy", "accuracy", _Function("accuracy"), higher_is_better=True, per_row=_Function("accuracy_per_row")
)
ROC_AUC = Metric("roc_auc", "ROC AUC", _Function("roc_auc"), higher_is_better=True)
METRICS = (LOG_LOSS, BINARY_LOG_LOSS, ROC_AUC, ACCURACY, MEAN_F2)
