"""Hidden answers, and what turns a submission file into a public and a private score."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from runner.contract.competition import Competition
from runner.contract.targets import targets_of
from runner.submission_format.submission_format import read_submission, read_submission_format
from runner.workspace import write_text

_COLUMNS = ["id", "label", "usage"]


class Usage(Enum):
    """Which score a row counts for."""

    PUBLIC = "Public"
    PRIVATE = "Private"
    IGNORED = "Ignored"  # asked for in every submission, and counted in no score


@dataclass(frozen=True)
class Answer:
    """What a test image really shows, as the training table would have written it."""

    id: str
    label: str
    usage: Usage


@dataclass(frozen=True)
class Scores:
    """One submission's two scores."""

    public: float
    private: float


@dataclass(frozen=True)
class Grader:
    """Everything that a score depends on, but the submission."""

    competition: Competition
    classes: tuple[str, ...]
    sample: Path
    answers: tuple[Answer, ...]

    def grade(self, path: Path) -> Scores:
        """The scores of a file; a SubmissionFormatError with the reason where its form is wrong."""
        form = read_submission_format(self.competition.labels, self.sample)
        ids, predicted = read_submission(form, path, classes=self.classes)
        place = {id: row for row, id in enumerate(ids)}
        return Scores(
            public=self._score(predicted, place, Usage.PUBLIC),
            private=self._score(predicted, place, Usage.PRIVATE),
        )

    def _score(self, predicted: np.ndarray, place: dict[str, int], usage: Usage) -> float:
        scored = [answer for answer in self.answers if answer.usage is usage]
        texts = [answer.label for answer in scored]
        targets = targets_of(self.competition.labels, self.classes, texts)
        return self.competition.metric.score(targets, predicted[[place[answer.id] for answer in scored]])


def split_public_private(
    ids: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int,
    public_share: float = 0.4,
    ignored: Collection[str] = (),
) -> tuple[Answer, ...]:
    """The answers, in the order given, with the scored rows drawn into public and private."""
    scored = [id for id in ids if id not in set(ignored)]
    random.Random(seed).shuffle(scored)
    # At least one row on either side, or one of the two scores would not exist.
    count = min(max(round(len(scored) * public_share), 1), len(scored) - 1)
    usage = dict.fromkeys(ignored, Usage.IGNORED)
    usage |= dict.fromkeys(scored[:count], Usage.PUBLIC) | dict.fromkeys(scored[count:], Usage.PRIVATE)
    return tuple(Answer(id, label, usage[id]) for id, label in zip(ids, labels, strict=True))


def write_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Write answers.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((answer.id, answer.label, answer.usage.value) for answer in answers)
    write_text(path, text.getvalue())


def read_answers(path: Path) -> tuple[Answer, ...]:
    """What `write_answers` wrote."""
    with path.open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle)
        return tuple(Answer(row["id"], row["label"], Usage(row["usage"])) for row in rows)
