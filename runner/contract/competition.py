"""What a plugin may say about a competition. Data only, and at most one `prepare` function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract.labels import Binary, FileNames, Labels, Multiclass, Multilabel, aliases
from runner.contract.metrics import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, ROC_AUC, Metric
from runner.contract.presets import Preset
from runner.contract.recipe import Recipe


@dataclass(frozen=True)
class ImageArray:
    """Images that are rows of one .npy array, shaped (rows, bands, height, width), in the table's order."""

    array: str
    table: str  # the CSV whose row n is image n
    id: str = "id"
    tabular: tuple[str, ...] = ()  # columns of the table whose numbers join the head
    unit: str = ""  # of the bands' values, as axes tell it
    tabular_units: tuple[str, ...] = ()  # in the order of the tabular


# A template such as `train/{id}.jpg`, several where images lie in several folders, or rows of an array.
Images = str | tuple[str, ...] | ImageArray


@dataclass(frozen=True)
class Competition:
    """One competition, whole. The command's name is the file's: `dog_breed.py` is `dog-breed`."""

    slug: str  # the last part of its address; given the whole address, that part is taken
    title: str
    labels: Labels
    train_images: Images
    test_images: Images
    sample_submission: FileNames  # the authority on test ids, their order, and the columns
    preset: Preset
    metric: Metric
    recipe: Recipe
    extra_metrics: tuple[Metric, ...] = ()
    valid_images: str | None = None  # a `valid/{label}/{id}` folder that some competitions bring
    prepare: Callable[[Path], None] | None = None  # turns raw files into images and a table, inside data/
    raw_files: tuple[str, ...] = ()  # what `prepare` needs
    awards_medals: bool = True
    mirror: str = ""  # `owner/dataset` on Kaggle with the same files, for those that the competition lists no more
    name: str = ""  # set by the loader

    def __post_init__(self) -> None:
        object.__setattr__(self, "slug", slug_from_url(self.slug))
        for field, message in _contradictions(self):
            raise ValueError(f"Competition.{field}: {message}")

    @property
    def required_files(self) -> tuple[tuple[str, ...], ...]:
        """What a download must bring: for each thing its path under data/, then its names in other vintages.

        A path that ends in a slash is a folder.
        """
        if self.prepare:
            return (*(aliases(name) for name in self.raw_files), aliases(self.sample_submission))
        tables = [aliases(self.labels.csv)] if self.labels.csv else []
        folders = [(folder,) for folder in self.image_folders]
        return (*tables, aliases(self.sample_submission), *folders)

    @property
    def image_folders(self) -> tuple[str, ...]:
        """The folders that hold images, each with a slash at its end."""
        wanted = (self.train_images, self.test_images)
        templates = [t for images in wanted if not isinstance(images, ImageArray) for t in aliases(images)]
        return tuple(dict.fromkeys(template.split("{", 1)[0] for template in templates))


def slug_from_url(text: str) -> str:
    """The slug in a competition's address as a browser shows it; any other text as it is."""
    address = re.search(r"kaggle\.com/(?:competitions|c)/([^/?#\s]+)", text)
    return address[1] if address else text


# A metric that is given the wrong labels gives a number all the same: the multi-class log loss of one
# column is always 0. A metric that a plugin brings itself is trusted, but for decisions.
_SCORES: dict[Metric, tuple[type, ...]] = {
    LOG_LOSS: (Multiclass,),
    BINARY_LOG_LOSS: (Binary,),
    ROC_AUC: (Binary,),
    ACCURACY: (Multiclass, Binary),
}


def _can_score(metric: Metric, labels: Labels) -> bool:
    if metric.takes_decisions != isinstance(labels, Multilabel):
        return False
    return isinstance(labels, _SCORES.get(metric, (Multiclass, Binary, Multilabel)))


def _contradictions(competition: Competition) -> list[tuple[str, str]]:
    found = []
    labels, train = competition.labels, competition.train_images
    for field in ("train_images", "test_images"):
        images = getattr(competition, field)
        if isinstance(images, ImageArray):
            continue
        for template in aliases(images):
            if "{id}" not in template or "/" not in template.split("{", 1)[0]:
                found.append((field, f"{template!r} is not of the form 'folder/{{id}}.jpg'"))
    folders_are_labels = not isinstance(train, ImageArray) and any("{label}" in t for t in aliases(train))
    if isinstance(labels, Multiclass) and (labels.csv is None) != folders_are_labels:
        found.append(("labels", "give Multiclass a csv, or train_images a {label} folder: one of the two"))
    for field, metrics in (("metric", (competition.metric,)), ("extra_metrics", competition.extra_metrics)):
        for metric in metrics:
            if not _can_score(metric, labels):
                found.append((field, f"{metric.key} does not score {type(labels).__name__}"))
    if bool(competition.prepare) != bool(competition.raw_files):
        found.append(("prepare", "prepare and raw_files go together"))
    return found
