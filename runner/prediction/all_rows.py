"""The nested score of more rows than fit in memory: each outer fold's postprocess is applied to blocks of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from runner.contract import Metric
from runner.prediction.averaging import Matrix, TTAMode
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import Member, MemberRows, ValidationRows, row_blocks
from runner.prediction.postprocess import Postprocess
from runner.prediction.postprocess_folds import assign_postprocess_folds
from runner.prediction.score import Score, group_codes, score_from_row_values, score_rows


@dataclass(frozen=True)
class AllRows:
    """Every validation row, of which `cv` has a sample."""

    cv: NestedCV
    members: Sequence[Member]
    rows: ValidationRows
    classes: Sequence[str]

    def score(self, metrics: Sequence[Metric]) -> dict[str, tuple[Score, dict[int, float]]]:
        """The nested score of each metric that can be scored block by block, and that of each of the run's folds."""
        kept = self._predict([metric for metric in metrics if self._can_score(metric)])
        return {metric.key: (self._total(metric, values), self._folds(metric, values)) for metric, values in kept}

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        return group_codes(self.rows.groups)

    def _can_score(self, metric: Metric) -> bool:
        return metric.per_row is not None or metric.compact(self.rows.targets[:1], np.zeros((1, 2))) is not None

    def _predict(self, metrics: Sequence[Metric]) -> list[tuple[Metric, Matrix]]:
        """Of each metric the scores of the rows, or all that it scores of them."""
        parts: list[list[Matrix]] = [[] for _ in metrics]
        order: list[NDArray[np.int64]] = []
        folds = assign_postprocess_folds(self.rows)
        for fold in range(self.cv.fold_count):
            postprocess, rows = self.cv.fit_outer(fold), np.flatnonzero(folds == fold)
            stored = self._open(postprocess)
            for block in row_blocks(len(rows), len(self.classes)):
                targets, values = self.rows.targets[rows[block]], self._values(postprocess, stored, rows[block])
                for metric, part in zip(metrics, parts, strict=True):
                    part.append(np.asarray(metric.scored_part(targets, values)))
            order.append(rows)
        by_row = np.argsort(np.concatenate(order))
        return [(metric, np.concatenate(part)[by_row]) for metric, part in zip(metrics, parts, strict=True)]

    def _open(self, postprocess: Postprocess) -> dict[str, MemberRows]:
        weights = zip(self.members, postprocess.weights, strict=True)
        mode: TTAMode = postprocess.tta
        return {member.name: MemberRows(member, mode, postprocess.outputs) for member, weight in weights if weight > 0}

    def _values(self, postprocess: Postprocess, stored: dict[str, MemberRows], rows: NDArray[np.int64]) -> Matrix:
        ids = [self.rows.ids[row] for row in rows.tolist()]
        # In single precision, as all rows are where they fit in memory.
        return postprocess.apply(lambda name: [stored[name].read(ids, self.classes).astype(np.float32)]).values

    def _total(self, metric: Metric, values: Matrix) -> Score:
        if metric.per_row is not None:
            return score_from_row_values(metric, values, codes=self._codes)
        return score_rows(metric, self.rows.targets, values, codes=self._codes)

    def _folds(self, metric: Metric, values: Matrix) -> dict[int, float]:
        scores = {}
        for fold in np.unique(self.rows.folds).tolist():
            rows = self.rows.folds == fold
            scores[int(fold)] = metric.total(self.rows.targets[rows], values[rows])
        return scores
