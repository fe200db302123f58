"""Fit the postprocess of a run on its prediction files, and report the score that it was selected by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite

import numpy as np

from runner.contract import Competition
from runner.errors import RunnerError
from runner.fields import checked
from runner.prediction.averaging import TTAMode
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import Member, OofTargets, OutOfFold, read_out_of_fold
from runner.prediction.postprocess import Postprocess, task_of
from runner.prediction.score import score_rows
from runner.training.score_record import RunScore


def fit_postprocess(
    competition: Competition, members: Sequence[Member], targets: OofTargets, fold_of: Mapping[str, int]
) -> tuple[Postprocess, RunScore]:
    """The fitted postprocess, and the content of score.json."""
    task = task_of(competition, targets.classes)

    def read(tta: TTAMode) -> OutOfFold:
        return read_out_of_fold(members, targets, fold_of, tta, outputs=task.outputs)

    has_views = any(len(member.views) > 1 for member in members)
    modes = (TTAMode.NONE, TTAMode.MEAN) if task.outputs.are_numbers else tuple(TTAMode)
    cv = NestedCV(read, task, tta_modes=modes if has_views else (TTAMode.NONE,))
    report = score_report(competition, cv)
    return cv.postprocess(), report


def score_report(competition: Competition, cv: NestedCV) -> RunScore:
    """The content of score.json: nested and in-sample scores, TTA, ensemble methods and members.

    A RunnerError if the metric is undefined on these rows, as the ROC AUC of one class is.
    """
    nested, plan, tta_gain = cv.nested_score(), cv.select_plan(), cv.tta_gain()
    methods, members = cv.score_methods(), cv.contributions()
    by_id = np.argsort(cv.order)  # from the rows by fold to the rows as read
    targets, groups = cv.rows.targets[by_id], [cv.rows.groups[row] for row in by_id]
    extra = {
        metric.key: score_rows(metric, targets, nested.values, groups=groups) for metric in competition.extra_metrics
    }
    report = {
        "cv": asdict(nested.score),
        "extra_metrics": {key: asdict(score) for key, score in extra.items() if isfinite(score.value)},
        "folds": {str(fold): score for fold, score in nested.folds.items() if isfinite(score)},
        "in_sample": nested.in_sample,
        "postprocess": str(plan),
        "tta": {
            "mode": plan.tta.value,
            "gain": None if tta_gain is None else tta_gain.value,
            "error": None if tta_gain is None else tta_gain.error,
        },
        "methods": [
            {
                "method": str(method.plan),
                "score": method.score.value,
                "error": method.score.error,
                "chosen": method.chosen,
            }
            for method in methods
        ],
        "members": [asdict(member) for member in members],
    }
    try:
        return checked(RunScore, report, "score")
    except ValueError as error:
        raise RunnerError(
            f"{competition.metric.title} has no value on the validation rows: {error}",
            fix=f"a split with more validation rows: runner {competition.name} split",
        ) from error
