"""One table of all images, and every problem about the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract.competition import Competition
from runner.contract.labels import Labels, Multiclass
from runner.contract.targets import targets_of
from runner.data.classes import IndexRow, check_labels, declared_classes, observed_classes
from runner.data.image_paths import IndexInputs, resolve_image_paths, warn_unused_images
from runner.data.index_rows import training_rows
from runner.data.problems import Problem, Problems
from runner.data.sample import Sample, read_sample
from runner.gc_disabled import gc_disabled

COLUMNS = ("id", "path", "label", "group", "subset")


@dataclass(frozen=True)
class Index:
    """Every image of a competition: id, path under `data_dir`, label, group, subset.

    `subset` is train, valid (a folder of its own that the competition brings) or test. Rows whose `group`
    is equal belong together; a row without one has a group of its own.
    """

    data_dir: Path
    labels: Labels
    table: pd.DataFrame
    classes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()  # the remarks; anything fatal has raised

    @cached_property
    def train(self) -> pd.DataFrame:
        """The rows with a label, numbered from 0."""
        return self.table[self.table["subset"] != "test"].reset_index(drop=True)

    @cached_property
    def test(self) -> pd.DataFrame:
        """The rows to predict, in the sample submission's order."""
        return self.table[self.table["subset"] == "test"].reset_index(drop=True)

    def targets(self) -> NDArray[np.float32]:
        """The labels of `train` as a matrix (rows, classes)."""
        return targets_of(self.labels, self.classes, self.train["label"].tolist())


@gc_disabled()
def build_index(competition: Competition, data_dir: Path) -> Index:
    """The table, after everything that is wrong was told at once."""
    problems = Problems(competition.name or competition.slug)
    sources = IndexInputs.of(competition, data_dir, problems)
    sample = read_sample(sources)
    train = resolve_image_paths(training_rows(sources), competition.train_images, sources)
    test = resolve_image_paths(sample.rows, competition.test_images, sources)
    classes = _classes(competition.labels, sample, train, problems)
    warn_unused_images(train, test, sources)
    problems.raise_if_errors(data_dir)
    return Index(data_dir, competition.labels, _table([*train, *test]), classes, problems.warnings)


def _classes(labels: Labels, sample: Sample, train: Sequence[IndexRow], problems: Problems) -> tuple[str, ...]:
    closed = declared_classes(labels, sample.columns)
    # Without its authority a class cannot be judged: the missing sample submission is fault enough.
    if sample.columns or not isinstance(labels, Multiclass):
        check_labels(labels, closed, train, problems)
    return closed or observed_classes(labels, train)


def _table(rows: Sequence[IndexRow]) -> pd.DataFrame:
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    return pd.DataFrame(columns, dtype=str)
