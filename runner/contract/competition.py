"""What a plugin may say about a competition. Data only, and at most one `unpack` function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runner.contract.labels import Labels, Names, OneOfMany, Probability, Tags, all_names
from runner.contract.metrics import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, ROC_AUC, Metric
from runner.contract.presets import Preset
from runner.contract.recipe import Recipe


@dataclass(frozen=True)
class Bands:
    """Pictures that are rows of one .npy array, shaped (rows, bands, height, width), in the table's order."""

    array: str
    table: str  # the CSV whose row n is picture n
    id: str = "id"
    scalars: tuple[str, ...] = ()  # columns of the table whose numbers join the head
    unit: str = ""  # of the bands' values, as axes tell it
    scalar_units: tuple[str, ...] = ()  # in the order of the scalars


# A template such as `train/{id}.jpg`, several where pictures lie in several folders, or rows of an array.
Pictures = str | tuple[str, ...] | Bands


@dataclass(frozen=True)
class Competition:
    """One competition, whole. The command's name is the file's: `dog_breed.py` is `dog-breed`."""

    slug: str  # the last part of its address; given the whole address, that part is taken
    title: str
    labels: Labels
    train_images: Pictures
    test_images: Pictures
    sample_submission: Names  # the authority on test ids, their order, and the columns
    preset: Preset
    metric: Metric
    recipe: Recipe
    also_report: tuple[Metric, ...] = ()
    valid_images: str | None = None  # a `valid/{label}/{id}` folder that some competitions bring
    unpack: Callable[[Path], None] | None = None  # turns raw files into pictures and a table, inside data/
    raw_files: tuple[str, ...] = ()  # what `unpack` needs
    awards_medals: bool = True
    mirror: str = ""  # `owner/dataset` on Kaggle with the same files, for those that the competition lists no more
    name: str = ""  # set by the loader

    def __post_init__(self) -> None:
        object.__setattr__(self, "slug", slug_of(self.slug))
        for field, message in _contradictions(self):
            raise ValueError(f"Competition.{field}: {message}")

    @property
    def required(self) -> tuple[tuple[str, ...], ...]:
        """What a download must bring: for each thing its path under data/, then its names in other vintages.

        A path that ends in a slash is a folder.
        """
        if self.unpack:
            return (*(all_names(name) for name in self.raw_files), all_names(self.sample_submission))
        tables = [all_names(self.labels.csv)] if self.labels.csv else []
        folders = [(folder,) for folder in self.picture_folders]
        return (*tables, all_names(self.sample_submission), *folders)

    @property
    def picture_folders(self) -> tuple[str, ...]:
        """The folders that hold pictures, each with a slash at its end."""
        wanted = (self.train_images, self.test_images)
        templates = [t for pictures in wanted if not isinstance(pictures, Bands) for t in all_names(pictures)]
        return tuple(dict.fromkeys(template.split("{", 1)[0] for template in templates))


def slug_of(text: str) -> str:
    """The slug in a competition's address as a browser shows it; any other text as it is."""
    address = re.search(r"kaggle\.com/(?:competitions|c)/([^/?#\s]+)", text)
    return address[1] if address else text


# A metric that is given the wrong labels gives a number all the same: the multi-class log loss of one
# column is always 0. A metric that a plugin brings itself is trusted, but for decisions.
_SCORES: dict[Metric, tuple[type, ...]] = {
    LOG_LOSS: (OneOfMany,),
    BINARY_LOG_LOSS: (Probability,),
    ROC_AUC: (Probability,),
    ACCURACY: (OneOfMany, Probability),
}


def _can_score(metric: Metric, labels: Labels) -> bool:
    if metric.decides != isinstance(labels, Tags):
        return False
    return isinstance(labels, _SCORES.get(metric, (OneOfMany, Probability, Tags)))


def _contradictions(competition: Competition) -> list[tuple[str, str]]:
    found = []
    labels, train = competition.labels, competition.train_images
    for field in ("train_images", "test_images"):
        pictures = getattr(competition, field)
        if isinstance(pictures, Bands):
            continue
        for template in all_names(pictures):
            if "{id}" not in template or "/" not in template.split("{", 1)[0]:
                found.append((field, f"{template!r} is not of the form 'folder/{{id}}.jpg'"))
    folders_are_labels = not isinstance(train, Bands) and any("{label}" in t for t in all_names(train))
    if isinstance(labels, OneOfMany) and (labels.csv is None) != folders_are_labels:
        found.append(("labels", "give OneOfMany a csv, or train_images a {label} folder: one of the two"))
    for field, metrics in (("metric", (competition.metric,)), ("also_report", competition.also_report)):
        for metric in metrics:
            if not _can_score(metric, labels):
                found.append((field, f"{metric.key} does not score {type(labels).__name__}"))
    if bool(competition.unpack) != bool(competition.raw_files):
        found.append(("unpack", "unpack and raw_files go together"))
    return found
