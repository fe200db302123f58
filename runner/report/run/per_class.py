"""Precision and recall of each class, the F-score of each label by threshold or its AUC, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import ROC_AUC, TagSet
from runner.prediction.decisions import DecisionRule
from runner.report.run.data import OofPredictions

Matrix = NDArray[Any]

THRESHOLDS = np.arange(0.02, 1.0, 0.02)  # of the curves of F-scores


@dataclass(frozen=True)
class ClassScore:
    """One class of a multiclass or binary competition; a share is None if it has no denominator."""

    name: str
    support: int
    recall: float | None
    precision: float | None
    most_confused_with: str  # the most frequent wrong prediction for its images; empty if there is none


@dataclass(frozen=True)
class LabelScore:
    """One label of a multilabel competition; a share is None if it has no denominator."""

    name: str
    support: int
    predicted: int
    recall: float | None
    precision: float | None
    f_score: float
    threshold: float | None  # None if all labels of an image are decided together


@dataclass(frozen=True)
class LabelRanking:
    """One label of a competition that scores probabilities; the AUC is None if all images have it, or none."""

    name: str
    support: int
    auc: float | None
    mean_probability: float
    share: float  # of the images that have the label


def per_class_scores(oof: OofPredictions) -> list[ClassScore]:
    """Scores of every class, the lowest recall first, classes without images last."""
    from sklearn.metrics import precision_recall_fscore_support  # half a second

    labels, predictions = oof.labels_and_predictions
    indices = np.arange(len(oof.class_names))
    precision, recall, _, support = precision_recall_fscore_support(
        labels, predictions, labels=indices, zero_division=np.nan
    )
    confused_with = {pair.actual: pair.predicted for pair in reversed(oof.confusion.most_confused)}
    scores = [
        ClassScore(
            name,
            int(support[index]),
            _known(recall[index]),
            _known(precision[index]),
            confused_with.get(name, ""),
        )
        for index, name in enumerate(oof.class_names)
    ]
    return sorted(scores, key=lambda score: (score.recall is None, score.recall))


def beta_of(oof: OofPredictions) -> int | None:
    """Beta of the F-score that the metric takes of tags; None if it scores probabilities."""
    decision = oof.metric.decision
    return decision.beta if isinstance(decision, TagSet) else None


def per_label_scores(oof: OofPredictions, beta: int) -> list[LabelScore]:
    """Scores of every label whose tags are decided, the lowest F-score first."""
    actual, predicted = oof.targets > 0.5, oof.values > 0.5
    thresholds = thresholds_of(oof)
    scores = []
    for index, name in enumerate(oof.classes):
        true_positives = int((actual[:, index] & predicted[:, index]).sum())
        support, count = int(actual[:, index].sum()), int(predicted[:, index].sum())
        scores.append(
            LabelScore(
                name,
                support,
                count,
                true_positives / support if support else None,
                true_positives / count if count else None,
                f_score(true_positives, support, count, beta),
                thresholds[index] if thresholds else None,
            )
        )
    return sorted(scores, key=lambda score: (score.f_score, -score.support))


def label_rankings(oof: OofPredictions) -> list[LabelRanking]:
    """How well the probabilities of every label rank the images, the lowest AUC first, unknown ones last."""
    rankings = []
    for index, name in enumerate(oof.classes):
        known = np.isfinite(oof.targets[:, index])
        actual, probabilities = oof.targets[known, index, None], oof.probabilities[known, index, None]
        auc = float(ROC_AUC.score(actual, probabilities)) if 0 < actual.sum() < len(actual) else None
        support, mean = int((actual > 0.5).sum()), float(probabilities.mean())
        rankings.append(LabelRanking(name, support, auc, mean, support / max(len(actual), 1)))
    return sorted(rankings, key=lambda ranking: (ranking.auc is None, ranking.auc))


def thresholds_of(oof: OofPredictions) -> tuple[float, ...]:
    """The threshold of each label; empty if an image's labels are decided together."""
    if oof.decision is None or oof.decision.rule is DecisionRule.EXPECTED:
        return ()
    thresholds = tuple(map(float, oof.decision.thresholds)) or (TagSet(oof.decision.beta).default_threshold,)
    return thresholds * len(oof.classes) if len(thresholds) == 1 else thresholds


def f_score_by_threshold(oof: OofPredictions, beta: int) -> Matrix:
    """The F-score of each label at each of THRESHOLDS, shaped (labels, thresholds)."""
    curves = np.zeros((len(oof.classes), len(THRESHOLDS)))
    for index in range(len(oof.classes)):
        actual = oof.targets[:, index] > 0.5
        predicted = oof.probabilities[:, index] >= THRESHOLDS[:, None]
        for column, (hits, count) in enumerate(
            zip((predicted & actual).sum(axis=1), predicted.sum(axis=1), strict=True)
        ):
            curves[index, column] = f_score(int(hits), int(actual.sum()), int(count), beta)
    return curves


def f_score(true_positives: int, support: int, predicted: int, beta: int) -> float:
    """F-beta = (1 + beta²) TP / (beta² support + predicted); 0 without a true positive."""
    weight = beta * beta
    return (1 + weight) * true_positives / (weight * support + predicted) if true_positives else 0.0


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
