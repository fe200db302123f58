"""The practice host's solution (its hidden labels), and the grading of a submission file with it."""

from __future__ import annotations

import csv
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition, TopClasses
from runner.contract.targets import Targets, are_class_numbers, as_matrix, targets_of
from runner.csv_file import write_csv
from runner.submission_format.submission_format import read_submission_format
from runner.submission_format.values import read_submission

Matrix = NDArray[Any]

_HEADER = ["id", "label", "usage"]


class Usage(Enum):
    """The score that a row counts for."""

    PUBLIC = "Public"
    PRIVATE = "Private"
    IGNORED = "Ignored"  # required in every submission, counted in no score


@dataclass(frozen=True)
class SolutionRow:
    """The label of one test image, as the training table would have it."""

    id: str
    label: str
    usage: Usage


@dataclass(frozen=True)
class Scores:
    """The two scores of one submission."""

    public: float
    private: float


@dataclass(frozen=True)
class Grader:
    """Everything that a score depends on, except the submission."""

    competition: Competition
    classes: tuple[str, ...]
    sample: Path
    solution: tuple[SolutionRow, ...]

    def grade(self, path: Path) -> Scores:
        """The scores of a submission file; SubmissionFormatError if its format is wrong."""
        form = read_submission_format(self.competition, self.sample)
        ids, predictions = read_submission(form, path, classes=self.classes)
        row_of = {id: row for row, id in enumerate(ids)}
        return Scores(
            public=self._score(predictions, row_of, Usage.PUBLIC),
            private=self._score(predictions, row_of, Usage.PRIVATE),
        )

    def _score(self, predictions: np.ndarray, row_of: dict[str, int], usage: Usage) -> float:
        solution = [row for row in self.solution if row.usage is usage]
        targets = targets_of(self.competition.labels, self.classes, [row.label for row in solution])
        values = predictions[[row_of[row.id] for row in solution]]
        return self.competition.metric.score(*_scored(self.competition, targets, values))


def _scored(competition: Competition, targets: Targets, values: Matrix) -> tuple[Targets, Matrix]:
    """The targets and values without what the sample submission does not ask for, and with the places left empty."""
    if np.isnan(values.min(initial=0)):
        unasked = np.isnan(values)
        return np.where(unasked, np.nan, as_matrix(targets, values.shape[1])), np.where(unasked, 0, values)
    decision = competition.metric.decision
    if isinstance(decision, TopClasses):
        # A class that a short list leaves out must rank behind its empty places, which are classes of nothing.
        listed = (values > 0).sum(axis=1, keepdims=True)
        empty = np.where(np.arange(decision.k) < decision.k - listed, 0.5, -1.0)
        matrix = targets if are_class_numbers(targets) else np.hstack([targets, np.zeros_like(empty)])
        return matrix, np.hstack([values, empty])
    return targets, values


def split_public_private(
    ids: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
    public_share: float = 0.4,
    ignored: Collection[str] = (),
) -> tuple[SolutionRow, ...]:
    """The solution in the order of `ids`, its scored rows randomly split into public and private."""
    scored = [id for id in ids if id not in set(ignored)]
    random.Random(seed).shuffle(scored)
    # At least one row each, or one of the two scores would not exist.
    count = min(max(round(len(scored) * public_share), 1), len(scored) - 1)
    usage = dict.fromkeys(ignored, Usage.IGNORED)
    usage |= dict.fromkeys(scored[:count], Usage.PUBLIC) | dict.fromkeys(scored[count:], Usage.PRIVATE)
    return tuple(SolutionRow(id, label, usage[id]) for id, label in zip(ids, labels, strict=True))


def write_solution(path: Path, solution: Sequence[SolutionRow]) -> None:
    """Write solution.csv."""
    write_csv(path, _HEADER, ((row.id, row.label, row.usage.value) for row in solution))


def read_solution(path: Path) -> tuple[SolutionRow, ...]:
    """The rows that `write_solution` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(SolutionRow(row["id"], row["label"], Usage(row["usage"])) for row in csv.DictReader(file))
