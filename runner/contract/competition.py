"""A competition as a frozen value: data only, and at most one `prepare` function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract.decisions import Grade, OneClass, TopClasses
from runner.contract.images import Hdf5, ImageArray, Images, Level, Pixels, Stack, folder_of, templates_of
from runner.contract.labels import (
    Coco,
    FileNames,
    Labels,
    Multiclass,
    Multilabel,
    Ordinal,
    SeveralTargets,
    Table,
    aliases,
)
from runner.contract.metrics import METRICS, Metric
from runner.contract.outputs import loss_error
from runner.contract.patterns import FIELD
from runner.contract.presets import Preset
from runner.contract.recipe import PHOTOGRAPHS, Recipe


@dataclass(frozen=True)
class Lookup:
    """A table that says which id and which column each row of the submission asks for."""

    csv: str
    row: str
    id: str
    column: str


@dataclass(frozen=True)
class Competition:
    """One competition. The command has the file's name: `dog_breed.py` is `dog-breed`."""

    slug: str  # the last part of its address on Kaggle; the whole address works too
    title: str
    labels: Labels
    train_images: Images
    test_images: Images
    sample_submission: FileNames  # the authority on test ids, their order, and the columns
    preset: Preset
    metric: Metric
    recipe: Recipe = PHOTOGRAPHS
    extra_metrics: tuple[Metric, ...] = ()
    valid_images: str | None = None  # a `valid/{label}/{id}` folder, as some competitions have
    test_csv: Table | None = None  # the test rows' columns, where a template or `tabular` needs them
    tabular: tuple[str, ...] = ()  # columns that are inputs of the head, beside the image
    tabular_units: tuple[str, ...] = ()  # in the order of `tabular`
    submission_rows: str | Lookup = ""  # `{id}_{column}`: the submission has a row per id and column
    submission_sep: str = " "  # between tags, or between the classes of a cell
    decimals: int | None = None  # of the numbers in a submission; None: all
    prepare: Callable[[Path], None] | None = None  # turns raw files into images and a table, inside data/
    raw_files: tuple[str, ...] = ()  # the files that `prepare` reads
    awards_medals: bool = True
    notebooks_only: bool = False  # Kaggle takes no file here: a notebook must write it
    caution: str = ""  # what its leaderboard or data hide, for doctor, standings and report
    mirror: str = ""  # `owner/dataset` on Kaggle with the same files, if the competition no longer lists some
    name: str = ""  # set by the loader

    def __post_init__(self) -> None:
        object.__setattr__(self, "slug", slug_from_url(self.slug))
        for field, message in _find_errors(self):
            raise ValueError(f"Competition.{field}: {message}")

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a user must know before trusting its leaderboard, or submitting to it."""
        notebooks = "Kaggle takes no files here: a notebook must write the submission" if self.notebooks_only else ""
        return tuple(filter(None, (self.caution, notebooks)))

    @property
    def required_files(self) -> tuple[tuple[str, ...], ...]:
        """Files and folders (with a slash at the end) that a download needs, each with all its names."""
        if self.prepare:
            return (*(aliases(name) for name in self.raw_files), aliases(self.sample_submission))
        tables = [aliases(table) for table in (self.labels.csv, self.test_csv) if table]
        if isinstance(self.submission_rows, Lookup):
            tables.append((self.submission_rows.csv,))
        tables += [names for images in (self.train_images, self.test_images) for names in _files_of(images)]
        folders = [(folder,) for folder in self.image_folders]
        return tuple(dict.fromkeys((*tables, aliases(self.sample_submission), *folders)))

    @property
    def image_folders(self) -> tuple[str, ...]:
        """The folders of the images, each with a slash at its end."""
        templates = (*templates_of(self.train_images), *templates_of(self.test_images))
        folders = (folder_of(template) for template in templates)
        return tuple(dict.fromkeys(f"{folder}/" for folder in folders if folder))


def _files_of(images: Images) -> tuple[tuple[str, ...], ...]:
    """The files that hold several images, each with all its names; one with a `*` is several files."""
    if isinstance(images, ImageArray):
        return (images.array,), (images.table,)
    if isinstance(images, Pixels):
        return (aliases(images.table),)
    return ((images.file,),) if isinstance(images, Hdf5) else ()


def slug_from_url(text: str) -> str:
    """The slug in a competition's address; any other text unchanged."""
    address = re.search(r"kaggle\.com/(?:competitions|c)/([^/?#\s]+)", text)
    return address[1] if address else text


def _find_errors(competition: Competition) -> list[tuple[str, str]]:
    """Each contradiction as the field and a sentence."""
    return [
        *_image_errors(competition),
        *_metric_errors(competition),
        *_submission_errors(competition),
        *_raw_file_errors(competition),
        *_recipe_errors(competition),
    ]


def _image_errors(competition: Competition) -> list[tuple[str, str]]:
    errors = []
    for field in ("train_images", "test_images"):
        for template in templates_of(getattr(competition, field)):
            if not FIELD.search(template) or "/" not in template:
                errors.append((field, f"{template!r} does not have the form 'folder/{{id}}.jpg'"))
            elif field == "test_images" and "{label}" in template:
                errors.append((field, f"{template!r} asks for the label of a test image, which is not known"))
    names_are_labels = any("{label}" in template for template in templates_of(competition.train_images))
    labels = competition.labels
    if (labels.csv is None) != names_are_labels:
        message = f"give {type(labels).__name__} a csv, or train_images a {{label}}: one of the two"
        errors.append(("labels", message))
    if names_are_labels and isinstance(competition.train_images, Stack | Level):
        kind = type(competition.train_images).__name__
        errors.append(("train_images", f"names of a {kind} do not say the label: give the labels a csv"))
    errors += _pixel_errors(competition)
    if competition.tabular and labels.csv is None:
        errors.append(("tabular", "columns are those of a table, and the labels have no csv"))
    if competition.tabular and competition.test_csv is None:
        errors.append(("tabular", "the test rows need the columns too: give test_csv"))
    return errors


def _pixel_errors(competition: Competition) -> list[tuple[str, str]]:
    errors = []
    train, test = competition.train_images, competition.test_images
    for field, images in (("train_images", train), ("test_images", test)):
        if isinstance(images, Level) and (type(images.level) is not int or images.level < 0):
            errors.append((field, f"level {images.level!r} is not a whole number from 0"))
        if isinstance(images, Hdf5) and not images.file.lower().endswith((".hdf5", ".h5", ".hdf")):
            errors.append((field, f"{images.file!r} does not end in .hdf5, .h5 or .hdf"))
        if not isinstance(images, Pixels):
            continue
        if not 2 <= len(images.shape) <= 3 or any(type(side) is not int or side < 1 for side in images.shape):
            errors.append((field, f"shape {images.shape!r} is not (height, width) or (bands, height, width)"))
        if isinstance(images.table, Coco):
            errors.append((field, "a Coco file has no pixels in its cells"))
    if isinstance(train, Pixels) and isinstance(test, Pixels) and train.table == test.table and train != test:
        errors.append(("test_images", "these are pixels of the training images' table, in other columns"))
    return errors


def _metric_errors(competition: Competition) -> list[tuple[str, str]]:
    labels, errors = competition.labels, []
    for field, metrics in (("metric", (competition.metric,)), ("extra_metrics", competition.extra_metrics)):
        for metric in metrics:
            if not can_score(metric, labels):
                errors.append((field, _unsuitable_metric(metric, labels)))
            elif metric.columns is not None and len(_declared(labels)) not in (0, metric.columns):
                message = f"{metric.key} has weights for {metric.columns} columns, the labels {len(_declared(labels))}"
                errors.append((field, message))
    return errors


def _declared(labels: Labels) -> tuple[str, ...]:
    """The columns that the competition file lists; none if the data say them."""
    if isinstance(labels, SeveralTargets):
        return labels.class_names
    return () if any(name.endswith("*") for name in labels.columns) else labels.columns


def can_score(metric: Metric, labels: Labels) -> bool:
    """Whether the metric says what these labels are scored by."""
    if isinstance(labels, SeveralTargets):
        return SeveralTargets in metric.labels or not metric.labels
    if metric.scores_tags and not isinstance(labels, Multilabel):
        return False
    if isinstance(labels, Multiclass) and labels.soft and not (metric.labels == (Multiclass,) and not metric.decision):
        return metric.key == "log_loss" or not metric.labels
    if metric.labels:
        return type(labels) in metric.labels
    kinds: dict[type, tuple[type, ...]] = {Grade: (Ordinal,), TopClasses: (Multiclass, Ordinal)}
    return isinstance(labels, kinds.get(type(metric.decision), (Labels,)))


def _unsuitable_metric(metric: Metric, labels: Labels) -> str:
    suitable = ", ".join(known.key.upper() for known in METRICS if can_score(known, labels))
    return f"{metric.key} does not score {type(labels).__name__} labels; these do: {suitable}"


def _submission_errors(competition: Competition) -> list[tuple[str, str]]:
    errors, labels, decision = [], competition.labels, competition.metric.decision
    rows = competition.submission_rows
    if isinstance(rows, str) and rows and not ("{id}" in rows and "{column}" in rows):
        errors.append(("submission_rows", f"{rows!r} does not have the form '{{id}}_{{column}}'"))
    if rows and decision is not None and not (isinstance(labels, SeveralTargets) and isinstance(decision, OneClass)):
        message = f"{competition.metric.key} scores one cell an image, and there is a row per id and column"
        errors.append(("submission_rows", message))
    if isinstance(labels, SeveralTargets) and not rows:
        errors.append(("submission_rows", "with several targets the submission has a row per id and column: say which"))
    if not competition.submission_sep:
        errors.append(("submission_sep", "an empty text separates nothing"))
    if competition.decimals is not None and not 1 <= competition.decimals <= 17:
        errors.append(("decimals", f"{competition.decimals} is not from 1 to 17"))
    return errors


def _raw_file_errors(competition: Competition) -> list[tuple[str, str]]:
    if bool(competition.prepare) != bool(competition.raw_files):
        return [("prepare", "prepare and raw_files are given together or not at all")]
    return []


def _recipe_errors(competition: Competition) -> list[tuple[str, str]]:
    error = loss_error(competition.labels, competition.recipe.loss)
    return [("recipe", error)] if error else []
