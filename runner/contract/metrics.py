"""The metrics of leaderboards: what each scores, its direction, and the decision that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from runner.contract.decisions import (
    Average,
    ClassWithConfidence,
    Decision,
    Grade,
    OneClass,
    Sharpened,
    TagSet,
    TopClasses,
)
from runner.contract.labels import Binary, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets

if TYPE_CHECKING:
    from runner.contract.metric_functions.arrays import Matrix, WeightedScore

Item = TypeVar("Item")

_BLOCK_VALUES = 1 << 22  # scored at a time, if each row has its own score


@dataclass(frozen=True)
class _Function:
    """A function of metric_functions, which is imported at the first call: `runner list` needs no numpy."""

    name: str  # module.function
    arguments: tuple[tuple[str, Any], ...] = ()

    def __call__(self, targets: Matrix, values: Matrix) -> Any:
        module, _, name = self.name.partition(".")
        function = getattr(import_module(f"runner.contract.metric_functions.{module}"), name)
        return function(targets, values, **dict(self.arguments))


@dataclass(frozen=True)
class Metric:
    """A score and its direction.

    One function says how it is computed from targets and values (see `metric_functions`):
    `per_row` returns a value a row, whose mean is the score: models are then compared row by row, with less noise.
    `weighted` returns a function from how often each row counts to the score: resampling is then quick.
    `function` returns the score alone: for a metric of the plugin's own.
    """

    key: str
    title: str
    function: Callable[[Matrix, Matrix], float] | None = None
    higher_is_better: bool = field(kw_only=True)
    per_row: Callable[[Matrix, Matrix], Matrix] | None = None
    weighted: Callable[[Matrix, Matrix], WeightedScore] | None = None
    decision: Decision = None
    labels: tuple[type, ...] = ()  # the kinds of labels it scores; none: any
    columns: int | None = None  # of the labels, if its weights are given by column
    class_numbers: bool = False  # a function of the plugin's own takes class numbers (rows,), not one-hot targets

    def __post_init__(self) -> None:
        if self.function is None and self.per_row is None and self.weighted is None:
            raise ValueError(f"Metric {self.key}: give function, per_row or weighted")

    @property
    def direction(self) -> str:
        """The direction in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def scores_tags(self) -> bool:
        """Whether the values are tags of 0 and 1, and not probabilities or numbers."""
        return isinstance(self.decision, TagSet)

    def score(self, targets: Matrix, values: Matrix) -> float:
        """The score of these rows; ValueError if shapes differ or there are no rows."""
        self._check(targets, values)
        if self.function is not None:
            return float(self.function(*self._arguments(targets, values)))
        if self.per_row is not None:
            return float(self.row_scores(targets, values).mean())
        assert self.weighted is not None
        return float(self.weighted(*self._arguments(targets, values))(None))

    def row_scores(self, targets: Matrix, values: Matrix) -> Matrix:
        """The score of each row, some rows at a time: of thousands of columns there is no second copy."""
        import numpy as np

        self._check(targets, values)
        assert self.per_row is not None
        size = max(1, _BLOCK_VALUES // values.shape[1])
        blocks = [slice(begin, begin + size) for begin in range(0, len(values), size)]
        scores = [
            self.per_row(*self._arguments(targets[rows], np.asarray(values[rows], dtype=float))) for rows in blocks
        ]
        return np.concatenate([np.asarray(some) for some in scores])

    def resampler(self, targets: Matrix, values: Matrix) -> WeightedScore:
        """A function from how often each row is drawn to the score of what is drawn; quick to call many times."""
        import numpy as np

        self._check(targets, values)
        if self.weighted is not None:
            return self.weighted(*self._arguments(targets, values))
        if self.per_row is not None:
            rows = self.row_scores(targets, values)
            return lambda weights: float(rows.mean() if weights is None else weights @ rows / weights.sum())

        def score(weights: Matrix | None) -> float:
            if weights is None:
                return self.score(targets, values)
            drawn = np.repeat(np.arange(len(values)), np.asarray(weights).astype(int))
            return self.score(targets[drawn], values[drawn])

        return score

    def compact(self, targets: Matrix, values: Matrix) -> Matrix | None:
        """All that it scores of these values, a number or two a row: `score` takes them too. None: it needs them all.

        Only for one class a row, and for a metric of ours.
        """
        decides = isinstance(self.weighted, _Function) and isinstance(self.decision, OneClass | ClassWithConfidence)
        if decides and targets.ndim == 1:
            from_module = import_module("runner.contract.metric_functions.arrays")
            with_confidence = isinstance(self.decision, ClassWithConfidence)
            return from_module.best_class(values) if with_confidence else from_module.predicted_classes(values)  # type: ignore[no-any-return]
        return None

    def scored_part(self, targets: Matrix, values: Matrix) -> Matrix | None:
        """What rows give to the score: the score of each, or `compact`; None if all rows must be seen together."""
        return self.row_scores(targets, values) if self.per_row is not None else self.compact(targets, values)

    def total(self, targets: Matrix, parts: Matrix) -> float:
        """The score of rows from their `scored_part`."""
        return float(parts.mean()) if self.per_row is not None else self.score(targets, parts)

    def _check(self, targets: Matrix, values: Matrix) -> None:
        compact = values.ndim == 1 and self.weighted is not None and targets.shape == values.shape
        if not compact and not (
            values.ndim == 2 and (targets.shape == values.shape or targets.shape == values.shape[:1])
        ):
            raise ValueError(f"{self.key}: targets {targets.shape} and predictions {values.shape} differ")
        if len(targets) == 0:
            raise ValueError(f"{self.key}: no rows to score")

    def _arguments(self, targets: Matrix, values: Matrix) -> tuple[Matrix, Matrix]:
        """What the metric's function is called with: numbers in double precision, but for an order of classes."""
        import numpy as np

        function = self.function or self.per_row or self.weighted
        if targets.ndim == 1 and (self.class_numbers or isinstance(function, _Function)):
            return targets, values
        if targets.ndim == 1:
            targets = np.equal.outer(targets, np.arange(values.shape[1]))
        return np.asarray(targets, dtype=float), np.asarray(values, dtype=float)

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


# What each kind of labels can be scored by. With other labels a metric still returns a number: the multi-class log
# loss of one column is always 0.
_CLASSES = (Multiclass, Ordinal)
_ONE_OF_SOME = (Multiclass, Ordinal, Binary)

LOG_LOSS = Metric(
    "log_loss", "log loss", higher_is_better=False, labels=_CLASSES, per_row=_Function("probabilities.log_loss_per_row")
)
BINARY_LOG_LOSS = Metric(
    "binary_log_loss",
    "log loss",
    higher_is_better=False,
    labels=(Binary, Multilabel),
    per_row=_Function("probabilities.binary_log_loss_per_row"),
)
KL_DIVERGENCE = Metric(
    "kl", "KL divergence", higher_is_better=False, labels=(Multiclass,), per_row=_Function("probabilities.kl_per_row")
)
PF1 = Metric(
    "pf1",
    "probabilistic F1",
    higher_is_better=True,
    labels=(Binary,),
    decision=Sharpened(),
    weighted=_Function("probabilities.pf1"),
)
ACCURACY = Metric(
    "accuracy",
    "accuracy",
    higher_is_better=True,
    labels=_ONE_OF_SOME,
    decision=OneClass(),
    per_row=_Function("classes.accuracy_per_row"),
)
BALANCED_ACCURACY = Metric(
    "balanced_accuracy",
    "balanced accuracy",
    higher_is_better=True,
    labels=_ONE_OF_SOME,
    decision=OneClass(rare_count_as_much=True),
    weighted=_Function("classes.balanced_accuracy"),
)
MACRO_F1 = Metric(
    "macro_f1",
    "macro F1",
    higher_is_better=True,
    labels=_ONE_OF_SOME,
    decision=OneClass(rare_count_as_much=True),
    weighted=_Function("classes.macro_f1"),
)
MACRO_F1_OF_TAGS = Metric(
    "macro_f1_of_tags",
    "macro F1",
    higher_is_better=True,
    labels=(Multilabel,),
    decision=TagSet(1, Average.TAGS),
    weighted=_Function("classes.macro_f1_of_tags"),
)
MICRO_F1 = Metric(
    "micro_f1",
    "micro F1",
    higher_is_better=True,
    labels=(Multilabel,),
    decision=TagSet(1, Average.ALL),
    weighted=_Function("classes.micro_f1"),
)
MEAN_F1 = Metric(
    "mean_f1",
    "mean F1",
    higher_is_better=True,
    labels=(Multilabel,),
    decision=TagSet(1),
    per_row=_Function("classes.f_per_row", (("beta", 1),)),
)
MEAN_F2 = Metric(
    "mean_f2",
    "mean F2",
    higher_is_better=True,
    labels=(Multilabel,),
    decision=TagSet(2),
    per_row=_Function("classes.f_per_row", (("beta", 2),)),
)
QWK = Metric(
    "qwk",
    "quadratic weighted kappa",
    higher_is_better=True,
    labels=(Ordinal,),
    decision=Grade(),
    weighted=_Function("classes.qwk"),
)
ROC_AUC = Metric("roc_auc", "ROC AUC", higher_is_better=True, labels=(Binary,), weighted=_Function("ranking.roc_auc"))
MEAN_COLUMNWISE_AUC = Metric(
    "mean_columnwise_auc",
    "mean column-wise ROC AUC",
    higher_is_better=True,
    labels=(Multiclass, Multilabel),
    weighted=_Function("ranking.mean_columnwise_auc"),
)
MICRO_AUC = Metric(
    "micro_auc",
    "ROC AUC of all cells",
    higher_is_better=True,
    labels=(Multilabel,),
    weighted=_Function("ranking.micro_auc"),
)
GAP = Metric(
    "gap",
    "global average precision",
    higher_is_better=True,
    labels=(Multiclass,),
    decision=ClassWithConfidence(),
    weighted=_Function("ranking.gap"),
)
LWLRAP = Metric("lwlrap", "lwlrap", higher_is_better=True, labels=(Multilabel,), weighted=_Function("ranking.lwlrap"))
RMSE = Metric("rmse", "RMSE", higher_is_better=False, labels=(Regression,), weighted=_Function("numbers.rmse"))
MAE = Metric("mae", "MAE", higher_is_better=False, labels=(Regression,), weighted=_Function("numbers.mae"))
R2 = Metric("r2", "R2", higher_is_better=True, labels=(Regression,), weighted=_Function("numbers.r2"))


def weighted_log_loss(*weights: float, positive: float = 1) -> Metric:
    """Log loss of columns of 0 and 1, with a weight for each in their order; a 1 counts `positive` times as much."""
    arguments = (("weights", weights), ("positive", positive))
    function = _Function("probabilities.weighted_log_loss_per_row", arguments)
    title = "weighted log loss"
    return Metric(
        "weighted_log_loss", title, higher_is_better=False, labels=(Multilabel,), per_row=function, columns=len(weights)
    )


def weighted_auc(*bands: tuple[float, float, float]) -> Metric:
    """ROC AUC with a weight for each band (from, to, weight) of the true positive rate."""
    function = _Function("ranking.weighted_auc", (("bands", bands),))
    return Metric("weighted_auc", "weighted ROC AUC", higher_is_better=True, labels=(Binary,), weighted=function)


def partial_auc(least_tpr: float) -> Metric:
    """ROC AUC above a true positive rate; the best score is 1 minus that rate."""
    function = _Function("ranking.partial_auc", (("least_tpr", least_tpr),))
    return Metric("partial_auc", "partial ROC AUC", higher_is_better=True, labels=(Binary,), weighted=function)


def map_at(k: int) -> Metric:
    """Mean average precision of the k likeliest classes, for one right class an image."""
    function = _Function("ranking.map_per_row", (("k", k),))
    return Metric(
        f"map_at_{k}", f"MAP@{k}", higher_is_better=True, labels=_CLASSES, decision=TopClasses(k), per_row=function
    )


def top_error(k: int) -> Metric:
    """Share of the images whose class is not among the k likeliest."""
    function = _Function("ranking.top_error_per_row", (("k", k),))
    decision = OneClass() if k == 1 else TopClasses(k)
    return Metric(
        f"top_{k}_error",
        f"top-{k} error",
        higher_is_better=False,
        labels=_CLASSES,
        decision=decision,
        per_row=function,
    )


def weighted_r2(*weights: float) -> Metric:
    """R2 of all numbers together, with a weight for each column in their order."""
    function = _Function("numbers.weighted_r2", (("column_weights", weights),))
    return Metric(
        "weighted_r2",
        "weighted R2",
        higher_is_better=True,
        labels=(Regression,),
        weighted=function,
        columns=len(weights),
    )


def weighted_recall(*weights: float, sizes: tuple[int, ...]) -> Metric:
    """Weighted mean over several targets of their mean recalls; `sizes` are the numbers of their classes."""
    arguments = (("weights", weights), ("sizes", sizes))
    return Metric(
        "weighted_recall",
        "weighted recall",
        higher_is_better=True,
        labels=(SeveralTargets,),
        decision=OneClass(rare_count_as_much=True),
        weighted=_Function("classes.weighted_recall", arguments),
        columns=sum(sizes),
    )


METRICS = (
    LOG_LOSS,
    BINARY_LOG_LOSS,
    KL_DIVERGENCE,
    PF1,
    ACCURACY,
    BALANCED_ACCURACY,
    MACRO_F1,
    MACRO_F1_OF_TAGS,
    MICRO_F1,
    MEAN_F1,
    MEAN_F2,
    QWK,
    ROC_AUC,
    MEAN_COLUMNWISE_AUC,
    MICRO_AUC,
    GAP,
    LWLRAP,
    RMSE,
    MAE,
    R2,
)
