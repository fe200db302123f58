"""The predictions that a CV score is of: each row by a postprocess that it had no part in. They compare runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition
from runner.contract.targets import Targets, are_class_numbers, as_matrix
from runner.errors import RunnerError
from runner.prediction.averaging import Matrix, TTAMode
from runner.prediction.blend import Blend
from runner.prediction.fit_postprocess import max_fitted_rows
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import OutOfFold, read_out_of_fold, validation_rows
from runner.prediction.postprocess import task_of
from runner.prediction.postprocess_folds import assign_postprocess_folds, sample_rows
from runner.prediction.score import Gain, Score, bootstrap_gain, group_codes, paired_gain, score_rows


@dataclass(frozen=True)
class NestedPredictions:
    """Validation rows sorted by id, with their nested predictions shaped (rows, classes).

    `values` is what the metric scores. `left_out` counts the rows that do not fit in memory.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Targets
    folds: NDArray[np.int64]
    groups: tuple[str, ...]
    probabilities: Matrix
    values: Matrix
    left_out: int = 0

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> NestedPredictions:
        """Only these rows, in this order."""
        chosen = np.asarray(rows, dtype=np.int64)
        ids, groups = (tuple(values[row] for row in chosen.tolist()) for values in (self.ids, self.groups))
        targets, folds = self.targets[chosen], self.folds[chosen]
        probabilities, values = self.probabilities[chosen], self.values[chosen]
        return NestedPredictions(ids, self.classes, targets, folds, groups, probabilities, values, self.left_out)


def predict_nested(competition: Competition, blend: Blend, most_rows: int | None = None) -> NestedPredictions:
    """The nested predictions of a run's members, selected and fitted again; of at most so many rows.

    They are those that the score in score.json is of, if that is of the files that are here.
    """
    members, classes = blend.members, blend.targets.classes
    task = task_of(competition, classes)
    every = validation_rows(members, blend.targets, blend.folds.fold_of)
    count = min(max_fitted_rows(len(members), len(classes)), most_rows or len(every.ids))
    rows = every if len(every.ids) <= count else sample_rows(every, count)

    def read(tta: TTAMode) -> OutOfFold:
        return read_out_of_fold(members, rows, classes, tta, outputs=task.outputs)

    has_views = any(len(member.views) > 1 for member in members)
    modes: tuple[TTAMode, ...] = (TTAMode.NONE, TTAMode.MEAN) if task.outputs.are_numbers else tuple(TTAMode)
    of_all = None if rows is every else (every.targets, assign_postprocess_folds(every))
    cv = NestedCV(read, task, tta_modes=modes if has_views else (TTAMode.NONE,), every=of_all)
    predicted = cv.nested_predictions()
    return NestedPredictions(
        rows.ids,
        classes,
        rows.targets,
        rows.folds,
        rows.groups,
        predicted.probabilities,
        predicted.values,
        left_out=len(every.ids) - len(rows.ids),
    )


@dataclass(frozen=True)
class CommonRows:
    """The rows that two runs have both predicted, with the same labels, in the same order."""

    first: NestedPredictions
    second: NestedPredictions
    only_first: int  # rows that the second has not predicted
    only_second: int
    other_labels: int  # rows that both predicted, whose labels differ: left out

    @property
    def other_folds(self) -> int:
        """Rows that are validated in another fold of the second: beside other rows, the networks' training differs."""
        pairs = set(zip(self.first.folds.tolist(), self.second.folds.tolist(), strict=True))
        is_renumbering = len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        return 0 if is_renumbering else int((self.first.folds != self.second.folds).sum())


def common_rows(first: NestedPredictions, second: NestedPredictions) -> CommonRows:
    """The rows of both; a RunnerError if their classes differ, or if they have no row in common."""
    if sorted(first.classes) != sorted(second.classes):
        raise RunnerError(
            f"the runs predict different classes: {len(first.classes):,} and {len(second.classes):,}, of which "
            f"{len(set(first.classes) & set(second.classes)):,} are the same"
        )
    row_of = {name: row for row, name in enumerate(second.ids)}
    shared = [(row, row_of[name]) for row, name in enumerate(first.ids) if name in row_of]
    if not shared:
        raise RunnerError("the runs have no validation row in common, so their scores cannot be paired")
    of_first, of_second = (np.array(rows, dtype=np.int64) for rows in zip(*shared, strict=True))
    a, b = first.take(of_first), _in_classes_of(first, second.take(of_second))
    same = _same_labels(a.targets, b.targets, len(a.classes))
    if not same.any():
        raise RunnerError("the runs were scored on different labels of the same rows")
    kept = np.flatnonzero(same)
    return CommonRows(
        a.take(kept),
        b.take(kept),
        only_first=len(first.ids) - len(shared),
        only_second=len(second.ids) - len(shared),
        other_labels=len(shared) - len(kept),
    )


def _in_classes_of(first: NestedPredictions, second: NestedPredictions) -> NestedPredictions:
    """The second's columns in the order of the first's classes."""
    if first.classes == second.classes:
        return second
    columns = [second.classes.index(name) for name in first.classes]
    targets = second.targets
    targets = np.argsort(columns)[targets] if are_class_numbers(targets) else targets[:, columns]
    return NestedPredictions(
        second.ids,
        first.classes,
        targets,
        second.folds,
        second.groups,
        second.probabilities[:, columns],
        second.values[:, columns],
        second.left_out,
    )


def _same_labels(first: Targets, second: Targets, columns: int) -> NDArray[np.bool_]:
    if are_class_numbers(first) and are_class_numbers(second):
        return np.asarray(first == second)
    a, b = as_matrix(first, columns), as_matrix(second, columns)  # an earlier version stored numbers one-hot
    return np.asarray(((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1))


@dataclass(frozen=True)
class PairedDifference:
    """The scores of two runs on the same rows, and by how much the second is better (above 0)."""

    first: Score
    second: Score
    gain: Gain
    folds: dict[int, float]  # the gain on the rows of each fold of the first

    @property
    def verdict(self) -> str:
        """The difference in words: smaller than its standard error, it says nothing."""
        size = abs(self.gain.value)
        if size <= 1e-12:
            return "equal"
        which = "better" if self.gain.value > 0 else "worse"
        errors = size / self.gain.error if self.gain.error > 0 else float("inf")
        if errors <= 1:
            return f"as good as equal ({which} by less than one standard error)"
        if errors <= 2:
            return f"{which} by {errors:.1f} standard errors (may be chance)"
        return f"{which} by {errors:.1f} standard errors" if errors < 100 else which


def paired_difference(competition: Competition, rows: CommonRows) -> PairedDifference:
    """The difference of the competition's metric on these rows, with its standard error; groups stay together."""
    metric, a, b = competition.metric, rows.first, rows.second
    codes = group_codes(a.groups)
    first, second = (score_rows(metric, a.targets, each.values, codes=codes) for each in (a, b))
    if metric.per_row is None:
        gain = bootstrap_gain(metric, a.targets, a.values, b.values, codes)
    else:
        simple, better = (metric.row_scores(a.targets, each.values) for each in (a, b))
        gain = paired_gain(metric, simple, better, codes)
    return PairedDifference(first, second, gain, _gain_by_fold(competition, rows))


def _gain_by_fold(competition: Competition, rows: CommonRows) -> dict[int, float]:
    metric, a, b = competition.metric, rows.first, rows.second
    gains = {}
    for fold in np.unique(a.folds).tolist():
        of_fold = a.folds == fold
        scores = [metric.score(a.targets[of_fold], each.values[of_fold]) for each in (a, b)]
        gains[int(fold)] = metric.gain(scores[1], scores[0])
    return {fold: gain for fold, gain in gains.items() if np.isfinite(gain)}  # of one class there is no ROC AUC
