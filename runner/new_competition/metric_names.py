"""Metrics by the names that people and Kaggle give them, and as a competition file writes them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from runner import contract
from runner.commands import again
from runner.contract import Metric
from runner.contract.labels import Binary, Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets
from runner.errors import UsageError

# The names of the command line, each with its constant in the contract.
_CONSTANTS = {
    "log_loss": "LOG_LOSS",
    "binary_log_loss": "BINARY_LOG_LOSS",
    "accuracy": "ACCURACY",
    "balanced_accuracy": "BALANCED_ACCURACY",
    "auc": "ROC_AUC",
    "mean_columnwise_auc": "MEAN_COLUMNWISE_AUC",
    "micro_auc": "MICRO_AUC",
    "macro_f1": "MACRO_F1",
    "micro_f1": "MICRO_F1",
    "mean_f1": "MEAN_F1",
    "mean_f2": "MEAN_F2",
    "pf1": "PF1",
    "qwk": "QWK",
    "gap": "GAP",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R2",
    "kl": "KL_DIVERGENCE",
    "lwlrap": "LWLRAP",
}
# Those with weights, or other numbers, behind a colon.
_WITH_NUMBERS = {
    "weighted_log_loss": "weighted_log_loss:2,1,1 (a weight a column)",
    "weighted_r2": "weighted_r2:0.1,0.9 (a weight a column)",
    "weighted_recall": "weighted_recall:2,1,1 (a weight a target)",
    "weighted_auc": "weighted_auc:0-0.4-2,0.4-1-1 (from, to and weight of each band of the true positive rate)",
    "partial_auc": "partial_auc:0.8 (the least true positive rate)",
}
_OTHER_NAMES = {
    "logloss": "log_loss",
    "multiclass_loss": "log_loss",
    "multi_class_log_loss": "log_loss",
    "cross_entropy": "log_loss",
    "bce": "binary_log_loss",
    "roc_auc": "auc",
    "auroc": "auc",
    "quadratic_weighted_kappa": "qwk",
    "kappa": "qwk",
    "cohen_kappa": "qwk",
    "categorization_accuracy": "accuracy",
    "acc": "accuracy",
    "error": "top_1_error",
    "mae_error": "mae",
    "root_mean_squared_error": "rmse",
    "mean_absolute_error": "mae",
    "kullback_leibler_divergence": "kl",
    "kl_divergence": "kl",
    "samples_f1": "mean_f1",
    "f2": "mean_f2",
    "mean_fscore_beta_2": "mean_f2",
    "global_average_precision": "gap",
    "probabilistic_f1": "pf1",
    "r2_score": "r2",
    "r_squared": "r2",
}
NAMES = (*_CONSTANTS, *_WITH_NUMBERS, "map_at_5", "top_1_error")
_AT_K = re.compile(r"(map|top)_(?:at_|k_)?(\d+)(?:_error)?")

# What Kaggle's pages call them, the first that fits; an empty name is one of several, which the page tells.
_KAGGLE = (
    (r"quadratic|kappa", "qwk"),
    (r"kullback|kl.?div", "kl"),
    (r"map\W*@\W*(\d+)|average precision\W*@\W*(\d+)", "map_at_"),
    (r"global average precision|\bgap\b", "gap"),
    (r"lwlrap|label.?ranking", "lwlrap"),
    (r"column.?wise", "mean_columnwise_auc"),
    (r"weighted", ""),
    (r"partial", ""),
    (r"\bp.?f1|probabilistic f", "pf1"),
    (r"log.?loss|multi.?class.?loss|logarithmic", "log_loss"),
    (r"area under|\bauc\b|\broc\b", "auc"),
    (r"balanced.?acc", "balanced_accuracy"),
    (r"accuracy", "accuracy"),
    (r"macro.?f|f.?1.?macro", "macro_f1"),
    (r"micro.?f|f.?1.?micro", "micro_f1"),
    (r"f.?2\b|beta\W*2", "mean_f2"),
    (r"mean f.?1", "mean_f1"),
    (r"f.?score|f.?1", ""),
    (r"rmsle|log.?error|logarithmic error", ""),
    (r"root.?mean.?squared|\brmse\b", "rmse"),
    (r"mean.?absolute|\bmae\b", "mae"),
    (r"\br.?2\b|r.squared", "r2"),
    (r"classification.?error|top.?1", "top_1_error"),
)


@dataclass(frozen=True)
class MetricName:
    """A metric's name as it was given, and the numbers behind it."""

    name: str
    numbers: tuple[tuple[float, ...], ...] = ()

    def __str__(self) -> str:
        return self.name


def read_metric(text: str) -> MetricName:
    """The metric of a name as typed; a UsageError with the nearest if there is none."""
    head, _, numbers = text.strip().partition(":")
    name = re.sub(r"[^a-z0-9]+", "_", head.lower().replace("@", "_at_")).strip("_")
    name = _OTHER_NAMES.get(name, name)
    if match := _AT_K.fullmatch(name):
        name = f"map_at_{match[2]}" if match[1] == "map" else f"top_{match[2]}_error"
        return MetricName(name)
    if name in _WITH_NUMBERS:
        return MetricName(name, _read_numbers(name, numbers))
    if name in _CONSTANTS:
        return MetricName(name)
    raise _unknown(text, name)


def _unknown(text: str, name: str) -> UsageError:
    if name in ("f1", "f_score", "fscore", "mean_fscore", "f1_score", "f_beta"):
        return UsageError(
            f"--metric {text!r} is one of several: mean_f1 is a mean over images, micro_f1 over all tags or classes, "
            "macro_f1 over classes",
            fix=again("--metric", "mean_f1"),
        )
    near = difflib.get_close_matches(name, [*NAMES, *_OTHER_NAMES], n=1, cutoff=0.5)
    found = _OTHER_NAMES.get(near[0], near[0]) if near else ""
    known = ", ".join(NAMES)
    fix = again("--metric", found or "accuracy")
    return UsageError(f"there is no metric {text!r}; there are {known} (any number of places)", fix=fix)


def _read_numbers(name: str, text: str) -> tuple[tuple[float, ...], ...]:
    try:
        numbers = tuple(tuple(float(part) for part in each.split("-")) for each in text.split(","))
    except ValueError:
        numbers = ()
    wanted = 3 if name == "weighted_auc" else 1
    if not numbers or any(len(each) != wanted for each in numbers):
        example = _WITH_NUMBERS[name]
        raise UsageError(f"{name} needs its numbers: {example}", fix=again("--metric", example.partition(" ")[0]))
    return numbers


def metric_of_kaggle(text: str) -> str:
    """The name of the metric that a competition's page names; "" if that does not say which it is."""
    for pattern, name in _KAGGLE:
        if match := re.search(pattern, text, re.IGNORECASE):
            return f"{name}{next((group for group in match.groups() if group), 5)}" if name == "map_at_" else name
    return ""


@dataclass(frozen=True)
class MetricExpression:
    """A metric, and how a competition file writes it: a name of the contract, and what it is called with."""

    metric: Metric
    name: str
    arguments: tuple[object, ...] = ()
    keywords: tuple[tuple[str, object], ...] = ()
    note: str = ""


def expression_of(given: MetricName, kind: type[Labels], sizes: tuple[int, ...] = ()) -> MetricExpression:
    """The metric for labels of this kind: `log_loss` is the binary one where they are 0 or 1."""
    name, note = given.name, ""
    if name == "log_loss" and kind in (Binary, Multilabel):
        name = "binary_log_loss"
    elif name == "auc" and kind in (Multiclass, Multilabel):
        name = "mean_columnwise_auc"
    elif name in ("micro_f1", "mean_f1") and kind in (Multiclass, Ordinal):
        # With one class an image, each wrong image is one false positive and one false negative.
        name, note = "accuracy", f"{name.replace('_', ' ').upper()} of one class an image is the accuracy"
    if match := _AT_K.fullmatch(name):
        function = "map_at" if match[1] == "map" else "top_error"
        places = int(match[2])
        return MetricExpression(getattr(contract, function)(places), function, (places,), note=note)
    if name == "macro_f1" and kind is Multilabel:
        return MetricExpression(contract.MACRO_F1_OF_TAGS, "MACRO_F1_OF_TAGS")
    if name in _CONSTANTS:
        return MetricExpression(getattr(contract, _CONSTANTS[name]), _CONSTANTS[name], note=note)
    return _with_numbers(name, given.numbers, sizes)


def _with_numbers(name: str, numbers: tuple[tuple[float, ...], ...], sizes: tuple[int, ...]) -> MetricExpression:
    plain = tuple(tuple(_plain(number) for number in each) for each in numbers)
    arguments: tuple[object, ...] = plain if name == "weighted_auc" else tuple(each[0] for each in plain)
    keywords: tuple[tuple[str, object], ...] = (("sizes", sizes),) if name == "weighted_recall" else ()
    metric = getattr(contract, name)(*arguments, **dict(keywords))
    return MetricExpression(metric, name, arguments, keywords)


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


# The kinds of labels of which a metric can only score one: it then says what values of several meanings are.
def kinds_of(given: MetricName) -> tuple[type[Labels], ...]:
    """The kinds of labels that a metric of this name scores."""
    name = given.name
    if name in ("rmse", "mae", "r2", "weighted_r2"):
        return (Regression,)
    if name == "qwk":
        return (Ordinal,)
    if name in ("mean_f2", "lwlrap", "weighted_log_loss", "micro_auc"):
        return (Multilabel,)
    if name in ("pf1", "weighted_auc", "partial_auc"):
        return (Binary,)
    if name in ("gap", "kl") or name.startswith(("map_at", "top_")):
        return (Multiclass,)
    if name == "weighted_recall":
        return (SeveralTargets,)
    if name in ("mean_f1", "micro_f1", "macro_f1"):
        return (Multilabel, Multiclass) if name != "macro_f1" else (Multilabel, Multiclass, Binary)
    if name == "log_loss":
        return (Multiclass, Binary, Multilabel)
    if name == "binary_log_loss":
        return (Binary, Multilabel)
    if name == "auc":
        return (Binary, Multilabel, Multiclass)
    if name == "mean_columnwise_auc":
        return (Multilabel, Multiclass)
    return (Multiclass, Binary)
