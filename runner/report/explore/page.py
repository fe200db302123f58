"""The page about the images before training: explore.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.contract import Preset, Symmetry
from runner.errors import DataError
from runner.explore.duplicates import DuplicateGroup
from runner.explore.explore import Exploration, ImageStatistic, Quantiles, sample_evenly
from runner.images.augment import build_augmentation
from runner.images.center_crop import CenterCrop
from runner.images.layout import layout_of
from runner.report.explore.figures import explore_figures, quantile_table
from runner.report.explore.summary import class_word, classes_word, describe_size, notes, warnings
from runner.report.page.figures import ReportFigure
from runner.report.page.page import (
    Block,
    Bullets,
    Cell,
    Gallery,
    KeyFigures,
    Page,
    Section,
    Table,
    Text,
    Thumbnail,
    write_page,
)
from runner.report.page.samples import Samples
from runner.session import Session

_MAX_EXAMPLES = 360
_SIDE, _SMALL_SIDE = 152, 112  # pixels; the smaller one keeps the page small if there are many classes
_MANY_CLASSES = 40
_AUGMENTED = 11  # images of the augmentation gallery, beside the center crop
_MAX_TRIES = 50  # images tried until one can be read
_GROUPS_SHOWN, _IMAGES_OF_A_GROUP, _GROUPS_LISTED = 8, 4, 200
_ALL_FILES = 8  # of a duplicate group that the table names

Figures = Mapping[str, Block]


def write_exploration(session: Session, exploration: Exploration, path: Path) -> list[ReportFigure]:
    """Write the page; the figures in it, for `--figures`."""
    figures = list(explore_figures(exploration))
    side = _SIDE if len(exploration.classes) <= _MANY_CLASSES else _SMALL_SIDE
    write_page(path, _page(session, exploration, figures, Samples(exploration.index, path, side)))
    return figures


def _page(session: Session, exploration: Exploration, drawn: Sequence[ReportFigure], samples: Samples) -> Page:
    figures: Figures = {figure.name: figure.block() for figure in drawn}
    train, test = len(exploration.index.train), len(exploration.index.test)
    return Page(
        f"{session.name}: the images",
        f"{session.competition.title}: {train:,} labelled and {test:,} test images, before any training.",
        list(_sections(session, exploration, figures, samples)),
        footer=(
            f"From {exploration.index.data_dir.name}: {exploration.images:,} headers read, "
            f"{exploration.decoded:,} images decoded."
        ),
    )


def _sections(session: Session, exploration: Exploration, figures: Figures, samples: Samples) -> Iterator[Section]:
    yield Section("Summary", _summary(exploration))
    classes = [figures[name] for name in ("class-counts", "cooccurrence") if name in figures]
    yield Section(classes_word(exploration).title(), classes)
    yield Section("Sizes", _sizes(exploration, figures))
    yield Section("Examples", _examples(exploration, samples))
    if by_class := _of_kind(figures, "by-class"):
        yield Section("Statistics by class", by_class)
    preset, size = session.competition.preset, session.competition.recipe.stages[0].size
    yield Section("Augmentation", _augmentation(preset, size, exploration, samples))
    yield Section("Train/test shift", _shift(exploration, figures))
    yield Section("Duplicates", _duplicates(exploration, samples))
    yield Section("Folds", _folds(session, exploration))
    if exploration.tabular:
        yield Section("Tabular columns", _of_kind(figures, "tabular"))
    if exploration.unreadable:
        yield Section("Unreadable images", [_unreadable(exploration)])


def _of_kind(figures: Figures, kind: str) -> list[Block]:
    """The figures named `kind`-1, `kind`-2 and so on."""
    return [figure for name, figure in figures.items() if name.rpartition("-")[0] == kind]


def _summary(exploration: Exploration) -> list[Block]:
    return [
        KeyFigures(_key_figures(exploration)),
        *(Text(line[:1].upper() + line[1:] + ".", warning=True) for line in warnings(exploration)),
        Bullets(notes(exploration)),
    ]


def _key_figures(exploration: Exploration) -> list[tuple[str, str, str]]:
    width, height, aspect = (Quantiles.of(measure.train) for measure in exploration.sizes)
    counts = [count.rows for count in exploration.classes]
    fewest, most = min(counts), max(counts)
    groups, exact = len(exploration.duplicates), sum(group.exact for group in exploration.duplicates)
    shifted = [measure.name for measure in exploration.measures if measure.shift != "none"]
    return [
        ("labelled images", f"{len(exploration.index.train):,}", ""),
        ("test images", f"{len(exploration.index.test):,}", ""),
        (
            classes_word(exploration),
            f"{len(counts):,}",
            f"{fewest:,} images each" if fewest == most else f"{fewest:,} to {most:,} images each",
        ),
        ("median size", f"{width.median:.0f} x {height.median:.0f}" if width and height else "–", "pixels"),
        ("aspect ratio", f"{aspect.median:.2f}" if aspect else "–", "width / height, median"),
        ("duplicate groups", f"{groups:,}", f"{exact:,} exact, {groups - exact:,} near" if groups else ""),
        ("train/test shift", f"{len(shifted)}" if shifted else "none", ", ".join(shifted[:3])),
    ]


def _sizes(exploration: Exploration, figures: Figures) -> list[Block]:
    header = ["input size, px", "upsampled, %", "median scale", "cropped, %", "cropped p95, %", "effect"]
    rows: list[list[Cell]] = [
        [
            effect.size,
            round(100 * effect.upscaled, 1),
            round(effect.scale, 2),
            round(100 * effect.cropped, 1),
            round(100 * effect.cropped_p95, 1),
            describe_size(effect).partition(": ")[2],
        ]
        for effect in exploration.size_effects
    ]
    text = Text(
        "In validation the network sees the center crop: the largest square in the middle, resized to the recipe's "
        "input size. Cropped is the share of the image outside that square: its median and its 95th percentile. "
        "Training moves the square along the longer side, so that every part is used."
    )
    return [
        *(_of_kind(figures, "size") or [Text(_one_size(exploration))]),
        text,
        Table(header, rows, "The recipe's input sizes on these images"),
    ]


def _one_size(exploration: Exploration) -> str:
    width, height = (Quantiles.of(measure.train) for measure in exploration.sizes[:2])
    if width is None or height is None:
        return "No image header could be read."
    return f"Every image has {width.median:.0f} x {height.median:.0f} pixels."


def _examples(exploration: Exploration, samples: Samples) -> list[Block]:
    per_class = min(6, max(2, _MAX_EXAMPLES // max(len(exploration.classes), 1)))
    rows_of_class = _rows_of_class(exploration)
    many = len(rows_of_class) > _MANY_CLASSES
    galleries = [
        Gallery(name, _examples_of(exploration, samples, name, rows, per_class, named=many))
        for name, rows in track("examples", rows_of_class.items(), len(rows_of_class))
    ]
    bands = [Text("The bands of an image are shown side by side, each in its own grey scale.")]
    shown = [Gallery("", [image for gallery in galleries for image in gallery.images])] if many else galleries
    return [*(bands if samples.has_bands else []), *shown]


def _examples_of(
    exploration: Exploration, samples: Samples, name: str, rows: NDArray[np.int64], count: int, *, named: bool
) -> list[Thumbnail]:
    """Readable images of a class, spread evenly over its rows."""
    labels = exploration.index.train["label"]
    shown: list[Thumbnail] = []
    for position in sample_evenly(len(rows), 4 * count):
        row = int(rows[position])
        caption = [labels.iloc[row]] if exploration.is_multilabel else [name] if named else []
        if len(shown) < count and (image := samples.show(_table_row(exploration, row), caption, of=name)):
            shown.append(image)
    return shown


def _rows_of_class(exploration: Exploration) -> dict[str, NDArray[np.int64]]:
    """The labelled rows of each class; of a binary target also of the negative class."""
    rows = exploration.index.strata().rows_of()
    return dict(zip([count.name for count in exploration.classes], rows, strict=True))


def _table_row(exploration: Exploration, row: int) -> int:
    """The row in the index's table of a labelled row."""
    labelled = (exploration.index.table["subset"] != "test").to_numpy()
    return int(np.flatnonzero(labelled)[row])


def _augmentation(preset: Preset, size: int, exploration: Exploration, samples: Samples) -> list[Block]:
    image = _first_readable(exploration, samples)
    if image is None:
        return [Text("None of the first images could be read.", warning=True)]
    transform = build_augmentation(preset, size, is_rgb=layout_of(image).is_rgb)
    shown = [("center crop (validation)", CenterCrop(preset, size)(image))]
    shown += [(f"training, seed {seed}", transform(image, seed)) for seed in range(1, _AUGMENTED + 1)]
    text = f"The preset {preset.name} at {size} pixels: {_describe_preset(preset)}. Is the label still recognisable?"
    thumbnails = [Thumbnail(samples.encode(pixels), f"one image, {caption}", [caption]) for caption, pixels in shown]
    return [Text(text), Gallery("", thumbnails)]


def _first_readable(exploration: Exploration, samples: Samples) -> NDArray[np.generic] | None:
    for row in range(min(_MAX_TRIES, len(exploration.index.train))):
        try:
            return samples.read_whole(_table_row(exploration, row))
        except DataError:
            continue
    return None


def _describe_preset(preset: Preset) -> str:
    symmetry = {
        Symmetry.NONE: "no flips",
        Symmetry.HFLIP: "horizontal flip half of the time",
        Symmetry.D4: "quarter turns and flips",
    }[preset.symmetry]
    parts = [
        symmetry,
        f"rotation up to {preset.max_rotate:g}°" if preset.max_rotate else "",
        f"zoom up to {preset.max_zoom - 1:.0%}" if preset.max_zoom > 1 else "",
        f"shift up to {preset.max_shift:.0%} of the side" if preset.max_shift else "",
        f"brightness and contrast ± {preset.max_lighting:.0%}" if preset.max_lighting else "no change of values",
    ]
    return ", ".join(part for part in parts if part)


def _shift(exploration: Exploration, figures: Figures) -> list[Block]:
    rows = [_shift_row(measure) for measure in exploration.measures]
    header = ["measure", "shift", "KS statistic", "critical value (1 %)", "median, labelled", "median, test"]
    text = Text(
        "The KS (Kolmogorov-Smirnov) statistic is the largest difference between the cumulative distributions of "
        "train and test. Equal distributions exceed the critical value in 1 of 100 samples. Below 0.1 or below the "
        "critical value there is no shift; from 0.25 on it is large. With a shift, the validation score may not "
        "transfer to the test set."
    )
    table = Table(header, rows, "Labelled and test images compared")
    return [table, text, *_of_kind(figures, "image"), quantile_table(exploration.measures)]


def _shift_row(measure: ImageStatistic) -> list[Cell]:
    train, test = Quantiles.of(measure.train), Quantiles.of(measure.test)
    ks = [round(measure.ks_statistic, 3), round(measure.ks_critical, 3)]
    medians = [None if quantiles is None else round(quantiles.median, 2) for quantiles in (train, test)]
    return [measure.label, measure.shift, *ks, *medians]


def _duplicates(exploration: Exploration, samples: Samples) -> list[Block]:
    groups = exploration.duplicates
    compared = "all images" if exploration.all_decoded else f"{exploration.decoded:,} of the images"
    method = (
        f"Exact duplicates: all {exploration.images:,} files compared byte for byte. Near duplicates: {compared} "
        "compared by difference hash and thumbnail. Duplicates across folds make the validation score too optimistic."
    )
    if not groups:
        return [Text(f"No duplicates. {method}")]
    row_of = {path: row for row, path in enumerate(samples.paths)}
    galleries = [
        Gallery(f"{_kind(group)} duplicates: {_problem(group)}", _thumbnails(group, row_of, samples))
        for group in groups[:_GROUPS_SHOWN]
    ]
    rows: list[list[Cell]] = [
        [_kind(group).lower(), len(group.paths), _problem(group), ", ".join(group.paths[:_ALL_FILES])]
        for group in groups[:_GROUPS_LISTED]
    ]
    listed = f"the first {_GROUPS_LISTED} of {len(groups):,}" if len(groups) > _GROUPS_LISTED else "all"
    table = Table(["duplicates", "images", "problem", "files"], rows, f"Groups of duplicate images ({listed})")
    return [Text(method), *galleries, table]


def _kind(group: DuplicateGroup) -> str:
    return "Exact" if group.exact else "Near"


def _problem(group: DuplicateGroup) -> str:
    problems = [
        ("label conflict", group.label_conflict),
        ("in train and test", group.train_test),
        ("fold leak", group.fold_leak),
    ]
    return ", ".join(words for words, applies in problems if applies) or "none"


def _thumbnails(group: DuplicateGroup, row_of: Mapping[str, int], samples: Samples) -> list[Thumbnail]:
    images = list(zip(group.paths, group.labels, group.subsets, strict=True))[:_IMAGES_OF_A_GROUP]
    shown = (
        samples.show(row_of[path], [label if subset != "test" else "test image", path.rpartition("/")[2]])
        for path, label, subset in images
    )
    return [image for image in shown if image]


def _folds(session: Session, exploration: Exploration) -> list[Block]:
    if not exploration.fold_rows:
        return [Text(f"The data is not split yet: `{session.command('split')}`")]
    total = sum(exploration.fold_rows.values())
    shares: list[list[Cell]] = [
        [name, rows, round(100 * rows / total, 2)] for name, rows in exploration.fold_rows.items()
    ]
    folds = len(exploration.classes[0].valid_per_fold)
    names = ["holdout"] if folds == 1 else [f"fold {fold}" for fold in range(folds)]
    header = [class_word(exploration), "images", *names, "train only"]
    rows: list[list[Cell]] = [
        [count.name, count.rows, *count.valid_per_fold, count.train_only] for count in exploration.classes
    ]
    return [
        Table(["validation rows", "count", "share, %"], shares, "Rows of each fold"),
        Table(header, rows, f"Validation rows of each {class_word(exploration)} and fold"),
    ]


def _unreadable(exploration: Exploration) -> Table:
    rows = [[image.path, image.reason] for image in exploration.unreadable]
    return Table(["file", "reason"], rows, "Images that cannot be read")
