"""One table of all pictures, and every complaint about the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract.competition import Competition
from runner.contract.labels import Labels, Multiclass, targets_of
from runner.data.classes import Labelled, check_labels, closed_classes, open_classes
from runner.data.image_paths import Sources, find_pictures, remark_leftovers
from runner.data.index_rows import training_rows
from runner.data.problems import Complaint, Complaints
from runner.data.sample import Sample, read_sample
from runner.gc_disabled import gc_disabled

COLUMNS = ("id", "path", "label", "group", "part")


@dataclass(frozen=True)
class Index:
    """Every picture of a competition: id, path under `raw`, label, group, and its part.

    `part` is train, valid (a folder of its own that the competition brings) or test. Rows whose `group`
    is equal belong together; a row without one has a group of its own.
    """

    raw: Path
    labels: Labels
    table: pd.DataFrame
    classes: tuple[str, ...]
    complaints: tuple[Complaint, ...] = ()  # the remarks; anything fatal has raised

    @cached_property
    def train(self) -> pd.DataFrame:
        """The rows with a label, numbered from 0."""
        return self.table[self.table["part"] != "test"].reset_index(drop=True)

    @cached_property
    def test(self) -> pd.DataFrame:
        """The rows to predict, in the sample submission's order."""
        return self.table[self.table["part"] == "test"].reset_index(drop=True)

    def targets(self) -> NDArray[np.float32]:
        """The labels of `train` as a matrix (rows, classes)."""
        return targets_of(self.labels, self.classes, self.train["label"].tolist())


@gc_disabled()
def build_index(competition: Competition, raw: Path) -> Index:
    """The table, after everything that is wrong was told at once."""
    complaints = Complaints(competition.name or competition.slug)
    sources = Sources.of(competition, raw, complaints)
    sample = read_sample(sources)
    train = find_pictures(training_rows(sources), competition.train_images, sources)
    test = find_pictures(sample.rows, competition.test_images, sources)
    classes = _classes(competition.labels, sample, train, complaints)
    remark_leftovers(train, test, sources)
    complaints.stop_if_fatal(raw)
    return Index(raw, competition.labels, _table([*train, *test]), classes, complaints.remarks)


def _classes(labels: Labels, sample: Sample, train: Sequence[Labelled], complaints: Complaints) -> tuple[str, ...]:
    closed = closed_classes(labels, sample.columns)
    # Without its authority a class cannot be judged: the missing sample submission is fault enough.
    if sample.columns or not isinstance(labels, Multiclass):
        check_labels(labels, closed, train, complaints)
    return closed or open_classes(labels, train)


def _table(rows: Sequence[Labelled]) -> pd.DataFrame:
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    return pd.DataFrame(columns, dtype=str)
