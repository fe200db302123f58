"""The page about the images, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.contract import Competition, Symmetry
from runner.errors import DataError
from runner.explore.explore import DuplicateGroup, Exploration, Quantiles, spread_out
from runner.images.augment import build_augmentation
from runner.images.center_crop import CenterCrop
from runner.report.explore_figures import explore_figures, spread_table
from runner.report.explore_summary import findings, tell_fit, tell_measure, warnings
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

_MOST_SAMPLES = 360
_SIDE, _SMALL_SIDE = 152, 112  # pixels; the smaller where classes are many, so that the page stays small
_MANY_CLASSES = 40
_LOOKS = 12
_GROUPS_SHOWN = 8
_SHOWN_OF_A_GROUP = 4
_GROUPS_LISTED = 200


def write_exploration(competition: Competition, found: Exploration, path: Path) -> list[ReportFigure]:
    """Write the page; the figures that stand in it."""
    drawn = list(explore_figures(found))
    side = _SIDE if len(found.classes) <= _MANY_CLASSES else _SMALL_SIDE
    write_page(path, _page(competition, found, drawn, Samples(found.index, path, side)))
    return drawn


def _page(competition: Competition, found: Exploration, drawn: Sequence[ReportFigure], samples: Samples) -> Page:
    blocks: dict[str, Block] = {one.name: one.block() for one in drawn}
    what = "Tags" if found.cooccurrence is not None else "Classes"
    sections = [
        Section("In short", _in_short(found)),
        Section(what, [blocks[name] for name in ("class-counts", "cooccurrence") if name in blocks]),
        Section("Sizes", _sizes(found, blocks)),
        Section("What they look like", _samples(found, samples)),
        *([Section("What tells the classes apart", apart)] if (apart := _named(blocks, "by-class")) else []),
        Section("As training sees one of them", _augmented(competition, found, samples)),
        Section("Train against test", _differences(found, blocks)),
        Section("There twice", _twice(found, samples)),
        Section("Folds", _folds(competition, found)),
    ]
    if found.tabular:
        sections.append(Section("Numbers beside the images", _named(blocks, "beside")))
    if found.broken:
        sections.append(Section("What cannot be read", [_broken(found)]))
    counts = f"{len(found.index.train):,} labelled images and {len(found.index.test):,} to predict"
    summary = f"{competition.title}: {counts}, as they are before anything is trained."
    return Page(f"{competition.name}: the images", summary, sections, foot=_foot(found))


def _named(blocks: dict[str, Block], kind: str) -> list[Block]:
    """The figures of a kind: its name, then a number."""
    return [block for name, block in blocks.items() if name.rpartition("-")[0] == kind]


def _in_short(found: Exploration) -> list[Block]:
    width, height, shape = (Quantiles.of(measure.train) for measure in found.sizes)
    counts = [one.rows for one in found.classes]
    twice = sum(one.exact for one in found.alike)
    apart = [one.name for one in found.differences if one.verdict != "alike"]
    facts = [
        ("labelled images", f"{len(found.index.train):,}", ""),
        ("test images", f"{len(found.index.test):,}", ""),
        (
            "tags" if found.cooccurrence is not None else "classes",
            str(len(counts)),
            _each(counts),
        ),
        ("typical size", f"{width.median:.0f} x {height.median:.0f}" if width and height else "–", "pixels"),
        ("width / height", f"{shape.median:.2f}" if shape else "–", "in the middle"),
        ("there twice", f"{twice:,}", f"groups, and {len(found.alike) - twice:,} nearly so"),
        ("train and test", "differ" if apart else "alike", ", ".join(apart[:3])),
    ]
    alarms = warnings(found)
    return [
        KeyFigures(facts),
        *(Text(alarm[:1].upper() + alarm[1:] + ".", warns=True) for alarm in alarms),
        Bullets([line for line in findings(found) if line not in alarms]),
    ]


def _each(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,} each" if low == high else f"{low:,} to {high:,} each"


def _sizes(found: Exploration, blocks: dict[str, Block]) -> list[Block]:
    table = Table(
        ["recipe's size, px", "images enlarged, %", "typical scale", "cut off, %", "cut off at most, %", "in words"],
        [
            [
                fit.size,
                round(100 * fit.enlarged, 1),
                round(fit.scale, 2),
                round(100 * fit.cut, 1),
                round(100 * fit.cut_most, 1),
                tell_fit(fit).partition(": ")[2],
            ]
            for fit in found.fits
        ],
        "What the recipe's sizes mean for these images",
    )
    what = Text(
        "The network sees the largest square in the middle, scaled to the recipe's size. What is cut off is the share "
        "of the typical image outside that square; at most, of all but a twentieth of them. Training moves the "
        "square along the longer side, so that every part is seen."
    )
    return [*(_named(blocks, "size") or [Text(_one_size(found))]), what, table]


def _one_size(found: Exploration) -> str:
    width, height = (Quantiles.of(measure.train) for measure in found.sizes[:2])
    if width is None or height is None:
        return "No header could be read."
    return f"Every image has {width.median:.0f} x {height.median:.0f} pixels."


def _samples(found: Exploration, samples: Samples) -> list[Block]:
    each = min(6, max(2, _MOST_SAMPLES // max(len(found.classes), 1)))
    of_class = list(track("samples", _rows_of_classes(found), len(found.classes)))
    labels = found.index.train["label"].tolist()
    tagged, many = found.cooccurrence is not None, len(found.classes) > _MANY_CLASSES
    galleries: list[Gallery] = []
    for name, rows in of_class:
        shown: list[Thumbnail] = []
        for row in spread_out(len(rows), min(len(rows), 4 * each)):
            caption = [labels[rows[row]]] if tagged else [name] if many else []
            if len(shown) < each and (image := samples.show(_table_row(found, rows[row]), caption, of=name)):
                shown.append(image)
        galleries.append(Gallery(name, shown))
    bands = [Text("Each image shows its bands side by side, in one grey scale a band.")] if samples.has_bands else []
    if many:
        return [*bands, Gallery("", [image for one in galleries for image in one.images])]
    return [*bands, *galleries]


def _rows_of_classes(found: Exploration) -> list[tuple[str, NDArray[np.int64]]]:
    targets = found.index.targets() >= 0.5
    marked = np.hstack([targets, ~targets]) if targets.shape[1] == 1 else targets
    rows = [np.flatnonzero(column) for column in marked.T]
    return list(zip([one.name for one in found.classes], rows, strict=True))


def _table_row(found: Exploration, row: int) -> int:
    """The place in the whole table of a labelled row."""
    return int(np.flatnonzero((found.index.table["subset"] != "test").to_numpy())[row])


def _augmented(competition: Competition, found: Exploration, samples: Samples) -> list[Block]:
    size, preset = competition.recipe.stages[0].size, competition.preset
    for row in range(min(50, len(found.index.train))):
        try:
            pixels = samples.read_whole(_table_row(found, row))
        except DataError:
            continue
        light = pixels.dtype == np.uint8
        changed = build_augmentation(preset, size, is_rgb=light)
        looks = [("as validation sees it", CenterCrop(preset, size)(pixels))]
        looks += [(f"draw {seed}", changed(pixels, seed)) for seed in range(1, _LOOKS)]
        images = [Thumbnail(samples.encode(look), f"the image, {name}", [name]) for name, look in looks]
        words = f"The preset {preset.name} at {size} pixels: {_preset_in_words(competition)}. Is it still what it was?"
        return [Text(words), Gallery("", images)]
    return [Text("None of the first images could be read.", warns=True)]


def _preset_in_words(competition: Competition) -> str:
    preset = competition.preset
    symmetry = {
        Symmetry.NONE: "never mirrored",
        Symmetry.HFLIP: "mirrored left to right half of the time",
        Symmetry.D4: "turned by quarters and mirrored",
    }[preset.symmetry]
    parts = [
        symmetry,
        f"turned by up to {preset.max_rotate:g} degrees" if preset.max_rotate else "",
        f"up to {preset.max_zoom - 1:.0%} nearer" if preset.max_zoom > 1 else "",
        f"shifted by up to {preset.max_shift:.0%} of the side" if preset.max_shift else "",
        f"brightness and contrast changed by up to {preset.max_lighting:.0%}"
        if preset.max_lighting
        else "no value changed",
    ]
    return ", ".join(part for part in parts if part)


def _differences(found: Exploration, blocks: dict[str, Block]) -> list[Block]:
    rows: list[list[Cell]] = [
        [one.name, one.verdict, round(one.gap, 3), round(one.by_chance, 3), tell_measure(one).partition(": ")[2]]
        for one in found.differences
    ]
    header = ["measure", "verdict", "gap", "gap by chance", "in words"]
    words = (
        "The gap is the largest difference between the two cumulative shares: 0.1 means that at some value a tenth "
        "more of the one kind lies below it. Below 0.1, or below what chance gives once in a hundred times, they "
        "count as alike; from 0.25 on, different. Where they differ, the held-out score promises less."
    )
    spread = spread_table(found.differences)
    return [Table(header, rows, "IndexRow against test images"), Text(words), *_named(blocks, "look"), spread]


def _twice(found: Exploration, samples: Samples) -> list[Block]:
    share = "all" if found.looked_at + len(found.broken) >= found.images else f"{found.looked_at:,}"
    words = f"Exactly: all {found.images:,} files compared byte for byte. Nearly: {share} of the images compared "
    words += "by a difference hash and their thumbnails. Copies on both sides of a fold make its score flatter."
    if not found.alike:
        return [Text("No image was found twice. " + words)]
    rows = [
        ["exactly" if one.exact else "nearly", len(one.paths), _meaning(one), ", ".join(one.paths[:8])]
        for one in found.alike[:_GROUPS_LISTED]
    ]
    place = {path: row for row, path in enumerate(samples.paths)}
    galleries = [
        Gallery(f"{'The same' if one.exact else 'Nearly the same'}: {_meaning(one)}", _group(one, place, samples))
        for one in found.alike[:_GROUPS_SHOWN]
    ]
    listed = (
        f"the first {_GROUPS_LISTED} of {len(found.alike):,}" if len(found.alike) > _GROUPS_LISTED else "all of them"
    )
    table = Table(["alike", "images", "what it means", "files"], rows, f"Images that are there twice, {listed}")
    return [Text(words), *galleries, table]


def _group(one: DuplicateGroup, place: dict[str, int], samples: Samples) -> list[Thumbnail]:
    members = list(zip(one.paths, one.labels, one.parts, strict=True))[:_SHOWN_OF_A_GROUP]
    shown = (
        samples.show(place[path], [label if part != "test" else "a test image", path.rpartition("/")[2]])
        for path, label, part in members
    )
    return [image for image in shown if image]


def _meaning(one: DuplicateGroup) -> str:
    found = [
        ("different labels", one.label_conflict),
        ("in train and in test", one.train_test),
        ("held out and learned from", one.fold_leak),
    ]
    return ", ".join(words for words, holds in found if holds) or "harmless"


def _folds(competition: Competition, found: Exploration) -> list[Block]:
    if not found.fold_rows:
        return [Text(f"The data is not split yet: runner {competition.name} split")]
    total = sum(found.fold_rows.values())
    shares: list[list[Cell]] = [[name, rows, round(100 * rows / total, 2)] for name, rows in found.fold_rows.items()]
    folds = range(len(found.classes[0].held_out))
    header = ["class", "images", *(f"fold {fold}" for fold in folds), "never held out"]
    rows: list[list[Cell]] = [[one.name, one.rows, *one.held_out, one.never] for one in found.classes]
    return [
        Table(["rows", "count", "share, %"], shares, "The share of each fold"),
        Table(header, rows, "Rows of each class in each fold"),
    ]


def _broken(found: Exploration) -> Table:
    return Table(["file", "why"], [[one.path, one.why] for one in found.broken], "Images that cannot be read")


def _foot(found: Exploration) -> str:
    return (
        f"Figures from {found.index.data_dir.name}: {found.images:,} headers read, {found.looked_at:,} images decoded."
    )
