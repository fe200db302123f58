"""What can be known of a competition's images before anything is trained: numbers alone, nothing drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition, Multilabel
from runner.data.folds import ClassCounts, count_classes, read_folds
from runner.data.index import Index
from runner.data.splits import TRAIN_ONLY
from runner.data.tabular import read_tabular
from runner.explore.duplicates import Group, exact_groups, near_groups
from runner.explore.image_stats import Broken, ImageStats, Numbers, compute_image_stats, read_sizes

MOST_LOOKED_AT = 12_000

_SMALL, _LARGE = 0.1, 0.25  # of the gap between two distributions: which share of the images lies elsewhere
_NOISE = 1.63  # a gap this many times the root of the rows' harmonic mean is chance once in a hundred


@dataclass(frozen=True)
class Quantiles:
    """One measure over many images, in five numbers."""

    count: int
    low: float  # a twentieth lies below
    quarter: float
    median: float
    three_quarters: float
    high: float  # a twentieth lies above

    @classmethod
    def of(cls, values: Numbers) -> Quantiles | None:
        """None where there is nothing to measure."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        return cls(len(known), *(float(value) for value in np.percentile(known, (5, 25, 50, 75, 95))))


@dataclass(frozen=True)
class Measure:
    """One number an image, of the labelled and of the test images."""

    name: str
    train: Numbers
    test: Numbers
    unit: str = ""

    @property
    def label(self) -> str:
        """The name with its unit, for an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def gap(self) -> float:
        """The largest gap between the two cumulative shares: 0 alike, 1 wholly apart."""
        one, other = (np.sort(values[~np.isnan(values)]) for values in (self.train, self.test))
        if not len(one) or not len(other):
            return 0.0
        every = np.concatenate([one, other])
        shares = (np.searchsorted(values, every, "right") / len(values) for values in (one, other))
        return float(np.abs(np.subtract(*shares)).max())

    @property
    def by_chance(self) -> float:
        """The gap that chance alone would give once in a hundred times, with so many images."""
        counts = [int((~np.isnan(values)).sum()) for values in (self.train, self.test)]
        return _NOISE * float(np.sqrt(sum(1 / count for count in counts))) if all(counts) else 0.0

    @property
    def verdict(self) -> str:
        """alike, a little different, or different: by how much it is, and never by a test of significance alone."""
        if self.gap < max(_SMALL, self.by_chance):
            return "alike"
        return "a little different" if self.gap < _LARGE else "different"

    def to_dict(self) -> dict[str, Any]:
        """In a few numbers."""
        spreads = {
            part: None if (spread := Quantiles.of(values)) is None else asdict(spread)
            for part, values in (("train", self.train), ("test", self.test))
        }
        return {"measure": self.name, **spreads, "gap": self.gap, "by_chance": self.by_chance, "verdict": self.verdict}


@dataclass(frozen=True)
class Fit:
    """What one of the recipe's sizes means for these images."""

    size: int
    enlarged: float  # the share of the images whose short side is smaller
    scale: float  # the median image is scaled by this
    cut: float  # the share of the median image that the centre square leaves out
    cut_most: float  # and of the twentieth with the most left out


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are one image, or nearly."""

    paths: tuple[str, ...]
    parts: tuple[str, ...]
    labels: tuple[str, ...]
    folds: tuple[int | None, ...]
    exact: bool

    @property
    def label_conflict(self) -> bool:
        """Whether labelled ones among them have different labels."""
        return len({label for label, part in zip(self.labels, self.parts, strict=True) if part != "test"}) > 1

    @property
    def train_test(self) -> bool:
        """Whether labelled and test images are among them."""
        return len({part == "test" for part in self.parts}) > 1

    @property
    def fold_leak(self) -> bool:
        """Whether one is held out while another is learned from."""
        return len({fold for fold in self.folds if fold is not None}) > 1

    def to_dict(self) -> dict[str, Any]:
        """With what it means."""
        return {**asdict(self), "disagrees": self.label_conflict, "crosses": self.train_test, "leaks": self.fold_leak}


@dataclass(frozen=True)
class Exploration:
    """Everything that was found."""

    index: Index
    classes: tuple[ClassCounts, ...]  # with the folds, where the data is split
    cooccurrence: NDArray[np.int64] | None  # (tags, tags): on how many images both are
    tags_a_image: float | None
    sizes: tuple[Measure, ...]  # width, height, aspect ratio
    fits: tuple[Fit, ...]
    looks: tuple[Measure, ...]  # brightness and the like, or the bands' values
    tabular: tuple[Measure, ...]
    fold_of: NDArray[np.int64] | None
    alike: tuple[DuplicateGroup, ...]
    looked_rows: NDArray[np.int64]  # the labelled rows among those that were decoded, as in the looks
    looked_at: int  # how many images were decoded
    broken: tuple[Broken, ...]

    @property
    def images(self) -> int:
        return len(self.index.table)

    @property
    def fold_rows(self) -> dict[str, int]:
        """How many rows each fold holds out; empty where the data is not split."""
        if self.fold_of is None:
            return {}
        numbers, rows = np.unique(self.fold_of, return_counts=True)
        return {
            "never held out" if number == TRAIN_ONLY else f"fold {number}": int(count)
            for number, count in zip(numbers, rows, strict=True)
        }

    @property
    def differences(self) -> tuple[Measure, ...]:
        """Every measure in which test images could differ from labelled ones."""
        return (*self.sizes, *self.looks, *self.tabular)

    def to_dict(self) -> dict[str, Any]:
        """A plain value, with the numbers behind every figure."""
        parts = self.index.table["subset"].value_counts()
        return {
            "images": {str(part): int(count) for part, count in parts.items()},
            "classes": [asdict(one) for one in self.classes],
            "tags_a_image": self.tags_a_image,
            "cooccurrence": None if self.cooccurrence is None else self.cooccurrence.tolist(),
            "sizes": [asdict(fit) for fit in self.fits],
            "train_and_test": [one.to_dict() for one in self.differences],
            "folds": self.fold_rows,
            "alike": [one.to_dict() for one in self.alike],
            "looked_at": self.looked_at,
            "broken": [asdict(one) for one in self.broken],
        }


def explore(competition: Competition, index: Index, folds: Path, *, most: int = MOST_LOOKED_AT) -> Exploration:
    """Look at every header, and into `most` of the images; what cannot be read is named and left out."""
    paths = index.table["path"].tolist()
    sizes = read_sizes(index.data_dir, paths)
    unreadable = {one.path for one in sizes.broken}
    looks = compute_image_stats(
        index.data_dir, paths, [place for place in spread_out(len(paths), most) if paths[place] not in unreadable]
    )
    tested = (index.table["subset"] == "test").to_numpy()
    fold_of = _fold_of(competition, index, folds)
    targets = index.targets()
    cooccurrence = (
        targets.T.astype(np.int64) @ targets.astype(np.int64) if isinstance(index.labels, Multilabel) else None
    )
    return Exploration(
        index=index,
        classes=tuple(count_classes(index.classes, targets, _or_unsplit(fold_of, len(targets)))),
        cooccurrence=cooccurrence,
        tags_a_image=float(targets.sum(axis=1).mean()) if cooccurrence is not None else None,
        sizes=_size_measures(sizes.values, tested),
        fits=fit_sizes(sizes.values[~tested], [stage.size for stage in competition.recipe.stages]),
        looks=_look_measures(looks, tested, getattr(competition.train_images, "unit", "")),
        tabular=_scalar_measures(competition, index),
        fold_of=fold_of,
        alike=tuple(_alike(index, looks, fold_of)),
        looked_rows=(np.cumsum(~tested) - 1)[looks.places[~tested[looks.places]]],
        looked_at=len(looks.places),
        broken=(*sizes.broken, *looks.broken),
    )


def spread_out(count: int, most: int) -> list[int]:
    """So many places at most, evenly over all of them: neither the first rows alone, nor others each time."""
    return list(range(count)) if count <= most else [place * count // most for place in range(most)]


def fit_sizes(sizes: Numbers, wanted: Sequence[int]) -> tuple[Fit, ...]:
    """What each of these sizes does to images of such widths and heights."""
    known = sizes[~np.isnan(sizes).any(axis=1)]
    if not len(known):
        return ()
    short = known.min(axis=1)
    cut = 1 - short**2 / known.prod(axis=1)
    median, most = (float(value) for value in np.percentile(cut, (50, 95)))
    return tuple(
        Fit(size, float((short < size).mean()), float(size / np.median(short)), median, most)
        for size in dict.fromkeys(wanted)
    )


def _size_measures(sizes: Numbers, tested: NDArray[np.bool_]) -> tuple[Measure, ...]:
    width, height = sizes.T
    columns = (("width", width), ("height", height), ("width / height", width / height))
    return tuple(Measure(name, values[~tested], values[tested]) for name, values in columns)


def _look_measures(looks: ImageStats, tested: NDArray[np.bool_], unit: str) -> tuple[Measure, ...]:
    there = tested[looks.places]
    return tuple(
        Measure(name, looks.values[~there, column], looks.values[there, column], unit)
        for column, name in enumerate(looks.measures)
    )


def _scalar_measures(competition: Competition, index: Index) -> tuple[Measure, ...]:
    names = getattr(competition.train_images, "tabular", ())
    train, test = (read_tabular(competition, index, part).astype(np.float64) for part in ("train", "test"))
    if train.shape[1] != test.shape[1]:
        return ()
    units = dict(zip(names, getattr(competition.train_images, "tabular_units", ()), strict=False))
    return tuple(
        Measure(name, train[:, column], test[:, column], units.get(name, "")) for column, name in enumerate(names)
    )


def _fold_of(competition: Competition, index: Index, path: Path) -> NDArray[np.int64] | None:
    if not path.exists():
        return None
    folds = read_folds(path, competition=competition.name)
    return folds.for_rows(index.train["id"].tolist(), index.train["label"].tolist())


def _or_unsplit(fold_of: NDArray[np.int64] | None, rows: int) -> NDArray[np.int64]:
    return np.full(rows, TRAIN_ONLY) if fold_of is None else fold_of


def _alike(index: Index, looks: ImageStats, fold_of: NDArray[np.int64] | None) -> list[DuplicateGroup]:
    paths, parts, labels = (index.table[name].tolist() for name in ("path", "subset", "label"))
    by_row = iter(() if fold_of is None else fold_of.tolist())
    folds = [next(by_row, None) if part != "test" else None for part in parts]
    same = exact_groups(index.data_dir, paths)

    def told(group: Group, exact: bool) -> DuplicateGroup:
        paths_of, parts_of, labels_of = (
            tuple(str(column[place]) for place in group) for column in (paths, parts, labels)
        )
        return DuplicateGroup(paths_of, parts_of, labels_of, tuple(folds[place] for place in group), exact)

    found = [told(group, True) for group in same] + [told(group, False) for group in near_groups(looks, same)]
    return sorted(found, key=lambda one: (not one.label_conflict, not one.train_test, not one.fold_leak, not one.exact))
