"""A competition as a frozen value: data only, and at most one `prepare` function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract.labels import Binary, FileNames, Labels, Multiclass, Multilabel, aliases
from runner.contract.metrics import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, METRICS, ROC_AUC, Metric
from runner.contract.presets import Preset
from runner.contract.recipe import Recipe


@dataclass(frozen=True)
class ImageArray:
    """Images in one .npy array, shaped (rows, bands, height, width), in the order of the table."""

    array: str
    table: str  # the CSV whose row n is image n
    id: str = "id"
    tabular: tuple[str, ...] = ()  # numeric columns of the table that are inputs of the head
    unit: str = ""  # of the bands' values, for the axes of figures
    tabular_units: tuple[str, ...] = ()  # in the order of `tabular`


# A template such as `train/{id}.jpg`, several for images in several folders, or an array.
Images = str | tuple[str, ...] | ImageArray


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
    recipe: Recipe
    extra_metrics: tuple[Metric, ...] = ()
    valid_images: str | None = None  # a `valid/{label}/{id}` folder, as some competitions have
    prepare: Callable[[Path], None] | None = None  # turns raw files into images and a table, inside data/
    raw_files: tuple[str, ...] = ()  # the files that `prepare` reads
    awards_medals: bool = True
    mirror: str = ""  # `owner/dataset` on Kaggle with the same files, if the competition no longer lists some
    name: str = ""  # set by the loader

    def __post_init__(self) -> None:
        object.__setattr__(self, "slug", slug_from_url(self.slug))
        for field, message in _find_errors(self):
            raise ValueError(f"Competition.{field}: {message}")

    @property
    def required_files(self) -> tuple[tuple[str, ...], ...]:
        """Files and folders (with a slash at the end) that a download needs, each with all its names."""
        if self.prepare:
            return (*(aliases(name) for name in self.raw_files), aliases(self.sample_submission))
        tables = [aliases(self.labels.csv)] if self.labels.csv else []
        folders = [(folder,) for folder in self.image_folders]
        return (*tables, aliases(self.sample_submission), *folders)

    @property
    def image_folders(self) -> tuple[str, ...]:
        """The folders of the images, each with a slash at its end."""
        sources = (self.train_images, self.test_images)
        templates = [t for images in sources if not isinstance(images, ImageArray) for t in aliases(images)]
        return tuple(dict.fromkeys(template.split("{", 1)[0] for template in templates))


def slug_from_url(text: str) -> str:
    """The slug in a competition's address; any other text unchanged."""
    address = re.search(r"kaggle\.com/(?:competitions|c)/([^/?#\s]+)", text)
    return address[1] if address else text


# With the wrong labels a metric still returns a number: the multiclass log loss of one column is always 0.
# A metric of the plugin's own may score any labels, if its decisions or probabilities match.
_LABELS_OF_METRIC: dict[Metric, tuple[type, ...]] = {
    LOG_LOSS: (Multiclass,),
    BINARY_LOG_LOSS: (Binary,),
    ROC_AUC: (Binary,),
    ACCURACY: (Multiclass, Binary),
}


def _can_score(metric: Metric, labels: Labels) -> bool:
    if metric.takes_decisions != isinstance(labels, Multilabel):
        return False
    return isinstance(labels, _LABELS_OF_METRIC.get(metric, (Multiclass, Binary, Multilabel)))


def _find_errors(competition: Competition) -> list[tuple[str, str]]:
    """Each contradiction as the field and a sentence."""
    errors = []
    labels, train = competition.labels, competition.train_images
    for field in ("train_images", "test_images"):
        images = getattr(competition, field)
        if isinstance(images, ImageArray):
            continue
        for template in aliases(images):
            if "{id}" not in template or "/" not in template.split("{", 1)[0]:
                errors.append((field, f"{template!r} does not have the form 'folder/{{id}}.jpg'"))
    folders_are_labels = not isinstance(train, ImageArray) and any("{label}" in t for t in aliases(train))
    if isinstance(labels, Multiclass) and (labels.csv is None) != folders_are_labels:
        errors.append(("labels", "give Multiclass a csv, or train_images a {label} folder: one of the two"))
    for field, metrics in (("metric", (competition.metric,)), ("extra_metrics", competition.extra_metrics)):
        for metric in metrics:
            if not _can_score(metric, labels):
                errors.append((field, _unsuitable_metric(metric, labels)))
    if bool(competition.prepare) != bool(competition.raw_files):
        errors.append(("prepare", "prepare and raw_files are given together or not at all"))
    return errors


def _unsuitable_metric(metric: Metric, labels: Labels) -> str:
    suitable = ", ".join(known.key.upper() for known in METRICS if _can_score(known, labels))
    return f"{metric.key} does not score {type(labels).__name__} labels; these do: {suitable}"
