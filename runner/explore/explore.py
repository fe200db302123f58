"""Statistics of a competition's images before training: classes, sizes, train/test shift, duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition, Multilabel
from runner.data.folds import TRAIN_ONLY, ClassCounts, class_counts_per_fold, read_folds
from runner.data.index import Index
from runner.data.tabular import read_tabular
from runner.explore.duplicates import DuplicateGroup, find_duplicates
from runner.explore.image_stats import Floats, ImageStats, compute_image_stats, read_sizes
from runner.images.unreadable import UnreadableImage

MAX_DECODED = 12_000

_SMALL_SHIFT, _LARGE_SHIFT = 0.1, 0.25  # KS statistics
_KS_FACTOR = 1.63  # of the Kolmogorov distribution at a significance of 1 %


@dataclass(frozen=True)
class Quantiles:
    """A distribution in five numbers."""

    count: int
    p5: float
    p25: float
    median: float
    p75: float
    p95: float

    @classmethod
    def of(cls, values: Floats) -> Quantiles | None:
        """NaN is left out; None if nothing remains."""
        known = _known(values)
        if not len(known):
            return None
        return cls(len(known), *(float(value) for value in np.percentile(known, (5, 25, 50, 75, 95))))


@dataclass(frozen=True)
class ImageStatistic:
    """One number per image: of the labelled images and of the test images; NaN if it is unknown."""

    name: str
    train: Floats
    test: Floats
    unit: str = ""

    @property
    def label(self) -> str:
        """Name and unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @cached_property
    def ks_statistic(self) -> float:
        """Two-sample Kolmogorov-Smirnov statistic between train and test; 0 if either is empty."""
        from scipy.stats import ks_2samp

        train, test = _known(self.train), _known(self.test)
        return float(ks_2samp(train, test, method="asymp").statistic) if len(train) and len(test) else 0.0

    @cached_property
    def ks_critical(self) -> float:
        """The KS statistic that equal distributions exceed in one of a hundred samples of these sizes."""
        counts = [len(_known(values)) for values in (self.train, self.test)]
        return _KS_FACTOR * float(np.sqrt(sum(1 / count for count in counts))) if all(counts) else 0.0

    @property
    def shift(self) -> str:
        """none, small or large: by the statistic's size, because significance alone comes with many images."""
        if self.ks_statistic < max(_SMALL_SHIFT, self.ks_critical):
            return "none"
        return "small" if self.ks_statistic < _LARGE_SHIFT else "large"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        quantiles = {
            subset: None if (of_subset := Quantiles.of(values)) is None else asdict(of_subset)
            for subset, values in (("train", self.train), ("test", self.test))
        }
        ks = {name: getattr(self, name) for name in ("ks_statistic", "ks_critical", "shift")}
        return {"measure": self.name, **quantiles, **ks}


@dataclass(frozen=True)
class SizeEffect:
    """The effect of one of the recipe's input sizes on the labelled images."""

    size: int
    upscaled: float  # share of images whose short side is smaller
    scale: float  # of the median image
    cropped: float  # share of the median image outside the center crop
    cropped_p95: float  # the 95th percentile of that share


@dataclass(frozen=True)
class Exploration:
    """All results; every figure of the page is drawn from this value."""

    index: Index
    classes: tuple[ClassCounts, ...]  # with counts a fold once the data is split
    cooccurrence: NDArray[np.int64] | None  # (labels, labels): images with both; None unless multilabel
    labels_per_image: float | None
    sizes: tuple[ImageStatistic, ...]  # width, height, aspect ratio
    size_effects: tuple[SizeEffect, ...]
    image_stats: tuple[ImageStatistic, ...]  # brightness and the like, or those of bands
    tabular: tuple[ImageStatistic, ...]
    fold_of: NDArray[np.int64] | None
    duplicates: tuple[DuplicateGroup, ...]
    decoded_rows: NDArray[np.int64]  # the decoded rows of `index.train`, as in `image_stats`
    decoded: int  # images, labelled and test
    unreadable: tuple[UnreadableImage, ...]

    @property
    def images(self) -> int:
        """Labelled and test images."""
        return len(self.index.table)

    @property
    def is_multilabel(self) -> bool:
        return self.cooccurrence is not None

    @property
    def all_decoded(self) -> bool:
        """Whether no image was left out to save time."""
        return self.decoded + len(self.unreadable) >= self.images

    @property
    def fold_rows(self) -> dict[str, int]:
        """Validation rows of each fold, or of the holdout; empty before the split."""
        if self.fold_of is None:
            return {}
        numbers, rows = np.unique(self.fold_of, return_counts=True)
        holdout = numbers.max() == 0
        return {
            "train only" if number == TRAIN_ONLY else "holdout" if holdout else f"fold {number}": int(count)
            for number, count in zip(numbers, rows, strict=True)
        }

    @property
    def measures(self) -> tuple[ImageStatistic, ...]:
        """Every measure that is compared between train and test."""
        return (*self.sizes, *self.image_stats, *self.tabular)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the numbers behind every figure."""
        subsets = self.index.table["subset"].value_counts()
        return {
            "images": {str(subset): int(count) for subset, count in subsets.items()},
            "classes": [asdict(counts) for counts in self.classes],
            "labels_per_image": self.labels_per_image,
            "cooccurrence": None if self.cooccurrence is None else self.cooccurrence.tolist(),
            "size_effects": [asdict(effect) for effect in self.size_effects],
            "measures": [measure.to_dict() for measure in self.measures],
            "folds": self.fold_rows,
            "duplicates": [group.to_dict() for group in self.duplicates],
            "decoded": self.decoded,
            "unreadable": [asdict(image) for image in self.unreadable],
        }


def explore(competition: Competition, index: Index, folds_file: Path, *, max_decoded: int = MAX_DECODED) -> Exploration:
    """Read every header and decode `max_decoded` images; unreadable ones are listed and left out."""
    paths = index.table["path"].tolist()
    sizes = read_sizes(index.data_dir, paths)
    bad = {image.row for image in sizes.unreadable}
    rows = [row for row in sample_evenly(len(paths), max_decoded) if row not in bad]
    stats = compute_image_stats(index.data_dir, paths, rows)
    is_test = (index.table["subset"] == "test").to_numpy()
    fold_of = _fold_of(competition, index, folds_file)
    return Exploration(
        index=index,
        classes=_classes(index, fold_of),
        cooccurrence=_cooccurrence(index),
        labels_per_image=_labels_per_image(index),
        sizes=_size_measures(sizes.values, is_test),
        size_effects=size_effects(sizes.values[~is_test], [stage.size for stage in competition.recipe.stages]),
        image_stats=_stats_measures(stats, is_test, getattr(competition.train_images, "unit", "")),
        tabular=_tabular_measures(competition, index),
        fold_of=fold_of,
        duplicates=tuple(find_duplicates(index, stats, fold_of)),
        decoded_rows=(np.cumsum(~is_test) - 1)[stats.rows[~is_test[stats.rows]]],
        decoded=len(stats.rows),
        unreadable=(*sizes.unreadable, *_rows_of_table(stats.unreadable, rows)),
    )


def sample_evenly(count: int, max_count: int) -> list[int]:
    """At most `max_count` of `count` rows, evenly spaced; the same ones every time."""
    return list(range(count)) if count <= max_count else [row * count // max_count for row in range(max_count)]


def size_effects(sizes: Floats, input_sizes: Sequence[int]) -> tuple[SizeEffect, ...]:
    """The effect of each input size on images of these widths and heights, shaped (images, 2)."""
    known = sizes[~np.isnan(sizes).any(axis=1)]
    if not len(known):
        return ()
    short = known.min(axis=1)
    cropped = 1 - short**2 / known.prod(axis=1)
    median, p95 = (float(value) for value in np.percentile(cropped, (50, 95)))
    return tuple(
        SizeEffect(size, float((short < size).mean()), float(size / np.median(short)), median, p95)
        for size in dict.fromkeys(input_sizes)
    )


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _rows_of_table(unreadable: Sequence[UnreadableImage], rows: Sequence[int]) -> list[UnreadableImage]:
    return [UnreadableImage(rows[image.row], image.path, image.reason) for image in unreadable]


def _size_measures(sizes: Floats, is_test: NDArray[np.bool_]) -> tuple[ImageStatistic, ...]:
    width, height = sizes.T
    columns = (("width", width), ("height", height), ("aspect ratio", width / height))
    return tuple(ImageStatistic(name, values[~is_test], values[is_test]) for name, values in columns)


def _stats_measures(stats: ImageStats, is_test: NDArray[np.bool_], unit: str) -> tuple[ImageStatistic, ...]:
    test = is_test[stats.rows]
    return tuple(
        ImageStatistic(name, stats.values[~test, column], stats.values[test, column], unit)
        for column, name in enumerate(stats.measures)
    )


def _tabular_measures(competition: Competition, index: Index) -> tuple[ImageStatistic, ...]:
    names = competition.tabular
    train, test = (read_tabular(competition, index, subset).astype(np.float64) for subset in ("train", "test"))
    if train.shape[1] != test.shape[1]:
        return ()
    units = dict(zip(names, competition.tabular_units, strict=False))
    return tuple(
        ImageStatistic(name, train[:, column], test[:, column], units.get(name, ""))
        for column, name in enumerate(names)
    )


def _fold_of(competition: Competition, index: Index, folds_file: Path) -> NDArray[np.int64] | None:
    if not folds_file.exists():
        return None
    folds = read_folds(folds_file, competition=competition.name)
    return folds.for_rows(index.train["id"].tolist(), index.train["label"].tolist())


def _classes(index: Index, fold_of: NDArray[np.int64] | None) -> tuple[ClassCounts, ...]:
    names, members = index.strata()
    folds = np.full(len(members), TRAIN_ONLY) if fold_of is None else fold_of
    return tuple(class_counts_per_fold(names, members, folds))


def _cooccurrence(index: Index) -> NDArray[np.int64] | None:
    if not isinstance(index.labels, Multilabel):
        return None
    targets = index.targets().astype(np.int64)
    return np.asarray(targets.T @ targets)


def _labels_per_image(index: Index) -> float | None:
    return float(index.targets().sum(axis=1).mean()) if isinstance(index.labels, Multilabel) else None
