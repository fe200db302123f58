"""From prediction files to the final step and the score that can be trusted, as files of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runner.contract import Competition
from runner.prediction.averaging import TTAMode
from runner.prediction.oof_targets import OofTargets
from runner.prediction.out_of_fold import Member, OutOfFold, read_members, read_test
from runner.prediction.postprocess import Postprocess, Predicted, task_of
from runner.prediction.score import Gain, score_rows
from runner.prediction.tta_choice import TTANestedCV
from runner.workspace import read_json, write_json


@dataclass(frozen=True)
class FittedPostprocess:
    """What is done with the members' predictions: their views made one, then the final step."""

    step: Postprocess
    look: TTAMode

    def answer(self, members: Sequence[Member], ids: Sequence[str], classes: Sequence[str]) -> Predicted:
        """The answer for the test rows, a file at a time."""
        by_name = {member.name: member for member in members}
        multiclass = self.step.multiclass
        return self.step.apply(lambda name: read_test(by_name[name], ids, classes, self.look, multiclass=multiclass))

    def write(self, path: Path, **facts: Any) -> None:
        """Write final_step.json: all that turns predictions into the answer, and the facts that are given."""
        write_json(path, {**facts, "look": self.look.value, **self.step.to_dict()})

    @classmethod
    def read(cls, path: Path) -> FittedPostprocess:
        """What `write` wrote."""
        plain = read_json(path)
        return cls(Postprocess.from_dict(plain), TTAMode(plain["look"]))


def fit_postprocess(
    competition: Competition, members: Sequence[Member], truth: OofTargets, fold_of: Mapping[str, int]
) -> tuple[FittedPostprocess, dict[str, Any]]:
    """The final step, and what score.json says of it."""
    task = task_of(competition, truth.classes)

    def read(look: TTAMode) -> OutOfFold:
        return read_rows(members, truth, fold_of, look, multiclass=task.multiclass)

    several = any(len(member.views) > 1 for member in members)
    nest = TTANestedCV(read, tuple(TTAMode) if several else (TTAMode.NONE,), task)
    return FittedPostprocess(nest.final_step(), nest.look), _told(competition, nest)


def read_rows(
    members: Sequence[Member], truth: OofTargets, fold_of: Mapping[str, int], look: TTAMode, *, multiclass: bool
) -> OutOfFold:
    """The rows that all members have predicted, with what they truly show; classes in the truth's order."""
    ids, classes, stack = read_members(members, look, multiclass=multiclass)
    if classes != truth.classes:
        stack = stack[:, :, [classes.index(name) for name in truth.classes]]
    targets, groups = truth.of(ids, truth.classes)
    names = tuple(member.name for member in members)
    return OutOfFold(names, ids, stack, targets, np.array([fold_of[name] for name in ids], dtype=np.int64), groups)


def _told(competition: Competition, nest: TTANestedCV) -> dict[str, Any]:
    honest, rows = nest.nested_score(), nest.nest.rows
    back = np.empty(len(rows.ids), dtype=np.int64)
    back[nest.nest.order] = np.arange(len(back))  # from the order of the parts to that of the values
    targets, groups = rows.targets[back], [rows.groups[row] for row in back]
    also = {
        metric.key: asdict(score_rows(metric, targets, honest.values, groups=groups))
        for metric in competition.extra_metrics
    }
    return {
        "cv": asdict(honest.score),
        "also": also,
        "folds": {str(fold): score for fold, score in honest.folds.items()},
        "optimistic": honest.optimistic,
        "plan": str(nest.nest.plan()),
        "views": _told_of_views(nest.look, nest.gain_of_views()),
        "weighings": [
            {"way": str(one.plan), "score": one.score.value, "error": one.score.error, "chosen": one.chosen}
            for one in nest.nest.compare_weighings()
        ],
        "members": [asdict(one) for one in nest.nest.contributions()],
    }


def _told_of_views(look: TTAMode, gain: Gain | None) -> dict[str, Any]:
    return {
        "look": look.value,
        "gain": None if gain is None else gain.value,
        "error": None if gain is None else gain.error,
    }
