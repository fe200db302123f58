"""The index: one table of all images, built once every problem with the data is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract.competition import Competition
from runner.contract.images import folder_of, templates_of
from runner.contract.labels import Labels, Multiclass, aliases
from runner.contract.targets import targets_of
from runner.data.classes import (
    IndexRow,
    check_labels,
    declared_classes,
    normalise_label,
    observed_classes,
    own_group,
)
from runner.data.image_paths import resolve_image_paths, warn_unused_images
from runner.data.index_inputs import IndexInputs, is_image
from runner.data.sample import SampleSubmission, read_sample_submission
from runner.gc_disabled import gc_disabled
from runner.problems import Problem, ProblemList

COLUMNS = ("id", "path", "label", "group", "subset")


@dataclass(frozen=True)
class Index:
    """Every image of a competition: id, path under `data_dir`, label, group, subset.

    `subset` is train, valid (the competition's own validation images) or test. Rows with the same `group` are
    never in two folds; a row without one has its own group.
    """

    data_dir: Path
    labels: Labels
    table: pd.DataFrame
    classes: tuple[str, ...]
    problems: tuple[Problem, ...] = ()  # warnings only: an error was raised

    @cached_property
    def train(self) -> pd.DataFrame:
        """The labelled rows (train and valid), numbered from 0."""
        return self.table[self.table["subset"] != "test"].reset_index(drop=True)

    @cached_property
    def test(self) -> pd.DataFrame:
        """The rows to predict, in the order of the sample submission."""
        return self.table[self.table["subset"] == "test"].reset_index(drop=True)

    def targets(self) -> NDArray[np.float32]:
        """The labels of `train` as numbers, shaped (rows, classes)."""
        return targets_of(self.labels, self.classes, self.train["label"].tolist())


@gc_disabled()
def build_index(competition: Competition, data_dir: Path) -> Index:
    """The index of a data folder; a DataError with all errors if there are any."""
    inputs = IndexInputs.of(competition, data_dir)
    sample = read_sample_submission(inputs)
    train = resolve_image_paths(_training_rows(inputs), competition.train_images, inputs)
    test = resolve_image_paths(sample.rows, competition.test_images, inputs)
    classes = _classes(competition.labels, sample, train, inputs.problems)
    _check_tabular(inputs)
    warn_unused_images(train, test, inputs)
    inputs.problems.raise_if_errors(competition.name or competition.slug, data_dir)
    return Index(data_dir, competition.labels, _table([*train, *test]), classes, inputs.problems.warnings)


def _check_tabular(inputs: IndexInputs) -> None:
    """Add an error for each cell of a tabular column that is not a number."""
    competition = inputs.competition
    for table in (competition.labels.csv, competition.test_csv):
        if competition.tabular and table:
            columns = inputs.csv_files.read(aliases(table), [competition.labels.id, *competition.tabular])
            if columns:
                for name in competition.tabular:
                    columns.numbers(name, inputs.problems)


def _classes(
    labels: Labels, sample: SampleSubmission, train: Sequence[IndexRow], problems: ProblemList
) -> tuple[str, ...]:
    declared = declared_classes(labels, sample.columns)
    # Without a sample submission the classes are not known, and that is an error already.
    if sample.columns or not isinstance(labels, Multiclass):
        check_labels(labels, declared, train, problems)
    return declared or observed_classes(labels, train)


def _table(rows: Sequence[IndexRow]) -> pd.DataFrame:
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    return pd.DataFrame(columns, dtype=str)


# --- training rows ------------------------------------------------------------------------------


def _training_rows(inputs: IndexInputs) -> list[IndexRow]:
    """Every labelled row; those from class folders have their paths already."""
    return _rows_of_csv(inputs) if inputs.competition.labels.csv else _rows_of_folders(inputs)


def _rows_of_csv(inputs: IndexInputs) -> list[IndexRow]:
    labels = inputs.competition.labels
    assert labels.csv
    columns = inputs.csv_files.read(
        aliases(labels.csv), [labels.id, labels.label, *([labels.group] if labels.group else [])]
    )
    if columns is None:
        return []
    ids, label_texts = columns.values[labels.id], columns.values[labels.label]
    groups = columns.values[labels.group] if labels.group else [""] * len(ids)
    # A few labels in a million rows: each is normalised, and kept in memory, once.
    normal = {label: normalise_label(labels, label) for label in set(label_texts)}
    rows = [
        IndexRow(columns.file, line, id, normal[label], group or own_group(id))
        for id, label, group, line in zip(ids, label_texts, groups, columns.lines, strict=True)
    ]
    return _without_duplicates(_without_gaps(rows, inputs.problems), inputs.problems)


def _without_gaps(rows: Iterable[IndexRow], problems: ProblemList) -> list[IndexRow]:
    """The rows that have an id and a label; an error for each other row."""
    complete, fix = [], "fill it in, or delete the row"
    for row in rows:
        if not row.id:
            problems.error("empty id", "the row has no id", file=row.file, line=row.line, fix=fix)
        elif not row.label:
            problems.error("empty label", f"{row.id!r} has no label", file=row.file, line=row.line, fix=fix)
        else:
            complete.append(row)
    return complete


def _without_duplicates(rows: Iterable[IndexRow], problems: ProblemList) -> list[IndexRow]:
    """The first row of each id; a warning for a repeated row, an error for two labels of one id."""
    first: dict[str, IndexRow] = {}
    for row in rows:
        earlier = first.setdefault(row.id, row)
        if earlier is row:
            continue
        message = f"the id {row.id!r} is on line {earlier.line} already"
        if earlier.label == row.label:
            problems.warn("duplicate id", message, file=row.file, line=row.line)
        else:
            message += f", with another label: {earlier.label!r} there, {row.label!r} here"
            fix = "delete the row that is wrong"
            problems.error("two labels for one id", message, file=row.file, line=row.line, fix=fix)
    return list(first.values())


def _rows_of_folders(inputs: IndexInputs) -> list[IndexRow]:
    competition = inputs.competition
    train = [
        row for template in templates_of(competition.train_images) for row in _rows_below(template, "train", inputs)
    ]
    valid = []
    if competition.valid_images and inputs.listing.has_folder(competition.valid_images):
        valid = _rows_below(competition.valid_images, "valid", inputs)
    elif competition.valid_images:
        message = "there is no folder of validation images: `split` takes training rows"
        inputs.problems.warn("missing folder", message, file=folder_of(competition.valid_images))
    return train + _with_unique_ids(train, valid)


def _rows_below(template: str, subset: str, inputs: IndexInputs) -> list[IndexRow]:
    """The images of a `{label}/{id}` template, in the order of their paths."""
    folder = folder_of(template)
    if not inputs.listing.has_folder(template):
        inputs.problems.error("missing folder", "the folder does not exist", file=folder)
        return []
    pattern = _pattern(template)
    rows = []
    for path in sorted(filter(is_image, inputs.listing.files(folder))):
        match = pattern.fullmatch(path)
        if match:
            id = f"{match['label']}/{match['id']}"
            class_folder = path[: match.end("label")]
            rows.append(IndexRow(class_folder, None, id, match["label"], own_group(id), path, subset))
    _check_class_folders(template, rows, inputs)
    return rows


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{label\}", "(?P<label>[^/]+)", 1)
    before, _, suffix = pattern.replace(r"\{id\}", "(?P<id>[^/]+)", 1).rpartition(")")
    return re.compile(f"{before})(?i:{suffix})")


def _check_class_folders(template: str, rows: Sequence[IndexRow], inputs: IndexInputs) -> None:
    folder, problems = folder_of(template), inputs.problems
    if not rows:
        problems.error("empty folder", f"no image below it matches {template}", file=folder)
        return
    if not template.startswith(f"{folder}/{{label}}/"):
        return
    for name in set(inputs.listing.folders(folder)).difference(row.label for row in rows):
        fix = f"delete the folder if it is not a class, or: `{problems.default_fix}`"
        problems.error("empty class folder", "the class has no image", file=f"{folder}/{name}", fix=fix)


def _with_unique_ids(train: Iterable[IndexRow], valid: Sequence[IndexRow]) -> list[IndexRow]:
    """The validation rows; their ids are their whole paths if a training row has one of the short ids."""
    train_ids = {row.id for row in train}
    if train_ids.isdisjoint(row.id for row in valid):
        return list(valid)
    return [row._replace(id=row.path, group=own_group(row.path)) for row in valid]
