"""The learning rate that a recipe plans, before anything is trained."""

from __future__ import annotations

import math
from typing import Any

from runner.contract import Recipe, Stage, TrainMode
from runner.data.folds import read_folds
from runner.errors import RunnerError
from runner.report.page.figures import BLUE, FAINT, ORANGE, ReportFigure, new_figure, style
from runner.session import Session
from runner.training.schedule import lr_factor, plan_epochs

_TRAINS = {TrainMode.FEATURES: "head, on features", TrainMode.FROZEN: "head", TrainMode.UNFROZEN: "all layers"}
_HOLDOUT = 0.8  # of the labelled rows train, where nothing is split yet


def planned_schedule(session: Session, recipe: Recipe) -> ReportFigure:
    """The lr of the head by mini-batch, with the stages; a snapshot is taken where a cycle ends, in grey."""
    batches = max(1, math.ceil(_training_rows(session, recipe) / recipe.batch_size))
    peak = (recipe.group_lrs or (recipe.lr,))[-1]
    lrs: list[float] = []
    ends: list[int] = []
    starts: list[tuple[int, Stage]] = []
    for epoch in plan_epochs(recipe.stages):
        stage = recipe.stages[epoch.stage]
        if stage.is_regression:
            continue
        if not starts or starts[-1][1] is not stage:
            starts.append((len(lrs), stage))
        lrs += [peak * stage.lr_scale * lr_factor(epoch, batch, batches, recipe.warmup) for batch in range(batches)]
        if epoch.ends_cycle:
            ends.append(len(lrs))
    with style():
        figure = new_figure()
        axes: Any = figure.subplots()
        axes.plot(range(1, len(lrs) + 1), lrs, color=BLUE)
        axes.set(xlabel="mini-batch", ylabel="lr of the head", ylim=(0, max(lrs, default=1.0) * 1.15), xlim=(0, None))
        for end in ends:
            axes.axvline(end, color=FAINT, linewidth=1.2)
        for number, (start, stage) in enumerate(starts):
            if start:
                axes.axvline(start, color=ORANGE, linewidth=1.4, linestyle=":")
            text = f"{stage.size} px, {_TRAINS[stage.mode]}"
            height = 1.01 + 0.065 * (number % 2)
            axes.text(start, height, text, transform=axes.get_xaxis_transform(), fontsize=9, va="bottom")
    alt = f"{len(ends)} cosine cycles over {len(lrs):,} mini-batches, highest lr {max(lrs, default=0):.2g}"
    return ReportFigure("planned-schedule", f"Planned schedule: {recipe.summary}", alt, figure)


def _training_rows(session: Session, recipe: Recipe) -> int:
    rows = len(session.index.train)
    if recipe.all_data:
        return rows
    if recipe.folds:
        return round(rows * (1 - 1 / recipe.folds))
    try:
        fold_of = read_folds(session.folds_file, competition=session.name).fold_of
    except RunnerError:
        return round(rows * _HOLDOUT)
    return rows - sum(fold == 0 for fold in fold_of.values())
