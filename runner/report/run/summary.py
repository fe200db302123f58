"""A run in sentences and key figures, for the terminal and the page alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from typing import Any

import numpy as np

from runner.contract import Metric, Multiclass, Multilabel, Ordinal, Recipe, Regression, SeveralTargets, TrainMode
from runner.contract.default_decisions import scored_values
from runner.contract.recipe import Stage
from runner.contract.targets import target_means
from runner.prediction.score import Score, score_rows
from runner.prediction.sources import predict_again, stale_reason
from runner.report.run.data import OofPredictions, RunData
from runner.report.run.leaderboard import standings_of
from runner.report.run.numbers import number_scores
from runner.report.run.per_class import beta_of, label_rankings, per_label_scores

MODES = {
    TrainMode.FEATURES: "head, on cached features",
    TrainMode.FROZEN: "head, on augmented images",
    TrainMode.UNFROZEN: "whole network",
}
_BASELINE_ROWS = 20_000  # to score a constant prediction on more would only take memory
_ERRORS = 2.0  # standard errors: a smaller difference may be chance


def summarise(data: RunData) -> str:
    """What was trained, its CV score, and what it confuses most."""
    sentences = [_describe_training(data)]
    if data.oof is not None and data.score is not None:
        sentences += [_describe_score(data, data.score, data.oof), _describe_weakest(data.oof)]
    return " ".join(filter(None, sentences))


def _describe_training(data: RunData) -> str:
    classes = _describe_classes(data)
    if data.members:
        ensemble = f"Ensemble of {_count(len(data.members), 'run')} ({', '.join(data.members)}){classes}."
        if data.refit_of is None:
            return ensemble
        return (
            f"{ensemble} Its runs are those of {data.refit_of}, refitted on all data where that was asked for. "
            f"There are no validation rows: the scores are those of {data.refit_of}."
        )
    recipe = data.recipe
    if data.all_data:
        return (
            f"{recipe.backbone}, refitted on all data with the stages of {recipe.refit_of}{classes}. "
            f"There are no validation rows: the scores are those of {recipe.refit_of}."
        )
    if data.row_counts is None:
        return f"{recipe.backbone}{classes}."
    train, valid = data.row_counts
    if recipe.folds:
        return f"{recipe.backbone}, trained on {train:,} images in {recipe.folds} folds{classes}."
    return f"{recipe.backbone}, {train:,} training images, {valid:,} validation images{classes}."


def _describe_classes(data: RunData) -> str:
    labels, count = data.competition.labels, data.class_count
    if isinstance(labels, SeveralTargets):
        return f", predicts {', '.join(target.label for target in labels.targets)}"
    if isinstance(labels, Ordinal):
        return f", {labels.grades} grades"
    if isinstance(labels, Regression) and labels.columns:
        return f", predicts {_count(count, 'number')}" if count else ""
    if isinstance(labels, Multiclass):
        return f", {count} classes" if count else ""
    if isinstance(labels, Multilabel):
        return f", {count} labels" if count else ""
    return f", predicts {labels.label}"


def _describe_score(data: RunData, score: dict[str, Any], oof: OofPredictions) -> str:
    """The nested scores; none that is computed from `oof`, which is in-sample."""
    metric, cv = data.competition.metric, score["cv"]
    baseline = baseline_score(metric, oof)
    distance = metric.gain(cv["value"], baseline.value)
    error = math.hypot(cv["error"], baseline.error)
    if distance <= _ERRORS * error:
        verdict = f"not better, beyond twice its error, than a constant prediction: {baseline.value:.4f}"
    else:
        verdict = f"a constant prediction: {baseline.value:.4f}"
    extra = "".join(f", {metric.title} {with_error(value)}" for metric, value in _extra_scores(data, score))
    return f"CV {metric.title} {with_error(cv)} ({metric.direction}; {verdict}){extra}."


def _extra_scores(data: RunData, score: dict[str, Any]) -> list[tuple[Metric, dict[str, float]]]:
    values = score.get("extra_metrics", {})
    return [(metric, values[metric.key]) for metric in data.competition.extra_metrics if metric.key in values]


def _describe_weakest(oof: OofPredictions) -> str:
    if oof.is_numbers:
        worst = number_scores(oof)[:1] if len(oof.classes) > 1 else []
        return "".join(f"Worst number: {score.name}, in-sample RMSE {score.rmse:.4g}." for score in worst)
    if oof.is_multilabel:
        return _describe_weakest_label(oof)
    weakest = weakest_target(oof)
    of_target = f" of {weakest.labels.label}" if oof.by_target else ""
    return "".join(f"Most confused{of_target}: {pair}." for pair in weakest.confusion.most_confused[:1])


def _describe_weakest_label(oof: OofPredictions) -> str:
    beta = beta_of(oof)
    if beta is None:
        ranked = [label for label in label_rankings(oof) if label.auc is not None][:1]
        return "".join(
            f"Worst label: {label.name}, in-sample AUC {label.auc:.3f}, {_count(label.support, 'image')}."
            for label in ranked
        )
    worst = per_label_scores(oof, beta)[0]
    return f"Worst label: {worst.name}, in-sample F{beta} {worst.f_score:.2f}, {_count(worst.support, 'image')}."


def weakest_target(oof: OofPredictions) -> OofPredictions:
    """The predictions of the target with the most errors; these, if there is one target."""
    return max(oof.one_class_each, key=lambda target: int(np.not_equal(*target.labels_and_predictions).sum()))


def baseline_score(metric: Metric, oof: OofPredictions) -> Score:
    """The score of one prediction for every image, the frequency of each class; with its standard error."""
    targets = oof.targets[:: max(1, len(oof.targets) // _BASELINE_ROWS)]
    columns = oof.probabilities.shape[1]
    means = np.broadcast_to(target_means(oof.targets, columns), (len(targets), columns))
    predictions = scored_values(metric, means)
    if metric.per_row is None:
        return Score(metric.key, metric.score(targets, predictions), 0.0, len(targets))
    return score_rows(metric, targets, predictions)


def describe_missing(data: RunData) -> str:
    """What an unfinished or a stale run lacks and the command that mends it; empty if it is finished."""
    workspace = data.session.workspace
    if data.score is not None and (reason := stale_reason(workspace, data.run)):
        return f"Stale: {reason}. To predict again: `{predict_again(workspace, data.run)}`"
    if data.members:
        return ""
    progress = data.progress
    if not progress.is_finished:
        command = data.command("train", "--run", data.run.name, "--resume")
        return f"Unfinished: {progress} are done. To continue: {command}"
    if len(data.log) < progress.planned:
        logged = f"{len(data.log)} of the {progress.planned} epochs that were trained"
        return f"{data.run.log_file.name} holds {logged}: the others are missing in the curves, and in nothing else."
    if data.score is None:
        return f"Not predicted yet: {data.command('predict', '--run', data.run.name)}"
    return ""


def key_figures(data: RunData) -> list[tuple[str, str, str]]:
    """CV score, ranks and training time: (name, value, note)."""
    figures = _cv_figures(data, data.score) if data.score is not None else _last_epoch_figures(data)
    figures += [
        (
            f"Rank, {'private' if standing.private else 'public'} leaderboard",
            f"{standing.rank:,} of {standing.teams:,}",
            f"score {standing.score:.5f}" + ("; submitted after the deadline" if standing.late else ""),
        )
        for standing in standings_of(data)
    ]
    if data.log:
        seconds = sum(line["seconds"] for line in data.log)
        figures.append(("Training time", _duration(seconds), _count(len(data.log), "epoch")))
    return figures


def _cv_figures(data: RunData, score: dict[str, Any]) -> list[tuple[str, str, str]]:
    metric, oof = data.competition.metric, data.oof
    of_run = f" of {data.refit_of}" if data.all_data else ""

    def note(metric: Metric, *more: str) -> str:
        baseline = [] if oof is None else [f"a constant prediction: {baseline_score(metric, oof).value:.4f}"]
        return "; ".join([metric.direction, *more, *baseline])

    rows = _count(score["cv"]["rows"], "row")
    figures = [(f"CV {metric.title}{of_run}", with_error(score["cv"]), note(metric, rows))]
    figures += [
        (f"CV {extra.title}{of_run}", with_error(value), note(extra)) for extra, value in _extra_scores(data, score)
    ]
    folds = list(score.get("folds", {}).values())
    if len(folds) > 1:
        figures.append(("Folds", f"{min(folds):.4f} to {max(folds):.4f}", _count(len(folds), "fold")))
    return figures


def _last_epoch_figures(data: RunData) -> list[tuple[str, str, str]]:
    if not data.log:
        return []
    last = data.log[-1]
    titles = {metric.key: metric.title for metric in data.metrics}
    figures = [
        (f"{titles.get(key, key)}, last epoch", f"{value:.4f}", "validation rows, one model")
        for key, value in last["scores"].items()
    ]
    return figures or [("Training loss, last epoch", f"{last['train_loss']:.4f}", "training rows")]


def describe_recipe(recipe: Recipe) -> str:
    """The recipe in sentences."""
    if recipe.from_run:
        start = f"weights of {recipe.from_run}"
    elif recipe.weights:
        start = f"weights file {recipe.weights}"
    else:
        start = "pretrained weights" if recipe.pretrained else "random weights"
    stages, epochs = _count(len(recipe.stages), "stage"), _count(recipe.epochs, "epoch")
    lr = "Peak lr by the LR finder" if recipe.find_lr else f"Peak lr {recipe.lr:g}"
    by_group = f", times {recipe.layer_decay:.3g} for each earlier layer group" if recipe.layer_decay != 1 else ""
    return " ".join(
        [
            f"{recipe.backbone} from {start}: {stages}, {epochs}.",
            f"{lr}{by_group}; cosine cycles.",
            f"{', '.join(_settings(recipe)).capitalize()}.",
            "No validation rows." if recipe.all_data else f"{recipe.folds} folds." if recipe.folds else "One holdout.",
        ]
    )


def _settings(recipe: Recipe) -> Iterator[str]:
    yield f"batch size {recipe.batch_size}"
    yield f"weight decay {recipe.weight_decay:g}"
    yield f"seed {recipe.seed}"
    if recipe.dropout:
        yield f"dropout {recipe.dropout:g}"
    if recipe.oversample > 1:
        yield f"rare classes oversampled up to {recipe.oversample:g} times"
    if recipe.warmup:
        yield f"warmup over {recipe.warmup:.0%} of each stage's first cycle"
    if recipe.freeze_bn:
        yield "pretrained batchnorm statistics kept"
    yield from practice_words(recipe)


def practice_words(recipe: Recipe) -> Iterator[str]:
    """What the recipe sets of the practices that are off by default, by the names of their fields."""
    values: list[Any] = [
        recipe.optimizer,
        recipe.loss,
        recipe.regularize,
        recipe.head,
        *(one.augment for one in recipe.stages),
    ]
    told: dict[str, None] = {}
    for value in values:
        for field in fields(value):
            chosen = getattr(value, field.name)
            if chosen != field.default:
                told[_words(field.name, chosen)] = None
    yield from told
    if recipe.grad_checkpointing:
        yield "gradient checkpointing"


def _words(name: str, value: object) -> str:
    """Such as "label smoothing 0.1", "loss focal" or "layerwise"."""
    title = {"name": "optimizer", "kind": "loss", "policy": "augmentation", "pool": "pooling"}.get(name, name)
    text = value.value if isinstance(value, Enum) else "" if value is True else f"{value}"
    return f"{title.replace('_', ' ')} {text}".strip()


def stage_row(number: int, stage: Stage, recipe: Recipe) -> list[str | int | float | None]:
    """A row of the table of stages: number, size, trained layers, epochs of each cycle, peak lr."""
    lr = None if recipe.find_lr else recipe.lr * stage.lr_scale
    return [number, stage.size, MODES[stage.mode], " + ".join(map(str, stage.cycle_epochs)), lr]


def with_error(score: dict[str, float]) -> str:
    """A score and its standard error."""
    return f"{score['value']:.4f} ± {score['error']:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
