"""Figures and tables of out-of-fold predictions: each class or label, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.report.page.figures import (
    BLUE,
    VERMILLION,
    ReportFigure,
    label_bars,
    new_figure,
    plain_label,
    put_legend,
    style,
)
from runner.report.page.page import Cell, Table
from runner.report.run.calibration import BINS, calibration_bins, confidences, describe_calibration
from runner.report.run.data import OofPredictions
from runner.report.run.per_class import (
    THRESHOLDS,
    beta_of,
    f_score_by_threshold,
    label_rankings,
    per_class_scores,
    per_label_scores,
    thresholds_of,
)

_BARS = 40
_ROWS = 1000  # of the table of classes
_COLUMNS = 4  # of the small curves
_CURVES = 40


def classes_table(oof: OofPredictions) -> Table:
    """Recall and precision of every class, of many those with the lowest recall."""
    scores = per_class_scores(oof)
    rows = [
        [score.name, score.support, _percent(score.recall), _percent(score.precision), score.most_confused_with]
        for score in scores[:_ROWS]
    ]
    some = f"The {_ROWS} classes with the lowest recall of {len(scores):,}"
    caption = "Every class, the lowest recall first" if len(scores) <= _ROWS else some
    header = ["class", "support", "recall, %", "precision, %", "most confused with"]
    return Table(header, rows, caption, beside=True)


def classes_figure(oof: OofPredictions) -> ReportFigure:
    """Recall of the classes as bars, the lowest first."""
    scores = per_class_scores(oof)[:_BARS]
    recalls = [100 * (score.recall or 0.0) for score in scores]
    with style():
        figure = new_figure(height=0.9 + 0.24 * len(scores))
        axes = figure.subplots()
        axes.barh(range(len(scores)), recalls, color=BLUE, height=0.7)
        label_bars(axes, recalls, "{:.0f}", fontsize=8)
        axes.set_yticks(range(len(scores)), [plain_label(score.name, 32) for score in scores], fontsize=9)
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="recall (%)", xlim=(0, 108), ylim=(len(scores) - 0.4, -0.6))
    count = len(oof.class_names)
    title = "Recall of each class" if len(scores) == count else f"Recall of the {len(scores)} worst of {count} classes"
    alt = f"{title}; the lowest is {scores[0].name} with {recalls[0]:.0f} %."
    return ReportFigure("classes", title, alt, figure)


def labels_table(oof: OofPredictions) -> Table:
    """Every label: recall, precision, F-score and threshold if tags are decided, else the AUC of its probabilities."""
    beta = beta_of(oof)
    return _rankings_table(oof) if beta is None else _decided_table(oof, beta)


def _rankings_table(oof: OofPredictions) -> Table:
    rows: list[list[Cell]] = [
        [label.name, label.support, label.auc, label.mean_probability, label.share] for label in label_rankings(oof)
    ]
    return Table(["label", "support", "AUC", "mean probability", "share"], rows, "Every label, the lowest AUC first")


def _decided_table(oof: OofPredictions, beta: int) -> Table:
    scores = per_label_scores(oof, beta)
    has_thresholds = any(score.threshold is not None for score in scores)
    rows = [
        [
            score.name,
            score.support,
            score.predicted,
            _percent(score.recall),
            _percent(score.precision),
            round(score.f_score, 4),
            *([round(score.threshold, 3)] if score.threshold is not None else []),
        ]
        for score in scores
    ]
    header = ["label", "support", "predicted", "recall, %", "precision, %", f"F{beta}"]
    caption = f"Every label, the lowest F{beta} first"
    return Table([*header, *(["threshold"] if has_thresholds else [])], rows, caption)


def labels_figure(oof: OofPredictions) -> ReportFigure | None:
    """The F-score of the worst labels by threshold, with the threshold that is used; None if nothing is decided."""
    beta = beta_of(oof)
    if beta is None:
        return None
    worst = [score.name for score in per_label_scores(oof, beta)[:_CURVES]]
    shown = [index for index, name in enumerate(oof.classes) if name in worst]
    curves, thresholds, names = f_score_by_threshold(oof, beta)[shown], thresholds_of(oof), oof.classes
    used = [thresholds[index] for index in shown] if thresholds else []
    with style():
        figure = new_figure(9.6, 0.5 + 1.55 * -(-len(shown) // _COLUMNS))
        _draw_f_curves(figure, [names[index] for index in shown], curves, used, f"F{beta}")
    rows: list[list[Any]] = [
        [names[index], float(THRESHOLDS[curve.argmax()]), float(curve.max()), used[position] if used else None]
        for position, (index, curve) in enumerate(zip(shown, curves, strict=True))
    ]
    numbers = Table(["label", "best threshold", f"F{beta} there", "threshold used"], rows, "Best thresholds")
    rule = oof.decision.rule.value if oof.decision else "fixed threshold"
    note = f"Decision rule: {rule}." + (" Dashed: the threshold that is used." if thresholds else "")
    alt = f"Curves of F{beta} by threshold of {len(shown)} labels."
    each = "each label" if len(shown) == len(names) else f"the {len(shown)} worst of {len(names)} labels"
    return ReportFigure("labels", f"F{beta} of {each}, by threshold", alt, figure, numbers, note)


def _draw_f_curves(figure: Figure, names: Sequence[str], curves: Any, thresholds: Sequence[float], score: str) -> None:
    grid = figure.subplots(-(-len(names) // _COLUMNS), _COLUMNS, squeeze=False, sharex=True, sharey=True)
    for index, axes in enumerate(grid.flat):
        if index >= len(names):
            axes.axis("off")
            continue
        axes.plot(THRESHOLDS, curves[index], color=BLUE)
        if thresholds:
            axes.axvline(thresholds[index], color=VERMILLION, linestyle="--", linewidth=1.2)
        axes.tick_params(labelbottom=index + _COLUMNS >= len(names))  # the last of each column
        axes.set_title(plain_label(names[index], 32), fontsize=9)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
    figure.supxlabel("threshold on the probability", fontsize=10)
    figure.supylabel(f"{score} of the label", fontsize=10)


def calibration_figure(oof: OofPredictions) -> ReportFigure:
    """Reliability diagram: observed frequency by predicted probability."""
    bins = calibration_bins(oof)
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        axes.plot([0, 1], [0, 1], linestyle=":", color=VERMILLION, label="perfect calibration")
        points = [(part.predicted, part.observed, part.error) for part in bins]
        axes.errorbar(*zip(*points, strict=True), fmt="o-", color=BLUE, capsize=3, label="this run, ± standard error")
        axes.set(xlabel="predicted probability", ylabel="observed frequency", xlim=(0, 1.02), ylim=(0, 1.02))
        put_legend(figure, axes)
    rows: list[list[Cell]] = [
        [f"{part.low:.1f} to {part.high:.1f}", part.count, part.predicted, part.observed] for part in bins
    ]
    header = ["bin", "count", "predicted probability", "observed frequency"]
    note = describe_calibration(bins)
    numbers = Table(header, rows, "Calibration by bin")
    return ReportFigure("calibration", "Calibration", f"Reliability diagram. {note}", figure, numbers, note)


def confidence_figure(oof: OofPredictions) -> ReportFigure:
    """Histogram of the predicted probabilities."""
    predicted, _ = confidences(oof)
    counts, edges = np.histogram(predicted, BINS, (0, 1))
    unit = "labels of images" if oof.is_multilabel else "images"
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        axes.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.09, color=BLUE)
        axes.set(xlabel="predicted probability", ylabel=unit, xlim=(0, 1))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if oof.is_multilabel:
            axes.set(yscale="log", ylabel=f"{unit}, log scale")  # most labels are clearly absent from most images
    alt = f"Histogram of predicted probabilities: {counts[-1]:,} of {len(predicted):,} {unit} above 0.9."
    return ReportFigure("confidence", "Predicted probabilities", alt, figure)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)
