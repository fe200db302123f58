"""DataFrames of what the runner knows: predictions, epochs, images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from runner.data.folds import Folds
from runner.explore.explore import Exploration, ImageStatistic, Quantiles
from runner.report.page.page import Link, Table
from runner.report.run.confusion import Confusion
from runner.report.run.data import OofPredictions
from runner.steps.predict_images import ImagePredictions

LONG = 1 << 12  # classes of a table of all pairs


def table_of(table: Table | None) -> pd.DataFrame:
    """A table of a page; empty if there is none."""
    if table is None:
        return pd.DataFrame()
    rows = [[cell.text if isinstance(cell, Link) else cell for cell in row] for row in table.rows]
    return pd.DataFrame(rows, columns=list(table.header))


def joined(tables: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Tables below each other, with the name of each in a first column."""
    named = [table.assign(**{column: name}) for name, table in tables.items()]
    whole = pd.concat(named, ignore_index=True)
    return whole[[column, *(each for each in whole.columns if each != column)]]


def image_predictions_table(predictions: Sequence[ImagePredictions]) -> pd.DataFrame:
    """A row an image: its name or number, its probabilities or numbers, and what is decided."""
    tables = [
        pd.DataFrame(
            {"image": some.names, **dict(zip(some.columns, some.probabilities.T, strict=True)), **dict(some.decisions)}
        )
        for some in predictions
        if some.names
    ]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["image"])
    table.attrs["unreadable"] = dict(each for some in predictions for each in some.unreadable)
    return table


def rows_of(values: Iterable[Any]) -> pd.DataFrame:
    """A row for each dataclass or dictionary."""
    return pd.DataFrame([asdict(value) if is_dataclass(value) else value for value in values])  # type: ignore[arg-type]


def log_table(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A row an epoch: sizes, losses, scores, the lr at its start and end, seconds. Epochs count from 1, as in a log."""
    return pd.DataFrame([_epoch(line) for line in lines])


def _epoch(line: dict[str, Any]) -> dict[str, Any]:
    lrs = line["lrs"] or [None]
    return {
        "fold": line["fold"],
        "epoch": line["epoch"] + 1,
        "size": line["size"],
        "mode": line["mode"],
        "cycle": line["cycle"] + 1,
        "lr": lrs[0],
        "last_lr": lrs[-1],
        "train_loss": line["train_loss"],
        "valid_loss": line["valid_loss"],
        **line["scores"],
        "seconds": line["seconds"],
    }


def oof_table(oof: OofPredictions, folds: Folds) -> pd.DataFrame:
    """A row for each validation row, by id: its fold, what is actual and predicted, its loss, a column a class."""
    columns = {"fold": [folds.fold_of.get(name, -1) for name in oof.ids], **_actual_and_predicted(oof)}
    table = pd.DataFrame({**columns, "loss": oof.losses}, index=pd.Index(oof.ids, name="id"))
    if oof.is_numbers:
        return table
    values = pd.DataFrame(oof.probabilities, index=table.index, columns=list(oof.classes))
    return pd.concat([table, values], axis=1)


def _actual_and_predicted(oof: OofPredictions) -> dict[str, Any]:
    if oof.is_numbers:
        names = oof.classes if len(oof.classes) > 1 else ("",)
        return {
            f"{word} {name}".strip(): values[:, column]
            for column, name in enumerate(names)
            for word, values in (("actual", oof.targets), ("predicted", oof.values))
        }
    if oof.by_target:
        return {
            f"{word} {name}": cells
            for name, part in oof.by_target
            for word, cells in _actual_and_predicted(part).items()
        }
    if oof.is_multilabel:
        return {"actual": _names(oof, oof.targets), "predicted": _names(oof, oof.values)}
    if oof.is_binary:
        return {"actual": (oof.targets[:, 0] > 0.5).astype(int), "predicted": (oof.values[:, 0] >= 0.5).astype(int)}
    names_of_classes = np.array(oof.classes, dtype=object)
    actual, predicted = oof.labels_and_predictions
    return {"actual": names_of_classes[actual], "predicted": names_of_classes[predicted]}


def _names(oof: OofPredictions, values: Any) -> list[str]:
    """The labels of each row above a half, separated by spaces."""
    return [" ".join(name for name, value in zip(oof.classes, row, strict=True) if value > 0.5) for row in values]


def confusion_table(confusion: Confusion) -> pd.DataFrame:
    """Counts by actual class (rows) and predicted class (columns); of very many classes the most confused alone."""
    shown = confusion if len(confusion.classes) <= LONG else confusion.zoomed or confusion
    names = list(shown.classes)
    return pd.DataFrame(shown.counts, index=pd.Index(names, name="actual"), columns=pd.Index(names, name="predicted"))


def sizes_table(exploration: Exploration) -> pd.DataFrame:
    """A row an image, by id: its subset, width, height and aspect ratio; nothing for what could not be read."""
    return _by_image(exploration, exploration.sizes)


def _by_image(exploration: Exploration, statistics: Sequence[ImageStatistic]) -> pd.DataFrame:
    table = exploration.index.table
    is_test = (table["subset"] == "test").to_numpy()
    columns: dict[str, Any] = {"subset": table["subset"].to_numpy()}
    for statistic in statistics:
        values = np.full(len(table), np.nan)
        values[~is_test], values[is_test] = statistic.train, statistic.test
        columns[statistic.name.replace(" ", "_")] = values
    return pd.DataFrame(columns, index=pd.Index(table["id"], name="id"))


def duplicates_table(exploration: Exploration) -> pd.DataFrame:
    """A row for each image that has duplicates: the number of its group, its file, subset, label and fold."""
    header = ["group", "path", "subset", "label", "fold", "exact", "label_conflict"]
    rows = [
        [number, path, subset, label, fold, group.exact, group.label_conflict]
        for number, group in enumerate(exploration.duplicates)
        for path, subset, label, fold in zip(group.paths, group.subsets, group.labels, group.folds, strict=True)
    ]
    return pd.DataFrame(rows, columns=header)


def classes_table(exploration: Exploration) -> pd.DataFrame:
    """A row a class, the most frequent first: its images, and the validation rows in each fold."""
    folds = range(len(exploration.classes[0].valid_per_fold)) if exploration.classes else ()
    rows = [[count.name, count.rows, *count.valid_per_fold] for count in exploration.classes]
    table = pd.DataFrame(rows, columns=["class", "images", *(f"fold {number}" for number in folds)])
    return table.sort_values("images", ascending=False, kind="stable", ignore_index=True)


def shift_table(exploration: Exploration) -> pd.DataFrame:
    """A row a measure: its median of labelled and of test images, how far the two differ, and what that means."""
    rows = []
    for measure in exploration.measures:
        medians = [Quantiles.of(values) for values in (measure.train, measure.test)]
        rows.append([measure.name, *(each and each.median for each in medians), measure.ks_statistic, measure.shift])
    return pd.DataFrame(rows, columns=["measure", "train", "test", "ks_statistic", "shift"])
