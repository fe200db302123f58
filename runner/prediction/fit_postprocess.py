"""Fit the postprocess of a run on its prediction files, and report the score that it was selected by.

With thousands of classes the predictions of all rows do not fit in memory. The postprocess is then fitted on a sample
of the rows; the nested score is still that of all rows, which are read some at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite

import numpy as np

from runner.console import log
from runner.contract import Competition, Metric
from runner.errors import RunnerError
from runner.fields import checked
from runner.prediction.all_rows import AllRows
from runner.prediction.averaging import TTAMode
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import Member, OofTargets, OutOfFold, read_out_of_fold, validation_rows
from runner.prediction.postprocess import Postprocess, task_of
from runner.prediction.postprocess_folds import assign_postprocess_folds, sample_rows
from runner.prediction.score import Score, group_codes, score_rows
from runner.training.score_record import RunScore

# Values that are fitted on: rows x classes x members, and as much again as ten members for what is computed of them.
# Planet with thirty models has 28 million.
MAX_VALUES = 1 << 29
_COMPUTED = 10


def fit_postprocess(
    competition: Competition, members: Sequence[Member], targets: OofTargets, fold_of: Mapping[str, int]
) -> tuple[Postprocess, RunScore]:
    """The fitted postprocess, and the content of score.json."""
    task = task_of(competition, targets.classes)
    every = validation_rows(members, targets, fold_of)
    count = max_fitted_rows(len(members), len(targets.classes))
    rows = every if len(every.ids) <= count else sample_rows(every, count)

    def read(tta: TTAMode) -> OutOfFold:
        return read_out_of_fold(members, rows, targets.classes, tta, outputs=task.outputs)

    has_views = any(len(member.views) > 1 for member in members)
    modes: tuple[TTAMode, ...] = (TTAMode.NONE, TTAMode.MEAN) if task.outputs.are_numbers else tuple(TTAMode)
    modes = modes if has_views else (TTAMode.NONE,)
    if rows is every:
        cv = NestedCV(read, task, tta_modes=modes)
        return cv.postprocess(), score_report(competition, cv)
    cv = NestedCV(read, task, tta_modes=modes, every=(every.targets, assign_postprocess_folds(every)))
    log.info(
        f"{len(every.ids):,} validation rows of {len(targets.classes):,} classes: "
        f"the postprocess is fitted on {len(rows.ids):,} of them"
    )
    return cv.postprocess(), score_report(competition, cv, AllRows(cv, members, every, targets.classes))


def max_fitted_rows(members: int, classes: int) -> int:
    """Of how many rows the predictions are held in memory."""
    return max(1, MAX_VALUES // (classes * (members + _COMPUTED)))


def score_report(competition: Competition, cv: NestedCV, every: AllRows | None = None) -> RunScore:
    """The content of score.json: nested and in-sample scores, TTA, ensemble methods and members.

    A RunnerError if the metric is undefined on these rows, as the ROC AUC of one class is.
    """
    nested, plan, tta_gain = cv.nested_score(), cv.select_plan(), cv.tta_gain()
    methods, members = cv.score_methods(), cv.contributions()
    by_id = np.argsort(cv.order)  # from the rows by fold to the rows as read
    targets, codes = cv.rows.targets[by_id], group_codes([cv.rows.groups[row] for row in by_id.tolist()])
    of_all = {} if every is None else every.score((competition.metric, *competition.extra_metrics))
    cv_score, folds = of_all.get(competition.metric.key, (nested.score, nested.folds))

    def score(metric: Metric) -> Score:
        if metric.key in of_all:
            return of_all[metric.key][0]
        return score_rows(metric, targets, nested.values, codes=codes)

    extra = {metric.key: score(metric) for metric in competition.extra_metrics}
    report = {
        "cv": asdict(cv_score),
        "extra_metrics": {key: asdict(score) for key, score in extra.items() if isfinite(score.value)},
        "folds": {str(fold): score for fold, score in folds.items() if isfinite(score)},
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
