"""The index: one table of all images, built once every problem with the data is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path

import pandas as pd

from runner.contract.competition import Competition
from runner.contract.images import folder_of, templates_of
from runner.contract.labels import Coco, Labels, Multiclass, Multilabel, Regression
from runner.contract.targets import Targets, parts_of, targets_of
from runner.data.classes import (
    IndexRow,
    check_labels,
    declared_classes,
    observed_classes,
    own_group,
)
from runner.data.image_names import is_image
from runner.data.image_paths import resolve_image_paths, warn_unused_images
from runner.data.index_inputs import FileListing, IndexInputs, existing_name
from runner.data.label_texts import BAD_LABEL, LabelError, label_columns, label_text
from runner.data.packages import require_packages
from runner.data.sample import SampleSubmission, check_form, read_sample_submission
from runner.data.strata import Strata, strata_of
from runner.data.table_rows import TableRows, id_group, label_rows, label_table_columns, template_columns
from runner.gc_disabled import gc_disabled
from runner.problems import Problem, ProblemList, quote

COLUMNS = ("id", "path", "label", "group", "subset")
_MAX_BLANK = 0.01  # of the labels: a row or two, as happens in real data, and no column of another meaning


@dataclass(frozen=True)
class Index:
    """Every image of a competition: id, path under `data_dir`, label, group, subset.

    `subset` is train, valid (the competition's own validation images) or test. Rows with the same `group` are
    never in two folds; a row without one has its own group. Rows with the same `id` are several images of one thing.
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

    def targets(self) -> Targets:
        """The labels of `train` as numbers: the class number of each row, or a matrix (rows, columns)."""
        return targets_of(self.labels, self.classes, self.train["label"].tolist())

    def strata(self) -> Strata:
        """What the rows of `train` are counted and stratified by."""
        return strata_of(self.labels, self.classes, self.targets())


@gc_disabled()
def build_index(competition: Competition, data_dir: Path, listing: FileListing | None = None) -> Index:
    """The index of a data folder; a DataError with all errors if there are any.

    `listing` names the images, if they are not in the folder yet.
    """
    require_packages(competition)
    inputs, sample = _open(competition, data_dir, listing)
    train = resolve_image_paths(_training_rows(inputs), competition.train_images, inputs)
    test = resolve_image_paths(sample.rows, competition.test_images, inputs)
    classes = _classes(inputs.competition.labels, inputs.label_columns(), sample, train, inputs.problems)
    check_form(inputs, sample, classes)
    _check_tabular(inputs)
    warn_unused_images(train, test, inputs)
    inputs.problems.raise_if_errors(competition.name or competition.slug, data_dir)
    rows = [*train, *test]
    labels = inputs.competition.labels
    return Index(data_dir, labels, _table(rows, competition.tabular), classes, inputs.problems.warnings)


def read_training_rows(competition: Competition, data_dir: Path) -> list[IndexRow]:
    """The labelled images in the order of an index's `train`, with their lines in the label table."""
    inputs, _ = _open(competition, data_dir)
    rows = resolve_image_paths(_training_rows(inputs), competition.train_images, inputs)
    inputs.problems.raise_if_errors(competition.name or competition.slug, data_dir)
    return rows


def _open(
    competition: Competition, data_dir: Path, listing: FileListing | None = None
) -> tuple[IndexInputs, SampleSubmission]:
    """The inputs, their labels without the columns that the sample submission does not ask for; and the sample."""
    inputs = IndexInputs.of(competition, data_dir, listing)
    sample = read_sample_submission(inputs)
    labels, columns = competition.labels, inputs.label_columns()
    asked = tuple(name for name in columns if name in sample.columns)
    # Each of these columns is learned for itself. Of classes that share a row none can be left out.
    if not isinstance(labels, Multilabel | Regression) or not labels.columns or labels.rows:
        return inputs, sample
    if not 0 < len(asked) < len(columns) or set(asked) != set(sample.columns):
        return inputs, sample
    left_out = [name for name in columns if name not in asked]
    message = (
        f"the sample submission asks for {len(asked):,} of {len(columns):,} label columns; left out: "
        f"{', '.join(map(quote, left_out[:5]))}" + f" and {len(left_out) - 5:,} more" * (len(left_out) > 5)
    )
    inputs.problems.warn("label column that is not asked for", message, file=existing_name(data_dir, labels.csv or ""))
    return replace(inputs, competition=replace(competition, labels=replace(labels, columns=asked))), sample


def _check_tabular(inputs: IndexInputs) -> None:
    """Add an error for each cell of a tabular column that is not a number."""
    competition = inputs.competition
    for table in (competition.labels.csv, competition.test_csv):
        if competition.tabular and table:
            columns = inputs.tables.read(table, competition.tabular)
            if columns:
                for name in competition.tabular:
                    columns.numbers(name, inputs.problems)


def _classes(
    labels: Labels,
    columns: Sequence[str],
    sample: SampleSubmission,
    train: Sequence[IndexRow],
    problems: ProblemList,
) -> tuple[str, ...]:
    if any(row.label == BAD_LABEL for row in train):
        return ()
    declared = declared_classes(labels, columns, sample.columns)
    # Without a sample submission the classes are not known, and that is an error already.
    if sample.columns or not isinstance(labels, Multiclass):
        sample_file = next((row.file for row in sample.rows), "the sample submission")
        check_labels(labels, declared, train, problems, sample_file)
    return declared or observed_classes(labels, train)


def _table(rows: Sequence[IndexRow], tabular: Sequence[str]) -> pd.DataFrame:
    columns = {name: list(map(attrgetter(name), rows)) for name in COLUMNS}
    columns.update({tabular_column(name): [row.fields[name] for row in rows] for name in tabular})
    return pd.DataFrame(columns, dtype=str)


def tabular_column(name: str) -> str:
    """The name in the table of a column that is an input of the head."""
    return f"tabular {name}"


# --- training rows ------------------------------------------------------------------------------


def _training_rows(inputs: IndexInputs) -> list[IndexRow]:
    """Every labelled row; those from class folders have their paths already."""
    return _rows_of_csv(inputs) if inputs.competition.labels.csv else _rows_of_folders(inputs)


def _rows_of_csv(inputs: IndexInputs) -> list[IndexRow]:
    competition, labels, problems = inputs.competition, inputs.competition.labels, inputs.problems
    assert labels.csv
    file = inputs.tables.open(labels.csv)
    columns = inputs.tables.read(labels.csv, label_table_columns(competition, file.header)) if file else None
    if file is None or columns is None:
        return []
    table = label_rows(competition, columns, file.header, problems)
    texts = _label_texts(labels, label_columns(labels, file.header), table, problems)
    rows = [
        IndexRow(table.file, line, id, text or "", group or own_group(id), fields=fields)
        for id, text, group, fields, line in zip(table.ids, texts, table.groups, table.fields, table.lines, strict=True)
    ]
    is_blank = [text is None for text in texts]
    in_names = template_columns(competition.train_images)
    return _without_duplicates(_with_all_tags(_without_gaps(rows, is_blank, problems), labels), in_names, problems)


def _label_texts(labels: Labels, names: Sequence[str], table: TableRows, problems: ProblemList) -> list[str | None]:
    """The text of each row's label, None if it is blank; an error for each that is no label."""
    # A few labels in a million rows: each is read, and kept in memory, once.
    known: dict[tuple[str, ...], str | LabelError | None] = {}
    texts: list[str | None] = []
    for cells, id, line in zip(table.cells, table.ids, table.lines, strict=True):
        if cells not in known:
            known[cells] = _label_text(labels, names, cells)
        text = known[cells]
        if isinstance(text, LabelError):
            problems.error(text.kind, f"{id!r} {text}", file=table.file, line=line, fix=text.fix)
            text = BAD_LABEL
        texts.append(text)
    return texts


def _label_text(labels: Labels, names: Sequence[str], cells: tuple[str, ...]) -> str | LabelError | None:
    try:
        return label_text(labels, names, cells)
    except LabelError as error:
        return error


def _without_gaps(rows: Sequence[IndexRow], is_blank: Sequence[bool], problems: ProblemList) -> list[IndexRow]:
    """The rows that have an id and a label. A row without is an error, but for a few labels among many."""
    complete, fix = [], "fill it in, or delete the row"
    few = sum(is_blank) <= _MAX_BLANK * len(rows)
    for row, blank in zip(rows, is_blank, strict=True):
        if not row.id:
            problems.error("empty id", "the row has no id", file=row.file, line=row.line, fix=fix)
        elif blank and few:
            problems.warn("empty label", f"{row.id!r} has no label, and is left out", file=row.file, line=row.line)
        elif blank:
            problems.error("empty label", f"{row.id!r} has no label", file=row.file, line=row.line, fix=fix)
        else:
            complete.append(row)
    return complete


def _with_all_tags(rows: Sequence[IndexRow], labels: Labels) -> Sequence[IndexRow]:
    """One row for each image with all of its tags, if the table has a row for each annotation; else the rows."""
    if not isinstance(labels, Multilabel) or not isinstance(labels.csv, Coco):
        return rows
    first: dict[str, IndexRow] = {}
    tags: dict[str, dict[str, None]] = {}
    for row in rows:
        first.setdefault(row.id, row)
        tags.setdefault(row.id, {}).update(dict.fromkeys(parts_of(labels, row.label)))
    return [replace(row, label=labels.separator.join(tags[row.id])) for row in first.values()]


def _without_duplicates(rows: Sequence[IndexRow], in_names: Sequence[str], problems: ProblemList) -> list[IndexRow]:
    """The rows without repetitions; a warning for each, an error for two labels or groups of one id.

    Rows of one id whose images have other names are several images of one thing.
    """
    if len({row.id for row in rows}) == len(rows):
        return list(rows)
    first: dict[str, IndexRow] = {}
    images: dict[tuple[str, ...], IndexRow] = {}
    for row in rows:
        of_id = first.setdefault(row.id, row)
        key = (row.id, *(row.fields[name] for name in in_names)) if in_names else (row.id,)
        if images.setdefault(key, row) is row and of_id is row:
            continue
        message = f"the id {row.id!r} is on line {of_id.line} already"
        if of_id.label != row.label:
            message += f", with another label: {of_id.label!r} there, {row.label!r} here"
            fix = "delete the row that is wrong"
            problems.error("two labels for one id", message, file=row.file, line=row.line, fix=fix)
        elif images[key] is not row:
            problems.warn("duplicate id", message, file=row.file, line=row.line)
        elif of_id.group != row.group:
            message += f", in another group: {of_id.group!r} there, {row.group!r} here"
            problems.error("two groups for one id", message, file=row.file, line=row.line)
    return list(images.values())


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
    labels, pattern = inputs.competition.labels, _pattern(template)
    texts: dict[str, str] = {}
    rows = []
    # Class folders that lie beside the other folders of images.
    others = () if folder else inputs.competition.image_folders
    for path in sorted(filter(is_image, inputs.listing.files(folder))):
        match = pattern.fullmatch(path)
        if match and not path.startswith(others):
            id = f"{match['label']}/{match['id']}"
            class_folder, label = path[: match.end("label")], match["label"]
            if label not in texts:
                texts[label] = _text_in_name(labels, label, class_folder, inputs.problems)
            group = id_group(labels.group, id, path, None, inputs.problems) if labels.group else ""
            rows.append(IndexRow(class_folder, None, id, texts[label], group or own_group(id), path, subset))
    _check_class_folders(template, rows, inputs)
    return rows


def _text_in_name(labels: Labels, label: str, class_folder: str, problems: ProblemList) -> str:
    try:
        return label_text(labels, (labels.label,), (label,)) or ""
    except LabelError as error:
        problems.error(error.kind, f"its label {error}", file=class_folder, fix=error.fix)
        return BAD_LABEL


def _pattern(template: str) -> re.Pattern[str]:
    """A template as a pattern of paths; only in its suffix capitals are small letters."""
    # The shortest label: `{label}.{id}.jpg` is parted at the first point.
    pattern = re.escape(template).replace(r"\*", "[^/]*").replace(r"\{label\}", "(?P<label>[^/]+?)", 1)
    before, _, suffix = pattern.replace(r"\{id\}", "(?P<id>[^/]+)", 1).rpartition(")")
    return re.compile(f"{before})(?i:{suffix})")


def _check_class_folders(template: str, rows: Sequence[IndexRow], inputs: IndexInputs) -> None:
    folder, problems = folder_of(template), inputs.problems
    if not rows:
        problems.error("empty folder", f"no image below it matches {template}", file=folder)
        return
    if not template.startswith(f"{folder}/{{label}}/"):
        return
    used = {row.file.rpartition("/")[2] for row in rows}
    for name in sorted(set(inputs.listing.folders(folder)) - used):
        fix = f"delete the folder if it is not a class, or: `{problems.default_fix}`"
        problems.error("empty class folder", "the class has no image", file=f"{folder}/{name}", fix=fix)


def _with_unique_ids(train: Iterable[IndexRow], valid: Sequence[IndexRow]) -> list[IndexRow]:
    """The validation rows; their ids are their whole paths if a training row has one of the short ids."""
    train_ids = {row.id for row in train}
    if train_ids.isdisjoint(row.id for row in valid):
        return list(valid)
    return [replace(row, id=row.path, group=own_group(row.path)) for row in valid]
