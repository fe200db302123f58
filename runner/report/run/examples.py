"""The images of an out-of-fold prediction that show most: top losses, most uncertain, lowest losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.report.page.page import Gallery
from runner.report.page.samples import Samples
from runner.report.run.data import OofPredictions, RunData

_IMAGES = 12  # of a gallery
_SIDE = 176  # pixels


def example_rows(oof: OofPredictions) -> dict[str, NDArray[np.int64]]:
    """Row numbers by title, the most extreme first; at most 12 each."""
    ranked = {"Top losses": -oof.losses, "Most uncertain": -oof.entropies, "Lowest losses": oof.losses}
    if oof.is_numbers:
        ranked = {"Largest errors": -oof.losses, "Smallest errors": oof.losses}
    rows = {title: np.argsort(keys, kind="stable") for title, keys in ranked.items()}  # what is not known comes last
    return {title: order[np.isfinite(ranked[title][order])][:_IMAGES] for title, order in rows.items()}


def example_galleries(data: RunData, oof: OofPredictions, page: Path) -> list[Gallery]:
    """A gallery for each group of rows, its images linked to their files; empty without data."""
    index = data.index
    if index is None:
        return []
    samples = Samples(index, page, _SIDE)
    is_labelled = (index.table["subset"] != "test").to_numpy()
    row_of = {name: row for row, name in enumerate(index.table["id"]) if is_labelled[row]}
    galleries = []
    for title, rows in example_rows(oof).items():
        images = [
            replace(image, name=oof.ids[row])
            for row in rows.tolist()
            if oof.ids[row] in row_of and (image := samples.show(row_of[oof.ids[row]], caption(oof, row)))
        ]
        galleries.append(Gallery(title, images))
    return galleries


def caption(oof: OofPredictions, row: int) -> tuple[str, ...]:
    """The actual and the predicted class of a row with their probabilities; of a multilabel row, its errors."""
    probability = oof.probabilities[row]
    if oof.is_multilabel:
        return _labels_caption(oof, row)
    if oof.is_numbers:
        return _numbers_caption(oof, row)
    if oof.by_target:
        return tuple(f"{name} {text}" for name, part in oof.by_target for text in caption(part, row))
    if oof.is_binary:
        return f"actual: {oof.classes[0]} = {oof.targets[row, 0]:.0f}", f"predicted: {probability[0]:.3f}"
    actual, predicted = (int(classes[row]) for classes in oof.labels_and_predictions)
    return (
        f"actual: {oof.classes[actual]} {100 * probability[actual]:.1f}\u00a0%",
        f"predicted: {oof.classes[predicted]} {100 * probability[predicted]:.1f}\u00a0%",
    )


def _labels_caption(oof: OofPredictions, row: int) -> tuple[str, ...]:
    actual, predicted = oof.targets[row] > 0.5, oof.values[row] > 0.5

    def names(chosen: NDArray[Any]) -> str:
        return " ".join(name for name, is_chosen in zip(oof.classes, chosen, strict=True) if is_chosen)

    lines = (("actual", actual), ("missed", actual & ~predicted), ("false positive", predicted & ~actual))
    return tuple(f"{title}: {names(chosen)}" for title, chosen in lines if chosen.any())


def _numbers_caption(oof: OofPredictions, row: int) -> tuple[str, ...]:
    """The actual and the predicted number; of several numbers the one that is furthest off."""
    errors = np.abs(oof.values[row] - oof.targets[row]) / np.maximum(np.nanstd(oof.targets, axis=0), 1e-30)
    column = int(np.nanargmax(errors))
    name = f"{oof.classes[column]} " if len(oof.classes) > 1 else ""
    return f"{name}actual: {oof.targets[row, column]:.4g}", f"{name}predicted: {oof.values[row, column]:.4g}"
